//! Validation of custom resources, in the real server's words.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::structural::{Kind, Merge, Node, Rules};
use crate::violation::{Reason, Violation};

pub(super) fn check(root: &Node, object: &Value) -> Vec<Violation> {
    let mut found = vec![];
    walk(root, object, "", &mut found);
    found
}

fn violation(path: &str, reason: Reason, message: String) -> Violation {
    let path = if path.is_empty() { "<nil>" } else { path };
    Violation {
        path: path.to_owned(),
        reason,
        message,
    }
}

/// `Invalid value: VALUE: PATH in body WHY`.
fn invalid(path: &str, value: &Value, why: &str, found: &mut Vec<Violation>) {
    let message = format!("Invalid value: {value}: {path} in body {why}");
    found.push(violation(path, Reason::Invalid, message));
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn fits(kind: Kind, value: &Value) -> bool {
    match kind {
        Kind::Any => true,
        Kind::Object => value.is_object(),
        Kind::Array => value.is_array(),
        Kind::String => value.is_string(),
        Kind::Integer => {
            value.is_i64()
                || value.is_u64()
                || value.as_f64().is_some_and(|number| number.fract() == 0.0)
        }
        Kind::Number => value.is_number(),
        Kind::Boolean => value.is_boolean(),
        Kind::IntOrString => value.is_string() || value.is_i64() || value.is_u64(),
    }
}

fn walk(node: &Node, value: &Value, path: &str, found: &mut Vec<Violation>) {
    if value.is_null() && node.nullable {
        return;
    }
    if !fits(node.kind, value) {
        let (wanted, given) = (node.kind.name(), type_name(value));
        let message = format!(
            "Invalid value: \"{given}\": {path} in body must be of type {wanted}: \"{given}\""
        );
        found.push(violation(path, Reason::TypeInvalid, message));
        allowed(&node.rules, value, path, found);
        if node.kind == Kind::Integer && value.is_number() {
            unchecked(path, "integer (default format)", found);
        }
        return;
    }
    if node.kind == Kind::Array {
        duplicates(node, value, path, found);
    }
    values(&node.rules, value, path, found);
    match value {
        Value::Object(fields) => {
            let join = |name: &str| match path {
                "" => name.to_owned(),
                path => format!("{path}.{name}"),
            };
            for name in &node.rules.required {
                if !fields.contains_key(name) {
                    let message = "Required value".to_owned();
                    found.push(violation(&join(name), Reason::Required, message));
                }
            }
            for (name, value) in fields {
                if path.is_empty() && matches!(name.as_str(), "metadata" | "kind" | "apiVersion") {
                    continue;
                }
                let inner = node.properties.get(name).or(node.additional.as_deref());
                if let Some(inner) = inner {
                    walk(inner, value, &join(name), found);
                }
            }
        }
        Value::Array(items) => {
            if let Some(inner) = node.items.as_deref() {
                for (index, item) in items.iter().enumerate() {
                    walk(inner, item, &format!("{path}[{index}]"), found);
                }
            }
        }
        _ => {}
    }
    combined(&node.rules, value, path, found);
}

fn passes(node: &Node, value: &Value, path: &str) -> bool {
    let mut found = vec![];
    walk(node, value, path, &mut found);
    found.is_empty()
}

fn combined(rules: &Rules, value: &Value, path: &str, found: &mut Vec<Violation>) {
    for node in &rules.all_of {
        walk(node, value, path, found);
    }
    // The real server does not say where these are, except in its words.
    let fail = |why: String, found: &mut Vec<Violation>| {
        let message = format!("Invalid value: \"\": {path:?} {why}");
        found.push(violation("", Reason::Invalid, message));
    };
    if !rules.any_of.is_empty() && !rules.any_of.iter().any(|node| passes(node, value, path)) {
        fail(
            "must validate at least one schema (anyOf)".to_owned(),
            found,
        );
        walk(&rules.any_of[0], value, path, found);
    }
    if !rules.one_of.is_empty() {
        let valid = rules.one_of.iter().filter(|node| passes(node, value, path));
        let one = "must validate one and only one schema (oneOf).";
        match valid.count() {
            1 => {}
            0 => {
                fail(format!("{one} Found none valid"), found);
                walk(&rules.one_of[0], value, path, found);
            }
            count => fail(format!("{one} Found {count} valid alternatives"), found),
        }
    }
    if rules
        .not
        .as_deref()
        .is_some_and(|node| passes(node, value, path))
    {
        fail("must not validate the schema (not)".to_owned(), found);
    }
}

/// A number that does not fit its format.
fn unchecked(path: &str, kind: &str, found: &mut Vec<Violation>) {
    let message = format!("Invalid value: \"\": Checked value must be of type {kind} in {path}");
    found.push(violation("", Reason::Invalid, message));
}

/// Sets hold each value once, and lists with keys each key.
fn duplicates(node: &Node, value: &Value, path: &str, found: &mut Vec<Violation>) {
    let items = value.as_array().map_or(&[][..], Vec::as_slice);
    let key = |item: &Value| match &node.merge {
        Merge::Atomic => None,
        Merge::Set => Some(item.clone()),
        Merge::Map(keys) => {
            let fields = keys.iter().map(|key| (key.clone(), item[key].clone()));
            Some(Value::Object(fields.collect()))
        }
    };
    for (index, item) in items.iter().enumerate() {
        if let Some(own) = key(item)
            && items[..index]
                .iter()
                .any(|other| key(other).as_ref() == Some(&own))
        {
            let message = format!("Duplicate value: {own}");
            found.push(violation(
                &format!("{path}[{index}]"),
                Reason::Duplicate,
                message,
            ));
        }
    }
}

/// A value that is not among those allowed.
fn allowed(rules: &Rules, value: &Value, path: &str, found: &mut Vec<Violation>) {
    if rules.allowed.is_empty() || rules.allowed.contains(value) {
        return;
    }
    let words: Vec<String> = rules.allowed.iter().map(ToString::to_string).collect();
    let message = format!(
        "Unsupported value: {value}: supported values: {}",
        words.join(", ")
    );
    found.push(violation(path, Reason::NotSupported, message));
}

fn values(rules: &Rules, value: &Value, path: &str, found: &mut Vec<Violation>) {
    allowed(rules, value, path, found);
    match value {
        Value::Number(_) => numbers(rules, value, path, found),
        Value::String(text) => strings(rules, text, path, found),
        Value::Array(items) => {
            let count = items.len() as u64;
            if let Some(max) = rules.items_max.filter(|max| count > *max) {
                too_many(path, count, max, found);
            }
            if let Some(min) = rules.items_min.filter(|min| count < *min) {
                invalid(
                    path,
                    &json!(count),
                    &format!("should have at least {min} items"),
                    found,
                );
            }
            let repeated = |(index, item)| items[..index].contains(item);
            if rules.unique && items.iter().enumerate().any(repeated) {
                let message =
                    format!("Duplicate value: {path} in body shouldn't contain duplicates");
                found.push(violation(path, Reason::Duplicate, message));
            }
        }
        Value::Object(fields) => {
            let count = fields.len() as u64;
            if let Some(max) = rules.properties_max.filter(|max| count > *max) {
                too_many(path, count, max, found);
            }
            if let Some(min) = rules.properties_min.filter(|min| count < *min) {
                let why = format!("should have at least {min} properties");
                invalid(path, &json!(count), &why, found);
            }
        }
        _ => {}
    }
}

fn too_many(path: &str, count: u64, max: u64, found: &mut Vec<Violation>) {
    let noun = if max == 1 { "item" } else { "items" };
    let message = format!("Too many: {count}: must have at most {max} {noun}");
    found.push(violation(path, Reason::TooMany, message));
}

fn numbers(rules: &Rules, value: &Value, path: &str, found: &mut Vec<Violation>) {
    let Some(number) = value.as_f64() else {
        return;
    };
    if let Some(limit) = rules.maximum {
        if limit.exclusive && number >= limit.value {
            invalid(
                path,
                value,
                &format!("should be less than {}", limit.value),
                found,
            );
        } else if number > limit.value {
            let why = format!("should be less than or equal to {}", limit.value);
            invalid(path, value, &why, found);
        }
    }
    if let Some(limit) = rules.minimum {
        if limit.exclusive && number <= limit.value {
            invalid(
                path,
                value,
                &format!("should be greater than {}", limit.value),
                found,
            );
        } else if number < limit.value {
            let why = format!("should be greater than or equal to {}", limit.value);
            invalid(path, value, &why, found);
        }
    }
    if let Some(step) = rules.multiple_of
        && (number / step).fract() != 0.0
    {
        invalid(
            path,
            value,
            &format!("should be a multiple of {step}"),
            found,
        );
    }
    let bounds = match rules.format.as_str() {
        "int32" => Some((f64::from(i32::MIN), f64::from(i32::MAX))),
        _ => None,
    };
    if bounds.is_some_and(|(min, max)| number < min || number > max) {
        unchecked(
            path,
            &format!("integer with format {}", rules.format),
            found,
        );
    }
}

fn strings(rules: &Rules, text: &str, path: &str, found: &mut Vec<Violation>) {
    let value = json!(text);
    let length = text.chars().count() as u64;
    if let Some(max) = rules.length_max.filter(|max| length > *max) {
        let noun = if max == 1 { "byte" } else { "bytes" };
        let message = format!("Too long: may not be more than {max} {noun}");
        found.push(violation(path, Reason::TooLong, message));
    }
    if let Some(min) = rules.length_min.filter(|min| length < *min) {
        invalid(
            path,
            &value,
            &format!("should be at least {min} chars long"),
            found,
        );
    }
    if let Some(pattern) = rules
        .pattern
        .as_ref()
        .filter(|pattern| !pattern.is_match(text))
    {
        invalid(path, &value, &format!("should match '{pattern}'"), found);
    }
    if !is_of_format(&rules.format, text) {
        let message = format!(
            "Invalid value: {value}: {path} in body must be of type {}: {value}",
            rules.format
        );
        found.push(violation(path, Reason::TypeInvalid, message));
    }
}

/// Formats the real server looks at; the rest says nothing.
fn is_of_format(format: &str, text: &str) -> bool {
    match format {
        "date-time" => text.parse::<Timestamp>().is_ok(),
        "date" => text.parse::<jiff::civil::Date>().is_ok(),
        "ipv4" => text.parse::<std::net::Ipv4Addr>().is_ok(),
        "ipv6" => text.parse::<std::net::Ipv6Addr>().is_ok(),
        "byte" => crate::fields::decode_base64(text).is_ok(),
        "uuid" => {
            let parts: Vec<usize> = text.split('-').map(str::len).collect();
            let digits = text
                .bytes()
                .all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
            digits && matches!(parts[..], [8, 4, 4, 4, 12] | [32])
        }
        _ => true,
    }
}
