//! Requests to the API for objects whose kind is only known as data.

use std::sync::Arc;

use foreshore_controllers::{Kind, Part, Propagation, Target};
use http::{Method, Request};
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::{Api, Client};
use serde_json::{Value, json};

/// Why the API did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RequestError {
    #[error("`{what}` was refused")]
    Refused {
        what: String,
        #[source]
        source: Box<kube::Error>,
    },
    #[error("`{what}` is not a valid request")]
    Build {
        what: String,
        #[source]
        source: http::Error,
    },
}

impl RequestError {
    /// The HTTP status the API answered with, if it answered.
    pub(crate) fn code(&self) -> Option<u16> {
        match self {
            Self::Refused { source, .. } => match source.as_ref() {
                kube::Error::Api(status) => Some(status.code),
                _ => None,
            },
            Self::Build { .. } => None,
        }
    }

    /// The sentence of the API, or what went wrong on the way.
    pub(crate) fn message(&self) -> String {
        match self {
            Self::Refused { source, .. } => match source.as_ref() {
                kube::Error::Api(status) => status.message.clone(),
                other => other.to_string(),
            },
            Self::Build { source, .. } => source.to_string(),
        }
    }

    /// Nothing can be created where everything is being deleted.
    pub(crate) fn is_namespace_terminating(&self) -> bool {
        self.code() == Some(403) && self.message().contains("being terminated")
    }
}

pub(crate) async fn create(
    client: &Client,
    kind: &Kind,
    namespace: Option<&str>,
    body: &Value,
) -> Result<Value, RequestError> {
    let mut body = body.clone();
    body["apiVersion"] = json!(kind.api_version);
    body["kind"] = json!(kind.kind);
    send(
        client,
        Method::POST,
        &collection(kind, namespace),
        JSON,
        &body,
    )
    .await
}

pub(crate) async fn read(client: &Client, target: &Target) -> Result<Value, RequestError> {
    send(client, Method::GET, &path(target), JSON, &Value::Null).await
}

pub(crate) async fn read_part(
    client: &Client,
    target: &Target,
    subresource: &str,
) -> Result<Value, RequestError> {
    let path = format!("{}/{subresource}", path(target));
    send(client, Method::GET, &path, JSON, &Value::Null).await
}

/// The pods a selector, in its written form, accepts.
pub(crate) async fn pods(
    client: &Client,
    namespace: &str,
    selector: &str,
) -> Result<Vec<Arc<Pod>>, RequestError> {
    let parameters = ListParams::default().labels(selector);
    let pods = Api::<Pod>::namespaced(client.clone(), namespace)
        .list(&parameters)
        .await
        .map_err(|source| RequestError::Refused {
            what: format!("LIST pods {selector}"),
            source: Box::new(source),
        })?;
    Ok(pods.items.into_iter().map(Arc::new).collect())
}

/// What the pods a selector accepts were measured to use.
pub(crate) async fn pod_metrics(
    client: &Client,
    namespace: &str,
    selector: &str,
) -> Result<Value, RequestError> {
    let query = encoded(selector);
    let path =
        format!("/apis/metrics.k8s.io/v1beta1/namespaces/{namespace}/pods?labelSelector={query}");
    send(client, Method::GET, &path, JSON, &Value::Null).await
}

/// Tells whether a namespace holds any object of the kind.
pub(crate) async fn is_any_left(
    client: &Client,
    kind: &Kind,
    namespace: &str,
) -> Result<bool, RequestError> {
    let path = format!("{}?limit=1", collection(kind, Some(namespace)));
    let list = send(client, Method::GET, &path, JSON, &Value::Null).await?;
    Ok(list["items"]
        .as_array()
        .is_some_and(|items| !items.is_empty()))
}

pub(crate) async fn merge_patch(
    client: &Client,
    target: &Target,
    part: Part,
    body: &Value,
) -> Result<Value, RequestError> {
    let path = match part {
        Part::Main => path(target),
        Part::Status => format!("{}/status", path(target)),
        Part::Scale => format!("{}/scale", path(target)),
    };
    send(client, Method::PATCH, &path, MERGE_PATCH, body).await
}

