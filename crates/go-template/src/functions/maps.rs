//! Sprig's functions of dicts, and its ways to choose a value.
//!
//! Where Go gives keys in a random order, this gives them sorted.

use std::rc::Rc;

use super::arguments::{Arguments, is_empty, to_text};
use super::{Answer, Function};
use crate::value::{Table, TableKind, Value};

pub(crate) const FUNCTIONS: &[(&str, Function)] = &[
    ("dict", |a| {
        let pairs = a.values.chunks(2).map(|pair| {
            (
                to_text(&pair[0]),
                pair.get(1).cloned().unwrap_or_else(|| Value::text("")),
            )
        });
        Ok(Value::map(pairs.collect::<Vec<_>>()))
    }),
    ("set", |a| {
        a.count(3)?;
        let (key, value) = (a.text(1)?.to_owned(), a.any(2)?.clone());
        changeable(a.map(0)?)?
            .entries
            .borrow_mut()
            .insert(key, value);
        Ok(a.any(0)?.clone())
    }),
    ("unset", |a| {
        a.count(2)?;
        changeable(a.map(0)?)?
            .entries
            .borrow_mut()
            .remove(a.text(1)?);
        Ok(a.any(0)?.clone())
    }),
    ("hasKey", |a| {
        a.count(2)?;
        Ok(Value::Bool(
            a.map(0)?.entries.borrow().contains_key(a.text(1)?),
        ))
    }),
    ("pluck", |a| {
        let key = a.text(0)?;
        let mut found = Vec::new();
        for index in 1..a.values.len() {
            found.extend(a.map(index)?.entries.borrow().get(key).cloned());
        }
        Ok(Value::list(found))
    }),
    ("keys", |a| {
        let mut keys = Vec::new();
        for index in 0..a.values.len() {
            keys.extend(
                a.map(index)?
                    .entries
                    .borrow()
                    .keys()
                    .map(|key| Value::text(key.as_str())),
            );
        }
        Ok(Value::list(keys))
    }),
    ("values", |a| {
        a.count(1)?;
        Ok(Value::list(
            a.map(0)?.entries.borrow().values().cloned().collect(),
        ))
    }),
    ("pick", |a| chosen(a, true)),
    ("omit", |a| chosen(a, false)),
    ("merge", |a| merged(a, false)),
    ("mustMerge", |a| merged(a, false)),
    ("mergeOverwrite", |a| merged(a, true)),
    ("mustMergeOverwrite", |a| merged(a, true)),
    ("deepCopy", |a| {
        a.count(1)?;
        Ok(a.any(0)?.deep_copy())
    }),
    ("mustDeepCopy", |a| {
        a.count(1)?;
        Ok(a.any(0)?.deep_copy())
    }),
    ("dig", dig),
    ("default", |a| {
        a.at_least(1)?;
        Ok(match a.values.get(1) {
            Some(given) if !is_empty(given) => given.clone(),
            _ => a.any(0)?.clone(),
        })
    }),
    ("empty", |a| {
        a.count(1)?;
        Ok(Value::Bool(is_empty(a.any(0)?)))
    }),
    ("coalesce", |a| {
        Ok(a.values
            .iter()
            .find(|value| !is_empty(value))
            .cloned()
            .unwrap_or(Value::Nil))
    }),
    ("all", |a| Ok(Value::Bool(!a.values.iter().any(is_empty)))),
    ("any", |a| Ok(Value::Bool(!a.values.iter().all(is_empty)))),
    ("ternary", |a| {
        a.count(3)?;
        match a.any(2)? {
            Value::Bool(true) => Ok(a.any(0)?.clone()),
            Value::Bool(false) => Ok(a.any(1)?.clone()),
            other => Err(format!(
                "wrong type for value; expected bool; got {}",
                other.type_name()
            )),
        }
    }),
    ("fail", |a| {
        a.count(1)?;
        Err(a.text(0)?.to_owned())
    }),
];

/// The fields that a template starts from are not its to change.
fn changeable(table: &Rc<Table>) -> Result<&Rc<Table>, String> {
    if table.kind == TableKind::Struct {
        return Err("this value cannot be changed".to_owned());
    }
    Ok(table)
}

fn chosen(arguments: &Arguments<'_>, keep: bool) -> Answer {
    let table = arguments.map(0)?;
    let mut names = Vec::new();
    for index in 1..arguments.values.len() {
        names.push(arguments.text(index)?);
    }
    let entries = table.entries.borrow();
    let kept = entries
        .iter()
        .filter(|(key, _)| names.contains(&key.as_str()) == keep)
        .map(|(key, value)| (key.clone(), value.clone()));
    Ok(Value::map(kept.collect::<Vec<_>>()))
}

fn merged(arguments: &Arguments<'_>, overwrite: bool) -> Answer {
    let target = changeable(arguments.map(0)?)?;
    for index in 1..arguments.values.len() {
        let source = arguments.map(index)?;
        if !Rc::ptr_eq(source, target) {
            merge_into(target, source, overwrite, 0)?;
        }
    }
    Ok(arguments.any(0)?.clone())
}

fn merge_into(
    target: &Rc<Table>,
    source: &Rc<Table>,
    overwrite: bool,
    depth: usize,
) -> Result<(), String> {
    if depth > 100 {
        return Err("nested too deeply".to_owned());
    }
    let entries: Vec<(String, Value)> = source
        .entries
        .borrow()
        .iter()
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    for (key, value) in entries {
        let existing = target.entries.borrow().get(&key).cloned();
        match (existing, &value) {
            (Some(Value::Map(inner)), Value::Map(other)) => {
                merge_into(&inner, other, overwrite, depth + 1)?;
            }
            (Some(existing), _) if !is_empty(&existing) && (!overwrite || is_empty(&value)) => {}
            _ => {
                target.entries.borrow_mut().insert(key, value);
            }
        }
    }
    Ok(())
}

fn dig(arguments: &Arguments<'_>) -> Answer {
    arguments.at_least(3)?;
    let last = arguments.values.len() - 1;
    let mut value = arguments.any(last)?.clone();
    arguments.map(last)?;
    for index in 0..last - 1 {
        let key = arguments.text(index)?;
        let next = match &value {
            Value::Map(table) => table.entries.borrow().get(key).cloned(),
            other => return Err(format!("`{key}` leads into a {}", other.type_name())),
        };
        match next {
            Some(next) => value = next,
            None => return Ok(arguments.any(last - 1)?.clone()),
        }
    }
    Ok(value)
}
