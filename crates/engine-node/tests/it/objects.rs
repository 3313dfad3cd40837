//! Objects that tests make beside pods.

use std::fmt::Debug;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::Pod;
use kube::api::PostParams;
use kube::{Api, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::fixture::Fixture;

/// Creates an object in the fixture's namespace.
pub(crate) async fn make<K>(fixture: &Fixture, object: Value) -> K
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
        + Serialize
        + DeserializeOwned
        + Clone
        + Debug,
{
    let object: K = serde_json::from_value(object).unwrap();
    Api::namespaced(fixture.client.clone(), &fixture.name)
        .create(&PostParams::default(), &object)
        .await
        .unwrap()
}

/// Starts a ready web server called `name`, which its label `app` repeats.
pub(crate) async fn web(fixture: &Fixture, name: &str) -> Pod {
    fixture
        .pod(name, &["web", "8080", name], |pod| {
            pod["metadata"]["labels"] = json!({ "app": name });
            pod["spec"]["containers"][0]["readinessProbe"] = probe();
        })
        .await;
    fixture.until_ready(name).await
}

/// Asks a web server whether it is there.
pub(crate) fn probe() -> Value {
    json!({ "httpGet": { "path": "/", "port": 8080 }, "periodSeconds": 1 })
}

/// A service that leads from port 80 to the web servers with this label.
pub(crate) fn service(name: &str, app: &str) -> Value {
    json!({
        "metadata": { "name": name },
        "spec": { "selector": { "app": app }, "ports": [{ "name": "http", "port": 80, "targetPort": 8080 }] },
    })
}

/// An ingress that leads from `host` to the service `name`.
pub(crate) fn ingress(host: &str, name: &str) -> Value {
    let backend = json!({ "service": { "name": name, "port": { "number": 80 } } });
    json!({
        "metadata": { "name": name },
        "spec": { "rules": [{
            "host": host,
            "http": { "paths": [{ "path": "/", "pathType": "Prefix", "backend": backend }] },
        }] },
    })
}
