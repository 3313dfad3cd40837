//! `pods/exec`: checks the request and joins the client's upgraded connection with the
//! node's, byte for byte.

use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderName, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Empty};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tracing::debug;

use crate::catalog::Entry;
use crate::core::Core;
use crate::node;
use crate::object::{self, text};
use crate::reply::{ResponseBody, full};
use crate::request::{Query, ResourcePath};
use crate::status::{Answer, Failure};
use crate::subresource::log::container;

/// Bytes of a node's refusal that are passed on.
const REFUSAL_MAX: usize = 16 << 10;
/// What the API calls a stream, and what the kubelet does.
const STREAMS: [(&str, &str); 4] = [
    ("stdin", "input"),
    ("stdout", "output"),
    ("stderr", "error"),
    ("tty", "tty"),
];

/// Answers a request that wants to become a stream of its own.
pub(crate) async fn connect(
    core: &Arc<Core>,
    entry: &Entry,
    path: &ResourcePath,
    query: &Query,
    mut parts: Parts,
) -> Answer<Response<ResponseBody>> {
    let stored = core.store.get(&entry.key(&path.namespace, &path.name));
    let stored = stored.ok_or_else(|| Failure::not_found(entry.named(), &path.name))?;
    let pod = object::decode(&stored)?;
    let container = container(&path.name, query, &pod)?;
    let node = host(&pod)?;
    let Some(client) = parts.extensions.remove::<OnUpgrade>() else {
        return Err(Failure::bad_request("Upgrade request required"));
    };
    if !parts.headers.contains_key(header::UPGRADE) {
        return Err(Failure::bad_request("Upgrade request required"));
    }
    let target = format!(
        "/exec/{}/{}/{container}?{}",
        path.namespace,
        path.name,
        parameters(query)?
    );
    let mut request = Request::builder().method(parts.method.clone()).uri(target);
    for name in passed_on(&parts.headers) {
        for value in parts.headers.get_all(name) {
            request = request.header(name, value);
        }
    }
    let request = request.body(Empty::<Bytes>::new());
    let request = request.map_err(|error| Failure::internal(&error))?;
    let mut response = node::ask(core, node, request).await?;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return refused(response).await;
    }
    let upstream = hyper::upgrade::on(&mut response);
    tokio::spawn(join(client, upstream, core.closing.clone()));
    let mut answer = Response::new(full(""));
    *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    for name in passed_on(response.headers()) {
        for value in response.headers().get_all(name) {
            answer.headers_mut().append(name, value.clone());
        }
    }
    Ok(answer)
}

fn host(pod: &Value) -> Answer<&str> {
    match text(pod, "/spec/nodeName") {
        "" => Err(Failure::bad_request(format!(
            "pod {} does not have a host assigned",
            object::name(pod)
        ))),
        node => Ok(node),
    }
}

/// The headers that make an upgrade.
fn passed_on(headers: &HeaderMap) -> impl Iterator<Item = &HeaderName> {
    headers.keys().filter(|name| {
        matches!(**name, header::CONNECTION | header::UPGRADE)
            || name.as_str().starts_with("sec-websocket-")
            || name.as_str().starts_with("x-stream-")
    })
}

fn parameters(query: &Query) -> Answer<String> {
    let mut passed = url::form_urlencoded::Serializer::new(String::new());
    for word in query.all("command") {
        passed.append_pair("command", word);
    }
    for (api, kubelet) in STREAMS {
        if query.flag(api)? {
            passed.append_pair(kubelet, "1");
        }
    }
    Ok(passed.finish())
}

/// The node's own words, unchanged.
async fn refused(response: node::NodeResponse) -> Answer<Response<ResponseBody>> {
    let (parts, body) = response.into_parts();
    let body = http_body_util::Limited::new(body, REFUSAL_MAX);
    let body = match tokio::time::timeout(node::NODE_LIMIT, body.collect()).await {
        Ok(Ok(collected)) => collected.to_bytes(),
        _ => Bytes::new(),
    };
    let mut answer = Response::new(full(body));
    *answer.status_mut() = parts.status;
    if let Some(kind) = parts.headers.get(header::CONTENT_TYPE) {
        answer
            .headers_mut()
            .insert(header::CONTENT_TYPE, kind.clone());
    }
    Ok(answer)
}

/// Passes bytes both ways until one side ends or the server does.
async fn join(
    client: OnUpgrade,
    upstream: OnUpgrade,
    closing: tokio_util::sync::CancellationToken,
) {
    let (client, upstream) = match tokio::time::timeout(node::NODE_LIMIT, async {
        tokio::try_join!(client, upstream)
    })
    .await
    {
        Ok(Ok(both)) => both,
        Ok(Err(error)) => {
            debug!(
                error = &error as &dyn std::error::Error,
                "connection was not upgraded"
            );
            return;
        }
        Err(_) => return,
    };
    let (mut client, mut upstream) = (TokioIo::new(client), TokioIo::new(upstream));
    let copied = tokio::io::copy_bidirectional(&mut client, &mut upstream);
    tokio::select! {
        () = closing.cancelled() => {}
        ended = copied => {
            if let Err(error) = ended {
                debug!(error = &error as &dyn std::error::Error, "stream of a pod broke off");
            }
        }
    }
}
