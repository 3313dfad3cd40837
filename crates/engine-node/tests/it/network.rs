//! Real pods behind services, names and an ingress.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use foreshore_engine_node::RuntimeKind;
use foreshore_testkit::cluster::Kind;
use foreshore_testkit::wait;
use futures::{SinkExt, StreamExt};
use hickory_proto::op::Message as DnsMessage;
use hickory_proto::rr::{RData, RecordType};
use k8s_openapi::api::core::v1::{Secret, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::Ingress;
use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio_tungstenite::tungstenite::Message;

use crate::edge::{self, Edge};
use crate::fixture::{Fixture, LIMIT, address};
use crate::objects::{ingress, make, service, web};

pub(crate) async fn one_service_calls_another_by_every_kind_of_name(ground: Kind) {
    let fixture = Fixture::new(ground, RuntimeKind::Sandbox).await;
    let edge = Edge::of(&fixture).await;
    web(&fixture, "back").await;
    web(&fixture, "front").await;
    let host = format!("front.{}.local", fixture.name);
    make::<Service>(&fixture, service("front", "front")).await;
    make::<Service>(&fixture, service("back", "back")).await;
    make::<Ingress>(&fixture, ingress(&host, "front")).await;
    let mut headless = service("peers", "back");
    headless["spec"]["clusterIP"] = json!("None");
    make::<Service>(&fixture, headless).await;
    let real_name = format!("back.{}.svc.cluster.local", fixture.name);
    let alias = json!({
        "metadata": { "name": "alias" },
        "spec": { "type": "ExternalName", "externalName": real_name },
    });
    make::<Service>(&fixture, alias).await;
    old_system(&fixture).await;
    for (path, words) in [
        ("/", "front /"),
        ("/ask/back/80", "front heard back /from-a-pod"),
        // A headless service gives the pods' own addresses, so their own port.
        ("/ask/peers/8080", "front heard back /from-a-pod"),
        ("/ask/alias/80", "front heard back /from-a-pod"),
        ("/ask/old/80", "front heard as in the old days"),
    ] {
        edge.until(&host, path, words).await;
    }
    fixture.finish().await;
}

pub(crate) async fn records_of_services_lead_to_the_ports_and_pods_behind_them(ground: Kind) {
    let fixture = Fixture::new(ground, RuntimeKind::Sandbox).await;
    let _edge = Edge::of(&fixture).await;
    for name in ["peer-0", "peer-1"] {
        let change = |pod: &mut serde_json::Value| {
            pod["metadata"]["labels"] = json!({ "app": "peers" });
            pod["spec"]["hostname"] = json!(name);
            pod["spec"]["subdomain"] = json!("peers");
        };
        fixture.pod(name, &["web", "8080", name], change).await;
    }
    let mut headless = service("peers", "peers");
    headless["spec"]["clusterIP"] = json!("None");
    make::<Service>(&fixture, headless).await;
    let made: Service = make(&fixture, service("shop", "peers")).await;
    let domain = format!("{}.svc.cluster.local.", fixture.name);
    let mut expected = Vec::new();
    for name in ["peer-0", "peer-1"] {
        let there = address(&fixture.until_ready(name).await);
        let host = format!("{name}.peers.{domain}");
        until_records(&fixture, RecordType::A, &host, &[there.to_string()]).await;
        expected.push(format!("8080 {host}"));
    }
    let peers = format!("_http._tcp.peers.{domain}");
    until_records(&fixture, RecordType::SRV, &peers, &expected).await;
    let shop = format!("_http._tcp.shop.{domain}");
    until_records(
        &fixture,
        RecordType::SRV,
        &shop,
        &[format!("80 shop.{domain}")],
    )
    .await;
    let front = made.spec.unwrap().cluster_ip.unwrap();
    until_records(&fixture, RecordType::A, &format!("shop.{domain}"), &[front]).await;
    fixture.finish().await;
}

/// Asks the cluster DNS until it answers with exactly these records: addresses,
/// or ports with hosts.
async fn until_records(fixture: &Fixture, kind: RecordType, name: &str, expected: &[String]) {
    let last = std::sync::Mutex::new(Vec::new());
    let found = wait::until("the right records", LIMIT, || async {
        let records = records(fixture, kind, name).await.unwrap_or_default();
        last.lock().unwrap().clone_from(&records);
        records == expected
    });
    assert!(
        found.await.is_ok(),
        "{name}: {last:?} instead of {expected:?}"
    );
}

async fn records(fixture: &Fixture, kind: RecordType, name: &str) -> Option<Vec<String>> {
    // Number 7, with recursion desired, one question.
    let mut question = vec![0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name
        .split_inclusive('.')
        .map(|label| label.trim_end_matches('.'))
    {
        question.push(u8::try_from(label.len()).unwrap());
        question.extend_from_slice(label.as_bytes());
    }
    let [high, low] = u16::from(kind).to_be_bytes();
    question.extend_from_slice(&[0, high, low, 0, 1]);
    let anyone = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
    let socket = fixture.options.ground.udp_socket(anyone).unwrap();
    let socket = tokio::net::UdpSocket::from_std(socket).unwrap();
    let server = SocketAddr::from((fixture.options.dns_address, 53));
    socket.send_to(&question, server).await.ok()?;
    let mut answer = [0; 4096];
    let heard = tokio::time::timeout(Duration::from_secs(1), socket.recv(&mut answer));
    let length = heard.await.ok()?.ok()?;
    let answer = DnsMessage::from_vec(&answer[..length]).unwrap();
    let mut found: Vec<String> = answer
        .answers
        .iter()
        .map(|record| match &record.data {
            RData::SRV(service) => format!("{} {}", service.port, service.target),
            other => other.to_string(),
        })
        .collect();
    found.sort();
    Some(found)
}

/// A service without a selector, whose endpoints somebody writes by hand, and
/// something that answers there.
async fn old_system(fixture: &Fixture) {
    let place = Ipv4Addr::new(10, 244, fixture.options.node_index, 1);
    let listener = fixture
        .options
        .ground
        .tcp_listener((place, 0).into())
        .unwrap();
    let port = listener.local_addr().unwrap().port();
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 4096];
            let said = "HTTP/1.1 200 OK\r\nContent-Length: 18\r\nConnection: close\r\n\r\nas in the old days";
            // A client that goes away asks again.
            if stream.read(&mut request).await.is_ok() {
                stream.write_all(said.as_bytes()).await.ok();
            }
        }
    });
    let object = json!({
        "metadata": { "name": "old" },
        "spec": { "ports": [{ "name": "http", "port": 80, "targetPort": port }] },
    });
    make::<Service>(fixture, object).await;
    let slice = json!({
        "metadata": { "name": "old-1", "labels": { "kubernetes.io/service-name": "old" } },
        "addressType": "IPv4",
        "ports": [{ "name": "http", "port": port, "protocol": "TCP" }],
        "endpoints": [{ "addresses": [place.to_string()] }],
    });
    make::<EndpointSlice>(fixture, slice).await;
}

