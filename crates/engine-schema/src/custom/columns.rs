//! Printer columns of custom resources: values by simple `JSONPath`.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::resource::{Column, Resource};
use crate::table::human_duration;

/// The cells of one object.
pub(crate) fn cells(resource: &Resource, object: &Value, now: Timestamp) -> Vec<Value> {
    let cell = |column: &Column| match &column.json_path {
        None => object["metadata"]["name"].clone(),
        Some(path) => show(column, &find(object, path), now),
    };
    resource.columns.iter().map(cell).collect()
}

fn show(column: &Column, found: &[&Value], now: Timestamp) -> Value {
    let Some(first) = found.first().filter(|first| !first.is_null()) else {
        return Value::Null;
    };
    match (column.kind.as_str(), *first) {
        ("integer", Value::Number(number)) => number.as_i64().map_or_else(
            || json!(number.as_f64().map(f64::trunc)),
            |number| json!(number),
        ),
        ("number", Value::Number(_)) | ("boolean", Value::Bool(_)) => (*first).clone(),
        ("date", Value::String(text)) => match text.parse::<Timestamp>() {
            Ok(time) => json!(human_duration(now.duration_since(time))),
            Err(_) => json!("<invalid>"),
        },
        ("string", _) => {
            let texts: Vec<String> = found.iter().map(|value| text(value)).collect();
            json!(texts.join(" "))
        }
        _ => Value::Null,
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// One step of a path.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    Field(String),
    Index(i64),
    Every,
    /// Elements whose field, a path of names, equals a text.
    Where(Vec<String>, String),
}

/// Everything a path leads to.
fn find<'a>(object: &'a Value, path: &str) -> Vec<&'a Value> {
    let Some(steps) = parse(path) else {
        return vec![];
    };
    let mut found = vec![object];
    for step in &steps {
        found = found
            .into_iter()
            .flat_map(|value| go(value, step))
            .collect();
    }
    found
}

fn go<'a>(value: &'a Value, step: &Step) -> Vec<&'a Value> {
    match (step, value) {
        (Step::Field(name), Value::Object(fields)) => fields.get(name).into_iter().collect(),
        (Step::Index(index), Value::Array(items)) => {
            let from_end = items
                .len()
                .checked_sub(usize::try_from(-index).unwrap_or(0));
            let index = usize::try_from(*index).ok().or(from_end);
            index
                .and_then(|index| items.get(index))
                .into_iter()
                .collect()
        }
        (Step::Every, Value::Array(items)) => items.iter().collect(),
        (Step::Every, Value::Object(fields)) => fields.values().collect(),
        (Step::Where(names, wanted), Value::Array(items)) => {
            let meets = |item: &&Value| {
                let field = names.iter().try_fold(*item, |value, name| value.get(name));
                field.is_some_and(|field| text(field) == *wanted)
            };
            items.iter().filter(meets).collect()
        }
        _ => vec![],
    }
}

fn parse(path: &str) -> Option<Vec<Step>> {
    let mut steps = vec![];
    let mut rest = path.strip_prefix('$').unwrap_or(path);
    while !rest.is_empty() {
        if let Some(inner) = rest.strip_prefix('[') {
            let end = closing(inner)?;
            steps.push(bracket(inner[..end].trim())?);
            rest = &inner[end + 1..];
            continue;
        }
        rest = rest.strip_prefix('.').unwrap_or(rest);
        let (name, after) = name(rest);
        match name.as_str() {
            "" if rest.starts_with('[') => {}
            "" => return None,
            "*" => steps.push(Step::Every),
            _ => steps.push(Step::Field(name)),
        }
        rest = after;
    }
    Some(steps)
}

/// A name up to the next step; a backslash keeps the character after it.
fn name(text: &str) -> (String, &str) {
    let mut name = String::new();
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '.' | '[' => return (name, &text[at..]),
            '\\' => name.extend(letters.next().map(|(_, kept)| kept)),
            letter => name.push(letter),
        }
    }
    (name, "")
}

/// Where a bracket closes, quotes respected.
fn closing(text: &str) -> Option<usize> {
    let mut quote = None;
    for (at, letter) in text.char_indices() {
        match (quote, letter) {
            (Some(open), letter) if open == letter => quote = None,
            (None, '\'' | '"') => quote = Some(letter),
            (None, ']') => return Some(at),
            _ => {}
        }
    }
    None
}

fn bracket(text: &str) -> Option<Step> {
    if text == "*" {
        return Some(Step::Every);
    }
    if let Some(name) = unquote(text) {
        return Some(Step::Field(name.to_owned()));
    }
    if let Ok(index) = text.parse() {
        return Some(Step::Index(index));
    }
    let condition = text.strip_prefix("?(")?.strip_suffix(')')?;
    let (left, right) = condition.split_once("==")?;
    let names = left.trim().strip_prefix("@.")?;
    let names = names.split('.').map(str::to_owned).collect();
    let wanted = right.trim();
    let wanted = unquote(wanted).unwrap_or(wanted);
    Some(Step::Where(names, wanted.to_owned()))
}

fn unquote(text: &str) -> Option<&str> {
    ['\'', '"']
        .into_iter()
        .find_map(|quote| text.strip_prefix(quote)?.strip_suffix(quote))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lead_where_kubectl_users_expect() {
        let object = json!({
            "spec": {"a.b": 1, "list": [{"type": "Ready", "status": "True"}, {"type": "Other", "status": "False"}]},
        });
        for (path, expected) in [
            (".spec.list[0].type", vec![json!("Ready")]),
            (".spec.list[-1].type", vec![json!("Other")]),
            (".spec.list[*].status", vec![json!("True"), json!("False")]),
            (
                ".spec.list[?(@.type==\"Ready\")].status",
                vec![json!("True")],
            ),
            (".spec['a.b']", vec![json!(1)]),
            (".spec.a\\.b", vec![json!(1)]),
            (".spec.missing.deeper", vec![]),
            (".spec.[", vec![]),
        ] {
            let found: Vec<Value> = find(&object, path).into_iter().cloned().collect();
            assert_eq!(found, expected, "{path}");
        }
    }
}
