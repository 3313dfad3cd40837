//! What a function was called with, read as the type it wants.

use std::rc::Rc;

use crate::execute::Options;
use crate::print;
use crate::value::{Table, Value};

/// The arguments of one call and its surroundings.
#[derive(Debug)]
pub(crate) struct Arguments<'a> {
    pub(crate) values: &'a [Value],
    pub(crate) options: &'a Options<'a>,
}

impl Arguments<'_> {
    /// Checks how many there are.
    pub(crate) fn count(&self, wanted: usize) -> Result<(), String> {
        if self.values.len() == wanted {
            return Ok(());
        }
        Err(format!(
            "wrong number of args: want {wanted} got {}",
            self.values.len()
        ))
    }

    /// Checks that there are enough.
    pub(crate) fn at_least(&self, wanted: usize) -> Result<(), String> {
        if self.values.len() >= wanted {
            return Ok(());
        }
        Err(format!(
            "wrong number of args: want at least {wanted} got {}",
            self.values.len()
        ))
    }

    pub(crate) fn any(&self, index: usize) -> Result<&Value, String> {
        self.values.get(index).ok_or_else(|| {
            format!(
                "wrong number of args: want at least {} got {}",
                index + 1,
                self.values.len()
            )
        })
    }

    pub(crate) fn text(&self, index: usize) -> Result<&str, String> {
        match self.any(index)? {
            Value::Text(text) => Ok(text),
            other => Err(wrong("string", other)),
        }
    }

    pub(crate) fn int(&self, index: usize) -> Result<i64, String> {
        match self.any(index)? {
            Value::Int(value) => Ok(*value),
            other => Err(wrong("int", other)),
        }
    }

    pub(crate) fn list(&self, index: usize) -> Result<&[Value], String> {
        match self.any(index)? {
            Value::List(list) => Ok(list),
            other => Err(wrong("list", other)),
        }
    }

    pub(crate) fn map(&self, index: usize) -> Result<&Rc<Table>, String> {
        match self.any(index)? {
            Value::Map(table) => Ok(table),
            other => Err(wrong("dict", other)),
        }
    }
}

fn wrong(wanted: &str, found: &Value) -> String {
    match found {
        Value::Nil => {
            format!("wrong type for value; expected {wanted}; got nothing (is the variable set?)")
        }
        other => format!(
            "wrong type for value; expected {wanted}; got {}",
            other.type_name()
        ),
    }
}

/// A value as text, as sprig makes it.
pub(crate) fn to_text(value: &Value) -> String {
    print::value(value)
}

/// A list of texts; what is nil is left out, and a single value is a list of one.
pub(crate) fn to_texts(value: &Value) -> Vec<String> {
    match value {
        Value::Nil => Vec::new(),
        Value::List(list) => list
            .iter()
            .filter(|value| !matches!(value, Value::Nil))
            .map(to_text)
            .collect(),
        other => vec![to_text(other)],
    }
}

/// Sprig's `toInt64`: whatever looks like a whole number.
pub(crate) fn to_int(value: &Value) -> i64 {
    match value {
        Value::Int(value) => *value,
        #[expect(
            clippy::cast_possible_truncation,
            reason = "as Go converts; out of range it saturates"
        )]
        Value::Float(value) => *value as i64,
        Value::Bool(value) => i64::from(*value),
        Value::Text(text) => {
            let text = text.trim();
            text.parse::<i64>()
                .ok()
                .or_else(|| Some(to_int(&Value::Float(text.parse::<f64>().ok()?))))
                .unwrap_or(0)
        }
        _ => 0,
    }
}

/// Sprig's `toFloat64`.
pub(crate) fn to_float(value: &Value) -> f64 {
    match value {
        #[expect(clippy::cast_precision_loss, reason = "as Go converts")]
        Value::Int(value) => *value as f64,
        Value::Float(value) => *value,
        Value::Bool(value) => f64::from(u8::from(*value)),
        Value::Text(text) => text.trim().parse().unwrap_or(0.0),
        _ => 0.0,
    }
}

/// Sprig's idea of empty: zero, false, or nothing inside.
pub(crate) fn is_empty(value: &Value) -> bool {
    !value.is_true()
}