pub(crate) async fn pods_answer_on_node_ports_and_to_datagrams(ground: Kind) {
    let fixture = Fixture::new(ground, RuntimeKind::Sandbox).await;
    let _edge = Edge::of(&fixture).await;
    web(&fixture, "shop").await;
    let mut object = service("shop", "shop");
    object["spec"]["type"] = json!("NodePort");
    let made: Service = make(&fixture, object).await;
    let port = made.spec.unwrap().ports.unwrap()[0].node_port.unwrap();
    let port = u16::try_from(port).unwrap();
    edge::until((Ipv4Addr::LOCALHOST, port).into(), "any", "/", "shop /").await;

    let pod = fixture
        .pod("echo", &["echo", "5353"], |pod| {
            pod["metadata"]["labels"] = json!({ "app": "echo" });
        })
        .await;
    fixture
        .until_log(&pod.metadata.name.unwrap(), "listening")
        .await;
    let object = json!({
        "metadata": { "name": "echo" },
        "spec": { "selector": { "app": "echo" }, "ports": [{ "port": 53, "targetPort": 5353, "protocol": "UDP" }] },
    });
    let made: Service = make(&fixture, object).await;
    let front: Ipv4Addr = made.spec.unwrap().cluster_ip.unwrap().parse().unwrap();
    let own = Ipv4Addr::new(10, 244, fixture.options.node_index, 1);
    let socket = fixture.options.ground.udp_socket((own, 0).into()).unwrap();
    let socket = tokio::net::UdpSocket::from_std(socket).unwrap();
    wait::until("an echo", LIMIT, || async {
        // Until the service is known nobody listens there.
        socket.send_to(b"hello", (front, 53)).await.ok();
        let mut bytes = [0; 64];
        let heard = socket.recv_from(&mut bytes);
        let heard = tokio::time::timeout(Duration::from_millis(200), heard).await;
        matches!(heard, Ok(Ok((5, _)))) && &bytes[..5] == b"hello"
    })
    .await
    .unwrap();
    fixture.finish().await;
}

