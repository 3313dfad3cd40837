//! Rules several kinds share.

use serde_json::Value;

use crate::status::Cause;

static NOTHING: Value = Value::Null;

/// What stands under a pointer; null if nothing does.
pub(super) fn at<'a>(value: &'a Value, pointer: &str) -> &'a Value {
    value.pointer(pointer).unwrap_or(&NOTHING)
}

/// What stands in a dotted field.
pub(super) fn field<'a>(value: &'a Value, path: &str) -> &'a Value {
    at(value, &format!("/{}", path.replace('.', "/")))
}

/// Counts and times must not be negative.
pub(super) fn not_negative(value: &Value, path: &str, causes: &mut Vec<Cause>) {
    let number = field(value, path);
    if number.as_i64().is_some_and(|number| number < 0) {
        let why = "must be greater than or equal to 0";
        causes.push(Cause::invalid(path, number, why));
    }
}

/// A word that is not among those supported.
pub(super) fn unsupported(path: impl Into<String>, value: &str, supported: &[&str]) -> Cause {
    let supported: Vec<String> = supported.iter().map(|word| format!("{word:?}")).collect();
    let message = format!(
        "Unsupported value: {value:?}: supported values: {}",
        supported.join(", ")
    );
    Cause {
        reason: "FieldValueNotSupported",
        field: path.into(),
        message,
    }
}

/// Refuses a change of any of these fields.
pub(super) fn keep_fields(value: &Value, old: &Value, fields: &[&str], why: &str) -> Vec<Cause> {
    let changed = fields
        .iter()
        .filter(|path| field(value, path) != field(old, path));
    changed
        .map(|path| Cause::invalid(*path, field(value, path), why))
        .collect()
}

/// Forbids a change of any of these fields.
pub(super) fn forbid_fields(value: &Value, old: &Value, fields: &[(&str, &str)]) -> Vec<Cause> {
    let changed = fields
        .iter()
        .filter(|(path, _)| field(value, path) != field(old, path));
    changed
        .map(|(path, why)| Cause::forbidden(*path, why))
        .collect()
}

/// A count, or a percentage of at most a hundred.
pub(super) fn count_or_percent(value: &Value, path: &str, causes: &mut Vec<Cause>) {
    match field(value, path) {
        Value::String(text) => {
            let number = text.strip_suffix('%').filter(|number| {
                !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
            });
            let given = Value::from(text.as_str());
            match number.map(str::parse::<u64>) {
                None => causes.push(Cause::invalid(
                    path,
                    &given,
                    "a valid percent string must be a numeric string followed by an ending '%' \
                     (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')",
                )),
                Some(Ok(..=100)) => {}
                Some(_) => {
                    causes.push(Cause::invalid(
                        path,
                        &given,
                        "must not be greater than 100%",
                    ));
                }
            }
        }
        _ => not_negative(value, path, causes),
    }
}
