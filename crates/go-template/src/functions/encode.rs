//! Sprig's encodings, and YAML as shuttle writes it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use foreshore_model::yaml;
use serde_json::Value as Json;
use sha2::{Digest as _, Sha256, Sha512};

use super::arguments::Arguments;
use super::{Answer, Function};
use crate::print;
use crate::value::Value;

pub(crate) const FUNCTIONS: &[(&str, Function)] = &[
    ("b64enc", |a| {
        a.count(1)?;
        Ok(Value::text(STANDARD.encode(a.text(0)?)))
    }),
    ("b64dec", |a| {
        a.count(1)?;
        Ok(Value::text(match STANDARD.decode(a.text(0)?) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(error) => error.to_string(),
        }))
    }),
    ("b32enc", |a| {
        a.count(1)?;
        Ok(Value::text(base32(a.text(0)?.as_bytes())))
    }),
    ("b32dec", |a| {
        a.count(1)?;
        base32_decode(a.text(0)?).map(Value::text)
    }),
    ("sha256sum", |a| {
        a.count(1)?;
        Ok(Value::text(hexadecimal(&Sha256::digest(a.text(0)?))))
    }),
    ("sha512sum", |a| {
        a.count(1)?;
        Ok(Value::text(hexadecimal(&Sha512::digest(a.text(0)?))))
    }),
    ("adler32sum", |a| {
        a.count(1)?;
        let (mut low, mut high) = (1_u32, 0_u32);
        for byte in a.text(0)?.bytes() {
            low = (low + u32::from(byte)) % 65521;
            high = (high + low) % 65521;
        }
        Ok(Value::text(((high << 16) | low).to_string()))
    }),
    ("toJson", |a| to_json(a)),
    ("mustToJson", |a| to_json(a)),
    ("toRawJson", |a| raw_json(a)),
    ("mustToRawJson", |a| raw_json(a)),
    ("toPrettyJson", |a| pretty_json(a)),
    ("mustToPrettyJson", |a| pretty_json(a)),
    ("fromJson", |a| {
        a.count(1)?;
        Ok(serde_json::from_str::<Json>(a.text(0)?)
            .map_or(Value::Nil, |json| Value::from(&floats(json))))
    }),
    ("mustFromJson", |a| {
        a.count(1)?;
        let json: Json = serde_json::from_str(a.text(0)?).map_err(|error| error.to_string())?;
        Ok(Value::from(&floats(json)))
    }),
];

/// Go reads every number of JSON as a float.
fn floats(json: Json) -> Json {
    match json {
        Json::Number(number) => number.as_f64().map_or(Json::Null, Json::from),
        Json::Array(list) => list.into_iter().map(floats).collect(),
        Json::Object(map) => map
            .into_iter()
            .map(|(key, value)| (key, floats(value)))
            .collect(),
        other => other,
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    let words: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    words.concat()
}

/// Writes JSON as Go does: sorted keys, whole floats without a fraction.
fn write_json(value: &Value, text: &mut String, indent: Option<usize>) {
    let line = |text: &mut String, depth: usize| {
        text.push('\n');
        text.push_str(&"  ".repeat(depth));
    };
    match value {
        Value::Nil => text.push_str("null"),
        Value::Text(found) => text.push_str(&Json::from(found.as_ref()).to_string()),
        Value::Float(found) => text.push_str(
            &print::float_with(*found, 21)
                .replace("e+0", "e+")
                .replace("e-0", "e-"),
        ),
        Value::List(list) if list.is_empty() => text.push_str("[]"),
        Value::List(list) => {
            text.push('[');
            for (index, item) in list.iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                if let Some(depth) = indent {
                    line(text, depth + 1);
                }
                write_json(item, text, indent.map(|depth| depth + 1));
            }
            if let Some(depth) = indent {
                line(text, depth);
            }
            text.push(']');
        }
        Value::Map(table) if table.entries.borrow().is_empty() => text.push_str("{}"),
        Value::Map(table) => {
            text.push('{');
            for (index, (key, item)) in table.entries.borrow().iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                if let Some(depth) = indent {
                    line(text, depth + 1);
                }
                text.push_str(&Json::from(key.as_str()).to_string());
                text.push_str(if indent.is_some() { ": " } else { ":" });
                write_json(item, text, indent.map(|depth| depth + 1));
            }
            if let Some(depth) = indent {
                line(text, depth);
            }
            text.push('}');
        }
        other => text.push_str(&print::value(other)),
    }
}

/// Go writes what means something in HTML as escapes.
fn escape_html(text: &str) -> String {
    text.replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('&', "\\u0026")
}

fn to_json(arguments: &Arguments<'_>) -> Answer {
    arguments.count(1)?;
    let mut text = String::new();
    write_json(arguments.any(0)?, &mut text, None);
    Ok(Value::text(escape_html(&text)))
}

fn raw_json(arguments: &Arguments<'_>) -> Answer {
    arguments.count(1)?;
    let mut text = String::new();
    write_json(arguments.any(0)?, &mut text, None);
    Ok(Value::text(text))
}

fn pretty_json(arguments: &Arguments<'_>) -> Answer {
    arguments.count(1)?;
    let mut text = String::new();
    write_json(arguments.any(0)?, &mut text, Some(0));
    Ok(Value::text(escape_html(&text)))
}

const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

