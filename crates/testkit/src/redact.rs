//! The one place that makes output the same in every run.
//!
//! Times, digests, ids, ports and temporary paths differ from run to run; a
//! transcript shows what they are instead. The same value keeps its number
//! within one text, so a reader sees which digests are equal.

use std::path::{Path, PathBuf};

/// Replaces what changes from run to run.
#[derive(Debug, Clone, Default)]
pub struct Redaction {
    replaced: Vec<(String, String)>,
    seen: Vec<(&'static str, String)>,
}

impl Redaction {
    pub fn new() -> Self {
        Self::default()
    }

    /// Shows `path` as `[name]`; the longest path wins.
    #[must_use]
    pub fn path(self, path: &Path, name: &str) -> Self {
        self.text(&path.to_string_lossy(), name)
    }

    /// Shows `text` as `[name]`.
    #[must_use]
    pub fn text(mut self, text: &str, name: &str) -> Self {
        self.replaced.push((text.to_owned(), format!("[{name}]")));
        self.replaced
            .sort_by_key(|(text, _)| std::cmp::Reverse(text.len()));
        self
    }

    /// Shows the folder for temporary files as `[tmp]`.
    #[must_use]
    pub fn temporary_paths(self) -> Self {
        let folder: PathBuf = std::env::temp_dir();
        self.path(&folder, "tmp")
    }

    /// Redacts `text`. Later texts continue the numbers of earlier ones.
    pub fn apply(&mut self, text: &str) -> String {
        let mut text = text.to_owned();
        for (value, name) in &self.replaced {
            text = text.replace(value, name);
        }
        let mut output = String::with_capacity(text.len());
        let mut rest = text.as_str();
        // A value starts where a word starts: `x2026-…` is no time.
        let mut within_word = false;
        while let Some(first) = rest.chars().next() {
            let found = if within_word { None } else { recognise(rest) };
            if let Some((kind, length)) = found {
                let (value, after) = rest.split_at(length);
                output.push_str(&self.numbered(kind, value));
                rest = after;
                within_word = true;
            } else {
                output.push(first);
                rest = &rest[first.len_utf8()..];
                within_word = first.is_ascii_alphanumeric();
            }
        }
        output
    }

