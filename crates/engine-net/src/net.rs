//! The service: watches, proxies, answers, until told to stop.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use foreshore_sys::Ground;
use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::PostParams;
use kube::{Api, Client};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

use crate::proxy::Proxy;
use crate::view::{View, Views};
use crate::{dns, ingress, udp, watch as watching};

/// Where the cluster DNS listens unless told otherwise: the address of the
/// Service `kube-system/kube-dns`.
pub const DEFAULT_DNS_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 10);
const DNS_PORT: u16 = 53;
/// Wait before the Service of the DNS is written again.
const RETRY: Duration = Duration::from_secs(2);

/// What it needs and may do.
pub struct NetOptions {
    /// Any Kubernetes API.
    pub client: Client,
    /// Where Service addresses are opened and endpoints are reached.
    pub ground: Ground,
    /// Where requests from outside arrive, usually on the host's loopback.
    pub ingress: Option<std::net::TcpListener>,
    /// Ingresses that name this class or none are served.
    pub ingress_class: String,
    pub dns_address: Ipv4Addr,
}

impl NetOptions {
    pub fn new(client: Client, ground: Ground) -> Self {
        Self {
            client,
            ground,
            ingress: None,
            ingress_class: "foreshore".to_owned(),
            dns_address: DEFAULT_DNS_ADDRESS,
        }
    }
}

/// What is served at the moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetStatus {
    /// Whether Services, endpoints and Ingresses are known.
    pub is_ready: bool,
    /// Service addresses with the number of endpoints in use.
    pub fronts: BTreeMap<SocketAddr, usize>,
    /// What Services ask for and do not get: `namespace/name: what`.
    pub unsupported: Vec<String>,
}

/// Asks a running [`Net`] how it is.
#[derive(Clone, Debug)]
pub struct NetHandle {
    views: Views,
}

impl NetHandle {
    pub fn status(&self) -> NetStatus {
        let Some(view) = self.views.borrow().clone() else {
            return NetStatus::default();
        };
        let notes = view
            .services
            .unsupported
            .iter()
            .chain(&view.routes.unsupported);
        NetStatus {
            is_ready: true,
            fronts: view
                .services
                .fronts
                .iter()
                .map(|(front, backends)| (*front, backends.usable().len()))
                .collect(),
            unsupported: notes
                .flat_map(|((namespace, name), whats)| {
                    whats
                        .iter()
                        .map(move |what| format!("{namespace}/{name}: {what}"))
                })
                .collect(),
        }
    }

    /// Waits until the API was heard once.
    pub async fn ready(&self) {
        let mut views = self.views.clone();
        // A net that was stopped before never gets ready; nobody waits for it.
        let _known = views.wait_for(Option::is_some).await.is_ok();
    }
}

/// Service addresses, DNS and ingress of one ground.
pub struct Net {
    options: NetOptions,
    views: watch::Sender<Option<Arc<View>>>,
}

impl Net {
    pub fn new(options: NetOptions) -> Self {
        Self {
            options,
            views: watch::Sender::new(None),
        }
    }

    pub fn handle(&self) -> NetHandle {
        NetHandle {
            views: self.views.subscribe(),
        }
    }

    /// Serves until `shutdown`. An API that does not answer is waited for.
    ///
    /// The error is about the ingress listener handed in; nothing else ends it.
    pub async fn run(self, shutdown: CancellationToken) -> io::Result<()> {
        let NetOptions {
            client,
            ground,
            ingress: listener,
            ingress_class,
            dns_address,
        } = self.options;
        let views = self.views.subscribe();
        let mut tasks = JoinSet::new();
        tasks.spawn(Proxy::new(ground.clone()).run(views.clone()));
        tasks.spawn(udp::run(ground.clone(), views.clone()));
        if ground.is_loopback() {
            // Its answers would name addresses nobody reaches, and nobody asks it.
            info!("no cluster DNS here; services are found by their variables");
        } else {
            tasks.spawn(dns::run(
                ground.clone(),
                SocketAddr::from((dns_address, DNS_PORT)),
                views.clone(),
            ));
        }
        tasks.spawn(ensure_dns_service(
            client.clone(),
            dns_address,
            views.clone(),
        ));
        let mut edge = None;
        // It also ends when nobody waits for this future any more.
        let open = shutdown.child_token();
        let _closed = open.clone().drop_guard();
        if let Some(listener) = listener {
            listener.set_nonblocking(true)?;
            let serve = ingress::run(ground, listener, views.clone(), open);
            edge = Some(on_a_thread_of_its_own(serve)?);
            tasks.spawn(ingress::write_status(client.clone(), views));
        }
        tasks.spawn(watching::run(
            client,
            dns_address,
            ingress_class,
            self.views,
        ));
        shutdown.cancelled().await;
        // Requests under way first; they need the rest.
        if let Some(ended) = edge {
            // A thread that panicked said so itself.
            ended.await.unwrap_or(Ok(()))?;
        }
        tasks.shutdown().await;
        info!("network ended");
        Ok(())
    }
}

/// Passing a request from one processor to another and its answer back costs
/// more than what the ingress does with it, so all of it happens in one place.
fn on_a_thread_of_its_own(
    work: impl Future<Output = io::Result<()>> + Send + 'static,
) -> io::Result<oneshot::Receiver<io::Result<()>>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let (tell, ended) = oneshot::channel();
    std::thread::Builder::new()
        .name("ingress".to_owned())
        .spawn(move || {
            // Whoever no longer waits for the end need not hear of it.
            tell.send(runtime.block_on(work)).ok();
        })?;
    Ok(ended)
}

/// Keeps the Service that gives the DNS its address, for ever.
async fn ensure_dns_service(client: Client, address: Ipv4Addr, mut views: Views) {
    let api: Api<Service> = Api::namespaced(client, "kube-system");
    loop {
        let missing =
            |view: &Option<Arc<View>>| view.as_ref().is_some_and(|view| !view.has_dns_service);
        if views.wait_for(missing).await.is_err() {
            return;
        }
        match api
            .create(&PostParams::default(), &dns_service(address))
            .await
        {
            Ok(_) => info!(%address, "service of the cluster DNS created"),
            Err(error) => {
                debug!(
                    error = &error as &dyn std::error::Error,
                    "service of the cluster DNS was not created; will retry"
                );
            }
        }
        tokio::time::sleep(RETRY).await;
    }
}

fn dns_service(address: Ipv4Addr) -> Service {
    let port = |name: &str, protocol: &str| ServicePort {
        name: Some(name.to_owned()),
        port: i32::from(DNS_PORT),
        protocol: Some(protocol.to_owned()),
        ..ServicePort::default()
    };
    let labels = [
        ("k8s-app", "kube-dns"),
        ("kubernetes.io/name", "CoreDNS"),
        ("kubernetes.io/cluster-service", "true"),
    ];
    Service {
        metadata: ObjectMeta {
            name: Some("kube-dns".to_owned()),
            namespace: Some("kube-system".to_owned()),
            labels: Some(
                labels
                    .map(|(key, value)| (key.to_owned(), value.to_owned()))
                    .into(),
            ),
            ..ObjectMeta::default()
        },
        spec: Some(ServiceSpec {
            cluster_ip: Some(address.to_string()),
            ports: Some(vec![port("dns", "UDP"), port("dns-tcp", "TCP")]),
            ..ServiceSpec::default()
        }),
        status: None,
    }
}
