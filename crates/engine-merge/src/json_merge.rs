//! JSON merge patch (RFC 7386).

use serde_json::{Map, Value};

/// Merges `patch` into `target`: null removes, objects merge, all else replaces.
pub fn merge_patch(target: &Value, patch: &Value) -> Value {
    let Value::Object(changes) = patch else {
        return patch.clone();
    };
    let mut result = target.as_object().cloned().unwrap_or_else(Map::new);
    for (key, change) in changes {
        if change.is_null() {
            result.remove(key);
        } else {
            let merged = merge_patch(result.get(key).unwrap_or(&Value::Null), change);
            result.insert(key.clone(), merged);
        }
    }
    Value::Object(result)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[track_caller]
    fn check(target: &Value, patch: &Value, expected: &Value) {
        assert_eq!(&merge_patch(target, patch), expected);
    }

    #[test]
    fn examples_of_the_rfc_hold() {
        check(&json!({"a": "b"}), &json!({"a": "c"}), &json!({"a": "c"}));
        check(
            &json!({"a": "b"}),
            &json!({"b": "c"}),
            &json!({"a": "b", "b": "c"}),
        );
        check(
            &json!({"a": "b", "b": "c"}),
            &json!({"a": null}),
            &json!({"b": "c"}),
        );
        check(&json!({"a": ["b"]}), &json!({"a": "c"}), &json!({"a": "c"}));
        check(
            &json!({"a": {"b": "c"}}),
            &json!({"a": {"b": "d", "c": null}}),
            &json!({"a": {"b": "d"}}),
        );
        check(
            &json!({"a": [{"b": "c"}]}),
            &json!({"a": [1]}),
            &json!({"a": [1]}),
        );
        check(&json!(["a", "b"]), &json!(["c", "d"]), &json!(["c", "d"]));
        check(
            &json!({"e": null}),
            &json!({"a": 1}),
            &json!({"e": null, "a": 1}),
        );
        check(
            &json!([1, 2]),
            &json!({"a": "b", "c": null}),
            &json!({"a": "b"}),
        );
        check(
            &json!({}),
            &json!({"a": {"bb": {"ccc": null}}}),
            &json!({"a": {"bb": {}}}),
        );
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i8>().prop_map(Value::from),
            "[a-c]".prop_map(Value::from)
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                prop::collection::btree_map("[a-d]", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect()))
            ]
        })
    }

    proptest! {
        #[test]
        fn patching_twice_changes_nothing_more(target in value(), patch in value()) {
            let once = merge_patch(&target, &patch);
            prop_assert_eq!(merge_patch(&once, &patch), once);
        }
    }
}
