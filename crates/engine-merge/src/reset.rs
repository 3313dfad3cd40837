//! Which fields an endpoint ignores, and therefore nobody owns through it.

use foreshore_engine_schema::Resource;

use crate::field_set::FieldSet;

/// The fields that a write to `subresource` (empty for the resource itself)
/// leaves as they are: pass it as `reset`, and put the live values back.
pub fn reset_fields(resource: &Resource, subresource: &str) -> FieldSet {
    if resource.subresource("status").is_none() {
        return FieldSet::default();
    }
    match (subresource, resource.kind.as_str()) {
        ("status", "Deployment") => FieldSet::of_fields(&[&["spec"], &["metadata", "labels"]]),
        ("status", "Pod") => FieldSet::of_fields(&[
            &["spec"],
            &["metadata", "deletionTimestamp"],
            &["metadata", "ownerReferences"],
        ]),
        ("status", _) => FieldSet::of_fields(&[&["spec"]]),
        ("" | "finalize", _) => FieldSet::of_fields(&[&["status"]]),
        _ => FieldSet::default(),
    }
}
