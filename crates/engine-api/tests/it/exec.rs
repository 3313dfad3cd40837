//! `exec`: the API joins the client's connection with the node's.

use std::sync::Arc;

use foreshore_engine_api::{Pki, UserInfo};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::client::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};
use tokio_util::sync::CancellationToken;

use crate::ground::{Ground, pod};

const PODS: &str = "/api/v1/namespaces/default/pods";

/// Reads lines up to the empty one.
async fn head(stream: &mut (impl tokio::io::AsyncBufRead + Unpin)) -> Vec<String> {
    let mut lines = vec![];
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.unwrap();
        if line.trim().is_empty() {
            return lines;
        }
        lines.push(line.trim().to_owned());
    }
}

/// A node that upgrades and sends back what it gets, after its own request line.
async fn kubelet(pki: &Pki) -> u16 {
    let credential = pki
        .serving("n1", &["n1"], &[[127, 0, 0, 1].into()])
        .unwrap();
    let chain = CertificateDer::from_pem_slice(credential.certificate_pem.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(credential.key_pem.as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![chain], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let mut stream = BufReader::new(acceptor.accept(stream).await.unwrap());
            let lines = head(&mut stream).await;
            if !lines
                .iter()
                .any(|line| line.to_lowercase() == "upgrade: websocket")
            {
                let refusal = "HTTP/1.1 400 Bad Request\r\ncontent-length: 9\r\n\r\nno stream";
                stream.write_all(refusal.as_bytes()).await.unwrap();
                continue;
            }
            let answer = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-protocol: v5.channel.k8s.io\r\n\r\n";
            stream.write_all(answer.as_bytes()).await.unwrap();
            stream.write_all(lines[0].as_bytes()).await.unwrap();
            stream.write_all(b"\n").await.unwrap();
            stream.flush().await.unwrap();
            let mut buffer = [0; 64];
            while let Ok(read @ 1..) = stream.read(&mut buffer).await {
                stream.write_all(&buffer[..read]).await.unwrap();
                stream.flush().await.unwrap();
            }
        }
    });
    port
}

async fn connect(ground: &Ground) -> (BufReader<TlsStream<TcpStream>>, CancellationToken) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let shutdown = CancellationToken::new();
    let (server, token) = (ground.server.clone(), shutdown.clone());
    tokio::spawn(async move { server.serve(vec![listener], token).await.unwrap() });
    let mut roots = rustls::RootCertStore::empty();
    let authority =
        CertificateDer::from_pem_slice(ground.server.pki().ca_pem().as_bytes()).unwrap();
    roots.add(authority).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(address).await.unwrap();
    let connector = TlsConnector::from(Arc::new(config));
    let stream = connector
        .connect(ServerName::from(address.ip()), stream)
        .await
        .unwrap();
    (BufReader::new(stream), shutdown)
}

async fn bound_pod(ground: &Ground) {
    let port = kubelet(ground.server.pki()).await;
    let node = json!({
        "metadata": {"name": "n1"},
        "status": {
            "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": port}},
        },
    });
    ground.post("/api/v1/nodes", node).await.expect(201);
    ground.post(PODS, pod("a")).await.expect(201);
    let binding = json!({"metadata": {"name": "a"}, "target": {"name": "n1"}});
    ground
        .post(&format!("{PODS}/a/binding"), binding)
        .await
        .expect(201);
}

#[tokio::test]
async fn bytes_pass_both_ways_after_the_upgrade() {
    let ground = Ground::start_with(|options| {
        options.tokens = vec![("secret".into(), UserInfo::admin())];
    })
    .await;
    bound_pod(&ground).await;
    let (mut stream, shutdown) = connect(&ground).await;
    let request = format!(
        "GET {PODS}/a/exec?command=echo&command=a%20b&stdin=true&stdout=1 HTTP/1.1\r\nhost: x\r\n\
         authorization: Bearer secret\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-key: eA==\r\nsec-websocket-version: 13\r\n\
         sec-websocket-protocol: v5.channel.k8s.io\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let lines = head(&mut stream).await;
    assert!(lines[0].starts_with("HTTP/1.1 101"), "{lines:?}");
    assert!(
        lines.contains(&"sec-websocket-protocol: v5.channel.k8s.io".to_owned()),
        "{lines:?}"
    );
    let mut line = String::new();
    stream.read_line(&mut line).await.unwrap();
    assert_eq!(
        line.trim(),
        "GET /exec/default/a/main?command=echo&command=a+b&input=1&output=1 HTTP/1.1"
    );
    stream.write_all(b"hello").await.unwrap();
    let mut echo = [0; 5];
    stream.read_exact(&mut echo).await.unwrap();
    assert_eq!(&echo, b"hello");
    shutdown.cancel();
    assert_eq!(
        stream.read(&mut echo).await.unwrap_or(0),
        0,
        "the server's end ends it"
    );
}

#[tokio::test]
async fn whoever_may_only_read_may_not_exec() {
    let ground = Ground::start().await;
    bound_pod(&ground).await;
    let message = ground
        .get(&format!("{PODS}/a/exec?command=x"))
        .await
        .refused(400, "BadRequest");
    assert_eq!(message, "Upgrade request required");
    let rules = json!([{"apiGroups": [""], "resources": ["pods", "pods/exec"], "verbs": ["get"]}]);
    let roles = "/apis/rbac.authorization.k8s.io/v1/namespaces/default";
    let role = json!({"metadata": {"name": "reader"}, "rules": rules});
    ground
        .post(&format!("{roles}/roles"), role)
        .await
        .expect(201);
    let binding = json!({
        "metadata": {"name": "reader"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"},
        "subjects": [{"kind": "User", "name": "eve", "apiGroup": "rbac.authorization.k8s.io"}],
    });
    ground
        .post(&format!("{roles}/rolebindings"), binding)
        .await
        .expect(201);
    let request = http::Request::get(format!("{PODS}/a/exec?command=x"))
        .body(http_body_util::Full::default())
        .unwrap();
    let eve = UserInfo::new("eve", &[]);
    let message = ground.ask(&eve, request).await.refused(403, "Forbidden");
    assert!(
        message.contains("cannot create resource \"pods/exec\""),
        "{message}"
    );
}
