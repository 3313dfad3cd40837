//! Arguments of an action: words of the command line, checked against their types.

use std::collections::BTreeMap;
use std::time::Duration;

use foreshore_model::nearest;
use foreshore_model::plan::{Action, Argument, ArgumentKind};

use crate::error::{RenderError, suggestion};
use crate::variables::whole;

/// Why words are no arguments of an action.
#[derive(Debug, thiserror::Error)]
pub enum ArgumentError {
    #[error("action `{action}` has no argument `--{name}`{}", suggestion(near.as_deref()))]
    Unknown {
        action: String,
        name: String,
        near: Option<String>,
    },
    #[error("`{word}` is no argument of action `{action}`; write `--name value`")]
    Stray { action: String, word: String },
    #[error("argument `--{name}` of action `{action}` needs a value")]
    NoValue { action: String, name: String },
    #[error("argument `--{name}` of action `{action}` is given twice")]
    Twice { action: String, name: String },
    #[error("action `{action}` needs the argument `--{name}`: {description}")]
    Missing {
        action: String,
        name: String,
        description: String,
    },
    #[error("argument `--{name}` must be {wanted}, not `{found}`")]
    Wrong {
        name: String,
        wanted: String,
        found: String,
    },
    #[error(transparent)]
    Pattern(#[from] RenderError),
}

/// Sorts words into given arguments: `--name value`, `--name=value`, `name=value`, `--flag`.
pub fn parse_words(
    name: &str,
    action: &Action,
    words: &[String],
) -> Result<BTreeMap<String, String>, ArgumentError> {
    let mut given = BTreeMap::new();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let (key, value) = match word.strip_prefix("--") {
            Some(rest) => match rest.split_once('=') {
                Some((key, value)) => (key, Some(value.to_owned())),
                None => (rest, None),
            },
            None => match word.split_once('=') {
                Some((key, value)) => (key, Some(value.to_owned())),
                None => {
                    return Err(ArgumentError::Stray {
                        action: name.to_owned(),
                        word: word.clone(),
                    });
                }
            },
        };
        let Some(argument) = action.arguments.get(key) else {
            return Err(ArgumentError::Unknown {
                action: name.to_owned(),
                name: key.to_owned(),
                near: nearest(key, action.arguments.keys().map(String::as_str)).map(str::to_owned),
            });
        };
        let value = match value {
            Some(value) => value,
            None if argument.kind == ArgumentKind::Bool => "true".to_owned(),
            None => words
                .next()
                .cloned()
                .ok_or_else(|| ArgumentError::NoValue {
                    action: name.to_owned(),
                    name: key.to_owned(),
                })?,
        };
        if given.insert(key.to_owned(), value).is_some() {
            return Err(ArgumentError::Twice {
                action: name.to_owned(),
                name: key.to_owned(),
            });
        }
    }
    Ok(given)
}

