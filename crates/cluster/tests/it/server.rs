//! An API server of a few lines: a function from request to answer, and a record of what was asked.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use foreshore_cluster::{Client, Cluster, Options};
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use kube::client::Body;
use serde_json::{Value, json};
use tower::service_fn;

/// What one request asked for.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) line: String,
    pub(crate) body: Value,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Record(Arc<Mutex<Vec<Asked>>>);

impl Record {
    pub(crate) fn lines(&self) -> Vec<String> {
        self.0
            .lock()
            .unwrap()
            .iter()
            .map(|asked| asked.line.clone())
            .collect()
    }

    pub(crate) fn last(&self) -> Asked {
        self.0.lock().unwrap().last().unwrap().clone()
    }
}

pub(crate) type Answer = (u16, Option<&'static str>, Value);

/// A cluster whose server answers discovery by itself and everything else by `answer`,
/// which gets the request line and how many requests came before.
pub(crate) fn cluster(
    answer: impl Fn(&str, usize) -> Answer + Send + Sync + 'static,
) -> (Cluster, Record) {
    let record = Record::default();
    let answer = Arc::new(answer);
    let kept = record.clone();
    let service = service_fn(move |request: Request<Body>| {
        let (record, answer) = (kept.clone(), Arc::clone(&answer));
        async move {
            let line = format!("{} {}", request.method(), request.uri());
            let body = request.into_body().collect().await.unwrap().to_bytes();
            let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
            let before = {
                let mut asked = record.0.lock().unwrap();
                asked.push(Asked {
                    line: line.clone(),
                    body,
                });
                asked.len() - 1
            };
            let (code, retry_after, body) =
                discovery(&line).unwrap_or_else(|| answer(&line, before));
            let mut made = Response::builder().status(code);
            if let Some(seconds) = retry_after {
                made = made.header("retry-after", seconds);
            }
            Ok::<_, Infallible>(made.body(Full::new(Bytes::from(body.to_string()))).unwrap())
        }
    });
    let options = Options {
        retry_pause: Duration::from_millis(1),
        try_timeout: Duration::from_millis(500),
        total_timeout: Duration::from_secs(2),
        ..Options::default()
    };
    (
        Cluster::with_options(Client::new(service, "default"), options),
        record,
    )
}

fn discovery(line: &str) -> Option<Answer> {
    let entry = |name: &str, kind: &str| json!({"name": name, "kind": kind, "namespaced": true});
    let resources = match line {
        "GET /api/v1" => vec![
            entry("configmaps", "ConfigMap"),
            entry("pods/log", "Pod"),
            entry("pods", "Pod"),
        ],
        "GET /apis/apps/v1" => vec![
            entry("deployments", "Deployment"),
            entry("deployments/scale", "Scale"),
        ],
        _ => return None,
    };
    Some((
        200,
        None,
        json!({"kind": "APIResourceList", "resources": resources}),
    ))
}
