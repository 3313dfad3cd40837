//! The service network of a cluster: one per ground, shared by the tests that
//! run at the same time, with an ingress on the host's loopback.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use foreshore_engine_net::{Net, NetHandle, NetOptions};
use foreshore_testkit::cluster::{Cluster, Kind, client};
use foreshore_testkit::wait;
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use serde_json::json;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use crate::fixture::{Fixture, LIMIT};
use crate::objects::make;

static REAL: Mutex<Weak<Edge>> = Mutex::const_new(Weak::new());
static ENGINE: Mutex<Weak<Edge>> = Mutex::const_new(Weak::new());

/// A service network at work; dropping it ends it.
#[derive(Debug)]
pub(crate) struct Edge {
    /// Where services answer by host name.
    pub address: SocketAddr,
    net: NetHandle,
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
    /// Let go of last: the network ends before its ground does.
    _cluster: Option<Arc<Cluster>>,
}

impl Edge {
    /// The network of the fixture's cluster.
    pub(crate) async fn of(fixture: &Fixture) -> Arc<Self> {
        let known = match fixture.cluster.kind() {
            Kind::Real => &REAL,
            Kind::Engine => &ENGINE,
        };
        let mut known = known.lock().await;
        if let Some(edge) = known.upgrade() {
            return edge;
        }
        let kept = Arc::clone(&fixture.cluster);
        let edge = Arc::new(Self::start(&fixture.cluster, Some(kept)));
        *known = Arc::downgrade(&edge);
        edge
    }

    /// A network for a test that has its cluster to itself; it must end before
    /// the cluster does.
    pub(crate) fn beside(cluster: &Cluster) -> Self {
        Self::start(cluster, None)
    }

    /// Starts it on a thread with a runtime of its own: that of the test which
    /// happens to need it first ends with that test.
    fn start(cluster: &Cluster, kept: Option<Arc<Cluster>>) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let (told, ready) = std::sync::mpsc::sync_channel(1);
        let (token, kubeconfig) = (stop.clone(), cluster.kubeconfig().to_owned());
        let ground = cluster.ground().expect("the cluster is ours").clone();
        let work = async move {
            let mut options = NetOptions::new(client(&kubeconfig).await.unwrap(), ground);
            options.ingress = Some(listener);
            let net = Net::new(options);
            let handle = net.handle();
            let told_when_ready = async {
                handle.ready().await;
                // The test waits for it; without it there is nobody to tell.
                told.send(handle.clone()).ok();
            };
            let (served, ()) = tokio::join!(net.run(token), told_when_ready);
            served.unwrap();
        };
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(1)
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(work);
        });
        let net = ready.recv_timeout(Duration::from_mins(1)).unwrap();
        Self {
            address,
            net,
            stop,
            thread: Some(thread),
            _cluster: kept,
        }
    }

    /// Waits until the network hears the API: a service made now is known to it.
    pub(crate) async fn until_heard(&self, fixture: &Fixture, name: &str) {
        let object = json!({ "metadata": { "name": name }, "spec": { "ports": [{ "port": 80 }] } });
        let made: Service = make(fixture, object).await;
        let slice = json!({
            "metadata": { "name": name, "labels": { "kubernetes.io/service-name": name } },
            "addressType": "IPv4",
            "ports": [{ "port": 80, "protocol": "TCP" }],
            "endpoints": [{ "addresses": ["10.244.0.1"] }],
        });
        make::<EndpointSlice>(fixture, slice).await;
        let front: Ipv4Addr = made.spec.unwrap().cluster_ip.unwrap().parse().unwrap();
        let front = SocketAddr::from((front, 80));
        wait::until("the network to hear", LIMIT, || async {
            self.net.status().fronts.get(&front) == Some(&1)
        })
        .await
        .unwrap();
    }

    /// Asks until the answer is a success that begins with `words`.
    pub(crate) async fn until(&self, host: &str, path: &str, words: &str) {
        until(self.address, host, path, words).await;
    }
}

impl Drop for Edge {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            // Its panic, if any, was printed where it happened.
            thread.join().ok();
        }
    }
}

/// Asks until the answer is a success that begins with `words`.
pub(crate) async fn until(address: SocketAddr, host: &str, path: &str, words: &str) {
    let last = std::sync::Mutex::new(String::new());
    let found = wait::until("the right answer", LIMIT, || async {
        let answer = get(address, host, path).await;
        *last.lock().unwrap() = format!("{answer:?}");
        answer.is_ok_and(|(status, body)| status == 200 && body.starts_with(words))
    })
    .await;
    let last = last.into_inner().unwrap();
    assert!(found.is_ok(), "{host}{path}: {last} instead of {words}");
}

pub(crate) async fn get(
    address: SocketAddr,
    host: &str,
    path: &str,
) -> Result<(u16, String), String> {
    let ask = async {
        let stream = tokio::net::TcpStream::connect(address).await?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(async move { drop(connection.await) });
        let request = http::Request::get(path)
            .header("host", host)
            .body(Empty::<Bytes>::new())?;
        let answer = sender.send_request(request).await?;
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await?.to_bytes();
        Ok::<_, Box<dyn std::error::Error + Send + Sync>>((
            status,
            String::from_utf8_lossy(&body).into_owned(),
        ))
    };
    match tokio::time::timeout(Duration::from_secs(10), ask).await {
        Ok(answer) => answer.map_err(|error| error.to_string()),
        Err(_elapsed) => Err("no answer".to_owned()),
    }
}
