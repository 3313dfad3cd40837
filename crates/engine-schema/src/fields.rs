//! What the real server's decoder says about an object: fields it does not know
//! and values of the wrong JSON type, in its own words.

use std::fmt;

use base64::engine::general_purpose::STANDARD;
use base64::{DecodeError, Engine as _};
use serde_json::Value;

use crate::json::DuplicateKey;
use crate::quantity::Quantity;
use crate::types::{Field, Scalar, Shape, TypeRef};

/// The decoder's findings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Paths of fields the type does not have, for example `spec.template.spec.containers[0].foo`.
    pub unknown: Vec<String>,
    /// The first value that does not fit; such an object cannot be used at all.
    pub mismatch: Option<TypeMismatch>,
}

impl Report {
    /// `unknown field "spec.foo"`, one for each.
    pub fn unknown_messages(&self) -> impl Iterator<Item = String> {
        self.unknown
            .iter()
            .map(|path| format!("unknown field {path:?}"))
    }

    /// What strict field validation refuses: keys given twice (but not inside an
    /// unknown field) and unknown fields.
    pub fn strict_messages(&self, duplicates: &[DuplicateKey]) -> Vec<String> {
        let inside = |path: &str, outer: &str| {
            path.strip_prefix(outer)
                .is_some_and(|rest| rest.starts_with(['.', '[']))
        };
        let known = duplicates.iter().filter(|duplicate| {
            !self
                .unknown
                .iter()
                .any(|outer| inside(&duplicate.path, outer))
        });
        known
            .map(ToString::to_string)
            .chain(self.unknown_messages())
            .collect()
    }
}

/// A value whose JSON type the field cannot hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypeMismatch {
    message: String,
}

impl fmt::Display for TypeMismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// Checks an object against its type. Unknown fields are a matter of the
/// request's field validation; a mismatch is always fatal.
pub fn check_fields(type_ref: TypeRef<'_>, object: &Value) -> Report {
    let mut checker = Checker {
        report: Report::default(),
    };
    checker.value(type_ref, object, &Place::default());
    checker.report
}

struct Checker {
    report: Report,
}

/// Where a value is, in the two spellings the messages use.
#[derive(Default, Clone)]
struct Place<'a> {
    /// With list positions.
    path: String,
    /// Without.
    fields: String,
    /// Innermost Go struct.
    owner: &'a str,
    go_name: Option<&'a str>,
}

impl<'a> Place<'a> {
    fn field(&self, owner: &'a str, name: &str, field: Option<&'a Field>) -> Self {
        let inlined = field.and_then(|field| field.inlined.as_ref());
        let fields = inlined.map_or_else(
            || self.fields.clone(),
            |inlined| join(&self.fields, inlined),
        );
        Self {
            path: join(&self.path, name),
            fields: join(&fields, name),
            owner,
            go_name: field.and_then(|field| field.go_name.as_deref()),
        }
    }

    fn key(&self, key: &str) -> Self {
        Self {
            path: join(&self.path, key),
            fields: self.fields.clone(),
            owner: self.owner,
            go_name: None,
        }
    }

    fn index(&self, index: usize) -> Self {
        Self {
            path: format!("{}[{index}]", self.path),
            fields: self.fields.clone(),
            owner: self.owner,
            go_name: None,
        }
    }
}

fn join(base: &str, name: &str) -> String {
    if base.is_empty() {
        name.to_owned()
    } else {
        format!("{base}.{name}")
    }
}

