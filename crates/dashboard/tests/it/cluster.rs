//! A Kubernetes API that lists, watches, and writes down what it was asked to change.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use futures::StreamExt as _;
use http::{HeaderMap, Method, StatusCode};
use kube::Client;
use serde_json::{Value, json};
use tokio::sync::watch;
use tower::ServiceExt as _;

/// One change that was asked for.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

#[derive(Debug)]
struct Insides {
    /// Objects by the path of their list.
    objects: BTreeMap<String, BTreeMap<String, Value>>,
    asked: Vec<Asked>,
    /// Every change with its version and the path of its list, so that no watch misses one.
    log: Vec<(u64, String, Value)>,
    down: bool,
    version: u64,
}

/// The cluster of one test.
#[derive(Debug, Clone)]
pub(crate) struct Cluster {
    insides: Arc<Mutex<Insides>>,
    news: watch::Sender<u64>,
}

impl Cluster {
    pub(crate) fn new() -> Self {
        let insides = Insides {
            objects: BTreeMap::new(),
            asked: Vec::new(),
            log: Vec::new(),
            down: false,
            version: 1,
        };
        Self {
            insides: Arc::new(Mutex::new(insides)),
            news: watch::Sender::new(0),
        }
    }

    pub(crate) fn client(&self) -> Client {
        let router = Router::new().fallback(answer).with_state(self.clone());
        let service = tower::service_fn(move |request: http::Request<kube::client::Body>| {
            router.clone().oneshot(request.map(Body::new))
        });
        Client::new(service, "default")
    }

    /// Adds or changes an object of the list at `path`.
    pub(crate) fn put(&self, path: &str, mut object: Value) {
        let mut insides = self.insides.lock().unwrap();
        insides.version += 1;
        object["metadata"]["resourceVersion"] = json!(insides.version.to_string());
        let name = format!(
            "{}/{}",
            object["metadata"]["namespace"], object["metadata"]["name"]
        );
        let list = insides.objects.entry(path.to_owned()).or_default();
        let kind = if list.insert(name, object.clone()).is_some() {
            "MODIFIED"
        } else {
            "ADDED"
        };
        let event = json!({"type": kind, "object": object});
        let version = insides.version;
        insides.log.push((version, path.to_owned(), event));
        drop(insides);
        self.news.send_modify(|news| *news += 1);
    }

    /// Ends every watch and refuses every request, or answers again.
    pub(crate) fn set_down(&self, down: bool) {
        self.insides.lock().unwrap().down = down;
        self.news.send_modify(|news| *news += 1);
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.insides.lock().unwrap().asked.clone()
    }
}

async fn answer(State(cluster): State<Cluster>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path().to_owned();
    let query = parts.uri.query().unwrap_or_default().to_owned();
    if cluster.insides.lock().unwrap().down {
        return (StatusCode::SERVICE_UNAVAILABLE, "down").into_response();
    }
    if parts.method != Method::GET {
        let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        let body: Value = serde_json::from_slice(&bytes).unwrap();
        cluster.changed(&parts.method, &path, &body);
        let asked = Asked {
            method: parts.method,
            path,
            headers: parts.headers,
            body,
        };
        cluster.insides.lock().unwrap().asked.push(asked);
        return axum::Json(
            json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}),
        )
        .into_response();
    }
    if path == "/version" {
        return axum::Json(json!({"major": "1", "minor": "36", "gitVersion": "v1.36.0", "gitCommit": "", "gitTreeState": "", "buildDate": "", "goVersion": "", "compiler": "", "platform": ""})).into_response();
    }
    if path.starts_with("/apis/metrics.k8s.io/") && cluster.lists_nothing(&path) {
        // As where nobody measures.
        return (StatusCode::NOT_FOUND, axum::Json(json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "reason": "NotFound", "message": "no metrics", "code": 404}))).into_response();
    }
    if path.ends_with("/log") {
        return "2026-01-01T10:00:00.000000001Z first line\n2026-01-01T10:00:02.000000001Z error: <script>alert(1)</script>\n".into_response();
    }
    if query.contains("watch=true") {
        let after = query
            .split('&')
            .find_map(|pair| pair.strip_prefix("resourceVersion="));
        return cluster.watch(
            path,
            after.and_then(|after| after.parse().ok()).unwrap_or(0),
        );
    }
    let insides = cluster.insides.lock().unwrap();
    let items: Vec<&Value> = insides
        .objects
        .get(&path)
        .map(|list| list.values().collect())
        .unwrap_or_default();
    axum::Json(json!({"kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": insides.version.to_string()}, "items": items})).into_response()
}

impl Cluster {
    fn lists_nothing(&self, path: &str) -> bool {
        !self.insides.lock().unwrap().objects.contains_key(path)
    }

    /// Lines of changes after a version, until the cluster goes down.
    fn watch(&self, path: String, after: u64) -> Response {
        let state = (self.clone(), self.news.subscribe(), after);
        let stream = futures::stream::unfold(state, move |(cluster, mut receiver, after)| {
            let path = path.clone();
            async move {
                loop {
                    receiver.mark_unchanged();
                    {
                        let insides = cluster.insides.lock().unwrap();
                        if insides.down {
                            return None;
                        }
                        let next = insides
                            .log
                            .iter()
                            .find(|(version, place, _)| *version > after && *place == path);
                        if let Some((version, _, event)) = next {
                            let (version, line) = (*version, format!("{event}\n"));
                            drop(insides);
                            return Some((
                                Ok::<String, Infallible>(line),
                                (cluster, receiver, version),
                            ));
                        }
                    }
                    receiver.changed().await.ok()?;
                }
            }
        });
        Body::from_stream(stream.boxed()).into_response()
    }

    /// Does the little that follows from a change here: a cordon shows.
    fn changed(&self, method: &Method, path: &str, body: &Value) {
        let Some(name) = path
            .strip_prefix("/api/v1/nodes/")
            .filter(|_| method == Method::PATCH)
        else {
            return;
        };
        let key = format!("null/\"{name}\"");
        let node = self
            .insides
            .lock()
            .unwrap()
            .objects
            .get("/api/v1/nodes")
            .and_then(|nodes| nodes.get(&key).cloned());
        if let Some(mut node) = node {
            node["spec"]["unschedulable"] = body["spec"]["unschedulable"].clone();
            self.put("/api/v1/nodes", node);
        }
    }
}
