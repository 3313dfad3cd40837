//! Requests through the ingress to servers on the loopback network.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use foreshore_sys::Ground;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::sync::DropGuard;

use crate::view::{Objects, View};

/// A server that tells what it was asked, and echoes after a switch of protocols.
pub(super) async fn backend(name: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service =
                service_fn(
                    move |request| async move { Ok::<_, Infallible>(tell(name, request).await) },
                );
            let connection = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .with_upgrades();
            tokio::spawn(async move { connection.await.unwrap() });
        }
    });
    address
}

async fn tell(name: &str, mut request: Request<Incoming>) -> Response<Full<Bytes>> {
    if request.headers().contains_key("upgrade") {
        let upgrade = hyper::upgrade::on(&mut request);
        tokio::spawn(async move {
            let (mut reader, mut writer) = tokio::io::split(TokioIo::new(upgrade.await.unwrap()));
            tokio::io::copy(&mut reader, &mut writer).await.unwrap();
        });
        let mut response = Response::new(Full::default());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        response
            .headers_mut()
            .insert("connection", "upgrade".parse().unwrap());
        response
            .headers_mut()
            .insert("upgrade", "echo".parse().unwrap());
        return response;
    }
    let (parts, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let header = |name: &str| {
        parts
            .headers
            .get(name)
            .map_or("-", |value| value.to_str().unwrap())
            .to_owned()
    };
    let text = format!(
        "{name} {} {} host={} for={} body={}",
        parts.method,
        parts.uri,
        header("host"),
        header("x-forwarded-for"),
        String::from_utf8_lossy(&body)
    );
    Response::new(Full::new(Bytes::from(text)))
}

/// A view in which `/` leads to the endpoints given.
pub(super) fn view(endpoints: &[SocketAddr]) -> Arc<View> {
    view_with(endpoints, None)
}

/// The same, with a certificate for `shop.local`.
fn view_with(endpoints: &[SocketAddr], secret: Option<Arc<Secret>>) -> Arc<View> {
    let slices = endpoints.iter().enumerate().map(|(index, endpoint)| {
        let slice = json!({
            "metadata": {"name": format!("web-{index}"), "namespace": "dev",
                "labels": {"kubernetes.io/service-name": "web"}},
            "addressType": "IPv4",
            "endpoints": [{"addresses": [endpoint.ip().to_string()]}],
            "ports": [{"port": endpoint.port()}],
        });
        Arc::new(serde_json::from_value(slice).unwrap())
    });
    let object =
        |spec: Value| json!({"metadata": {"name": "web", "namespace": "dev"}, "spec": spec});
    let service = object(json!({"clusterIP": "10.96.0.7", "ports": [{"port": 80}]}));
    let backend = json!({"service": {"name": "web", "port": {"number": 80}}});
    let ingress = object(
        json!({"tls": [{"hosts": ["shop.local"], "secretName": "cert"}], "rules": [
            {"host": "shop.local", "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}},
        ]}),
    );
    let objects = Objects {
        services: vec![Arc::new(serde_json::from_value(service).unwrap())],
        slices: slices.collect(),
        ingresses: vec![Arc::new(serde_json::from_value(ingress).unwrap())],
        secrets: secret.into_iter().collect(),
    };
    Arc::new(View::new(&objects, Ipv4Addr::LOCALHOST, "foreshore"))
}

pub(super) struct Edge {
    pub(super) address: SocketAddr,
    pub(super) views: watch::Sender<Option<Arc<View>>>,
    _stop: DropGuard,
}

pub(super) fn edge(endpoints: &[SocketAddr]) -> Edge {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, views) = watch::channel(Some(view(endpoints)));
    let stop = CancellationToken::new();
    tokio::spawn(super::run(Ground::current(), listener, views, stop.clone()));
    Edge {
        address,
        views: sender,
        _stop: stop.drop_guard(),
    }
}

/// Sends a request and returns status and body.
pub(super) async fn ask(edge: &Edge, host: &str, request: &str) -> (StatusCode, String) {
    let stream = TcpStream::connect(edge.address).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    let (method, path, body) = match request.split(' ').collect::<Vec<_>>().as_slice() {
        [method, path] => ((*method).to_owned(), (*path).to_owned(), String::new()),
        [method, path, body] => ((*method).to_owned(), (*path).to_owned(), (*body).to_owned()),
        other => panic!("{other:?}"),
    };
    let request = Request::builder()
        .method(method.as_str())
        .uri(path)
        .header("host", host)
        .body(Full::new(Bytes::from(body)))
        .unwrap();
    let response = sender.send_request(request).await.unwrap();
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

/// An address that refuses: bound for as long as the tests run, so that
/// nobody else gets it, and never listened on.
pub(super) fn dead() -> SocketAddr {
    let socket = Box::leak(Box::new(tokio::net::TcpSocket::new_v4().unwrap()));
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    socket.local_addr().unwrap()
}

#[tokio::test]
async fn a_request_arrives_with_host_and_client() {
    let edge = edge(&[backend("one").await]);
    let (status, body) = ask(&edge, "shop.local", "POST /cart?id=1 apples").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(
        body,
        "one POST /cart?id=1 host=shop.local for=127.0.0.1 body=apples"
    );
}

#[tokio::test]
async fn an_endpoint_that_does_not_answer_is_skipped_with_the_body_intact() {
    let edge = edge(&[dead(), backend("two").await]);
    for _ in 0..4 {
        let (status, body) = ask(&edge, "shop.local", "POST / apples").await;
        assert_eq!(status, StatusCode::OK);
        assert_eq!(body, "two POST / host=shop.local for=127.0.0.1 body=apples");
    }
}

#[tokio::test]
async fn without_an_endpoint_the_answer_says_so() {
    let empty = edge(&[]);
    let (status, body) = ask(&empty, "shop.local", "GET /").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(body, "service dev/web port 80 has no ready endpoint\n");
    let gone = edge(&[dead()]);
    let (status, body) = ask(&gone, "shop.local", "GET /").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(
        body,
        "service dev/web port 80 has no endpoint that answers\n"
    );
}

#[tokio::test]
async fn a_host_no_rule_covers_is_not_found() {
    let edge = edge(&[]);
    let (status, body) = ask(&edge, "other.local", "GET /x").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert_eq!(body, "no ingress rule covers other.local/x\n");
}

#[tokio::test]
async fn a_new_view_holds_from_the_next_request_on() {
    let edge = edge(&[backend("one").await]);
    assert!(ask(&edge, "shop.local", "GET /").await.1.starts_with("one"));
    edge.views.send_replace(Some(view(&[backend("two").await])));
    assert!(ask(&edge, "shop.local", "GET /").await.1.starts_with("two"));
}

#[tokio::test]
async fn a_switch_of_protocols_becomes_a_tunnel() {
    let edge = edge(&[backend("one").await]);
    let mut stream = TcpStream::connect(edge.address).await.unwrap();
    let request =
        "GET /ws HTTP/1.1\r\nhost: shop.local\r\nconnection: Upgrade\r\nupgrade: echo\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap();
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    stream.write_all(b"hello").await.unwrap();
    let mut echo = [0; 5];
    stream.read_exact(&mut echo).await.unwrap();
    assert_eq!(&echo, b"hello");
}

#[tokio::test]
async fn a_connection_that_breaks_costs_no_request_that_only_asks() {
    // It accepts, reads, and closes without an answer.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let broken = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            // One byte is enough to know that something was asked; a client
            // may also think better of it.
            let _asked = stream.read_u8().await;
        }
    });
    let edge = edge(&[broken, backend("two").await]);
    for _ in 0..4 {
        let (status, body) = ask(&edge, "shop.local", "GET /").await;
        assert_eq!(status, StatusCode::OK, "{body}");
    }
    // What may have changed something is not sent a second time.
    let mut codes = Vec::new();
    for _ in 0..2 {
        codes.push(ask(&edge, "shop.local", "POST / x").await.0.as_u16());
    }
    codes.sort_unstable();
    assert_eq!(codes, [200, 502]);
}

