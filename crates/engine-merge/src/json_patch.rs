//! JSON patch (RFC 6902), with the real server's limits.

use ::json_patch::{Patch, PatchOperation, patch};
use serde_json::Value;

/// As many operations as the real server takes in one request.
const OPERATIONS_MAX: usize = 10_000;

/// What copies may add up to: the request body limit, three times over.
const COPIED_BYTES_MAX: usize = 9 * 1024 * 1024;

/// Why a JSON patch was refused.
#[derive(Debug, thiserror::Error)]
pub enum JsonPatchError {
    /// 400.
    #[error("cannot read the operations of the patch")]
    Parse(#[source] serde_json::Error),
    /// 413.
    #[error("the allowed maximum operations in a JSON patch is {OPERATIONS_MAX}, got {count}")]
    TooManyOperations { count: usize },
    /// 422.
    #[error("copied values add up to more than {COPIED_BYTES_MAX} bytes")]
    CopiesTooLarge,
    /// 422: a path that is not there, or a failed test.
    #[error("the server rejected our request due to an error in our request")]
    Apply(#[source] ::json_patch::PatchError),
}

/// Applies the operations of `patch_text` to `target`, all or none.
pub fn json_patch(target: &Value, patch_text: &Value) -> Result<Value, JsonPatchError> {
    if let Some(count) = patch_text
        .as_array()
        .map(Vec::len)
        .filter(|count| *count > OPERATIONS_MAX)
    {
        return Err(JsonPatchError::TooManyOperations { count });
    }
    let operations: Patch =
        serde_json::from_value(patch_text.clone()).map_err(JsonPatchError::Parse)?;
    let mut result = target.clone();
    let mut copied = 0;
    for operation in operations.0 {
        if let PatchOperation::Copy(copy) = &operation
            && let Ok(value) = copy.from.resolve(&result)
        {
            copied += value.to_string().len();
            if copied > COPIED_BYTES_MAX {
                return Err(JsonPatchError::CopiesTooLarge);
            }
        }
        patch(&mut result, &[operation]).map_err(JsonPatchError::Apply)?;
    }
    Ok(result)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn operations_apply_in_order() {
        let patch = json!([{"op": "test", "path": "/a", "value": 1}, {"op": "replace", "path": "/a", "value": 2}, {"op": "add", "path": "/b/-", "value": "x"}]);
        assert_eq!(
            json_patch(&json!({"a": 1, "b": []}), &patch).unwrap(),
            json!({"a": 2, "b": ["x"]})
        );
    }

    #[test]
    fn failed_test_refuses_the_whole_patch() {
        let patch = json!([{"op": "replace", "path": "/a", "value": 2}, {"op": "test", "path": "/a", "value": 1}]);
        assert!(matches!(
            json_patch(&json!({"a": 1}), &patch),
            Err(JsonPatchError::Apply(_))
        ));
    }

    #[test]
    fn copies_cannot_grow_without_bound() {
        let big = json!({"a": "x".repeat(1024 * 1024)});
        let operations: Vec<Value> = (0..20)
            .map(|index| json!({"op": "copy", "from": "/a", "path": format!("/b{index}")}))
            .collect();
        assert!(matches!(
            json_patch(&big, &Value::Array(operations)),
            Err(JsonPatchError::CopiesTooLarge)
        ));
    }

    #[test]
    fn too_many_operations_are_refused() {
        let operations = vec![json!({"op": "add", "path": "/a", "value": 1}); OPERATIONS_MAX + 1];
        assert!(matches!(
            json_patch(&json!({}), &Value::Array(operations)),
            Err(JsonPatchError::TooManyOperations { .. })
        ));
    }
}
