//! Console blocks of a page, and whether a command said what is written.

use anyhow::{Context as _, Result, bail, ensure};

/// One fenced block of the kind `console`.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Block {
    Run { place: String, steps: Vec<Step> },
    NotRun { place: String, reason: String },
}

/// One command and what it says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) place: String,
    pub(super) command: String,
    pub(super) code: i32,
    /// Nothing is compared where nothing is written.
    pub(super) expected: Vec<String>,
}

impl Block {
    pub(super) fn place(&self) -> &str {
        match self {
            Self::Run { place, .. } | Self::NotRun { place, .. } => place,
        }
    }
}

/// Reads the blocks of a page.
pub(super) fn blocks(page: &str, text: &str) -> Result<Vec<Block>> {
    let mut blocks = Vec::new();
    let mut reason: Option<String> = None;
    let mut lines = text.lines().zip(1_usize..);
    while let Some((line, number)) = lines.next() {
        if let Some(comment) = line.trim().strip_prefix("<!-- not run:") {
            let said = comment
                .strip_suffix("-->")
                .context("a reason is one line")?;
            ensure!(!said.trim().is_empty(), "{page}:{number}: no reason");
            reason = Some(said.trim().to_owned());
            continue;
        }
        if line.trim() == "```console" {
            let place = format!("{page}:{number}");
            let mut inside = Vec::new();
            loop {
                let (line, number) = lines
                    .next()
                    .with_context(|| format!("{place} has no end"))?;
                if line.trim() == "```" {
                    break;
                }
                inside.push((line, number));
            }
            let steps = steps(page, &inside)?;
            blocks.push(match reason.take() {
                Some(reason) => Block::NotRun { place, reason },
                None => Block::Run { place, steps },
            });
        } else if !line.trim().is_empty() {
            ensure!(
                reason.is_none(),
                "{page}:{number}: a reason stands in front of its block"
            );
        }
    }
    Ok(blocks)
}

fn steps(page: &str, lines: &[(&str, usize)]) -> Result<Vec<Step>> {
    let mut steps: Vec<Step> = Vec::new();
    let mut lines = lines.iter().peekable();
    while let Some((line, number)) = lines.next() {
        let place = format!("{page}:{number}");
        if let Some(command) = line.strip_prefix("$ ") {
            let mut command = command.to_owned();
            while command.ends_with('\\') {
                let (more, _) = lines.next().with_context(|| format!("{place} goes on"))?;
                command.push('\n');
                command.push_str(more);
            }
            let code = match command.split_once("# ends with ") {
                Some((_, code)) => code
                    .split(|letter: char| !letter.is_ascii_digit())
                    .next()
                    .and_then(|code| code.parse().ok())
                    .with_context(|| format!("{place}: no exit code"))?,
                None => 0,
            };
            steps.push(Step {
                place,
                command,
                code,
                expected: Vec::new(),
            });
        } else if let Some(step) = steps.last_mut() {
            step.expected.push((*line).to_owned());
        } else {
            bail!("{place}: a console block starts with a command, `$ …`");
        }
    }
    Ok(steps)
}

/// Whether the lines are as written; an end of empty lines does not count.
pub(super) fn matches(expected: &[String], said: &[&str]) -> bool {
    let said: Vec<&str> = said.iter().map(|line| line.trim_end()).collect();
    let end = said.iter().rposition(|line| !line.is_empty());
    lines_match(expected, &said[..end.map_or(0, |end| end + 1)])
}

fn lines_match(expected: &[String], said: &[&str]) -> bool {
    let Some((first, rest)) = expected.split_first() else {
        return said.is_empty();
    };
    if first.trim() == "[...]" {
        return (0..=said.len()).any(|skipped| lines_match(rest, &said[skipped..]));
    }
    said.split_first()
        .is_some_and(|(line, more)| line_matches(first.trim_end(), line) && lines_match(rest, more))
}

fn line_matches(expected: &str, said: &str) -> bool {
    let mut parts = expected.split("[..]");
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = said.strip_prefix(first) else {
        return false;
    };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    true
}

#[test]
fn holes_stand_for_any_text_and_any_lines() {
    let written: Vec<String> = ["a [..] c", "[...]", "end"].map(str::to_owned).to_vec();
    assert!(matches(&written, &["a b c", "end"]));
    assert!(matches(&written, &["a b b c", "x", "y", "end  ", "", ""]));
    assert!(!matches(&written, &["a b", "end"]));
    assert!(!matches(&written, &["a b c", "end", "more"]));
    assert!(!line_matches("a", "ab"));
    assert!(line_matches("[..]-[..]", "x-y-z"));
    assert!(!line_matches("[..]: z", "x"));
}

#[test]
fn a_page_is_read_into_steps_and_reasons() {
    let page = "text\n```console\n$ one \\\n  two   # ends with 3: why\nsaid\n$ next\n```\n\
                <!-- not run: it needs root -->\n```console\n$ three\n```\n";
    let found = blocks("p.md", page).unwrap();
    let Block::Run { steps, .. } = &found[0] else {
        panic!("{found:?}");
    };
    assert_eq!(steps[0].command, "one \\\n  two   # ends with 3: why");
    assert_eq!((steps[0].code, steps[0].place.as_str()), (3, "p.md:3"));
    assert_eq!(steps[0].expected, ["said"]);
    assert_eq!(steps[1].command, "next");
    assert_eq!(
        found[1],
        Block::NotRun {
            place: "p.md:9".into(),
            reason: "it needs root".into()
        }
    );
    assert!(blocks("p.md", "```console\nno command\n```\n").is_err());
    assert!(blocks("p.md", "<!-- not run: x -->\ntext\n").is_err());
}
