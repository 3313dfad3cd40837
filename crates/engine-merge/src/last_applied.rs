//! The annotation of client-side apply, as far as server-side apply honours it
//! for the manager `kubectl`.

use foreshore_engine_schema::TypeRef;
use serde_json::Value;

use crate::compare::compare;
use crate::field_set::FieldSet;
use crate::managed::stripped;
use crate::ownership::owned_by;

const ANNOTATION: &str = "kubectl.kubernetes.io/last-applied-configuration";

fn annotation(object: &Value) -> Option<&str> {
    object
        .get("metadata")?
        .get("annotations")?
        .get(ANNOTATION)?
        .as_str()
        .filter(|text| !text.is_empty())
}

/// Fields that client-side apply set and that still have that value.
pub(crate) fn allowed(type_ref: TypeRef<'_>, live: &Value, api_version: &str) -> Option<FieldSet> {
    let last: Value = serde_json::from_str(annotation(live)?).ok()?;
    if last.get("apiVersion").and_then(Value::as_str) != Some(api_version) {
        return None;
    }
    let comparison = compare(type_ref, &last, &stripped(live));
    Some(
        owned_by(type_ref, &last)
            .difference(&comparison.modified)
            .difference(&comparison.added)
            .difference(&comparison.removed),
    )
}

/// Keeps the annotation true after a server-side apply, where there is one.
pub(crate) fn refresh(object: &mut Value, config: &Value) {
    if annotation(object).is_none() {
        return;
    }
    let mut config = config.clone();
    if let Some(annotations) = config
        .pointer_mut("/metadata/annotations")
        .and_then(Value::as_object_mut)
    {
        annotations.remove(ANNOTATION);
    }
    // Written as the real server's encoder writes it.
    let text = config
        .to_string()
        .replace('&', "\\u0026")
        .replace('<', "\\u003c")
        .replace('>', "\\u003e");
    if let Some(annotations) = object
        .pointer_mut("/metadata/annotations")
        .and_then(Value::as_object_mut)
    {
        annotations.insert(ANNOTATION.to_owned(), Value::String(format!("{text}\n")));
    }
}