    fn numbered(&mut self, kind: &'static str, value: &str) -> String {
        // Times and durations say nothing by being equal.
        if matches!(kind, "time" | "duration") {
            return format!("[{kind}]");
        }
        let known = |seen: &[(&'static str, String)]| {
            seen.iter()
                .filter(|(of, _)| *of == kind)
                .position(|(_, known)| known == value)
        };
        let position = known(&self.seen).unwrap_or_else(|| {
            self.seen.push((kind, value.to_owned()));
            self.seen.iter().filter(|(of, _)| *of == kind).count() - 1
        });
        format!("[{kind} {}]", position + 1)
    }
}

/// What `text` starts with, and how long it is.
fn recognise(text: &str) -> Option<(&'static str, usize)> {
    type Recogniser = fn(&str) -> Option<usize>;
    const KINDS: [(&str, Recogniser); 6] = [
        ("digest", digest),
        ("time", time),
        ("uid", uid),
        ("commit", commit),
        ("port", port),
        ("duration", duration),
    ];
    KINDS
        .iter()
        .find_map(|(kind, recognise)| Some((*kind, recognise(text)?)))
}

/// Length of the run of characters at the start of `text` that satisfy `of`.
fn run(text: &str, of: impl Fn(char) -> bool) -> usize {
    text.find(|character| !of(character)).unwrap_or(text.len())
}

fn hex(text: &str) -> usize {
    run(text, |character| matches!(character, '0'..='9' | 'a'..='f'))
}

fn ends_word(text: &str) -> bool {
    !text.starts_with(|character: char| character.is_ascii_alphanumeric())
}

fn digest(text: &str) -> Option<usize> {
    let digits = hex(text.strip_prefix("sha256:")?);
    // Shortened digests are shown to people.
    (digits >= 8).then_some("sha256:".len() + digits)
}

/// `2026-05-15T12:00:00Z`, with `T` or space, fraction and offset or not.
fn time(text: &str) -> Option<usize> {
    const SHAPE: &str = "dddd-dd-ddTdd:dd:dd";
    let bytes = text.as_bytes().get(..SHAPE.len())?;
    let fits = SHAPE.bytes().zip(bytes).all(|(shape, byte)| match shape {
        b'd' => byte.is_ascii_digit(),
        b'T' => matches!(byte, b'T' | b' '),
        other => other == *byte,
    });
    if !fits {
        return None;
    }
    let mut length = SHAPE.len();
    if text[length..].starts_with('.') {
        length += 1 + run(&text[length + 1..], |character| character.is_ascii_digit());
    }
    if text[length..].starts_with('Z') {
        length += 1;
    } else if text[length..].starts_with(['+', '-']) {
        length += 1 + run(&text[length + 1..], |character| {
            character.is_ascii_digit() || character == ':'
        });
    }
    Some(length)
}

fn uid(text: &str) -> Option<usize> {
    let mut length = 0;
    for (index, digits) in [8, 4, 4, 4, 12].into_iter().enumerate() {
        if index > 0 {
            length += text[length..].strip_prefix('-').map(|_| 1)?;
        }
        if hex(&text[length..]) != digits {
            return None;
        }
        length += digits;
    }
    ends_word(&text[length..]).then_some(length)
}

fn commit(text: &str) -> Option<usize> {
    (hex(text) == 40 && ends_word(&text[40..])).then_some(40)
}

/// The number after an address of loopback.
fn port(text: &str) -> Option<usize> {
    let address = ["127.0.0.1:", "localhost:", "[::1]:"]
        .into_iter()
        .find(|address| text.starts_with(address))?;
    let digits = run(&text[address.len()..], |character| {
        character.is_ascii_digit()
    });
    (digits > 0).then_some(address.len() + digits)
}

/// `1.5s`, `20ms`, `2m3s`: a measured time, not a whole number of seconds
/// that somebody wrote down.
fn duration(text: &str) -> Option<usize> {
    let whole = run(text, |character| character.is_ascii_digit());
    if whole == 0 {
        return None;
    }
    let mut length = whole;
    let fraction = text[length..].starts_with('.');
    if fraction {
        length += 1 + run(&text[length + 1..], |character| character.is_ascii_digit());
    }
    let unit = ["ms", "µs", "ns", "s"]
        .into_iter()
        .find(|unit| text[length..].starts_with(unit))?;
    length += unit.len();
    (ends_word(&text[length..]) && (fraction || unit != "s")).then_some(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(Redaction::new().apply(text), expected);
    }

    #[test]
    fn equal_digests_keep_their_number() {
        let (one, two) = ("a".repeat(64), "b".repeat(64));
        check(
            &format!("sha256:{one} sha256:{two} sha256:{one}"),
            "[digest 1] [digest 2] [digest 1]",
        );
    }

    #[test]
    fn times_are_recognised_in_their_usual_spellings() {
        for time in [
            "2026-05-15T12:00:00Z",
            "2026-05-15 12:00:00.123",
            "2026-05-15T12:00:00.5+02:00",
        ] {
            check(&format!("at {time}, ok"), "at [time], ok");
        }
    }

    #[test]
    fn a_version_or_a_date_is_left_alone() {
        check(
            "v1.36.2 of 2026-05-15 waits 30s",
            "v1.36.2 of 2026-05-15 waits 30s",
        );
    }

    #[test]
    fn measured_durations_and_ports_are_hidden() {
        check(
            "ready in 1.53s (20ms) on http://127.0.0.1:40123/",
            "ready in [duration] ([duration]) on http://[port 1]/",
        );
    }

    #[test]
    fn ids_and_commits_are_numbered_apart() {
        let commit = "0123456789abcdef0123456789abcdef01234567";
        check(
            &format!("pod 123e4567-e89b-12d3-a456-426614174000 from {commit}"),
            "pod [uid 1] from [commit 1]",
        );
    }

    #[test]
    fn the_longest_path_wins() {
        let mut redaction = Redaction::new()
            .path(Path::new("/data"), "data")
            .path(Path::new("/data/engine"), "engine");
        assert_eq!(
            redaction.apply("/data/engine/log /data/x"),
            "[engine]/log [data]/x"
        );
    }
}
