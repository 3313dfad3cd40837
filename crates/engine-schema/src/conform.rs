//! Brings an object into the form in which the real server holds it: unknown
//! fields gone, nulls gone, empty values left out or written as its encoder
//! does, quantities and times in canonical spelling.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Map, Value};

use crate::fields::decode_base64;
use crate::quantity::Quantity;
use crate::types::{Presence, Scalar, Shape, TypeRef};

/// Makes `object` look as if the real server had decoded and encoded it.
///
/// The object has passed [`crate::check_fields`] without a mismatch; a value
/// that does not fit its type is left as it is.
pub fn conform(type_ref: TypeRef<'_>, object: &mut Value) {
    match type_ref.shape() {
        Shape::Scalar(scalar) => conform_scalar(scalar, object),
        Shape::Struct { definition, .. } => {
            if object.is_null() {
                *object = Value::Object(Map::new());
            }
            let Value::Object(entries) = object else {
                return;
            };
            entries.retain(|name, _| definition.field(name).is_some());
            for field in &definition.fields {
                let inner = type_ref.field_type(field);
                let mut value = entries.remove(&field.name).unwrap_or(Value::Null);
                if !value.is_null() {
                    conform(inner, &mut value);
                }
                if let Some(kept) = present(field.presence, inner, value) {
                    entries.insert(field.name.clone(), kept);
                }
            }
        }
        Shape::Map { value, .. } => {
            if let Value::Object(entries) = object {
                for entry in entries.values_mut() {
                    if entry.is_null() {
                        *entry = zero(value);
                    } else {
                        conform(value, entry);
                    }
                }
            }
        }
        Shape::List { element, .. } => {
            if let Value::Array(items) = object {
                for item in items {
                    if item.is_null() {
                        *item = zero(element);
                    } else {
                        conform(element, item);
                    }
                }
            }
        }
    }
}

/// What is written for a field, if anything.
fn present(presence: Presence, type_ref: TypeRef<'_>, value: Value) -> Option<Value> {
    match presence {
        Presence::OmitEmpty => (!is_empty(&value)).then_some(value),
        Presence::OmitNull | Presence::OmitZero => (!value.is_null()).then_some(value),
        Presence::Always if value.is_null() => Some(zero(type_ref)),
        Presence::Null | Presence::Always => Some(value),
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(entries) => entries.is_empty(),
    }
}

/// What the encoder writes for a value nobody set.
fn zero(type_ref: TypeRef<'_>) -> Value {
    match type_ref.shape() {
        Shape::Scalar(Scalar::String | Scalar::Bytes) => Value::String(String::new()),
        Shape::Scalar(Scalar::Bool) => Value::Bool(false),
        Shape::Scalar(Scalar::Int32 | Scalar::Int64 | Scalar::Number | Scalar::IntOrString) => {
            Value::from(0)
        }
        Shape::Scalar(Scalar::Quantity) => Value::from("0"),
        Shape::Scalar(Scalar::Time | Scalar::MicroTime | Scalar::Any)
        | Shape::Map { .. }
        | Shape::List { .. } => Value::Null,
        Shape::Struct { .. } => {
            let mut object = Value::Object(Map::new());
            conform(type_ref, &mut object);
            object
        }
    }
}

fn conform_scalar(scalar: Scalar, value: &mut Value) {
    match scalar {
        Scalar::Quantity => {
            let text = match &*value {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            if let Ok(quantity) = Quantity::parse(&text) {
                *value = Value::String(quantity.to_string());
            }
        }
        Scalar::Time | Scalar::MicroTime => {
            let Some(time) = value
                .as_str()
                .and_then(|text| text.parse::<Timestamp>().ok())
            else {
                return;
            };
            let pattern = if scalar == Scalar::Time {
                "%Y-%m-%dT%H:%M:%SZ"
            } else {
                "%Y-%m-%dT%H:%M:%S%.6fZ"
            };
            *value = Value::String(time.to_zoned(TimeZone::UTC).strftime(pattern).to_string());
        }
        Scalar::Bytes => {
            if let Some(Ok(bytes)) = value.as_str().map(decode_base64) {
                *value = Value::String(STANDARD.encode(bytes));
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Schema;
    use serde_json::json;

    #[track_caller]
    fn check(kind: (&str, &str, &str), mut object: Value, expected: &Value) {
        let type_ref = Schema::builtin().kind(kind.0, kind.1, kind.2).unwrap();
        conform(type_ref, &mut object);
        assert_eq!(&object, expected);
        let before = object.clone();
        conform(type_ref, &mut object);
        assert_eq!(object, before, "doing it twice changes nothing");
    }

    #[test]
    fn unknown_null_and_empty_fields_go_and_structs_stay() {
        check(
            ("apps", "v1", "Deployment"),
            json!({"metadata": {"name": "a", "labels": {}, "annotations": {"a": null}}, "spec": {"foo": 1, "replicas": null, "paused": false,
                "template": {"spec": {"containers": [{"name": "a", "resources": {"requests": {"cpu": 0.5, "memory": "1024Mi"}}}]}}}}),
            &json!({"metadata": {"name": "a", "annotations": {"a": ""}}, "spec": {"selector": null, "strategy": {},
                "template": {"metadata": {}, "spec": {"containers": [{"name": "a", "resources": {"requests": {"cpu": "500m", "memory": "1Gi"}}}]}}}, "status": {}}),
        );
    }

    #[test]
    fn times_are_written_in_utc() {
        check(
            ("coordination.k8s.io", "v1", "Lease"),
            json!({"metadata": {"creationTimestamp": "2026-01-02T03:04:05+02:00"}, "spec": {"renewTime": "2026-01-02T03:04:05.5Z"}}),
            &json!({"metadata": {"creationTimestamp": "2026-01-02T01:04:05Z"}, "spec": {"renewTime": "2026-01-02T03:04:05.500000Z"}}),
        );
    }
}
