//! Talking to a node's kubelet endpoints, as itself: with a client certificate.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::Empty;
use hyper_util::rt::TokioIo;
use rustls::RootCertStore;
use rustls::crypto::ring;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::core::Core;
use crate::node::certificate::AnyCertificate;
use crate::object::{self, text};
use crate::pki::Credential;
use crate::status::{Answer, Failure};

mod certificate;

/// Time for the node to take the connection and answer with headers.
pub(crate) const NODE_LIMIT: Duration = Duration::from_secs(10);
/// The kubelet's port, where the node names none.
const KUBELET_PORT: u16 = 10250;

/// What a node answers.
pub(crate) type NodeResponse = http::Response<hyper::body::Incoming>;

/// Gets a path of a node.
pub(crate) async fn get(core: &Core, node: &str, path: &str) -> Answer<NodeResponse> {
    let request = Request::get(path).body(Empty::new());
    ask(
        core,
        node,
        request.map_err(|error| Failure::internal(&error))?,
    )
    .await
}

/// Sends one request to a node; the answer may upgrade the connection.
pub(crate) async fn ask(
    core: &Core,
    node: &str,
    request: Request<Empty<Bytes>>,
) -> Answer<NodeResponse> {
    let address = address(core, node)?;
    let limit = tokio::time::timeout(NODE_LIMIT, send(core, address, node, request));
    limit.await.map_err(|_| {
        Failure::gateway(format!(
            "node \"{node}\" at {address} did not answer in time"
        ))
    })?
}

/// Where a node's kubelet endpoints are, by its status.
fn address(core: &Core, name: &str) -> Answer<SocketAddr> {
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

async fn send(
    core: &Core,
    address: SocketAddr,
    node: &str,
    mut request: Request<Empty<Bytes>>,
) -> Answer<NodeResponse> {
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
    tokio::spawn(async move { connection.with_upgrades().await.ok() });
    let host = http::HeaderValue::from_str(&address.to_string());
    let host = host.map_err(|error| Failure::internal(&error))?;
    request.headers_mut().insert(http::header::HOST, host);
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