/// Returns every argument of an action: given, or by default; each is checked.
pub fn arguments(
    name: &str,
    action: &Action,
    given: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, serde_json::Value>, ArgumentError> {
    action
        .arguments
        .iter()
        .map(|(key, argument)| {
            let default = argument.default.clone();
            let value = given
                .get(key)
                .cloned()
                .or(default)
                .or_else(|| (argument.kind == ArgumentKind::Bool).then(|| "false".to_owned()));
            let value = value.ok_or_else(|| ArgumentError::Missing {
                action: name.to_owned(),
                name: key.clone(),
                description: argument.description.clone(),
            })?;
            Ok((key.clone(), checked(key, argument, value)?))
        })
        .collect()
}

fn checked(
    name: &str,
    argument: &Argument,
    value: String,
) -> Result<serde_json::Value, ArgumentError> {
    let wrong = |wanted: String| ArgumentError::Wrong {
        name: name.to_owned(),
        wanted,
        found: value.chars().take(80).collect(),
    };
    let fits = match argument.kind {
        ArgumentKind::String => true,
        ArgumentKind::Bool => {
            return value
                .parse::<bool>()
                .map(Into::into)
                .map_err(|_| wrong(argument.kind.word().to_owned()));
        }
        ArgumentKind::Int => {
            return value
                .parse::<i64>()
                .map(Into::into)
                .map_err(|_| wrong(argument.kind.word().to_owned()));
        }
        ArgumentKind::Enum => argument.values.contains(&value),
        ArgumentKind::Path => {
            !value.is_empty()
                && !value.contains('\0')
                && value.split('/').all(|part| !matches!(part, "" | ".."))
        }
        ArgumentKind::Duration => duration(&value).is_some(),
    };
    if !fits {
        return Err(wrong(match argument.kind {
            ArgumentKind::Enum => format!("one of {}", argument.values.join(", ")),
            kind => kind.word().to_owned(),
        }));
    }
    if let Some(pattern) = &argument.pattern
        && !whole(name, pattern)?.is_match(&value)
    {
        return Err(wrong(format!("a text like `{pattern}`")));
    }
    Ok(value.into())
}

/// Reads a duration as plans write it: a whole number and `ms`, `s`, `m`, `h` or `d`.
pub fn duration(text: &str) -> Option<Duration> {
    let (digits, milliseconds) = [
        ("ms", 1),
        ("s", 1000),
        ("m", 60_000),
        ("h", 3_600_000),
        ("d", 86_400_000),
    ]
    .into_iter()
    .find_map(|(unit, milliseconds)| Some((text.strip_suffix(unit)?, milliseconds)))?;
    let plain = digits.len() < 10 && digits.bytes().all(|byte| byte.is_ascii_digit());
    let number: u64 = digits.parse().ok().filter(|_| plain)?;
    Some(Duration::from_millis(number * milliseconds))
}

#[cfg(test)]
mod tests {
    use foreshore_model::yaml;
    use serde_json::{Value, json};

    use super::*;

    fn action() -> Action {
        yaml::read(
            "a",
            "description: d\ncommand: [x]\narguments:\n  tag: {description: which}\n  loud: {type: bool}\n  count: {type: int, default: \"3\"}\n  mode: {type: enum, values: [fast, slow], default: fast}\n  file: {type: path, default: a.txt}\n  wait: {type: duration, default: 5s}\n  code: {pattern: \"[a-z]+\", default: x}\n",
        )
        .unwrap()
    }

    fn read(words: &[&str]) -> Result<Value, String> {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let given = parse_words("run", &action(), &words).map_err(|error| error.to_string())?;
        let found = arguments("run", &action(), &given).map_err(|error| error.to_string())?;
        Ok(json!(found))
    }

    #[test]
    fn a_duration_has_a_number_and_a_unit() {
        for (text, seconds) in [
            ("90s", 90.0),
            ("5m", 300.0),
            ("250ms", 0.25),
            ("1d", 86_400.0),
        ] {
            assert_eq!(
                duration(text),
                Some(Duration::from_secs_f64(seconds)),
                "{text}"
            );
        }
        for text in [
            "",
            "s",
            "5",
            "5 m",
            "-5s",
            "+5s",
            "1.5h",
            "5M",
            "9999999999s",
        ] {
            assert_eq!(duration(text), None, "{text}");
        }
    }

    #[test]
    fn every_way_to_write_an_argument_is_read() {
        let expected = json!({"tag": "v1", "loud": true, "count": 3, "mode": "fast", "file": "a.txt", "wait": "5s", "code": "x"});
        for words in [
            &["--tag", "v1", "--loud"][..],
            &["--tag=v1", "--loud=true"],
            &["tag=v1", "loud=true"],
            &["--loud", "--tag", "v1"],
        ] {
            assert_eq!(read(words).unwrap(), expected, "{words:?}");
        }
        assert_eq!(
            read(&["--tag", "a=b=c; $(rm)"]).unwrap()["tag"],
            "a=b=c; $(rm)"
        );
    }

    #[test]
    fn mistakes_are_named_before_anything_runs() {
        for (words, part) in [
            (&[][..], "needs the argument `--tag`: which"),
            (
                &["--tagg", "x"],
                "has no argument `--tagg`; did you mean `tag`?",
            ),
            (&["tag"], "`tag` is no argument"),
            (&["--tag"], "needs a value"),
            (&["--tag", "a", "--tag", "b"], "given twice"),
            (&["--tag", "a", "--count", "x"], "must be a whole number"),
            (
                &["--tag", "a", "--mode", "odd"],
                "must be one of fast, slow",
            ),
            (&["--tag", "a", "--file", "../x"], "must be a path below"),
            (&["--tag", "a", "--file", "/etc"], "must be a path below"),
            (&["--tag", "a", "--wait", "5 parsecs"], "must be a duration"),
            (&["--tag", "a", "--loud=maybe"], "must be true or false"),
            (
                &["--tag", "a", "--code", "A"],
                "must be a text like `[a-z]+`",
            ),
        ] {
            let error = read(words).unwrap_err();
            assert!(error.contains(part), "{words:?}: {error}");
        }
    }
}
