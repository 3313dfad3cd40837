//! What the real server fills in where an object says nothing: the defaults the
//! schema names, and those its code sets, struct by struct at any depth.

mod autoscaling;
mod core;
mod definition;
mod image;
mod network;
mod workloads;

use serde_json::{Map, Value};

use crate::resource::Resource;
use crate::schema::Schema;
use crate::types::{Shape, TypeRef};

pub use self::core::{admit_node, admit_pod, complete_created_pod, complete_created_service};

/// Defaults an object of a resource. It has been through [`crate::conform()`]
/// and stays conformed; doing it twice changes nothing.
pub fn apply_defaults(resource: &Resource, object: &mut Value) {
    default_value(Schema::builtin().type_of(resource), object);
}

/// Defaults a value of any built-in type.
pub fn default_value(type_ref: TypeRef<'_>, value: &mut Value) {
    match (type_ref.shape(), value) {
        (Shape::Struct { definition, .. }, Value::Object(fields)) => {
            set_defaults(&definition.name, fields);
            for field in &definition.fields {
                let inner = type_ref.field_type(field);
                if let Some(value) = fields.get_mut(&field.name).filter(|value| !value.is_null()) {
                    default_value(inner, value);
                }
                let missing = fields
                    .get(&field.name)
                    .is_none_or(|value| value.is_null() || value.as_str() == Some(""));
                if let Some(default) = field.default.as_ref().filter(|_| missing) {
                    fields.insert(field.name.clone(), default.clone());
                }
            }
        }
        (Shape::Map { value: element, .. }, Value::Object(entries)) => entries
            .values_mut()
            .for_each(|entry| default_value(element, entry)),
        (Shape::List { element, .. }, Value::Array(items)) => items
            .iter_mut()
            .for_each(|item| default_value(element, item)),
        _ => {}
    }
}

/// Runs what the server's code does for one struct.
fn set_defaults(name: &str, fields: &mut Fields) {
    if name.ends_with("apiextensions.v1.CustomResourceDefinitionSpec") {
        definition::set_defaults(fields);
        return;
    }
    let Some((package, short)) = name
        .strip_prefix("io.k8s.api.")
        .and_then(|rest| rest.rsplit_once('.'))
    else {
        return;
    };
    match package {
        "core.v1" => core::set_defaults(short, fields),
        "apps.v1" | "batch.v1" => workloads::set_defaults(short, fields),
        "autoscaling.v1" | "autoscaling.v2" => autoscaling::set_defaults(package, short, fields),
        "networking.v1" | "discovery.v1" | "rbac.v1" | "scheduling.v1" | "storage.v1" => {
            network::set_defaults(short, fields);
        }
        _ => {}
    }
}

type Fields = Map<String, Value>;

/// Whether a field is missing, null, empty, zero or false.
fn is_unset(fields: &Fields, name: &str) -> bool {
    match fields.get(name) {
        None | Some(Value::Null) => true,
        Some(Value::Bool(value)) => !value,
        Some(Value::String(text)) => text.is_empty(),
        Some(Value::Number(number)) => number.as_f64() == Some(0.0),
        Some(Value::Array(items)) => items.is_empty(),
        Some(Value::Object(entries)) => entries.is_empty(),
    }
}

/// Whether a field is missing or null: what a pointer in the server's types is.
fn is_null(fields: &Fields, name: &str) -> bool {
    fields.get(name).is_none_or(Value::is_null)
}

/// Sets a field that is unset.
fn set_unset(fields: &mut Fields, name: &str, value: impl Into<Value>) {
    if is_unset(fields, name) {
        fields.insert(name.to_owned(), value.into());
    }
}

/// Sets a field that is missing or null.
fn set_null(fields: &mut Fields, name: &str, value: impl Into<Value>) {
    if is_null(fields, name) {
        fields.insert(name.to_owned(), value.into());
    }
}

/// The object in a field, if there is one.
fn object<'a>(fields: &'a mut Fields, name: &str) -> Option<&'a mut Fields> {
    fields.get_mut(name).and_then(Value::as_object_mut)
}

/// The object in a field, made if it is not there.
fn make_object<'a>(fields: &'a mut Fields, name: &str) -> Option<&'a mut Fields> {
    set_null(fields, name, Map::new());
    object(fields, name)
}

/// The objects in a list field.
fn objects<'a>(
    fields: &'a mut Fields,
    name: &str,
) -> impl Iterator<Item = &'a mut Fields> + use<'a> {
    fields
        .get_mut(name)
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
        .filter_map(Value::as_object_mut)
}

fn text<'a>(fields: &'a Fields, name: &str) -> &'a str {
    fields.get(name).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests;
