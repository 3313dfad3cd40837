//! The one door to YAML: how the product reads and writes it.
//!
//! Our own files are read strictly; Kubernetes manifests are read the way
//! kubectl reads them (`0644` is octal). Both have tight budgets, because the
//! text may come from strangers.

mod places;
mod snippet;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_saphyr::MessageFormatter as _;

use crate::nearest::nearest;

pub use places::{Place, Places};

/// The most bytes one YAML text may have.
pub const BYTES_MAX: usize = 3 * 1024 * 1024;

/// Why a YAML text could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum YamlError {
    #[error("{origin} has {length} bytes, at most {BYTES_MAX} are read")]
    TooLarge { origin: String, length: usize },
    /// `what` carries the offending line with a caret where the parser knows it.
    #[error("{origin}:{line}:{column}: {what}")]
    At {
        origin: String,
        line: u64,
        column: u64,
        what: String,
    },
}

impl YamlError {
    /// Returns line and column, counted from one.
    pub fn position(&self) -> Option<(u64, u64)> {
        match self {
            Self::TooLarge { .. } => None,
            Self::At { line, column, .. } => Some((*line, *column)),
        }
    }
}

/// Why a value could not be written as YAML.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the value as YAML: {what}")]
pub struct WriteError {
    what: String,
}

fn options(octal: bool) -> serde_saphyr::Options {
    let mut options = serde_saphyr::Options::default();
    options.legacy_octal_numbers = octal;
    options.strict_booleans = !octal;
    options
}

fn check_size(origin: &str, text: &str) -> Result<(), YamlError> {
    if text.len() > BYTES_MAX {
        return Err(YamlError::TooLarge {
            origin: origin.to_owned(),
            length: text.len(),
        });
    }
    Ok(())
}

fn explain(origin: &str, text: &str, error: &serde_saphyr::Error) -> YamlError {
    let error = error.without_snippet();
    let (line, column) = error
        .location()
        .map_or((1, 1), |location| (location.line(), location.column()));
    at(origin, text, (line, column), &words(error))
}

/// Makes an error of a mistake at a known place, with the line and a caret below it.
fn at(origin: &str, text: &str, (line, column): Place, what: &str) -> YamlError {
    YamlError::At {
        origin: origin.to_owned(),
        line,
        column,
        what: format!("{what}{}", snippet::snippet(text, (line, column))),
    }
}

fn words(error: &serde_saphyr::Error) -> String {
    let (word, known, noun) = match error {
        serde_saphyr::Error::SerdeUnknownField {
            field, expected, ..
        } => (field, expected, "field"),
        serde_saphyr::Error::SerdeUnknownVariant {
            variant, expected, ..
        } => (variant, expected, "value"),
        other => {
            return serde_saphyr::DefaultMessageFormatter
                .format_message(other)
                .into_owned();
        }
    };
    match nearest(word, known.iter().copied()) {
        Some(near) => format!("unknown {noun} `{word}`; did you mean `{near}`?"),
        None => format!("unknown {noun} `{word}`; known are {}", known.join(", ")),
    }
}

/// Reads one of our own files; `origin` names it in errors.
pub fn read<T: DeserializeOwned>(origin: &str, text: &str) -> Result<T, YamlError> {
    check_size(origin, text)?;
    #[expect(clippy::disallowed_methods, reason = "this module is the one door")]
    serde_saphyr::from_str_with_options(text, options(false))
        .map_err(|error| explain(origin, text, &error))
}

/// Reads a file of another tool the way readers of YAML 1.1 do: `yes` is true, `0777` octal.
pub fn read_legacy<T: DeserializeOwned>(origin: &str, text: &str) -> Result<T, YamlError> {
    check_size(origin, text)?;
    #[expect(clippy::disallowed_methods, reason = "this module is the one door")]
    serde_saphyr::from_str_with_options(text, options(true))
        .map_err(|error| explain(origin, text, &error))
}

/// Reads a file that people write, and refuses plain values that readers of YAML disagree on:
/// `yes`, `0777`, `1e3`.
pub fn read_strict<T: DeserializeOwned>(origin: &str, text: &str) -> Result<T, YamlError> {
    check_size(origin, text)?;
    // Mistakes of form are told by the reader, which knows better words for them.
    if let Some((place, what)) = places::trap(text) {
        return Err(at(origin, text, place, &what));
    }
    read(origin, text)
}

/// Makes an error of what was found wrong at `path` (keys from the top) after reading.
///
/// The place is that of the longest part of the path that is there.
pub fn mistake(origin: &str, text: &str, path: &[&str], what: &str) -> YamlError {
    at(origin, text, Places::of(text).nearest(path), what)
}

