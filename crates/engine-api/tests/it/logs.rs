//! Logs come from the node that runs the pod.

use std::sync::Arc;

use foreshore_engine_api::Pki;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::ground::{Ground, pod};

const PODS: &str = "/api/v1/namespaces/default/pods";

/// Answers each connection with what the request line was; returns the port.
async fn kubelet(pki: &Pki) -> u16 {
    let credential = pki
        .serving("n1", &["n1"], &[[127, 0, 0, 1].into()])
        .unwrap();
    let chain =
        vec![CertificateDer::from_pem_slice(credential.certificate_pem.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(credential.key_pem.as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let mut stream = acceptor.accept(stream).await.unwrap();
            let mut request = vec![0; 4096];
            let read = stream.read(&mut request).await.unwrap();
            let request = String::from_utf8_lossy(&request[..read]).into_owned();
            let line = request.lines().next().unwrap_or_default();
            let (code, body) = if line.contains("previous=true") {
                ("400 Bad Request", "no previous container")
            } else {
                ("200 OK", line)
            };
            let answer = format!("HTTP/1.1 {code}\r\nconnection: close\r\n\r\n{body}");
            stream.write_all(answer.as_bytes()).await.unwrap();
            stream.shutdown().await.unwrap();
        }
    });
    port
}

async fn node(ground: &Ground, port: u16) {
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
async fn a_log_request_is_passed_on_with_its_options() {
    let ground = Ground::start().await;
    let port = kubelet(ground.server.pki()).await;
    node(&ground, port).await;
    let answer = ground
        .get(&format!("{PODS}/a/log?tailLines=5&follow=true&other=1"))
        .await;
    assert_eq!(answer.headers["content-type"], "text/plain");
    assert_eq!(
        answer.text,
        "GET /containerLogs/default/a/main?follow=true&tailLines=5 HTTP/1.1"
    );
    let message = ground
        .get(&format!("{PODS}/a/log?previous=true"))
        .await
        .refused(400, "BadRequest");
    assert_eq!(message, "no previous container");
    let message = ground
        .get(&format!("{PODS}/a/log?container=b"))
        .await
        .refused(400, "BadRequest");
    assert_eq!(message, "container b is not valid for pod a");
}

#[tokio::test]
async fn a_node_that_is_gone_is_named() {
    let ground = Ground::start().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    node(&ground, port).await;
    let message = ground
        .get(&format!("{PODS}/a/log"))
        .await
        .refused(502, "BadGateway");
    assert!(message.contains("cannot reach node \"n1\""), "{message}");
}