/// A certificate for `shop.local` in a secret, and its bytes.
fn certificate() -> (Arc<Secret>, rustls_pki_types::CertificateDer<'static>) {
    let issued = rcgen::generate_simple_self_signed(vec!["shop.local".to_owned()]).unwrap();
    let mut secret = Secret::default();
    secret.metadata.namespace = Some("dev".to_owned());
    secret.metadata.name = Some("cert".to_owned());
    let bytes = |text: String| ByteString(text.into_bytes());
    secret.data = Some(std::collections::BTreeMap::from([
        ("tls.crt".to_owned(), bytes(issued.cert.pem())),
        (
            "tls.key".to_owned(),
            bytes(issued.signing_key.serialize_pem()),
        ),
    ]));
    (Arc::new(secret), issued.cert.der().clone())
}

/// Asks by TLS, trusting one certificate; the error is that of the handshake.
async fn ask_securely(
    edge: &Edge,
    host: &'static str,
    trusted: &rustls_pki_types::CertificateDer<'static>,
) -> std::io::Result<String> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let stream = TcpStream::connect(edge.address).await.unwrap();
    let mut stream = connector.connect(host.try_into().unwrap(), stream).await?;
    let request = format!("GET /x HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    Ok(String::from_utf8(answer).unwrap())
}

#[tokio::test]
async fn tls_is_spoken_on_the_same_port_with_the_certificate_of_the_host() {
    let endpoint = backend("one").await;
    let edge = edge(&[endpoint]);
    let (secret, trusted) = certificate();
    // Without the secret clients see a certificate that nobody trusts.
    assert!(ask_securely(&edge, "shop.local", &trusted).await.is_err());
    edge.views
        .send_replace(Some(view_with(&[endpoint], Some(secret))));
    let answer = ask_securely(&edge, "shop.local", &trusted).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains("one GET /x host=shop.local"), "{answer}");
    assert!(ask_securely(&edge, "other.local", &trusted).await.is_err());
    // A new certificate holds from the next connection on.
    let (secret, renewed) = certificate();
    edge.views
        .send_replace(Some(view_with(&[endpoint], Some(secret))));
    assert!(ask_securely(&edge, "shop.local", &trusted).await.is_err());
    assert!(ask_securely(&edge, "shop.local", &renewed).await.is_ok());
    assert!(ask(&edge, "shop.local", "GET /").await.1.starts_with("one"));
}