/// Reads Kubernetes manifests, one value for each document that is not empty.
pub fn read_manifests(origin: &str, text: &str) -> Result<Vec<serde_json::Value>, YamlError> {
    check_size(origin, text)?;
    #[expect(clippy::disallowed_methods, reason = "this module is the one door")]
    let documents: Vec<serde_json::Value> =
        serde_saphyr::from_multiple_with_options(text, options(true))
            .map_err(|error| explain(origin, text, &error))?;
    Ok(documents
        .into_iter()
        .filter(|document| !document.is_null())
        .collect())
}

/// Writes a value so that every common reader reads back the same.
pub fn write<T: Serialize>(value: &T) -> Result<String, WriteError> {
    #[expect(clippy::disallowed_methods, reason = "this module is the one door")]
    serde_saphyr::to_string(value).map_err(|error| WriteError {
        what: error.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use serde_json::json;

    use super::*;

    #[test]
    fn manifests_are_read_as_kubectl_reads_them() {
        let text = "mode: 0644\non: yes\n---\n---\na: \"yes\"\n";
        let documents = read_manifests("x.yaml", text).unwrap();
        assert_eq!(documents[0]["mode"], json!(420));
        assert_eq!(documents[1], json!({"a": "yes"}));
    }

    #[test]
    fn ambiguous_strings_survive_a_round_trip() {
        for text in [
            "yes",
            "no",
            "on",
            "y",
            "1e3",
            "0777",
            "2026-11-20",
            "=",
            "null",
            "~",
            "1_000",
            "",
            " x",
            "a: b",
            "a\nb\n",
        ] {
            let value = json!({ "value": text });
            let written = write(&value).unwrap();
            assert_eq!(
                read_manifests("x", &written).unwrap(),
                vec![value.clone()],
                "{written}"
            );
            assert_eq!(
                read::<serde_json::Value>("x", &written).unwrap(),
                value,
                "{written}"
            );
        }
    }

    #[test]
    fn a_mistake_is_told_with_its_place() {
        let error = read::<crate::ServiceFile>("foreshore.yaml", "name: web\nowner: a\nplann: x\n")
            .unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with("foreshore.yaml:3:1: "), "{text}");
        assert!(
            text.contains("unknown field `plann`; did you mean `plan`?"),
            "{text}"
        );
        assert!(text.ends_with("\n  |\n3 | plann: x\n  | ^"), "{text}");
    }

    #[test]
    fn values_that_readers_disagree_on_are_refused_where_people_write() {
        for (text, place, part) in [
            ("a: yes\n", "f:1:4", "write `true`, or quote it"),
            ("a:\n  - off\n", "f:2:5", "write `false`, or quote it"),
            ("a: 0777\n", "f:1:4", "octal"),
            ("a: {b: 1e3}\n", "f:1:8", "write the number out"),
            ("a: 1_000\n", "f:1:4", "without `_`"),
            ("a: 12:30:00\n", "f:1:4", "quote it"),
        ] {
            let error = read_strict::<serde_json::Value>("f", text)
                .unwrap_err()
                .to_string();
            assert!(
                error.starts_with(place) && error.contains(part),
                "{text}: {error}"
            );
        }
        for text in [
            "a: \"yes\"\n",
            "a: '0777'\n",
            "a: 8080\n",
            "yes: 1\n",
            "a: 1.5\n",
            "a: |\n  yes\n",
            "a: v0777\n",
            "a: 0\n",
            "a: 10:00\n",
        ] {
            read_strict::<serde_json::Value>("f", text).unwrap();
        }
    }

    #[test]
    fn a_mistake_found_later_has_its_place_too() {
        let text = "name: web\nvariables:\n  tier: wood\n  list: [a, b]\n";
        let place = |path: &[&str]| mistake("f", text, path, "x").position();
        assert_eq!(place(&["variables", "tier"]), Some((3, 9)));
        assert_eq!(place(&["variables", "list", "1"]), Some((4, 13)));
        assert_eq!(place(&["variables", "nope"]), Some((2, 1)));
        assert_eq!(place(&["nope"]), Some((1, 1)));
        let long = format!("a: \"{}\"\nb: c\n", "é".repeat(300));
        let error = mistake("f", &long, &["a"], "x").to_string();
        assert!(error.len() < 500, "{error}");
    }

    #[test]
    fn duplicate_keys_and_alias_bombs_are_refused() {
        assert!(read::<serde_json::Value>("x", "a: 1\na: 2\n").is_err());
        let mut bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n".to_owned();
        for i in 1..12 {
            let before = vec![format!("*a{}", i - 1); 9].join(",");
            writeln!(bomb, "a{i}: &a{i} [{before}]").unwrap();
        }
        assert!(read::<serde_json::Value>("x", &bomb).is_err());
    }
}
