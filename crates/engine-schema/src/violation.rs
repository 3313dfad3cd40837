//! What the schema alone can say against an object that decodes well: required
//! fields that are missing and words that are not among the allowed ones.

use std::fmt;

use serde_json::Value;

use crate::types::{Field, Scalar, Shape, TypeRef};

/// One cause of an `Invalid` answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Violation {
    /// For example `spec.template.spec.containers[0].name`.
    pub path: String,
    pub reason: Reason,
    /// Everything after the path, as the real server words it.
    pub message: String,
}

/// The machine-readable word of a cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    Required,
    Invalid,
    /// A value of another type than the schema's.
    TypeInvalid,
    NotSupported,
    Duplicate,
    Forbidden,
    TooLong,
    TooMany,
    NotFound,
}

impl Reason {
    /// As `details.causes[].reason` carries it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Required => "FieldValueRequired",
            Self::Invalid => "FieldValueInvalid",
            Self::TypeInvalid => "FieldValueTypeInvalid",
            Self::NotSupported => "FieldValueNotSupported",
            Self::Duplicate => "FieldValueDuplicate",
            Self::Forbidden => "FieldValueForbidden",
            Self::TooLong => "FieldValueTooLong",
            Self::TooMany => "FieldValueTooMany",
            Self::NotFound => "FieldValueNotFound",
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message)
    }
}

/// Lists that the schema requires but that may be empty.
const MAY_BE_EMPTY: &[&str] = &["endpoints", "rules"];

/// Checks required fields and allowed words of a conformed and defaulted object.
/// `status` is not checked: only controllers write it.
pub fn check_required(type_ref: TypeRef<'_>, object: &Value) -> Vec<Violation> {
    let mut found = Vec::new();
    let Some(definition) = type_ref.as_struct() else {
        return found;
    };
    for field in definition
        .fields
        .iter()
        .filter(|field| field.name != "status" && field.name != "metadata")
    {
        let value = object.get(&field.name).unwrap_or(&Value::Null);
        check_field(type_ref, field, value, &field.name, &mut found);
    }
    found
}

fn check_field(
    owner: TypeRef<'_>,
    field: &Field,
    value: &Value,
    path: &str,
    found: &mut Vec<Violation>,
) {
    let inner = owner.field_type(field);
    if field.required && is_missing(inner, field, value) {
        found.push(Violation {
            path: path.to_owned(),
            reason: Reason::Required,
            message: "Required value".to_owned(),
        });
        return;
    }
    if let Some(word) = value.as_str().filter(|word| {
        !word.is_empty()
            && !field.allowed.is_empty()
            && !field.allowed.iter().any(|allowed| allowed == word)
    }) {
        let allowed: Vec<String> = field
            .allowed
            .iter()
            .map(|allowed| format!("{allowed:?}"))
            .collect();
        let message = format!(
            "Unsupported value: {word:?}: supported values: {}",
            allowed.join(", ")
        );
        found.push(Violation {
            path: path.to_owned(),
            reason: Reason::NotSupported,
            message,
        });
    }
    check_value(inner, value, path, found);
}

fn check_value(type_ref: TypeRef<'_>, value: &Value, path: &str, found: &mut Vec<Violation>) {
    match (type_ref.shape(), value) {
        (Shape::Struct { definition, .. }, Value::Object(entries)) => {
            for field in &definition.fields {
                let value = entries.get(&field.name).unwrap_or(&Value::Null);
                check_field(
                    type_ref,
                    field,
                    value,
                    &format!("{path}.{}", field.name),
                    found,
                );
            }
        }
        (Shape::List { element, .. }, Value::Array(items)) => {
            for (index, item) in items.iter().enumerate() {
                check_value(element, item, &format!("{path}[{index}]"), found);
            }
        }
        (Shape::Map { value: element, .. }, Value::Object(entries)) => {
            for (key, entry) in entries {
                check_value(element, entry, &format!("{path}[{key}]"), found);
            }
        }
        _ => {}
    }
}

fn is_missing(type_ref: TypeRef<'_>, field: &Field, value: &Value) -> bool {
    match (type_ref.shape(), value) {
        (Shape::List { .. }, Value::Null | Value::Array(_)) => {
            value.as_array().is_none_or(Vec::is_empty)
                && !MAY_BE_EMPTY.contains(&field.name.as_str())
        }
        (Shape::Scalar(Scalar::String), Value::String(text)) => text.is_empty(),
        (_, Value::Null) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Schema, conform};
    use serde_json::json;

    #[track_caller]
    fn check(mut object: Value, expected: &[&str]) {
        let type_ref = Schema::builtin().kind("apps", "v1", "Deployment").unwrap();
        conform(type_ref, &mut object);
        let found: Vec<String> = check_required(type_ref, &object)
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn missing_selector_and_containers_are_named() {
        check(
            json!({}),
            &[
                "spec.selector: Required value",
                "spec.template.spec.containers: Required value",
            ],
        );
    }

    #[test]
    fn words_outside_the_allowed_ones_are_named_with_them() {
        check(
            json!({"spec": {"selector": {}, "strategy": {"type": "Blue"}, "template": {"spec": {"containers": [{"name": "a"}]}}}}),
            &[
                r#"spec.strategy.type: Unsupported value: "Blue": supported values: "Recreate", "RollingUpdate""#,
            ],
        );
    }
}
