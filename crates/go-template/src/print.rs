//! How Go prints values: `%v`, and the other verbs of `printf`.

use std::fmt::Write as _;

use crate::value::{TableKind, Value};

/// Prints as `%v` does.
pub(crate) fn value(value: &Value) -> String {
    let mut text = String::new();
    write_value(&mut text, value);
    text
}

/// Prints as an action does: what is not there is `<no value>`.
pub(crate) fn action(found: &Value) -> String {
    match found {
        Value::Nil => "<no value>".to_owned(),
        other => value(other),
    }
}

fn write_value(text: &mut String, found: &Value) {
    match found {
        Value::Nil => text.push_str("<nil>"),
        Value::Bool(value) => text.push_str(if *value { "true" } else { "false" }),
        Value::Int(value) => text.push_str(&value.to_string()),
        Value::Float(value) => text.push_str(&float(*value)),
        Value::Text(value) => text.push_str(value),
        Value::List(list) => {
            text.push('[');
            for (index, value) in list.iter().enumerate() {
                if index > 0 {
                    text.push(' ');
                }
                write_value(text, value);
            }
            text.push(']');
        }
        Value::Map(table) => {
            let entries = table.entries.borrow();
            if table.kind == TableKind::Struct {
                text.push('{');
                for (index, value) in entries.values().enumerate() {
                    if index > 0 {
                        text.push(' ');
                    }
                    write_value(text, value);
                }
                text.push('}');
                return;
            }
            text.push_str("map[");
            for (index, (key, value)) in entries.iter().enumerate() {
                if index > 0 {
                    text.push(' ');
                }
                text.push_str(key);
                text.push(':');
                write_value(text, value);
            }
            text.push(']');
        }
    }
}

/// The shortest text that reads back, with an exponent below 1e-4 and from 1e6 on.
pub(crate) fn float(value: f64) -> String {
    float_with(value, 6)
}

/// The same with another start of the exponent.
pub(crate) fn float_with(value: f64, exponent_from: i32) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let scientific = format!("{value:e}");
    let Some((mantissa, exponent)) = scientific.split_once('e') else {
        return scientific;
    };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if exponent < -4 || exponent >= exponent_from {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{mantissa}e{sign}{:02}", exponent.abs());
    }
    format!("{value}")
}

/// Quotes as `%q` does.
pub(crate) fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '\r' => quoted.push_str("\\r"),
            '\u{7}' => quoted.push_str("\\a"),
            '\u{8}' => quoted.push_str("\\b"),
            '\u{c}' => quoted.push_str("\\f"),
            '\u{b}' => quoted.push_str("\\v"),
            c if u32::from(c) < 0x20 || c == '\u{7f}' => {
                write!(quoted, "\\x{:02x}", u32::from(c)).expect("writing to a string cannot fail");
            }
            c if c.is_control() || c == '\u{feff}' => {
                write!(quoted, "\\u{:04x}", u32::from(c)).expect("writing to a string cannot fail");
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// Joins as `print` does: a space between two that are both no text.
pub(crate) fn print(values: &[Value]) -> String {
    let mut text = String::new();
    for (index, found) in values.iter().enumerate() {
        let is_text = |value: &Value| matches!(value, Value::Text(_));
        if index > 0 && !is_text(found) && !is_text(&values[index - 1]) {
            text.push(' ');
        }
        write_value(&mut text, found);
    }
    text
}

/// Joins as `println` does.
pub(crate) fn println(values: &[Value]) -> String {
    let words: Vec<String> = values.iter().map(value).collect();
    format!("{}\n", words.join(" "))
}

/// The flags between `%` and the verb.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "Go has these five flags")]
struct Flags {
    minus: bool,
    plus: bool,
    zero: bool,
    space: bool,
    sharp: bool,
    width: Option<usize>,
    precision: Option<usize>,
}

/// No field of a template is wider.
const WIDTH_MAX: usize = 10_000;

/// Formats as `printf` does, mistakes included.
pub(crate) fn printf(format: &str, values: &[Value]) -> String {
    let mut text = String::new();
    let mut rest = format.chars().peekable();
    let mut values = values.iter();
    let mut left_over = false;
    while let Some(c) = rest.next() {
        if c != '%' {
            text.push(c);
            continue;
        }
        let flags = flags(&mut rest, &mut values);
        match rest.next() {
            None => text.push_str("%!(NOVERB)"),
            Some('%') => text.push('%'),
            Some(verb) => match values.next() {
                None => {
                    write!(text, "%!{verb}(MISSING)").expect("writing to a string cannot fail");
                }
                Some(value) => text.push_str(&verb_of(verb, &flags, value)),
            },
        }
    }
    let extra: Vec<String> = values
        .inspect(|_| left_over = true)
        .map(|found| match found {
            Value::Nil => "<nil>".to_owned(),
            other => format!("{}={}", other.type_name(), value(other)),
        })
        .collect();
    if left_over {
        write!(text, "%!(EXTRA {})", extra.join(", ")).expect("writing to a string cannot fail");
    }
    text
}

fn flags<'a>(
    rest: &mut std::iter::Peekable<std::str::Chars<'_>>,
    values: &mut impl Iterator<Item = &'a Value>,
) -> Flags {
    let mut flags = Flags::default();
    while let Some(c) = rest.peek() {
        match c {
            '-' => flags.minus = true,
            '+' => flags.plus = true,
            '0' => flags.zero = true,
            ' ' => flags.space = true,
            '#' => flags.sharp = true,
            _ => break,
        }
        rest.next();
    }
    flags.width = count(rest, values);
    if rest.peek() == Some(&'.') {
        rest.next();
        flags.precision = Some(count(rest, values).unwrap_or(0));
    }
    flags
}

