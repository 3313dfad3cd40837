//! Functions that shuttle adds, some under names that sprig has too.

use super::arguments::Arguments;
use super::{Answer, Function};
use crate::print;
use crate::value::{TableKind, Value};

pub(crate) const FUNCTIONS: &[(&str, Function)] = &[
    ("get", |a| {
        a.count(2)?;
        get(a.text(0)?, a.any(1)?)
    }),
    ("string", |a| {
        a.count(2)?;
        Ok(match get(a.text(0)?, a.any(1)?)? {
            Value::Nil => Value::text(""),
            value => Value::text(print::value(&value)),
        })
    }),
    ("int", |a| {
        a.count(2)?;
        match get(a.text(0)?, a.any(1)?)? {
            Value::Nil => Ok(Value::Int(0)),
            value @ Value::Int(_) => Ok(value),
            other => Err(format!(
                "`{}` is a {}, not an int",
                a.text(0)?,
                other.type_name()
            )),
        }
    }),
    ("array", |a| {
        a.count(2)?;
        Ok(match get(a.text(0)?, a.any(1)?)? {
            list @ Value::List(_) => list,
            Value::Map(table) => Value::list(table.entries.borrow().values().cloned().collect()),
            _ => Value::list(Vec::new()),
        })
    }),
    ("objectArray", object_array),
    ("strConst", |a| {
        a.count(1)?;
        Ok(Value::text(a.text(0)?.replace('.', "_").to_uppercase()))
    }),
    ("is", |a| {
        a.count(2)?;
        same(a.any(0)?, a.any(1)?).map(Value::Bool)
    }),
    ("isnt", |a| {
        a.count(2)?;
        Ok(Value::Bool(!same(a.any(0)?, a.any(1)?)?))
    }),
    ("toYaml", |a| {
        a.count(1)?;
        Ok(super::encode::to_yaml(a.any(0)?))
    }),
    ("fromYaml", |a| {
        a.count(1)?;
        super::encode::from_yaml(a.text(0)?)
    }),
    ("getFileContent", |a| {
        a.count(1)?;
        a.options.files.read(a.text(0)?).map(Value::text)
    }),
    ("fileExists", |a| {
        a.count(1)?;
        Ok(Value::Bool(a.options.files.exists(a.text(0)?)))
    }),
    ("getFiles", |a| {
        a.count(1)?;
        let mut files = a.options.files.list(a.text(0)?);
        files.sort();
        let files = files.into_iter().map(|(name, directory)| {
            Value::fields([
                ("Name", Value::text(name)),
                ("IsDir", Value::Bool(directory)),
            ])
        });
        Ok(Value::list(files.collect()))
    }),
    ("trim", |a| {
        a.count(1)?;
        Ok(Value::text(a.text(0)?.trim()))
    }),
    ("upperFirst", |a| {
        a.count(1)?;
        let text = a.text(0)?;
        let mut characters = text.chars();
        Ok(match characters.next() {
            Some(first) if first.is_ascii() => Value::text(format!(
                "{}{}",
                first.to_ascii_uppercase(),
                characters.as_str()
            )),
            _ => Value::text(text),
        })
    }),
    ("rightPad", |a| {
        a.count(2)?;
        let width = usize::try_from(a.int(1)?).unwrap_or(0).min(10_000);
        Ok(Value::text(format!("{:width$}", a.text(0)?)))
    }),
];

/// Follows a dotted path; what is not there is nil.
pub(crate) fn get(path: &str, input: &Value) -> Answer {
    let (first, rest) = path
        .split_once('.')
        .map_or((path, None), |(first, rest)| (first, Some(rest)));
    let step = match input {
        Value::Map(table) => {
            let found = table.entries.borrow().get(first).cloned();
            match (found, table.kind) {
                (Some(value), _) => value,
                (None, TableKind::Texts) => Value::text(""),
                (None, _) => Value::Nil,
            }
        }
        // Shuttle ends with a panic here.
        Value::Float(_) => return Err(format!("`{path}` leads into a number")),
        _ => Value::Nil,
    };
    match (rest, step) {
        (Some(rest), step) if !matches!(step, Value::Nil) => get(rest, &step),
        (Some(_), _) => Ok(Value::Nil),
        (None, step) => Ok(step),
    }
}

fn object_array(arguments: &Arguments<'_>) -> Answer {
    arguments.count(2)?;
    let pairs = match get(arguments.text(0)?, arguments.any(1)?)? {
        Value::Map(table) => table
            .entries
            .borrow()
            .iter()
            .map(|(key, value)| {
                Value::fields([("Key", Value::text(key.as_str())), ("Value", value.clone())])
            })
            .collect(),
        _ => Vec::new(),
    };
    Ok(Value::list(pairs))
}

/// Go's `==` of two values of any type.
fn same(a: &Value, b: &Value) -> Result<bool, String> {
    match (a, b) {
        (Value::List(_), Value::List(_)) | (Value::Map(_), Value::Map(_)) => {
            Err(format!("{} cannot be compared", a.type_name()))
        }
        _ => Ok(a.equals(b)),
    }
}
