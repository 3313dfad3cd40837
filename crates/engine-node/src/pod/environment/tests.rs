//! Where each variable of a container comes from.

use serde_json::{Value, json};

use super::*;

fn facts() -> Facts {
    Facts {
        pod_address: "10.244.0.2".to_owned(),
        node_address: "10.244.0.1".to_owned(),
        node_name: "node".to_owned(),
        node_cpu_millis: 2000,
        node_memory_bytes: 1 << 30,
    }
}

fn sources() -> Sources {
    let map =
        json!({ "metadata": { "name": "settings" }, "data": { "COLOUR": "green", "SIZE": "1" } });
    // `aGlkZGVu` is "hidden", `/w==` is no text.
    let secret =
        json!({ "metadata": { "name": "keys" }, "data": { "WORD": "aGlkZGVu", "BYTES": "/w==" } });
    let service = json!({
        "metadata": { "name": "price-list" },
        "spec": { "clusterIP": "10.96.0.7", "ports": [{ "name": "web", "port": 80 }] },
    });
    Sources {
        config_maps: [("settings".to_owned(), serde_json::from_value(map).unwrap())].into(),
        secrets: [("keys".to_owned(), serde_json::from_value(secret).unwrap())].into(),
        services: vec![serde_json::from_value(service).unwrap()],
        api: None,
    }
}

fn resolved(container: Value, spec: &Value) -> Result<BTreeMap<String, String>, EnvironmentError> {
    let mut pod = json!({
        "metadata": { "name": "web", "namespace": "shop", "uid": "u", "labels": { "app": "web" } },
        "spec": { "containers": [] },
    });
    pod["spec"]
        .as_object_mut()
        .unwrap()
        .extend(spec.as_object().cloned().unwrap_or_default());
    let pod = serde_json::from_value(pod).unwrap();
    let container = serde_json::from_value(container).unwrap();
    let image = ["PATH=/image".to_owned(), "FROM=image".to_owned()];
    resolve(&pod, &container, &image, &sources(), &facts())
}

#[track_caller]
fn check(container: Value, expected: &[(&str, &str)]) {
    let seen = resolved(container, &Value::Null).unwrap();
    for (name, value) in expected {
        assert_eq!(
            seen.get(*name).map(String::as_str),
            Some(*value),
            "{name} in {seen:?}"
        );
    }
}

#[track_caller]
fn check_refused(container: Value, words: &str) {
    assert_eq!(
        resolved(container, &Value::Null).unwrap_err().to_string(),
        words
    );
}

#[test]
fn later_sources_win_over_earlier_ones() {
    check(
        json!({
            "name": "main",
            "envFrom": [{ "configMapRef": { "name": "settings" } }],
            "env": [{ "name": "SIZE", "value": "2" }],
        }),
        &[
            ("FROM", "image"),
            ("PATH", "/image"),
            ("COLOUR", "green"),
            ("SIZE", "2"),
            ("HOSTNAME", "web"),
        ],
    );
}

#[test]
fn values_refer_to_earlier_variables_and_dollars_can_be_escaped() {
    check(
        json!({ "name": "main", "env": [
            { "name": "A", "value": "1" },
            { "name": "B", "value": "$(A)-$$(A)-$(NONE)-$A" },
        ] }),
        &[("B", "1-$(A)-$(NONE)-$A")],
    );
}

#[test]
fn fields_and_resources_of_the_pod_can_be_asked_for() {
    let field = |path: &str| json!({ "fieldRef": { "fieldPath": path } });
    let resource = |name: &str, divisor: &str| json!({ "resourceFieldRef": { "resource": name, "divisor": divisor } });
    check(
        json!({
            "name": "main",
            "resources": { "requests": { "cpu": "250m" }, "limits": { "memory": "64Mi" } },
            "env": [
                { "name": "NAME", "valueFrom": field("metadata.name") },
                { "name": "LABEL", "valueFrom": field("metadata.labels['app']") },
                { "name": "IP", "valueFrom": field("status.podIP") },
                { "name": "MEMORY", "valueFrom": resource("limits.memory", "1Mi") },
                { "name": "CPU", "valueFrom": resource("limits.cpu", "0") },
                { "name": "REQUEST", "valueFrom": resource("requests.cpu", "1m") },
            ],
        }),
        &[
            ("NAME", "web"),
            ("LABEL", "web"),
            ("IP", "10.244.0.2"),
            ("MEMORY", "64"),
            ("CPU", "2"),
            ("REQUEST", "250"),
        ],
    );
}

#[test]
fn services_are_found_by_variables_unless_the_pod_does_not_want_them() {
    let container = json!({ "name": "main" });
    let seen = resolved(container.clone(), &Value::Null).unwrap();
    assert_eq!(seen["PRICE_LIST_SERVICE_HOST"], "10.96.0.7");
    assert_eq!(seen["PRICE_LIST_SERVICE_PORT_WEB"], "80");
    assert_eq!(seen["PRICE_LIST_PORT_80_TCP"], "tcp://10.96.0.7:80");
    let seen = resolved(container, &json!({ "enableServiceLinks": false })).unwrap();
    assert!(!seen.keys().any(|name| name.starts_with("PRICE_LIST")));
}

#[test]
fn secrets_are_read_and_what_is_missing_is_named() {
    let from = |kind: &str, name: &str, key: &str, optional: bool| {
        let mut variable = json!({ "name": "V", "valueFrom": {} });
        variable["valueFrom"][kind] = json!({ "name": name, "key": key, "optional": optional });
        json!({ "name": "main", "env": [variable] })
    };
    check(
        from("secretKeyRef", "keys", "WORD", false),
        &[("V", "hidden")],
    );
    check_refused(
        from("secretKeyRef", "none", "WORD", false),
        "secret \"none\" not found",
    );
    check_refused(
        from("configMapKeyRef", "none", "X", false),
        "configmap \"none\" not found",
    );
    check_refused(
        from("configMapKeyRef", "settings", "NONE", false),
        "couldn't find key NONE in ConfigMap shop/settings",
    );
    check_refused(
        from("secretKeyRef", "keys", "BYTES", false),
        "key BYTES in Secret shop/keys is not text",
    );
    let seen = resolved(from("secretKeyRef", "none", "WORD", true), &Value::Null).unwrap();
    assert!(!seen.contains_key("V"));
    check_refused(
        json!({ "name": "main", "env": [{ "name": "V", "valueFrom": { "fieldRef": { "fieldPath": "spec.none" } } }] }),
        "`env[V].valueFrom` uses `spec.none`, which this node does not support",
    );
}

#[test]
fn quantities_are_read_exactly_and_rounded_up() {
    for (text, expected) in [
        ("1", Some(1000)),
        ("100m", Some(100)),
        ("1.5", Some(1500)),
        ("1500u", Some(2)),
        ("64Mi", Some(64 * 1024 * 1024 * 1000)),
        ("0.5Gi", Some(512 * 1024 * 1024 * 1000)),
        ("2k", Some(2_000_000)),
        ("", None),
        ("lots", None),
        ("1.x", None),
    ] {
        assert_eq!(fields::milli(text), expected, "{text}");
    }
}