impl Checker {
    fn value<'a>(&mut self, type_ref: TypeRef<'a>, value: &Value, place: &Place<'a>) {
        if value.is_null() {
            return;
        }
        match (type_ref.shape(), value) {
            (Shape::Scalar(scalar), _) => self.scalar(scalar, value, place),
            (Shape::Struct { definition, .. }, Value::Object(entries)) => {
                for (name, entry) in entries {
                    let field = definition.field(name);
                    let inner = place.field(definition.short_name(), name, field);
                    match field {
                        Some(field) => self.value(type_ref.field_type(field), entry, &inner),
                        None => self.report.unknown.push(inner.path),
                    }
                }
            }
            (Shape::Map { value: element, .. }, Value::Object(entries)) => {
                for (key, entry) in entries {
                    self.value(element, entry, &place.key(key));
                }
            }
            (Shape::List { element, .. }, Value::Array(items)) => {
                for (index, item) in items.iter().enumerate() {
                    self.value(element, item, &place.index(index));
                }
            }
            _ => self.mismatch(value, place, &go_type(type_ref, place.go_name)),
        }
    }

    fn scalar(&mut self, scalar: Scalar, value: &Value, place: &Place<'_>) {
        let fits = match scalar {
            Scalar::String => value.is_string(),
            Scalar::Bool => value.is_boolean(),
            Scalar::Int32 => value
                .as_i64()
                .is_some_and(|number| i32::try_from(number).is_ok()),
            Scalar::Int64 => value.is_i64(),
            Scalar::Number => value.is_number(),
            Scalar::IntOrString => {
                value.is_string()
                    || value
                        .as_i64()
                        .is_some_and(|number| i32::try_from(number).is_ok())
            }
            Scalar::Any => true,
            Scalar::Quantity => return self.quantity(value),
            Scalar::Time => return self.time(value, place, None),
            Scalar::MicroTime => return self.time(value, place, Some(6)),
            Scalar::Bytes => match value.as_str().map(decode_base64) {
                Some(Err(position)) => {
                    return self.fail(format!("illegal base64 data at input byte {position}"));
                }
                decoded => decoded.is_some(),
            },
        };
        if !fits {
            let name = place
                .go_name
                .unwrap_or_else(|| scalar_name(scalar))
                .to_owned();
            self.mismatch(value, place, &name);
        }
    }

    fn quantity(&mut self, value: &Value) {
        let text = match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        if let Err(error) = Quantity::parse(&text) {
            self.fail(error.to_string());
        }
    }

    /// A time as RFC 3339 has it, with exactly so many digits of a second's fraction.
    fn time(&mut self, value: &Value, place: &Place<'_>, digits: Option<usize>) {
        let Some(text) = value.as_str() else {
            return self.mismatch(value, place, "string");
        };
        let rest = text.get(19..).unwrap_or_default();
        let fraction = rest.split(['Z', '+', '-']).next().unwrap_or_default();
        let readable =
            text.as_bytes().get(10) == Some(&b'T') && text.parse::<jiff::Timestamp>().is_ok();
        let layout = if digits.is_some() {
            "2006-01-02T15:04:05.000000Z07:00"
        } else {
            "2006-01-02T15:04:05Z07:00"
        };
        if !readable {
            let first: String = text.chars().take(40).collect();
            self.fail(format!(
                "parsing time {first:?} as {layout:?}: cannot parse {first:?} as \"2006\""
            ));
        } else if digits.is_some_and(|digits| fraction.len() != digits + 1) {
            self.fail(format!(
                "parsing time {text:?} as {layout:?}: cannot parse {rest:?} as \".000000\""
            ));
        }
    }

    fn mismatch(&mut self, value: &Value, place: &Place<'_>, go_type: &str) {
        let word = match value {
            Value::Bool(_) => "bool".to_owned(),
            // A number that is whole but too large, or not whole, is quoted.
            Value::Number(number) if go_type.starts_with("int") => format!("number {number}"),
            Value::Number(_) => "number".to_owned(),
            Value::String(_) => "string".to_owned(),
            Value::Array(_) => "array".to_owned(),
            Value::Object(_) | Value::Null => "object".to_owned(),
        };
        if place.owner.is_empty() {
            self.fail(format!(
                "json: cannot unmarshal {word} into Go value of type {go_type}"
            ));
        } else {
            self.fail(format!(
                "json: cannot unmarshal {word} into Go struct field {}.{} of type {go_type}",
                place.owner, place.fields
            ));
        }
    }

    fn fail(&mut self, message: String) {
        self.report.mismatch.get_or_insert(TypeMismatch { message });
    }
}

/// Decodes base64 as the real server does: line breaks do not count. Returns the
/// position of the first wrong byte otherwise.
pub(crate) fn decode_base64(text: &str) -> Result<Vec<u8>, usize> {
    let joined: String = text.chars().filter(|c| !matches!(c, '\r' | '\n')).collect();
    STANDARD.decode(&joined).map_err(|error| match error {
        DecodeError::InvalidByte(position, _) | DecodeError::InvalidLastSymbol(position, _) => {
            position
        }
        DecodeError::InvalidLength(_) | DecodeError::InvalidPadding => {
            joined.len().saturating_sub(1) / 4 * 4
        }
    })
}

fn scalar_name(scalar: Scalar) -> &'static str {
    match scalar {
        Scalar::String => "string",
        Scalar::Bool => "bool",
        Scalar::Int32 | Scalar::IntOrString => "int32",
        Scalar::Int64 => "int64",
        Scalar::Number => "float64",
        Scalar::Quantity => "resource.Quantity",
        Scalar::Time => "v1.Time",
        Scalar::MicroTime => "v1.MicroTime",
        Scalar::Bytes => "[]uint8",
        Scalar::Any => "interface {}",
    }
}

/// The Go spelling of a type, as error messages print it.
fn go_type(type_ref: TypeRef<'_>, name: Option<&str>) -> String {
    if let Some(name) = name {
        return name.to_owned();
    }
    match type_ref.shape() {
        Shape::Scalar(scalar) => scalar_name(scalar).to_owned(),
        Shape::Struct { definition, .. } => {
            let mut parts = definition.name.rsplit('.');
            let (name, package) = (
                parts.next().unwrap_or_default(),
                parts.next().unwrap_or_default(),
            );
            format!("{package}.{name}")
        }
        Shape::Map { value, .. } => format!("map[string]{}", go_type(value, None)),
        Shape::List { element, .. } => format!("[]{}", go_type(element, None)),
    }
}

#[cfg(test)]
mod tests;
