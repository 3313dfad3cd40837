//! Functions of Go's own templates.

use std::cmp::Ordering;

use super::arguments::Arguments;
use super::{Answer, Function};
use crate::print;
use crate::value::Value;

pub(crate) const FUNCTIONS: &[(&str, Function)] = &[
    ("not", |a| {
        a.count(1)?;
        Ok(Value::Bool(!a.any(0)?.is_true()))
    }),
    ("len", len),
    ("index", index),
    ("print", |a| Ok(Value::text(print::print(a.values)))),
    ("println", |a| Ok(Value::text(print::println(a.values)))),
    ("printf", |a| {
        Ok(Value::text(print::printf(a.text(0)?, &a.values[1..])))
    }),
    ("html", |a| Ok(Value::text(html(&print::print(a.values))))),
    ("js", |a| Ok(Value::text(js(&print::print(a.values))))),
    ("urlquery", |a| {
        Ok(Value::text(query(&print::print(a.values))))
    }),
    ("eq", eq),
    ("ne", |a| {
        a.count(2)?;
        Ok(Value::Bool(!equal(a.any(0)?, a.any(1)?)?))
    }),
    ("lt", |a| order(a, Ordering::is_lt)),
    ("le", |a| order(a, Ordering::is_le)),
    ("gt", |a| order(a, Ordering::is_gt)),
    ("ge", |a| order(a, Ordering::is_ge)),
];

fn len(arguments: &Arguments<'_>) -> Answer {
    arguments.count(1)?;
    let length = match arguments.any(0)? {
        Value::Text(text) => text.len(),
        Value::List(list) => list.len(),
        Value::Map(table) => table.entries.borrow().len(),
        Value::Nil => return Err("len of nil pointer".to_owned()),
        other => return Err(format!("len of type {}", other.type_name())),
    };
    Ok(Value::Int(i64::try_from(length).unwrap_or(i64::MAX)))
}

fn index(arguments: &Arguments<'_>) -> Answer {
    let mut value = arguments.any(0)?.clone();
    for key in &arguments.values[1..] {
        value = match (&value, key) {
            (Value::Nil, _) => return Err("index of untyped nil".to_owned()),
            (Value::List(list), Value::Int(index)) => usize::try_from(*index)
                .ok()
                .and_then(|index| list.get(index).cloned())
                .ok_or_else(|| format!("index out of range: {index}"))?,
            (Value::Text(text), Value::Int(index)) => usize::try_from(*index)
                .ok()
                .and_then(|index| text.as_bytes().get(index))
                .map(|byte| Value::Int(i64::from(*byte)))
                .ok_or_else(|| format!("index out of range: {index}"))?,
            (Value::Map(table), Value::Text(key)) => table
                .entries
                .borrow()
                .get(key.as_ref())
                .cloned()
                .unwrap_or(Value::Nil),
            (Value::List(_) | Value::Text(_), other) => {
                return Err(format!(
                    "cannot index slice/array with type {}",
                    other.type_name()
                ));
            }
            (Value::Map(_), other) => {
                return Err(format!(
                    "value has type {}; should be string",
                    other.type_name()
                ));
            }
            (other, _) => return Err(format!("can't index item of type {}", other.type_name())),
        };
    }
    Ok(value)
}

fn equal(a: &Value, b: &Value) -> Result<bool, String> {
    match (a, b) {
        (Value::Nil, _) | (_, Value::Nil) => Ok(matches!((a, b), (Value::Nil, Value::Nil))),
        (Value::List(_) | Value::Map(_), _) | (_, Value::List(_) | Value::Map(_)) => {
            Err("incompatible types for comparison".to_owned())
        }
        _ if a.kind() != b.kind() => Err("incompatible types for comparison".to_owned()),
        _ => Ok(a.equals(b)),
    }
}

fn eq(arguments: &Arguments<'_>) -> Answer {
    arguments
        .at_least(2)
        .map_err(|_| "missing argument for comparison")?;
    let first = arguments.any(0)?;
    for other in &arguments.values[1..] {
        if equal(first, other)? {
            return Ok(Value::Bool(true));
        }
    }
    Ok(Value::Bool(false))
}

fn order(arguments: &Arguments<'_>, holds: fn(Ordering) -> bool) -> Answer {
    arguments.count(2)?;
    let ordering = match (arguments.any(0)?, arguments.any(1)?) {
        (Value::Int(a), Value::Int(b)) => a.cmp(b),
        (Value::Float(a), Value::Float(b)) => {
            return Ok(Value::Bool(a.partial_cmp(b).is_some_and(holds)));
        }
        (Value::Text(a), Value::Text(b)) => a.as_bytes().cmp(b.as_bytes()),
        (a, b) if a.kind() == b.kind() => return Err("invalid type for comparison".to_owned()),
        _ => return Err("incompatible types for comparison".to_owned()),
    };
    Ok(Value::Bool(holds(ordering)))
}

fn html(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' => escaped.push_str("&#34;"),
            '\'' => escaped.push_str("&#39;"),
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '\0' => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

fn js(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => escaped.push_str("\\\\"),
            '\'' => escaped.push_str("\\'"),
            '"' => escaped.push_str("\\\""),
            '<' => escaped.push_str("\\u003C"),
            '>' => escaped.push_str("\\u003E"),
            '&' => escaped.push_str("\\u0026"),
            '=' => escaped.push_str("\\u003D"),
            c if u32::from(c) < 0x20 => escaped.extend([
                "\\u00",
                &hexadecimal(u8::try_from(u32::from(c)).unwrap_or(0)),
            ]),
            c => escaped.push(c),
        }
    }
    escaped
}

fn hexadecimal(byte: u8) -> String {
    format!("{byte:02X}")
}

fn query(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                escaped.push(char::from(byte));
            }
            b' ' => escaped.push('+'),
            other => escaped.extend(["%", &hexadecimal(other)]),
        }
    }
    escaped
}
