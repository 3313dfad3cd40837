//! The words of one line, each with its place.

use crate::line::width;
use crate::problem::{Fault, Span};

/// One word, text in quotes, or sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) text: String,
    pub(crate) quoted: bool,
    pub(crate) span: Span,
}

/// Signs that end a word; longer ones first.
const SIGNS: [&str; 13] = [
    "==", "!=", "<=", ">=", "->", "<", ">", "=", "|", "(", ")", ",", "*",
];

/// Splits `text`, which starts at `column` of `line`. A `#` after a blank starts a comment.
pub(crate) fn tokens(text: &str, line: u32, column: u32) -> Result<Vec<Token>, Fault> {
    let mut found = Vec::new();
    let mut rest = text;
    loop {
        let trimmed = rest.trim_start();
        let place = column + width(text) - width(trimmed);
        let span = |width| Span {
            line,
            column: place,
            width,
        };
        if trimmed.is_empty() || trimmed.starts_with('#') {
            return Ok(found);
        }
        let (token, length) = if trimmed.starts_with('"') {
            let (value, length) = quoted(trimmed).ok_or_else(|| {
                Fault::new(span(width(trimmed)), "this text in quotes does not end")
                    .hint("end it with `\"`; write a quote inside as `\\\"`")
            })?;
            (
                Token {
                    text: value,
                    quoted: true,
                    span: span(width(&trimmed[..length])),
                },
                length,
            )
        } else {
            let length = match SIGNS.iter().find(|sign| trimmed.starts_with(**sign)) {
                Some(sign) => sign.len(),
                None => word(trimmed),
            };
            (
                Token {
                    text: trimmed[..length].to_owned(),
                    quoted: false,
                    span: span(width(&trimmed[..length])),
                },
                length,
            )
        };
        found.push(token);
        rest = &trimmed[length..];
    }
}

/// Reads text in quotes; returns it without them, and its length with them.
fn quoted(text: &str) -> Option<(String, usize)> {
    let mut value = String::new();
    let mut letters = text.char_indices().skip(1);
    while let Some((place, letter)) = letters.next() {
        match letter {
            '"' => return Some((value, place + 1)),
            '\\' => match letters.next()?.1 {
                'n' => value.push('\n'),
                't' => value.push('\t'),
                'r' => value.push('\r'),
                escaped @ ('"' | '\\') => value.push(escaped),
                // Regular expressions keep theirs.
                other => value.extend(['\\', other]),
            },
            letter => value.push(letter),
        }
    }
    None
}

/// Length of the word at the start: up to a blank or sign, `{{…}}` and paths in one piece.
fn word(text: &str) -> usize {
    let path = text.starts_with('$');
    let mut depth = 0_u32;
    let mut quote = None;
    for (place, letter) in text.char_indices() {
        if text[place..].starts_with("{{") {
            depth += 1;
        }
        if depth > 0 {
            if text[..place].ends_with("}}") {
                depth = 0;
            } else {
                continue;
            }
        }
        if path && let Some(mark) = quote {
            if letter == mark {
                quote = None;
            }
            continue;
        }
        if path && matches!(letter, '\'' | '"') {
            quote = Some(letter);
            continue;
        }
        let sign = SIGNS.iter().any(|sign| text[place..].starts_with(*sign));
        if letter.is_whitespace() || (sign && !path) {
            return place;
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        let tokens = tokens(text, 1, 1).unwrap();
        let texts: Vec<&str> = tokens.iter().map(|token| token.text.as_str()).collect();
        assert_eq!(texts, expected);
    }

    #[test]
    fn words_signs_quotes_and_paths_are_told_apart() {
        check("expect 201 | 200 # new", &["expect", "201", "|", "200"]);
        check(
            "gate p99(signup) < 400ms",
            &["gate", "p99", "(", "signup", ")", "<", "400ms"],
        );
        check(
            "assert json $.a[*].b == 1",
            &["assert", "json", "$.a[*].b", "==", "1"],
        );
        check("json $['a b'].c exists", &["json", "$['a b'].c", "exists"]);
        check("a{{one_of 1 2}}b c", &["a{{one_of 1 2}}b", "c"]);
        check(
            "0/s -> 8000/s over 20s,",
            &["0/s", "->", "8000/s", "over", "20s", ","],
        );
    }

    #[test]
    fn places_count_characters() {
        let tokens = tokens("é = \"ü\" x", 3, 5).unwrap();
        let columns: Vec<u32> = tokens.iter().map(|token| token.span.column).collect();
        assert_eq!(columns, [5, 7, 9, 13]);
    }

    #[test]
    fn an_open_quote_is_reported_where_it_opens() {
        let fault = tokens("x \"abc", 2, 3).unwrap_err();
        assert_eq!((fault.span.line, fault.span.column), (2, 5));
    }
}
