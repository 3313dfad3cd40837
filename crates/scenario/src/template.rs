//! Texts with `{{…}}` in them, and how a value is written where it stands.

use std::fmt::Write as _;

use crate::line::width;
use crate::problem::{Fault, Span};

/// A text with holes.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Template {
    pub parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Part {
    Text(String),
    Hole(Expression, Escape),
}

/// What stands between `{{` and `}}`, with names resolved to places.
#[derive(Debug, Clone, PartialEq)]
pub enum Expression {
    Target(usize),
    Value(usize),
    Secret(usize),
    Capture(usize),
    /// Column of the row that the user has of this data.
    Field {
        data: usize,
        /// Index into the columns of the data.
        column: usize,
    },
    Uuid,
    OneOf(Vec<String>),
    Whole {
        least: i64,
        most: i64,
    },
    Letters(usize),
    User,
    Iteration,
    UnixMillis,
}

/// How a value is made safe for its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Escape {
    Plain,
    /// Percent-encoded, but for what may stand in a path segment.
    Url,
    /// Inside quotes of a JSON text.
    JsonText,
}

/// Where a template stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Url,
    Json,
    Plain,
}

/// Splits a text at its holes and resolves each with `resolve`.
pub(crate) fn parse(
    text: &str,
    span: Span,
    place: Place,
    mut resolve: impl FnMut(&[&str], Span) -> Result<Expression, Fault>,
) -> Result<Template, Fault> {
    let mut parts = Vec::new();
    let mut rest = text;
    let mut in_quotes = false;
    while let Some(open) = rest.find("{{") {
        if open > 0 {
            in_quotes = after(&rest[..open], in_quotes);
            parts.push(Part::Text(rest[..open].to_owned()));
        }
        let before = &text[..text.len() - rest.len() + open];
        // A body of several lines starts where its keyword stands.
        let line = span.line + u32::try_from(before.matches('\n').count()).unwrap_or(0);
        let start = before.rfind('\n').map_or(0, |place| place + 1);
        let column = if line == span.line { span.column } else { 1 } + width(&before[start..]);
        let Some(length) = rest[open..].find("}}") else {
            let span = Span {
                line,
                column,
                width: 2,
            };
            return Err(Fault::new(span, "`{{` does not end").hint("end it with `}}`"));
        };
        let inside = &rest[open + 2..open + length];
        let span = Span {
            line,
            column: column + 2,
            width: width(inside),
        };
        let words: Vec<&str> = inside.split_whitespace().collect();
        let expression = resolve(&words, span)?;
        let escape = match (place, &expression) {
            (_, Expression::Target(_)) => Escape::Plain,
            // An address as a whole may come from an earlier answer.
            (Place::Url, _) if parts.is_empty() => Escape::Plain,
            (Place::Url, _) => Escape::Url,
            (Place::Json, _) if in_quotes => Escape::JsonText,
            _ => Escape::Plain,
        };
        parts.push(Part::Hole(expression, escape));
        rest = &rest[open + length + 2..];
    }
    if !rest.is_empty() {
        parts.push(Part::Text(rest.to_owned()));
    }
    Ok(Template { parts })
}

/// Whether a JSON text is inside quotes after `text`.
fn after(text: &str, mut inside: bool) -> bool {
    let mut escaped = false;
    for letter in text.chars() {
        match letter {
            _ if escaped => escaped = false,
            '\\' if inside => escaped = true,
            '"' => inside = !inside,
            _ => {}
        }
    }
    inside
}

impl Template {
    pub fn text(text: impl Into<String>) -> Self {
        Self {
            parts: vec![Part::Text(text.into())],
        }
    }

    /// Returns the text if it has no holes.
    pub fn constant(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [] => Some(""),
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// Puts what is known before the run in place, and joins what then touches.
    #[must_use]
    pub fn fold(&self, mut known: impl FnMut(&Expression) -> Option<String>) -> Self {
        let mut parts: Vec<Part> = Vec::new();
        for part in &self.parts {
            let text = match part {
                Part::Text(text) => Some(text.clone()),
                Part::Hole(expression, escape) => known(expression).map(|value| {
                    let mut text = String::new();
                    escape.write(&value, &mut text);
                    text
                }),
            };
            match (text, parts.last_mut()) {
                (Some(text), Some(Part::Text(before))) => before.push_str(&text),
                (Some(text), _) => parts.push(Part::Text(text)),
                (None, _) => parts.push(part.clone()),
            }
        }
        Self { parts }
    }

    /// Captures it needs.
    pub(crate) fn captures(&self) -> impl Iterator<Item = usize> + '_ {
        self.parts.iter().filter_map(|part| match part {
            Part::Hole(Expression::Capture(slot), _) => Some(*slot),
            _ => None,
        })
    }
}

impl Escape {
    /// Writes a value so that it cannot leave its place.
    pub fn write(self, value: &str, out: &mut String) {
        match self {
            Self::Plain => out.push_str(value),
            Self::Url => {
                for byte in value.bytes() {
                    if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                        out.push(char::from(byte));
                    } else {
                        write!(out, "%{byte:02X}").expect("writing to a string cannot fail");
                    }
                }
            }
            Self::JsonText => {
                let quoted = serde_json::Value::from(value).to_string();
                out.push_str(&quoted[1..quoted.len() - 1]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str, place: Place) -> Template {
        let span = Span {
            line: 1,
            column: 1,
            width: 0,
        };
        parse(text, span, place, |_, _| Ok(Expression::Capture(0))).unwrap()
    }

    #[track_caller]
    fn check(text: &str, place: Place, value: &str, expected: &str) {
        let folded = parsed(text, place).fold(|_| Some(value.to_owned()));
        assert_eq!(folded.constant(), Some(expected));
    }

    #[test]
    fn a_value_cannot_leave_its_place() {
        let value = "a\"b/c\n";
        check(
            r#"{"x":"{{v}}"}"#,
            Place::Json,
            value,
            r#"{"x":"a\"b/c\n"}"#,
        );
        check(r#"{"x":{{v}}}"#, Place::Json, "1", r#"{"x":1}"#);
        check(
            r#"{"\"{{v}}":1}"#,
            Place::Json,
            "\"",
            r#"{"\"\"":1}"#.replace("\"\"\"", "\"\\\"\"").as_str(),
        );
        check("/a/{{v}}?x=1", Place::Url, value, "/a/a%22b%2Fc%0A?x=1");
        check("{{v}}/x", Place::Url, "http://h/p", "http://h/p/x");
    }

    #[test]
    fn places_of_holes_are_known_over_several_lines() {
        let span = Span {
            line: 4,
            column: 7,
            width: 0,
        };
        let mut places = Vec::new();
        parse("a{{x}}\nbb{{ y z }}", span, Place::Plain, |words, span| {
            places.push((words.len(), span.line, span.column, span.width));
            Ok(Expression::Uuid)
        })
        .unwrap();
        assert_eq!(places, [(1, 4, 10, 1), (2, 5, 5, 5)]);
    }
}
