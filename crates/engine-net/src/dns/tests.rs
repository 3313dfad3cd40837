//! Questions over UDP and TCP, asked by a resolver.

use std::net::Ipv4Addr;
use std::sync::Arc;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;
use hickory_resolver::Resolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig, ResolverOpts};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use serde_json::json;
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::watch;

use super::serve;
use crate::view::{Objects, View};

fn view() -> Arc<View> {
    let service = |name: &str, spec: serde_json::Value| {
        let service = json!({"metadata": {"name": name, "namespace": "dev"}, "spec": spec});
        Arc::new(serde_json::from_value(service).unwrap())
    };
    let objects = Objects {
        services: vec![
            service(
                "web",
                json!({"clusterIP": "10.96.0.7", "ports": [{"name": "http", "port": 80}]}),
            ),
            service(
                "alias",
                json!({"type": "ExternalName", "externalName": "web.dev.svc.cluster.local"}),
            ),
        ],
        ..Objects::default()
    };
    Arc::new(View::new(
        &objects,
        Ipv4Addr::new(10, 96, 0, 10),
        "foreshore",
    ))
}

/// One port for both transports; what is free for one may be taken by a neighbour for the other.
async fn sockets() -> (UdpSocket, TcpListener) {
    for _ in 0..100 {
        let streams = TcpListener::bind("127.0.0.1:0").await.unwrap();
        if let Ok(datagrams) = UdpSocket::bind(streams.local_addr().unwrap()).await {
            return (datagrams, streams);
        }
    }
    panic!("no port is free for both transports");
}

/// Asks a server with one view, over both transports, and compares.
async fn check(name: &str, kind: RecordType, expected: Result<&str, ResponseCode>) {
    let (datagrams, streams) = sockets().await;
    let address = streams.local_addr().unwrap();
    let (_sender, views) = watch::channel(Some(view()));
    let _server = serve(datagrams, streams, views);
    for mut connection in [ConnectionConfig::udp(), ConnectionConfig::tcp()] {
        connection.port = address.port();
        let server = NameServerConfig::new(address.ip(), true, vec![connection]);
        let config = ResolverConfig::from_parts(None, vec![], vec![server]);
        let mut options = ResolverOpts::default();
        options.attempts = 0;
        let resolver = Resolver::builder_with_config(config, TokioRuntimeProvider::default())
            .with_options(options)
            .build()
            .unwrap();
        let answer = resolver.lookup(name, kind).await;
        match (answer, expected) {
            (Ok(answer), Ok(expected)) => {
                let data: Vec<String> = answer
                    .answers()
                    .iter()
                    .map(|record| record.data.to_string())
                    .collect();
                assert_eq!(data.join(" "), expected, "{name}");
            }
            (Err(error), Err(code)) => {
                let text = format!("{error:?}");
                assert!(text.contains(&format!("{code:?}")), "{name}: {text}");
            }
            (answer, expected) => panic!("{name}: {answer:?} instead of {expected:?}"),
        }
    }
}

#[tokio::test]
async fn a_service_resolves_to_its_address() {
    check("web.dev.svc.cluster.local.", RecordType::A, Ok("10.96.0.7")).await;
    check("WEB.dev.svc.cluster.local.", RecordType::A, Ok("10.96.0.7")).await;
}

#[tokio::test]
async fn a_named_port_resolves_to_port_and_host() {
    let name = "_http._tcp.web.dev.svc.cluster.local.";
    check(
        name,
        RecordType::SRV,
        Ok("0 100 80 web.dev.svc.cluster.local."),
    )
    .await;
}

#[tokio::test]
async fn an_alias_is_followed_inside_the_cluster_domain() {
    check(
        "alias.dev.svc.cluster.local.",
        RecordType::A,
        Ok("web.dev.svc.cluster.local. 10.96.0.7"),
    )
    .await;
}

#[tokio::test]
async fn an_unknown_name_of_the_domain_does_not_exist() {
    check(
        "api.dev.svc.cluster.local.",
        RecordType::A,
        Err(ResponseCode::NXDomain),
    )
    .await;
}

#[tokio::test]
async fn a_known_name_without_such_a_record_is_empty() {
    check(
        "web.dev.svc.cluster.local.",
        RecordType::AAAA,
        Err(ResponseCode::NoError),
    )
    .await;
}

#[tokio::test]
async fn names_of_other_domains_are_refused() {
    check("example.com.", RecordType::A, Err(ResponseCode::Refused)).await;
}