pub(crate) async fn an_ingress_streams_switches_protocols_and_has_a_default(ground: Kind) {
    let fixture = Fixture::new(ground, RuntimeKind::Sandbox).await;
    let edge = Edge::of(&fixture).await;
    web(&fixture, "live").await;
    let host = format!("live.{}.local", fixture.name);
    make::<Service>(&fixture, service("live", "live")).await;
    make::<Ingress>(&fixture, ingress(&host, "live")).await;
    edge.until(&host, "/", "live /").await;

    // The beginning arrives before the end is even written.
    let mut stream = request(edge.address, &host, "/stream").await;
    let mut line = String::new();
    while !line.contains("first") {
        line.clear();
        let read = tokio::time::timeout(LIMIT, stream.read_line(&mut line));
        assert_ne!(read.await.unwrap().unwrap(), 0, "it ended");
    }
    edge.until(&host, "/release", "released").await;
    let mut rest = String::new();
    let read = tokio::time::timeout(LIMIT, stream.read_to_string(&mut rest));
    read.await.unwrap().unwrap();
    assert!(rest.contains("last"), "{rest}");

    let stream = tokio::net::TcpStream::connect(edge.address).await.unwrap();
    let wanted = format!("ws://{host}/ws");
    let (mut socket, _) = tokio_tungstenite::client_async(wanted, stream)
        .await
        .unwrap();
    for words in ["hello", "again"] {
        socket.send(Message::text(words)).await.unwrap();
        let heard = tokio::time::timeout(LIMIT, socket.next()).await.unwrap();
        assert_eq!(heard.unwrap().unwrap(), Message::text(words));
    }

    let backend = json!({ "service": { "name": "live", "port": { "name": "http" } } });
    let object = json!({ "metadata": { "name": "rest" }, "spec": { "defaultBackend": backend } });
    make::<Ingress>(&fixture, object).await;
    let nobody = format!("nobody.{}.local", fixture.name);
    edge.until(&nobody, "/x", "live /x").await;
    fixture.finish().await;
}

async fn request(address: SocketAddr, host: &str, path: &str) -> BufReader<tokio::net::TcpStream> {
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let words = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
    stream.write_all(words.as_bytes()).await.unwrap();
    BufReader::new(stream)
}

pub(crate) async fn an_ingress_shows_the_certificate_of_its_secret(ground: Kind) {
    let fixture = Fixture::new(ground, RuntimeKind::Sandbox).await;
    let edge = Edge::of(&fixture).await;
    web(&fixture, "safe").await;
    let host = format!("safe.{}.local", fixture.name);
    let issued = rcgen::generate_simple_self_signed(vec![host.clone()]).unwrap();
    let secret = json!({
        "metadata": { "name": "certificate" },
        "type": "kubernetes.io/tls",
        "stringData": { "tls.crt": issued.cert.pem(), "tls.key": issued.signing_key.serialize_pem() },
    });
    make::<Secret>(&fixture, secret).await;
    make::<Service>(&fixture, service("safe", "safe")).await;
    let mut object = ingress(&host, "safe");
    object["spec"]["tls"] = json!([{ "hosts": [host], "secretName": "certificate" }]);
    make::<Ingress>(&fixture, object).await;

    let mut roots = rustls::RootCertStore::empty();
    roots.add(issued.cert.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    wait::until("the right certificate and answer", LIMIT, || async {
        let ask = async {
            let stream = tokio::net::TcpStream::connect(edge.address).await?;
            let name = host.clone().try_into().expect("it is a name");
            let mut stream = connector.connect(name, stream).await?;
            let words = format!("GET /x HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
            stream.write_all(words.as_bytes()).await?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await?;
            std::io::Result::Ok(answer)
        };
        ask.await.is_ok_and(|answer| answer.contains("safe /x"))
    })
    .await
    .unwrap();
    fixture.finish().await;
}
