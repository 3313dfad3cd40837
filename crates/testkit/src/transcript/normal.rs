//! What `kubectl` prints, without what differs from run to run: beyond what
//! every redaction hides, ages, generated names, addresses, versions, tokens
//! and the width of columns.

use crate::redact::Redaction;

/// Letters and digits of generated names: no vowels, nothing mistakable.
const GENERATED: &str = "bcdfghjklmnpqrstvwxz2456789";

/// Makes outputs of one story comparable.
#[derive(Debug, Default)]
pub struct Normal {
    redaction: Redaction,
}

impl Normal {
    pub fn new() -> Self {
        Self {
            redaction: Redaction::new().temporary_paths(),
        }
    }

    pub fn apply(&mut self, text: &str) -> String {
        let mut output = String::new();
        for line in self.redaction.apply(text).lines() {
            output.push_str(columns(&words(line)).trim_end());
            output.push('\n');
        }
        output
    }
}

/// Redacts the words of a line, where a word is what has no space in it.
fn words(line: &str) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut version = false;
    for word in line.split(' ') {
        parts.push(
            if version && word.trim_matches(['"', ',']).parse::<u64>().is_ok() {
                "[version]".to_owned()
            } else {
                redacted(word)
            },
        );
        version = word.ends_with("resourceVersion:") || word.ends_with("\"resourceVersion\":");
    }
    parts.join(" ")
}

fn redacted(word: &str) -> String {
    let bare = word.trim_matches(['(', ')', ',']);
    if is_age(bare) {
        return word.replace(bare, "[age]");
    }
    if bare.starts_with("eyJ") && bare.matches('.').count() == 2 {
        return "[token]".to_owned();
    }
    let mut output = String::new();
    let mut rest = word;
    // Only the first part of a word is no generated one.
    let mut follows = false;
    while !rest.is_empty() {
        let end = rest.find(|character: char| !character.is_ascii_alphanumeric());
        let (part, after) = rest.split_at(end.unwrap_or(rest.len()));
        let generated = part.chars().all(|letter| GENERATED.contains(letter));
        if let Some(length) = address(rest) {
            output.push_str("[address]");
            rest = &rest[length..];
            continue;
        }
        if generated && ((follows && part.len() == 5) || matches!(part.len(), 8..=10)) {
            output.push_str("[name]");
        } else {
            output.push_str(part);
        }
        let separator = after.chars().next().map_or(0, char::len_utf8);
        follows = after.starts_with('-');
        output.push_str(&after[..separator]);
        rest = &after[separator..];
    }
    output
}

/// `5s`, `2m3s`, `4h`, `1d`.
fn is_age(word: &str) -> bool {
    let starts = word.starts_with(|first: char| first.is_ascii_digit());
    let ends = word.ends_with(['s', 'm', 'h', 'd']);
    let part = |letter: char| letter.is_ascii_digit() || "smhd".contains(letter);
    starts && ends && word.chars().all(part)
}

/// Length of an address of the cluster's own ranges at the start of `text`.
fn address(text: &str) -> Option<usize> {
    let end = text
        .find(|character: char| !character.is_ascii_digit() && character != '.')
        .unwrap_or(text.len());
    let whole = text[..end].starts_with("10.")
        && text[..end]
            .split('.')
            .filter(|part| !part.is_empty())
            .count()
            == 4;
    whole.then_some(end)
}

/// Columns are as wide as their widest value, and that may be redacted.
fn columns(line: &str) -> String {
    let indent = line.len() - line.trim_start_matches(' ').len();
    let (indent, rest) = line.split_at(indent);
    let mut output = indent.to_owned();
    let mut spaces = 0;
    for character in rest.chars() {
        if character == ' ' {
            spaces += 1;
            if spaces > 2 {
                continue;
            }
        } else {
            spaces = 0;
        }
        output.push(character);
    }
    output
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, expected: &str) {
        assert_eq!(Normal::new().apply(line), format!("{expected}\n"));
    }

    #[test]
    fn ages_go_and_settings_stay() {
        check(
            "web   1/1     Running   0     2m3s",
            "web  1/1  Running  0  [age]",
        );
        check(
            "web   (x2 over 5s)  delay=0s",
            "web  (x2 over [age])  delay=0s",
        );
    }

    #[test]
    fn generated_names_go_and_chosen_ones_stay() {
        check(
            "pod/web-5d4f8c7b9d-x2bcd created",
            "pod/web-[name]-[name] created",
        );
        check("pod-template-hash=5d4f8c7b9d", "pod-template-hash=[name]");
        check("log-nginx kube-root-ca.crt", "log-nginx kube-root-ca.crt");
    }

    #[test]
    fn addresses_and_versions_go() {
        check("  resourceVersion: \"123\"", "  resourceVersion: [version]");
        check("10.96.4.7:80 10.1 1.2.3.4", "[address]:80 10.1 1.2.3.4");
    }
}
