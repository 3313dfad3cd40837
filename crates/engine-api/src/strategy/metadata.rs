//! What holds for the metadata of every object.

use serde_json::Value;

use crate::catalog::Entry;
use crate::names;
use crate::object;
use crate::status::Cause;

/// Which texts may name an object of this kind.
fn check_name(entry: &Entry, name: &str) -> Option<String> {
    match (
        entry.resource.group.as_str(),
        entry.resource.plural.as_str(),
    ) {
        ("", "namespaces") => names::label(name),
        ("", "services") => names::service(name),
        ("rbac.authorization.k8s.io", _) => names::path_segment(name),
        _ => names::subdomain(name),
    }
}

/// What is wrong with the metadata, whatever the kind.
pub(super) fn validate(entry: &Entry, value: &Value) -> Vec<Cause> {
    let mut causes = vec![];
    let name = object::name(value);
    if name.is_empty() {
        causes.push(Cause::required(
            "metadata.name",
            "name or generateName is required",
        ));
    } else if let Some(why) = check_name(entry, name) {
        causes.push(Cause::invalid("metadata.name", &name.into(), &why));
    }
    let members = |pointer| {
        value
            .pointer(pointer)
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
    };
    for (key, label) in members("/metadata/labels") {
        if let Some(why) = names::qualified_name(key) {
            causes.push(Cause::invalid(
                "metadata.labels",
                &key.as_str().into(),
                &why,
            ));
        }
        if let Some(why) = names::label_value(label.as_str().unwrap_or_default()) {
            causes.push(Cause::invalid("metadata.labels", label, &why));
        }
    }
    let mut annotation_bytes = 0;
    for (key, annotation) in members("/metadata/annotations") {
        annotation_bytes += key.len() + annotation.as_str().unwrap_or_default().len();
        if let Some(why) = names::qualified_name(&key.to_ascii_lowercase()) {
            causes.push(Cause::invalid(
                "metadata.annotations",
                &key.as_str().into(),
                &why,
            ));
        }
    }
    if annotation_bytes > ANNOTATIONS_MAX {
        causes.push(Cause {
            reason: "FieldValueTooLong",
            field: "metadata.annotations".into(),
            message: format!("Too long: may not be more than {ANNOTATIONS_MAX} bytes"),
        });
    }
    for finalizer in object::finalizers(value) {
        if let Some(why) = names::qualified_name(finalizer) {
            causes.push(Cause::invalid(
                "metadata.finalizers",
                &finalizer.into(),
                &why,
            ));
        }
    }
    causes.extend(validate_owners(value));
    causes
}

/// Bytes all annotations of one object may have together.
const ANNOTATIONS_MAX: usize = 256 << 10;

fn validate_owners(value: &Value) -> Vec<Cause> {
    let owners = value
        .pointer("/metadata/ownerReferences")
        .and_then(Value::as_array);
    let mut causes = vec![];
    let mut controllers = 0;
    for (index, owner) in owners.into_iter().flatten().enumerate() {
        for field in ["apiVersion", "kind", "name", "uid"] {
            if owner
                .get(field)
                .and_then(Value::as_str)
                .is_none_or(str::is_empty)
            {
                let path = format!("metadata.ownerReferences[{index}].{field}");
                causes.push(Cause::required(path, "must not be empty"));
            }
        }
        controllers += usize::from(owner.get("controller") == Some(&Value::Bool(true)));
    }
    if controllers > 1 {
        causes.push(Cause::invalid(
            "metadata.ownerReferences",
            &Value::from(controllers),
            "Only one reference can have Controller set to true",
        ));
    }
    causes
}
