//! Sprig's regular expressions; the syntax is the same as Go's.

use regex::{NoExpand, Regex, RegexBuilder};

use super::arguments::Arguments;
use super::text::texts;
use super::{Answer, Function};
use crate::value::Value;

/// A compiled expression is never larger.
const SIZE_BYTES_MAX: usize = 1024 * 1024;

pub(crate) const FUNCTIONS: &[(&str, Function)] = &[
    ("regexMatch", |a| {
        // As in sprig: what is no expression matches nothing.
        Ok(matches(a).unwrap_or(Value::Bool(false)))
    }),
    ("mustRegexMatch", |a| matches(a)),
    ("regexFind", |a| find(a)),
    ("mustRegexFind", |a| find(a)),
    ("regexFindAll", |a| find_all(a)),
    ("mustRegexFindAll", |a| find_all(a)),
    ("regexReplaceAll", |a| replace(a)),
    ("mustRegexReplaceAll", |a| replace(a)),
    ("regexReplaceAllLiteral", |a| replace_literal(a)),
    ("mustRegexReplaceAllLiteral", |a| replace_literal(a)),
    ("regexSplit", |a| split(a)),
    ("mustRegexSplit", |a| split(a)),
    ("regexQuoteMeta", |a| {
        a.count(1)?;
        Ok(Value::text(quote_meta(a.text(0)?)))
    }),
];

fn expression(text: &str) -> Result<Regex, String> {
    RegexBuilder::new(text)
        .size_limit(SIZE_BYTES_MAX)
        .build()
        .map_err(|error| format!("`{text}` is no regular expression: {error}"))
}

fn matches(arguments: &Arguments<'_>) -> Answer {
    arguments.count(2)?;
    Ok(Value::Bool(
        expression(arguments.text(0)?)?.is_match(arguments.text(1)?),
    ))
}

fn find(arguments: &Arguments<'_>) -> Answer {
    arguments.count(2)?;
    let expression = expression(arguments.text(0)?)?;
    let found = expression.find(arguments.text(1)?);
    Ok(Value::text(found.map_or("", |found| found.as_str())))
}

fn limit(count: i64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

fn find_all(arguments: &Arguments<'_>) -> Answer {
    arguments.count(3)?;
    let expression = expression(arguments.text(0)?)?;
    let found = expression
        .find_iter(arguments.text(1)?)
        .take(limit(arguments.int(2)?))
        .map(|found| found.as_str().to_owned());
    Ok(texts(found.collect()))
}

fn replace(arguments: &Arguments<'_>) -> Answer {
    arguments.count(3)?;
    let expression = expression(arguments.text(0)?)?;
    Ok(Value::text(
        expression.replace_all(arguments.text(1)?, arguments.text(2)?),
    ))
}

fn replace_literal(arguments: &Arguments<'_>) -> Answer {
    arguments.count(3)?;
    let expression = expression(arguments.text(0)?)?;
    Ok(Value::text(expression.replace_all(
        arguments.text(1)?,
        NoExpand(arguments.text(2)?),
    )))
}

fn split(arguments: &Arguments<'_>) -> Answer {
    arguments.count(3)?;
    let expression = expression(arguments.text(0)?)?;
    let text = arguments.text(1)?;
    let parts: Vec<String> = match arguments.int(2)? {
        0 => Vec::new(),
        count if count > 0 => expression
            .splitn(text, limit(count))
            .map(str::to_owned)
            .collect(),
        _ => expression.split(text).map(str::to_owned).collect(),
    };
    Ok(texts(parts))
}

fn quote_meta(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 4);
    for c in text.chars() {
        if "\\.+*?()|[]{}^$".contains(c) {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted
}
