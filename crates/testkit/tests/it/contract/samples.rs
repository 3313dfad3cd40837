//! One small valid object of each kind the first story needs.

use serde_json::{Value, json};

pub(super) fn config_map(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"key": "value"}})
}

fn template() -> Value {
    json!({
        "metadata": {"labels": {"app": "web"}},
        "spec": {"containers": [{"name": "main", "image": "registry.test/web:1"}]},
    })
}

pub(super) fn deployment(name: &str) -> Value {
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "web"}}, "template": template()},
    })
}

pub(super) fn service(name: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]},
    })
}

pub(super) fn pod(name: &str) -> Value {
    let mut pod = template();
    pod["apiVersion"] = json!("v1");
    pod["kind"] = json!("Pod");
    pod["metadata"]["name"] = json!(name);
    pod
}

/// Group and version, plural, and an object, of every namespaced kind.
pub(super) fn namespaced() -> Vec<(&'static str, &'static str, Value)> {
    let replica_set = {
        let mut object = deployment("one");
        object["kind"] = json!("ReplicaSet");
        // Nothing must be made of it.
        object["spec"]["replicas"] = json!(0);
        object
    };
    vec![
        ("v1", "configmaps", config_map("one")),
        (
            "v1",
            "secrets",
            json!({"metadata": {"name": "one"}, "stringData": {"key": "value"}}),
        ),
        (
            "v1",
            "serviceaccounts",
            json!({"metadata": {"name": "one"}}),
        ),
        ("v1", "services", service("one")),
        ("v1", "pods", pod("one")),
        ("apps/v1", "deployments", deployment("one")),
        ("apps/v1", "replicasets", replica_set),
        (
            "coordination.k8s.io/v1",
            "leases",
            json!({"metadata": {"name": "one"}, "spec": {"holderIdentity": "me"}}),
        ),
        (
            "discovery.k8s.io/v1",
            "endpointslices",
            json!({
                "metadata": {"name": "one"},
                "addressType": "IPv4",
                "endpoints": [{"addresses": ["10.244.0.9"]}],
                "ports": [{"port": 80}],
            }),
        ),
        (
            "networking.k8s.io/v1",
            "ingresses",
            json!({
                "metadata": {"name": "one"},
                "spec": {"defaultBackend": {"service": {"name": "one", "port": {"number": 80}}}},
            }),
        ),
    ]
}
