//! `pods/log`: passes the request on to the node that runs the pod.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, BodyStream, Empty};
use hyper_util::rt::TokioIo;
use rustls::RootCertStore;
use rustls::crypto::ring;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::call::Call;
use crate::core::Core;
use crate::object::{self, text};
use crate::pki::Credential;
use crate::reply::{Content, Reply, streamed};
use crate::status::{Answer, Failure};
use crate::subresource::log::certificate::AnyCertificate;

mod certificate;

/// Time for the node to take the connection and answer with headers.
const NODE_LIMIT: Duration = Duration::from_secs(10);
/// Most of an error answer of the node that is passed on.
const ERROR_MAX: usize = 4 << 10;
/// The kubelet's port, where the node names none.
const KUBELET_PORT: u16 = 10250;
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
    let container = container(call, &pod)?;
    let node = text(&pod, "/spec/nodeName");
    if node.is_empty() {
        return Ok(empty());
    }
    let address = node_address(core, node)?;
    let path = format!(
        "/containerLogs/{}/{name}/{container}{}",
        call.path.namespace,
        query(call)
    );
    let limit = tokio::time::timeout(NODE_LIMIT, ask(core, address, node, &path));
    let response = limit.await.map_err(|_| {
        Failure::gateway(format!(
            "node \"{node}\" at {address} did not answer in time"
        ))
    })??;
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
fn container(call: &Call, pod: &Value) -> Answer<String> {
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
    let name = &call.path.name;
    match call.query.get("container") {
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

/// Where a node's kubelet endpoints are, by its status.
fn node_address(core: &Core, name: &str) -> Answer<SocketAddr> {
    let unknown = |why: &str| Failure::gateway(format!("node \"{name}\" {why}"));
    let stored = core
        .peek("", "nodes", "", name)
        .ok_or_else(|| unknown("does not exist"))?;
    let node = object::decode(&stored)?;
    let addresses = node.pointer("/status/addresses").and_then(Value::as_array);
    let address = addresses
        .into_iter()
        .flatten()
        .filter(|address| text(address, "/type") == "InternalIP")
        .find_map(|address| text(address, "/address").parse::<IpAddr>().ok());
    let address = address.ok_or_else(|| unknown("has no InternalIP address"))?;
    let port = node.pointer("/status/daemonEndpoints/kubeletEndpoint/Port");
    let port = port
        .and_then(Value::as_u64)
        .and_then(|port| u16::try_from(port).ok());
    Ok(SocketAddr::new(
        address,
        port.filter(|port| *port > 0).unwrap_or(KUBELET_PORT),
    ))
}

async fn ask(
    core: &Core,
    address: SocketAddr,
    node: &str,
    path: &str,
) -> Answer<http::Response<hyper::body::Incoming>> {
    let failed = |what: &str, error: &dyn std::error::Error| {
        Failure::gateway(format!("{what} node \"{node}\" at {address}: {error}"))
    };
    let stream = core
        .dialer
        .dial(address)
        .await
        .map_err(|error| failed("cannot reach", &error))?;
    let stream = secure(core, stream, address)
        .await
        .map_err(|error| failed("cannot secure the connection to", &*error))?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| failed("cannot talk to", &error))?;
    // It ends when the answer has been read or dropped.
    tokio::spawn(async move { connection.await.ok() });
    let request = Request::get(path)
        .header(http::header::HOST, address.to_string())
        .body(Empty::<Bytes>::new())
        .map_err(|error| Failure::internal(&error))?;
    sender
        .send_request(request)
        .await
        .map_err(|error| failed("no answer from", &error))
}

type Trouble = Box<dyn std::error::Error + Send + Sync>;

/// Shows our client certificate; a node's own certificate is self-signed, as on
/// the real server, which does not check it either unless told to.
async fn secure(
    core: &Core,
    stream: TcpStream,
    address: SocketAddr,
) -> Result<TlsStream<TcpStream>, Trouble> {
    let Credential {
        certificate_pem,
        key_pem,
    } = core
        .pki
        .credential("kube-apiserver-kubelet-client", &["system:masters"])?;
    let chain = vec![CertificateDer::from_pem_slice(certificate_pem.as_bytes())?];
    let key = PrivateKeyDer::from_pem_slice(key_pem.as_bytes())?;
    let provider = Arc::new(ring::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(RootCertStore::empty())
        .with_client_auth_cert(chain, key)?;
    config
        .dangerous()
        .set_certificate_verifier(Arc::new(AnyCertificate(provider)));
    let connector = TlsConnector::from(Arc::new(config));
    Ok(connector
        .connect(ServerName::from(address.ip()), stream)
        .await?)
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
