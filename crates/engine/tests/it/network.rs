//! An engine with its ground and network: addresses, names and the door.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use foreshore_engine::{Engine, Options, Storage, listen};
use foreshore_engine_net::{Net, NetOptions};
use foreshore_sys::{Ground, GroundError};
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::Ingress;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio_util::sync::CancellationToken;

const POD: &str = "10.244.9.9:8080";
const PATIENCE: Duration = Duration::from_secs(30);

/// Something like a pod: answers every request with its name.
fn serve_pod(ground: &Ground) {
    let listener =
        TcpListener::from_std(ground.tcp_listener(POD.parse().unwrap()).unwrap()).unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 1024];
            // A client that only knocked sends nothing.
            if stream.read(&mut request).await.is_ok_and(|read| read > 0) {
                let answer =
                    b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\nconnection: close\r\n\r\npod";
                stream.write_all(answer).await.unwrap();
            }
        }
    });
}

async fn apply<K>(client: &Client, object: Value) -> K
where
    K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
        + Clone
        + std::fmt::Debug
        + DeserializeOwned,
{
    let name = object["metadata"]["name"].as_str().unwrap().to_owned();
    let api: Api<K> = Api::namespaced(client.clone(), "default");
    api.patch(
        &name,
        &PatchParams::apply("test").force(),
        &Patch::Apply(&object),
    )
    .await
    .unwrap()
}

/// A Service without selector, its endpoint and a rule that leads to it.
async fn publish(client: &Client) -> Ipv4Addr {
    let service: Service = apply(
        client,
        json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"},
            "spec": {"ports": [{"port": 80, "targetPort": 8080}]},
        }),
    )
    .await;
    let _slice: EndpointSlice = apply(
        client,
        json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
            "metadata": {"name": "web", "labels": {"kubernetes.io/service-name": "web"}},
            "addressType": "IPv4",
            "endpoints": [{"addresses": ["10.244.9.9"], "conditions": {"ready": true}}],
            "ports": [{"name": "", "port": 8080, "protocol": "TCP"}],
        }),
    )
    .await;
    let backend = json!({"service": {"name": "web", "port": {"number": 80}}});
    let _ingress: Ingress = apply(
        client,
        json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "web"},
            "spec": {"rules": [{"host": "web.local", "http": {"paths": [
                {"path": "/", "pathType": "Prefix", "backend": backend},
            ]}}]},
        }),
    )
    .await;
    service.spec.unwrap().cluster_ip.unwrap().parse().unwrap()
}

/// Sends a request over a connection and returns the whole answer.
async fn get(stream: std::io::Result<TcpStream>) -> String {
    let Ok(mut stream) = stream else {
        return String::new();
    };
    let request = b"GET / HTTP/1.1\r\nhost: web.local\r\nconnection: close\r\n\r\n";
    let mut answer = String::new();
    if stream.write_all(request).await.is_ok() && stream.read_to_string(&mut answer).await.is_ok() {
        answer
    } else {
        String::new()
    }
}

/// Asks the cluster DNS for the address of a name; the last four bytes of an
/// answer with one record.
async fn resolve(ground: &Ground, name: &str) -> Option<Ipv4Addr> {
    let socket = ground.udp_socket("10.244.9.9:0".parse().unwrap()).unwrap();
    let socket = UdpSocket::from_std(socket).unwrap();
    let mut query = vec![0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        query.push(u8::try_from(label.len()).unwrap());
        query.extend(label.as_bytes());
    }
    query.extend([0, 0, 1, 0, 1]);
    socket.send_to(&query, "10.96.0.10:53").await.ok()?;
    let mut answer = [0; 512];
    let read = tokio::time::timeout(Duration::from_millis(200), socket.recv(&mut answer))
        .await
        .ok()?
        .ok()?;
    let has_one = answer[7] == 1;
    has_one.then(|| {
        Ipv4Addr::new(
            answer[read - 4],
            answer[read - 3],
            answer[read - 2],
            answer[read - 1],
        )
    })
}

async fn until<T>(what: &str, mut probe: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        if let Some(found) = probe().await {
            return found;
        }
        assert!(
            tokio::time::Instant::now() < deadline,
            "{what} did not come true"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn start(data: &Path, ground: &Ground, shutdown: &CancellationToken) -> Engine {
    let options = Options {
        storage: Storage::Memory,
        ground: Some(ground.clone()),
        ..Options::new(data.to_owned(), listen(data, 0).unwrap())
    };
    Engine::start(options, shutdown.clone()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_is_reached_by_address_by_name_and_through_the_door() {
    let data = tempfile::tempdir().unwrap();
    let ground = match Ground::create(&data.path().join("ground")) {
        Ok(ground) => ground,
        // Without root there is no ground, on this machine or in a user's shell.
        Err(GroundError::NotPermitted(_)) => return,
        Err(error) => panic!("{error}"),
    };
    let shutdown = CancellationToken::new();
    let engine = start(data.path(), &ground, &shutdown).await;
    let door = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let outside = door.local_addr().unwrap();
    let mut options = NetOptions::new(engine.client(), ground.clone());
    options.ingress = Some(door);
    let net = tokio::spawn(Net::new(options).run(shutdown.clone()));
    serve_pod(&ground);
    let address = publish(&engine.client()).await;

    until("an answer at the address", async || {
        let front = SocketAddr::from((address, 80));
        let answer = get(ground.connect(front, Duration::from_secs(1)).await).await;
        answer.ends_with("pod").then_some(())
    })
    .await;
    let name = "web.default.svc.cluster.local";
    assert_eq!(
        until("the name", async || resolve(&ground, name).await).await,
        address
    );
    let dns = "kube-dns.kube-system.svc.cluster.local";
    let expected = Ipv4Addr::new(10, 96, 0, 10);
    assert_eq!(
        until("the name of the DNS", async || resolve(&ground, dns).await).await,
        expected
    );
    until("an answer through the door", async || {
        get(TcpStream::connect(outside).await)
            .await
            .ends_with("pod")
            .then_some(())
    })
    .await;
    let ingresses: Api<Ingress> = Api::namespaced(engine.client(), "default");
    until("the address in the status", async || {
        let status = ingresses
            .get("web")
            .await
            .unwrap()
            .status?
            .load_balancer?
            .ingress?;
        (status[0].hostname.as_deref() == Some("localhost")).then_some(())
    })
    .await;

    shutdown.cancel();
    engine.wait().await.unwrap();
    net.await.unwrap().unwrap();
    ground.remove().unwrap();
}