/// Writes a subresource whole, with `method`.
pub(crate) async fn subresource(
    client: &Client,
    method: Method,
    target: &Target,
    subresource: &str,
    body: &Value,
) -> Result<Value, RequestError> {
    send(
        client,
        method,
        &format!("{}/{subresource}", path(target)),
        JSON,
        body,
    )
    .await
}

/// What a deletion depends on, and what follows from it.
#[derive(Clone, Debug)]
pub(crate) struct Deletion<'a> {
    pub(crate) uid: &'a str,
    pub(crate) resource_version: Option<&'a str>,
    pub(crate) propagation: Option<Propagation>,
    pub(crate) grace_seconds: Option<i64>,
}

pub(crate) async fn delete(
    client: &Client,
    target: &Target,
    deletion: &Deletion<'_>,
) -> Result<Value, RequestError> {
    let mut body = json!({
        "apiVersion": "v1",
        "kind": "DeleteOptions",
        "preconditions": {"uid": deletion.uid},
    });
    if let Some(version) = deletion.resource_version {
        body["preconditions"]["resourceVersion"] = json!(version);
    }
    if let Some(propagation) = deletion.propagation {
        body["propagationPolicy"] = json!(match propagation {
            Propagation::Background => "Background",
            Propagation::Foreground => "Foreground",
            Propagation::Orphan => "Orphan",
        });
    }
    if let Some(seconds) = deletion.grace_seconds {
        body["gracePeriodSeconds"] = json!(seconds);
    }
    send(client, Method::DELETE, &path(target), JSON, &body).await
}

/// Writes text so that it can be part of a query.
fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| {
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                char::from(byte).to_string()
            } else {
                format!("%{byte:02X}")
            }
        })
        .collect()
}

const JSON: &str = "application/json";
const MERGE_PATCH: &str = "application/merge-patch+json";

async fn send(
    client: &Client,
    method: Method,
    path: &str,
    content_type: &str,
    body: &Value,
) -> Result<Value, RequestError> {
    let what = format!("{method} {path}");
    let bytes = if body.is_null() {
        Vec::new()
    } else {
        body.to_string().into_bytes()
    };
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(http::header::CONTENT_TYPE, content_type)
        .body(bytes)
        .map_err(|source| RequestError::Build {
            what: what.clone(),
            source,
        })?;
    client
        .request(request)
        .await
        .map_err(|source| RequestError::Refused {
            what,
            source: Box::new(source),
        })
}

fn collection(kind: &Kind, namespace: Option<&str>) -> String {
    let root = if kind.api_version.contains('/') {
        "/apis"
    } else {
        "/api"
    };
    let scope = namespace
        .map(|namespace| format!("/namespaces/{namespace}"))
        .unwrap_or_default();
    format!("{root}/{}{scope}/{}", kind.api_version, kind.plural)
}

fn path(target: &Target) -> String {
    format!(
        "{}/{}",
        collection(&target.kind, target.namespace.as_deref()),
        target.name
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::apps::v1::Deployment;
    use k8s_openapi::api::core::v1::Node;

    #[test]
    fn a_selector_survives_in_a_query() {
        assert_eq!(
            encoded("app=web,tier in (a,b)"),
            "app%3Dweb%2Ctier%20in%20%28a%2Cb%29"
        );
    }

    #[test]
    fn paths_follow_group_and_scope() {
        let target = |kind, namespace: Option<&str>| Target {
            kind,
            namespace: namespace.map(str::to_owned),
            name: "web".to_owned(),
        };
        assert_eq!(
            path(&target(Kind::of::<Deployment>(), Some("dev"))),
            "/apis/apps/v1/namespaces/dev/deployments/web"
        );
        assert_eq!(path(&target(Kind::of::<Node>(), None)), "/api/v1/nodes/web");
    }
}