fn base32(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.chunks(5) {
        let mut block = [0_u8; 5];
        block[..chunk.len()].copy_from_slice(chunk);
        let bits = block
            .iter()
            .fold(0_u64, |bits, byte| (bits << 8) | u64::from(*byte));
        let used = (chunk.len() * 8).div_ceil(5);
        for index in 0..8 {
            let value = usize::try_from((bits >> (35 - 5 * index)) & 31).unwrap_or(0);
            text.push(if index < used {
                char::from(BASE32[value])
            } else {
                '='
            });
        }
    }
    text
}

fn base32_decode(text: &str) -> Result<String, String> {
    let mut bits = 0_u64;
    let mut count = 0;
    let mut bytes = Vec::new();
    for c in text.trim_end_matches('=').bytes() {
        let value = BASE32
            .iter()
            .position(|known| *known == c)
            .ok_or("illegal base32 data")?;
        bits = (bits << 5) | value as u64;
        count += 5;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from((bits >> count) & 255).unwrap_or(0));
        }
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

pub(crate) fn to_yaml(value: &Value) -> Value {
    let mut text = String::new();
    write_yaml(value, &mut text, 0, Place::Top);
    Value::text(text)
}

pub(crate) fn from_yaml(text: &str) -> Answer {
    let json: Json = yaml::read_legacy("the text", text).map_err(|error| error.to_string())?;
    match json {
        Json::Null => Ok(Value::map([])),
        Json::Object(_) => Ok(Value::from(&json)),
        _ => Err("it is no map".to_owned()),
    }
}

/// Where a value stands, which decides whether it starts on a line of its own.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    Top,
    Key,
    Item,
}

/// Writes YAML as Go's second YAML library does: two spaces, lists not indented below their key.
fn write_yaml(value: &Value, text: &mut String, depth: usize, place: Place) {
    match value {
        Value::List(list) if !list.is_empty() => {
            let pad = "  ".repeat(if place == Place::Key {
                depth - 1
            } else {
                depth
            });
            for (index, item) in list.iter().enumerate() {
                match place {
                    Place::Key => text.extend(["\n", &pad, "- "]),
                    Place::Item if index == 0 => text.push_str("- "),
                    _ if index == 0 && text.is_empty() => text.push_str("- "),
                    _ => text.extend(["\n", &pad, "- "]),
                }
                let inner = if place == Place::Key {
                    depth
                } else {
                    depth + 1
                };
                write_yaml(item, text, inner, Place::Item);
            }
        }
        Value::Map(table) if !table.entries.borrow().is_empty() => {
            let pad = "  ".repeat(depth);
            for (index, (key, item)) in table.entries.borrow().iter().enumerate() {
                let first = index == 0 && place != Place::Key;
                if !first {
                    text.extend(["\n", &pad]);
                }
                text.push_str(&yaml_text(key, depth));
                text.push(':');
                let nested = match item {
                    Value::List(list) => !list.is_empty(),
                    Value::Map(table) => !table.entries.borrow().is_empty(),
                    _ => false,
                };
                if !nested {
                    text.push(' ');
                }
                write_yaml(item, text, depth + 1, Place::Key);
            }
        }
        Value::List(_) => text.push_str("[]"),
        Value::Map(_) => text.push_str("{}"),
        Value::Nil => text.push_str("null"),
        Value::Text(found) => text.push_str(&yaml_text(found, depth)),
        other => text.push_str(&print::value(other)),
    }
    if place == Place::Top {
        text.push('\n');
    }
}

/// A text plain where it reads back as text, otherwise quoted; several lines as a block.
fn yaml_text(found: &str, depth: usize) -> String {
    if found.contains('\n') && !found.starts_with([' ', '\n']) && !found.contains(['\r', '\t']) {
        let pad = "  ".repeat(depth.max(1));
        let chomp = match (found.ends_with('\n'), found.ends_with("\n\n")) {
            (false, _) => "-",
            (true, false) => "",
            (true, true) => "+",
        };
        let kept = if chomp == "+" {
            &found[..found.len() - 1]
        } else {
            found.trim_end_matches('\n')
        };
        let body: Vec<String> = kept
            .split('\n')
            .map(|line| {
                if line.is_empty() {
                    String::new()
                } else {
                    format!("{pad}{line}")
                }
            })
            .collect();
        return format!("|{chomp}\n{}", body.join("\n"));
    }
    let plain = !found.is_empty()
        && !found.starts_with(|c: char| {
            " !\"#%&'*,>?@[]`{|}-:=".contains(c)
                && !(c == '-' && found.len() > 1 && !found.starts_with("- "))
        })
        && !found.ends_with([' ', ':'])
        && !found.contains(": ")
        && !found.contains(" #")
        && !found.chars().any(char::is_control);
    if plain
        && matches!(yaml::read_manifests("x", found).as_deref(), Ok([Json::String(read)]) if read == found)
        && !is_old_boolean(found)
    {
        return found.to_owned();
    }
    if found.chars().any(char::is_control) {
        return print::quote(found);
    }
    if plain || found.is_empty() {
        return print::quote(found);
    }
    format!("'{}'", found.replace('\'', "''"))
}

fn is_old_boolean(text: &str) -> bool {
    matches!(
        text.to_ascii_lowercase().as_str(),
        "y" | "n" | "yes" | "no" | "on" | "off" | "true" | "false" | "null" | "~"
    )
}
