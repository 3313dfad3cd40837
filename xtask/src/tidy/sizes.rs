//! Files stay small: a limit for all, and a list of today's exceptions that
//! can only shrink.

use std::{collections::BTreeMap, path::PathBuf};

use super::Text;

/// Lines of production code; beyond it a file has more than one subject.
const LIMIT: usize = 500;

/// Today's exceptions: a line count and a path per line.
const LIST: &str = "xtask/tidy/large-files.txt";

/// Lines before the inline tests.
fn production_lines(content: &str) -> usize {
    let lines: Vec<&str> = content.lines().collect();
    let tests = lines
        .windows(2)
        .position(|pair| pair[0] == "#[cfg(test)]" && pair[1].starts_with("mod "));
    tests.unwrap_or(lines.len())
}

/// Whether a file is all tests.
fn is_test(text: &Text) -> bool {
    text.path.ends_with("tests.rs")
        || text
            .path
            .components()
            .any(|part| part.as_os_str() == "tests")
}

fn exceptions(list: &str) -> BTreeMap<PathBuf, usize> {
    let entries = list
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    entries
        .map(|line| {
            let (lines, path) = line
                .split_once(' ')
                .expect("a line of the list is a number and a path");
            (
                path.into(),
                lines
                    .parse()
                    .expect("a line of the list starts with a number"),
            )
        })
        .collect()
}

fn offences(texts: &[Text], list: &str) -> Vec<String> {
    let mut listed = exceptions(list);
    let mut offences = Vec::new();
    for text in texts.iter().filter(|text| text.is_rust() && !is_test(text)) {
        let lines = production_lines(&text.content);
        let path = text.path.display();
        match listed.remove(&text.path) {
            None if lines > LIMIT => {
                offences.push(format!(
                    "{path}: {lines} lines; split it, more than {LIMIT} are more than one subject"
                ));
            }
            Some(allowed) if lines > allowed => {
                offences.push(format!(
                    "{path}: {lines} lines, was {allowed}; an exception may not grow"
                ));
            }
            Some(_) if lines <= LIMIT => {
                offences.push(format!("{path}: {lines} lines now; take it off {LIST}"));
            }
            Some(allowed) if lines < allowed => {
                offences.push(format!(
                    "{path}: {lines} lines now; lower its number in {LIST}"
                ));
            }
            _ => {}
        }
    }
    offences.extend(
        listed
            .keys()
            .map(|path| format!("{}: is gone; take it off {LIST}", path.display())),
    );
    offences
}

#[cfg(test)]
mod tests {
    use super::{super::text, *};

    #[test]
    fn files_stay_small() {
        let list = std::fs::read_to_string(crate::repository::root().join(LIST)).unwrap();
        super::super::none(&offences(&super::super::texts().unwrap(), &list));
    }

    fn file(lines: usize) -> Text {
        text("crates/a/src/b.rs", &"x\n".repeat(lines))
    }

    #[test]
    fn a_file_over_the_limit_is_found() {
        assert!(offences(&[file(LIMIT)], "").is_empty());
        assert_eq!(offences(&[file(LIMIT + 1)], "").len(), 1);
    }

    #[test]
    fn an_exception_may_shrink_but_not_grow() {
        let list = "# Why.\n600 crates/a/src/b.rs\n";
        assert!(offences(&[file(600)], list).is_empty());
        assert!(offences(&[file(601)], list)[0].contains("may not grow"));
        assert!(offences(&[file(599)], list)[0].contains("lower its number"));
        assert!(offences(&[file(LIMIT)], list)[0].contains("take it off"));
        assert!(offences(&[], list)[0].contains("is gone"));
    }

    #[test]
    fn tests_do_not_count() {
        let inline = format!(
            "{}#[cfg(test)]\nmod tests {{\n{}",
            "x\n".repeat(LIMIT),
            "x\n".repeat(LIMIT)
        );
        assert!(offences(&[text("crates/a/src/b.rs", &inline)], "").is_empty());
        let long = "x\n".repeat(2 * LIMIT);
        assert!(offences(&[text("crates/a/src/b/tests.rs", &long)], "").is_empty());
        assert!(offences(&[text("crates/a/tests/it/b.rs", &long)], "").is_empty());
    }
}