fn count<'a>(
    rest: &mut std::iter::Peekable<std::str::Chars<'_>>,
    values: &mut impl Iterator<Item = &'a Value>,
) -> Option<usize> {
    if rest.peek() == Some(&'*') {
        rest.next();
        return match values.next() {
            Some(Value::Int(value)) => usize::try_from(*value)
                .ok()
                .map(|value| value.min(WIDTH_MAX)),
            _ => None,
        };
    }
    let mut number = None;
    while let Some(digit) = rest.peek().and_then(|c| c.to_digit(10)) {
        let value = number.unwrap_or(0) * 10 + digit as usize;
        number = Some(value.min(WIDTH_MAX));
        rest.next();
    }
    number
}

fn verb_of(verb: char, flags: &Flags, found: &Value) -> String {
    let wrong = || match found {
        Value::Nil => format!("%!{verb}(<nil>)"),
        other => format!("%!{verb}({}={})", other.type_name(), value(other)),
    };
    let (body, numeric) = match (verb, found) {
        ('v' | 'd', Value::Int(number)) => (signed(flags, *number), true),
        ('v', Value::Text(text)) if flags.sharp => (quote(text), false),
        ('v' | 's', Value::Text(text)) => (cut(flags, text), false),
        ('s', Value::Nil) => return pad(flags, "%!s(<nil>)".to_owned(), false),
        ('s' | 'q', Value::List(_) | Value::Map(_)) => (each(verb, found), false),
        ('q', Value::Text(text)) => (quote(&cut(flags, text)), false),
        ('q', Value::Int(number)) => (
            character(*number).map_or_else(wrong, |c| format!("'{c}'")),
            false,
        ),
        ('t', Value::Bool(value)) => (value.to_string(), false),
        ('c', Value::Int(number)) => (character(*number).map_or_else(wrong, String::from), false),
        ('U', Value::Int(number)) => (format!("U+{number:04X}"), false),
        ('b', Value::Int(number)) => (format!("{number:b}"), true),
        ('o', Value::Int(number)) => (format!("{number:o}"), true),
        ('x', Value::Int(number)) => (prefixed(flags, "0x", format!("{number:x}")), true),
        ('X', Value::Int(number)) => (prefixed(flags, "0X", format!("{number:X}")), true),
        ('x', Value::Text(text)) => (bytes(text, false), false),
        ('X', Value::Text(text)) => (bytes(text, true), false),
        ('f' | 'F', Value::Float(number)) => (
            with_sign(flags, format!("{number:.*}", flags.precision.unwrap_or(6))),
            true,
        ),
        ('e', Value::Float(number)) => (
            with_sign(flags, exponent(*number, flags.precision.unwrap_or(6))),
            true,
        ),
        ('v' | 'g', Value::Float(number)) => (with_sign(flags, float(*number)), true),
        ('v', other) => (value(other), false),
        ('T', other) => (other.type_name().to_owned(), false),
        _ => return wrong(),
    };
    pad(flags, body, numeric)
}

fn each(verb: char, found: &Value) -> String {
    let one = |value: &Value| verb_of(verb, &Flags::default(), value);
    match found {
        Value::List(list) => format!("[{}]", list.iter().map(one).collect::<Vec<_>>().join(" ")),
        Value::Map(table) => {
            let entries = table.entries.borrow();
            let words = entries.iter().map(|(key, value)| {
                let key = if verb == 'q' { quote(key) } else { key.clone() };
                format!("{key}:{}", one(value))
            });
            format!("map[{}]", words.collect::<Vec<_>>().join(" "))
        }
        other => value(other),
    }
}

fn character(number: i64) -> Option<char> {
    u32::try_from(number).ok().and_then(char::from_u32)
}

fn bytes(text: &str, upper: bool) -> String {
    text.bytes()
        .map(|byte| {
            if upper {
                format!("{byte:02X}")
            } else {
                format!("{byte:02x}")
            }
        })
        .collect()
}

fn prefixed(flags: &Flags, prefix: &str, digits: String) -> String {
    if flags.sharp {
        format!("{prefix}{digits}")
    } else {
        digits
    }
}

fn exponent(number: f64, precision: usize) -> String {
    let text = format!("{number:.precision$e}");
    let Some((mantissa, exponent)) = text.split_once('e') else {
        return text;
    };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.abs())
}

fn signed(flags: &Flags, number: i64) -> String {
    with_sign(flags, number.to_string())
}

fn with_sign(flags: &Flags, text: String) -> String {
    if text.starts_with(['-', '+']) {
        text
    } else if flags.plus {
        format!("+{text}")
    } else if flags.space {
        format!(" {text}")
    } else {
        text
    }
}

fn cut(flags: &Flags, text: &str) -> String {
    match flags.precision {
        Some(precision) => text.chars().take(precision).collect(),
        None => text.to_owned(),
    }
}

fn pad(flags: &Flags, text: String, numeric: bool) -> String {
    let Some(width) = flags.width else {
        return text;
    };
    let missing = width.saturating_sub(text.chars().count());
    if flags.minus {
        return format!("{text}{}", " ".repeat(missing));
    }
    if flags.zero && numeric {
        let (sign, digits) = text.split_at(usize::from(text.starts_with(['-', '+'])));
        return format!("{sign}{}{digits}", "0".repeat(missing));
    }
    format!("{}{text}", " ".repeat(missing))
}
