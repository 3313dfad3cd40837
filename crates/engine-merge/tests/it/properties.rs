//! What holds for every configuration, not only the recorded ones.

use std::collections::BTreeMap;

use foreshore_engine_merge::{ApplyRequest, FieldSet, Manager, apply, settle_timestamps};
use foreshore_engine_schema::{Schema, TypeRef, apply_defaults, conform};
use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::{Value, json};

fn deployment() -> TypeRef<'static> {
    Schema::builtin().kind("apps", "v1", "Deployment").unwrap()
}

/// A configuration that names some labels, containers, variables and tolerations.
fn config() -> impl Strategy<Value = Value> {
    let words = || prop::collection::btree_map("[a-e]", "[x-z]", 0..4);
    let containers =
        prop::collection::btree_map("[a-d]", (prop::option::of("[x-z]"), words()), 0..4);
    (words(), containers, prop::option::of(0..5_i64), prop::collection::vec("[a-c]", 0..3)).prop_map(|(labels, containers, replicas, keys)| {
        let containers: Vec<Value> = containers
            .into_iter()
            .map(|(name, (image, env))| {
                let env: Vec<Value> = env.into_iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
                let mut container = json!({"name": name, "env": env});
                if let Some(image) = image {
                    container["image"] = json!(image);
                }
                container
            })
            .collect();
        let tolerations: Vec<Value> = keys.into_iter().map(|key| json!({"key": key})).collect();
        let mut config = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d", "labels": labels},
            "spec": {"template": {"spec": {"containers": containers, "tolerations": tolerations}}}});
        if let Some(replicas) = replicas {
            config["spec"]["replicas"] = json!(replicas);
        }
        config
    })
}

fn applied(live: Option<&Value>, config: &Value, manager: &str, second: i64) -> Value {
    let manager = Manager {
        name: manager.to_owned(),
        api_version: "apps/v1".to_owned(),
        subresource: String::new(),
    };
    let now = Timestamp::from_second(second).unwrap();
    let reset = FieldSet::of_fields(&[&["status"]]);
    let mut object = apply(ApplyRequest {
        type_ref: deployment(),
        live,
        config,
        manager: &manager,
        now,
        force: true,
        reset: &reset,
    })
    .unwrap();
    conform(deployment(), &mut object);
    let resource = Schema::builtin()
        .resource("apps", "v1", "deployments")
        .unwrap();
    apply_defaults(resource, &mut object);
    if let Some(live) = live {
        settle_timestamps(live, &mut object);
    }
    object
}

proptest! {
    #[test]
    fn applying_twice_changes_nothing(first in config(), second in config()) {
        let live = applied(None, &first, "a", 1);
        let once = applied(Some(&live), &second, "b", 2);
        prop_assert_eq!(applied(Some(&once), &second, "b", 3), once);
    }

    #[test]
    fn what_only_one_manager_named_goes_when_it_lets_go(first in config(), second in config()) {
        let alone = applied(None, &first, "a", 1);
        let both = applied(Some(&alone), &second, "b", 2);
        let again = applied(Some(&both), &first, "a", 3);
        let empty = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}});
        let left = applied(Some(&again), &empty, "b", 4);
        let names = |object: &Value| -> Vec<Value> { object["spec"]["template"]["spec"]["containers"].as_array().into_iter().flatten().map(|container| container["name"].clone()).collect::<Vec<_>>() };
        let mut expected = names(&alone);
        let mut got = names(&left);
        expected.sort_by_key(ToString::to_string);
        got.sort_by_key(ToString::to_string);
        prop_assert_eq!(got, expected);
        prop_assert_eq!(&left["metadata"]["labels"], &alone["metadata"]["labels"]);
    }

    #[test]
    fn managers_of_different_fields_commute(left in prop::collection::btree_map("[a-c]", "[x-z]", 1..3), right in prop::collection::btree_map("[d-f]", "[x-z]", 1..3)) {
        let config = |labels: &BTreeMap<String, String>| json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d", "labels": labels}});
        let one = applied(Some(&applied(None, &config(&left), "a", 1)), &config(&right), "b", 1);
        let other = applied(Some(&applied(None, &config(&right), "b", 1)), &config(&left), "a", 1);
        prop_assert_eq!(one, other);
    }
}
