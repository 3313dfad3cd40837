//! Assertions: a part of the answer, a test, and when it is looked at.

use regex::Regex;

use super::Compiler;
use crate::json_path::JsonPath;
use crate::line::Line;
use crate::problem::{Fault, Span};
use crate::program::{Assert, Comparison, Operand, Step, Subject, Test, When};
use crate::quantity;
use crate::template::Place;
use crate::token::Token;
use crate::words::Words;

const SUBJECTS: [&str; 9] = [
    "status", "duration", "size", "sha256", "body", "header", "cookie", "json", "regex",
];
const TESTS: [&str; 11] = [
    "==",
    "!=",
    "<",
    "<=",
    ">",
    ">=",
    "contains",
    "starts-with",
    "matches",
    "exists",
    "missing",
];

/// Reads which part of the answer is meant.
pub(super) fn subject(words: &mut Words) -> Result<Subject, Fault> {
    let token = words.next("a part of the answer")?;
    Ok(match token.text.as_str() {
        "status" => Subject::Status,
        "duration" => Subject::Duration,
        "size" => Subject::Size,
        "sha256" => Subject::Sha256,
        "body" => Subject::Body,
        "header" => Subject::Header(words.name("a header's name")?.text),
        "cookie" => Subject::Cookie(words.next("a cookie's name")?.text),
        "json" => {
            let token = words.next("a JSON path")?;
            Subject::Json(path(&token)?)
        }
        "regex" => {
            let token = words.quoted("a regular expression")?;
            Subject::Regex(regex(&token)?)
        }
        other => {
            return Err(
                Fault::new(token.span, format!("`{other}` is no part of an answer"))
                    .nearest(other, SUBJECTS),
            );
        }
    })
}

fn path(token: &Token) -> Result<JsonPath, Fault> {
    JsonPath::parse(&token.text).map_err(|fault| {
        let at = u32::try_from(fault.at).unwrap_or(0);
        let span = Span {
            column: token.span.column + at + u32::from(token.quoted),
            width: 1,
            ..token.span
        };
        Fault::new(span, fault.message)
    })
}

fn regex(token: &Token) -> Result<Regex, Fault> {
    Regex::new(&token.text).map_err(|error| {
        // The library draws the expression over several lines; the last says why.
        let text = error.to_string();
        let why = text.lines().last().unwrap_or_default();
        let why = why.trim().trim_start_matches("error: ");
        Fault::new(
            token.span,
            format!("this regular expression is wrong: {why}"),
        )
    })
}

impl Compiler {
    pub(super) fn assertion(
        &mut self,
        step: &mut Step,
        words: &mut Words,
        line: &Line<'_>,
    ) -> Result<(), Fault> {
        let subject = subject(words)?;
        let test = if words.is_done() && matches!(subject, Subject::Regex(_)) {
            // `assert regex "…"` says all there is to say.
            Test::Exists
        } else {
            self.test(&subject, words)?
        };
        let when = if words.take("@functional") {
            When::Functional
        } else if words.take("@sample") {
            When::Sample(words.share()?)
        } else {
            When::Always
        };
        if let Some(token) = words.peek()
            && token.text.starts_with('@')
        {
            return Err(
                Fault::new(token.span, format!("there is no mark `{}`", token.text))
                    .nearest(&token.text, ["@functional", "@sample"]),
            );
        }
        step.asserts.push(Assert {
            subject,
            test,
            when,
            line: line.number,
            text: line.text["assert".len()..].trim().to_owned(),
        });
        Ok(())
    }

    fn test(&mut self, subject: &Subject, words: &mut Words) -> Result<Test, Fault> {
        let token = words.next("a test")?;
        let comparison = match token.text.as_str() {
            "==" | "=" => Comparison::Equal,
            "!=" => Comparison::Unequal,
            "<" => Comparison::Less,
            "<=" => Comparison::LessOrEqual,
            ">" => Comparison::Greater,
            ">=" => Comparison::GreaterOrEqual,
            "exists" => return Ok(Test::Exists),
            "missing" => return Ok(Test::Missing),
            "contains" => {
                let text = words.quoted("a text")?;
                return Ok(Test::Contains(self.plain(&text)?));
            }
            "starts-with" => {
                let text = words.quoted("a text")?;
                return Ok(Test::StartsWith(self.plain(&text)?));
            }
            "matches" => {
                return Ok(Test::Matches(regex(
                    &words.quoted("a regular expression")?,
                )?));
            }
            other => {
                return Err(Fault::new(token.span, format!("`{other}` is not a test"))
                    .nearest(other, TESTS));
            }
        };
        let operand = self.operand(subject, words)?;
        Ok(Test::Compare(comparison, operand))
    }

    fn plain(&mut self, token: &Token) -> Result<crate::template::Template, Fault> {
        // The quote stands before the first character.
        let span = Span {
            column: token.span.column + 1,
            ..token.span
        };
        self.template(&token.text, span, Place::Plain)
    }

    fn operand(&mut self, subject: &Subject, words: &mut Words) -> Result<Operand, Fault> {
        let token = words.next("a value")?;
        if token.quoted {
            return Ok(Operand::Text(self.plain(&token)?));
        }
        let text = token.text.as_str();
        let wrong = |what: &str, example: &str| {
            Err(Fault::new(token.span, format!("`{text}` is not {what}"))
                .hint(format!("write it like {example}")))
        };
        #[expect(clippy::cast_precision_loss, reason = "sizes stay below 2^53")]
        match subject {
            Subject::Duration => match quantity::duration(text) {
                Some(duration) => Ok(Operand::Number(duration.as_secs_f64())),
                None => wrong("a duration", "`200ms`"),
            },
            Subject::Size => match quantity::size(text).or_else(|| quantity::count(text)) {
                Some(size) => Ok(Operand::Number(size as f64)),
                None => wrong("a size", "`64KiB`"),
            },
            Subject::Status => match quantity::count(text) {
                Some(status) => Ok(Operand::Number(status as f64)),
                None => wrong("a status", "`200`"),
            },
            _ => match text {
                "true" => Ok(Operand::Bool(true)),
                "false" => Ok(Operand::Bool(false)),
                "null" => Ok(Operand::Null),
                _ if text.starts_with("{{") => Ok(Operand::Text(self.template(
                    text,
                    token.span,
                    Place::Plain,
                )?)),
                _ => match text.parse::<f64>() {
                    Ok(number) if number.is_finite() => Ok(Operand::Number(number)),
                    _ => wrong("a value", &format!("`\"{text}\"`, `5`, `true` or `null`")),
                },
            },
        }
    }
}
