//! `pods/log`: passes the request on to the node that runs the pod.

use futures::StreamExt;
use http::StatusCode;
use http_body_util::{BodyExt, BodyStream};
use serde_json::Value;

use crate::call::Call;
use crate::core::Core;
use crate::node::{self, NODE_LIMIT};
use crate::object::{self, text};
use crate::reply::{Content, Reply, streamed};
use crate::request::Query;
use crate::status::{Answer, Failure};

/// Most of an error answer of the node that is passed on.
const ERROR_MAX: usize = 4 << 10;
/// Parameters the kubelet understands as the API does.
const PASSED_ON: &[&str] = &[
    "follow",
    "previous",
    "sinceSeconds",
    "sinceTime",
    "timestamps",
    "tailLines",
    "limitBytes",
    "stream",
];

pub(super) async fn read(core: &Core, call: &Call) -> Answer<Reply> {
    let name = &call.path.name;
    let key = call.entry.key(&call.path.namespace, name);
    let stored = core.store.get(&key);
    let stored = stored.ok_or_else(|| Failure::not_found(call.entry.named(), name))?;
    let pod = object::decode(&stored)?;
    let container = container(name, &call.query, &pod)?;
    let node = text(&pod, "/spec/nodeName");
    if node.is_empty() {
        return Ok(empty());
    }
    let path = format!(
        "/containerLogs/{}/{name}/{container}{}",
        call.path.namespace,
        query(call)
    );
    let response = node::get(core, node, &path).await?;
    let status = response.status();
    if !status.is_success() {
        return Err(refused(status, response.into_body()).await);
    }
    let closing = core.closing.clone();
    let parts = BodyStream::new(response.into_body()).filter_map(async |frame| match frame {
        Ok(frame) => frame.into_data().ok().map(Ok),
        Err(error) => Some(Err(std::io::Error::other(error))),
    });
    let parts = parts.take_until(async move { closing.cancelled().await });
    Ok(Reply::ok(Content::Raw("text/plain", streamed(parts))))
}

fn empty() -> Reply {
    Reply::ok(Content::Raw("text/plain", crate::reply::full("")))
}

/// The container asked for, or the only one.
pub(super) fn container(name: &str, query: &Query, pod: &Value) -> Answer<String> {
    let mut known = Vec::new();
    for list in ["containers", "initContainers", "ephemeralContainers"] {
        let containers = pod
            .pointer(&format!("/spec/{list}"))
            .and_then(Value::as_array);
        known.extend(
            containers
                .into_iter()
                .flatten()
                .map(|container| text(container, "/name")),
        );
    }
    match query.get("container") {
        Some(wanted) if known.contains(&wanted) => Ok(wanted.to_owned()),
        Some(wanted) => Err(Failure::bad_request(format!(
            "container {wanted} is not valid for pod {name}"
        ))),
        None => {
            let count = pod
                .pointer("/spec/containers")
                .and_then(Value::as_array)
                .map_or(0, Vec::len);
            let annotation = "/metadata/annotations/kubectl.kubernetes.io~1default-container";
            match (count, text(pod, annotation)) {
                (1, _) => Ok(known[0].to_owned()),
                (_, chosen) if known.contains(&chosen) => Ok(chosen.to_owned()),
                _ => Err(Failure::bad_request(format!(
                    "a container name must be specified for pod {name}, choose one of: [{}]",
                    known.join(" ")
                ))),
            }
        }
    }
}

fn query(call: &Call) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    for name in PASSED_ON {
        if let Some(value) = call.query.get(name) {
            query.append_pair(name, value);
        }
    }
    match query.finish() {
        query if query.is_empty() => query,
        query => format!("?{query}"),
    }
}

/// Passes on what the node said.
async fn refused(status: StatusCode, body: hyper::body::Incoming) -> Failure {
    let limited = http_body_util::Limited::new(body, ERROR_MAX);
    let text = match tokio::time::timeout(NODE_LIMIT, limited.collect()).await {
        Ok(Ok(collected)) => String::from_utf8_lossy(&collected.to_bytes())
            .trim()
            .to_owned(),
        _ => status.to_string(),
    };
    match status {
        StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND => Failure::bad_request(text),
        _ => Failure::gateway(text),
    }
}
