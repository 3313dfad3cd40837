//! A namespace in some cluster, and requests as they go over the wire.

use std::{sync::Arc, time::Duration};

use foreshore_testkit::{Cluster, cluster::Kind, wait};
use http::{Method, Request, header::CONTENT_TYPE};
use http_body_util::BodyExt as _;
use kube::{Client, client::Body};
use serde_json::{Value, json};

/// Longer than any answer that will come.
const LIMIT: Duration = Duration::from_secs(30);

pub(crate) struct World {
    client: Client,
    namespace: String,
    _cluster: Arc<Cluster>,
}

/// An answer as it came.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) code: u16,
    pub(crate) body: Value,
    pub(crate) warnings: Vec<String>,
}

impl World {
    pub(crate) async fn new(kind: Kind) -> Self {
        let cluster = Cluster::shared(kind).await.unwrap();
        let client = cluster.client().await.unwrap();
        let mut world = Self {
            client,
            namespace: String::new(),
            _cluster: cluster,
        };
        let namespace = world
            .post(
                "/api/v1/namespaces",
                json!({"metadata": {"generateName": "contract-"}}),
            )
            .await;
        let namespace = namespace.ok();
        namespace["metadata"]["name"]
            .as_str()
            .unwrap()
            .clone_into(&mut world.namespace);
        // Pods are admitted only once their account is there.
        let account = world.core("serviceaccounts/default");
        wait::until("the service account", LIMIT, || async {
            world.get(&account).await.code == 200
        })
        .await
        .unwrap();
        world
    }

    pub(crate) fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Path of a resource of the core group in this namespace.
    pub(crate) fn core(&self, rest: &str) -> String {
        format!("/api/v1/namespaces/{}/{rest}", self.namespace)
    }

    /// Path of a resource of the group `apps` in this namespace.
    pub(crate) fn apps(&self, rest: &str) -> String {
        self.group("apps/v1", rest)
    }

    /// Path of a resource of any group in this namespace.
    pub(crate) fn group(&self, group: &str, rest: &str) -> String {
        format!("/apis/{group}/namespaces/{}/{rest}", self.namespace)
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.send(Method::GET, path, "application/json", None).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Reply {
        self.send(Method::POST, path, "application/json", Some(body))
            .await
    }

    pub(crate) async fn put(&self, path: &str, body: Value) -> Reply {
        self.send(Method::PUT, path, "application/json", Some(body))
            .await
    }

    pub(crate) async fn delete(&self, path: &str, options: Value) -> Reply {
        self.send(Method::DELETE, path, "application/json", Some(options))
            .await
    }

    pub(crate) async fn merge(&self, path: &str, body: Value) -> Reply {
        self.send(
            Method::PATCH,
            path,
            "application/merge-patch+json",
            Some(body),
        )
        .await
    }

    pub(crate) async fn strategic(&self, path: &str, body: Value) -> Reply {
        self.send(
            Method::PATCH,
            path,
            "application/strategic-merge-patch+json",
            Some(body),
        )
        .await
    }

    pub(crate) async fn json_patch(&self, path: &str, body: Value) -> Reply {
        self.send(
            Method::PATCH,
            path,
            "application/json-patch+json",
            Some(body),
        )
        .await
    }

    /// Server-side apply by `manager`.
    pub(crate) async fn apply(&self, path: &str, manager: &str, body: Value) -> Reply {
        let path = format!("{path}?fieldManager={manager}");
        self.send(
            Method::PATCH,
            &path,
            "application/apply-patch+yaml",
            Some(body),
        )
        .await
    }

    /// Server-side apply by `manager`, taking fields from their owners.
    pub(crate) async fn force(&self, path: &str, manager: &str, body: Value) -> Reply {
        let path = format!("{path}?fieldManager={manager}&force=true");
        self.send(
            Method::PATCH,
            &path,
            "application/apply-patch+yaml",
            Some(body),
        )
        .await
    }

    /// Waits until the object at `path` satisfies `condition`.
    pub(crate) async fn until(
        &self,
        what: &str,
        path: &str,
        condition: impl Fn(&Reply) -> bool,
    ) -> Reply {
        wait::for_some(what, LIMIT, || async {
            let reply = self.get(path).await;
            condition(&reply).then_some(reply)
        })
        .await
        .unwrap()
    }

    pub(crate) async fn watch(&self, path: &str) -> Watch {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let response = tokio::time::timeout(LIMIT, self.client.send(request))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(response.status(), 200);
        Watch {
            body: response.into_body(),
            pending: Vec::new(),
        }
    }

    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        content: &str,
        body: Option<Value>,
    ) -> Reply {
        let body = body.map_or_else(Vec::new, |body| serde_json::to_vec(&body).unwrap());
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(CONTENT_TYPE, content);
        let request = request.body(Body::from(body)).unwrap();
        let response = tokio::time::timeout(LIMIT, self.client.send(request))
            .await
            .unwrap()
            .unwrap();
        let code = response.status().as_u16();
        let warnings = response.headers().get_all("warning").iter();
        let warnings = warnings
            .map(|warning| warning.to_str().unwrap().to_owned())
            .collect();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        let body = serde_json::from_slice(&bytes)
            .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&bytes).into_owned()));
        Reply {
            code,
            body,
            warnings,
        }
    }
}

impl Reply {
    /// The object, if the request was granted.
    #[track_caller]
    pub(crate) fn ok(self) -> Value {
        assert!(
            matches!(self.code, 200..=202),
            "{}: {:#}",
            self.code,
            self.body
        );
        self.body
    }

    /// The `Status`, if the request was refused exactly so.
    #[track_caller]
    pub(crate) fn refused(self, code: u16, reason: &str, message: &str) -> Value {
        let said = (self.code, &self.body["reason"], &self.body["message"]);
        assert_eq!(
            said,
            (code, &json!(reason), &json!(message)),
            "{:#}",
            self.body
        );
        assert_eq!(self.body["kind"], "Status");
        assert_eq!(self.body["status"], "Failure");
        assert_eq!(self.body["code"], code);
        self.body
    }
}

/// The events of a watch, one by one.
pub(crate) struct Watch {
    body: Body,
    pending: Vec<u8>,
}

impl Watch {
    /// Type and object of the next event.
    pub(crate) async fn next(&mut self) -> (String, Value) {
        loop {
            if let Some(end) = self.pending.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.pending.drain(..=end).collect();
                let mut event: Value = serde_json::from_slice(&line).unwrap();
                let kind = event["type"].as_str().unwrap().to_owned();
                return (kind, event["object"].take());
            }
            let frame = tokio::time::timeout(LIMIT, self.body.frame())
                .await
                .expect("an event in time");
            let frame = frame.expect("a watch that goes on").unwrap();
            if let Ok(data) = frame.into_data() {
                self.pending.extend_from_slice(&data);
            }
        }
    }

    /// Type and name of the next event that is no bookmark.
    pub(crate) async fn next_name(&mut self) -> (String, String) {
        loop {
            let (kind, object) = self.next().await;
            if kind != "BOOKMARK" {
                return (
                    kind,
                    object["metadata"]["name"]
                        .as_str()
                        .unwrap_or_default()
                        .to_owned(),
                );
            }
        }
    }
}
