//! Watches Services, endpoints and Ingresses, and publishes views of them.

use std::fmt::Debug;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, StreamExt};
use k8s_openapi::api::core::v1::{Secret, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::Ingress;
use kube::runtime::reflector::{self, Store};
use kube::runtime::utils::Backoff;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use tokio::sync::{Notify, watch};
use tracing::{debug, info};

use crate::view::{Objects, View};

/// Changes that come together make one view.
const GATHER: Duration = Duration::from_millis(10);

/// Publishes a new view after each change, for ever.
///
/// While the API does not answer, the last view stays.
pub(crate) async fn run(
    client: Client,
    dns: Ipv4Addr,
    ingress_class: String,
    views: watch::Sender<Option<Arc<View>>>,
) {
    let changed = Arc::new(Notify::new());
    let (services, watch_services) = follow::<Service>(&client, &changed);
    let (slices, watch_slices) = follow::<EndpointSlice>(&client, &changed);
    let (ingresses, watch_ingresses) = follow::<Ingress>(&client, &changed);
    let certificates = watcher::Config::default().fields("type=kubernetes.io/tls");
    let (secrets, watch_secrets) = follow_some::<Secret>(&client, &changed, certificates);
    let publish = async {
        // The writers live as long as this future, so waiting cannot fail.
        let _known = tokio::join!(
            services.wait_until_ready(),
            slices.wait_until_ready(),
            ingresses.wait_until_ready()
        );
        // Certificates come when they come: plain HTTP need not wait for them.
        info!("services, endpoints and ingresses are known");
        loop {
            let objects = Objects {
                services: services.state(),
                slices: slices.state(),
                ingresses: ingresses.state(),
                secrets: secrets.state(),
            };
            let view = View::new(&objects, dns, &ingress_class);
            views.send_if_modified(|current| {
                let differs = current.as_deref() != Some(&view);
                if differs {
                    *current = Some(Arc::new(view));
                }
                differs
            });
            changed.notified().await;
            tokio::time::sleep(GATHER).await;
        }
    };
    tokio::join!(
        publish,
        watch_services,
        watch_slices,
        watch_ingresses,
        watch_secrets
    );
}

fn follow<K>(
    client: &Client,
    changed: &Arc<Notify>,
) -> (Store<K>, impl Future<Output = ()> + use<K>)
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
{
    follow_some(client, changed, watcher::Config::default())
}

fn follow_some<K>(
    client: &Client,
    changed: &Arc<Notify>,
    which: watcher::Config,
) -> (Store<K>, impl Future<Output = ()> + use<K>)
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
{
    let (store, writer) = reflector::store::<K>();
    let events = watcher(Api::<K>::all(client.clone()), which).backoff(Again);
    let stream = reflector::reflector(writer, events);
    (store, forward(stream, Arc::clone(changed)))
}

/// How soon a watch that broke is taken up again. The API is on this machine or
/// near: asking a few times a second harms nobody, and who calls
/// a service meanwhile is led to endpoints of the past.
#[derive(Debug)]
struct Again;

const AGAIN_AFTER: Duration = Duration::from_millis(250);

impl Iterator for Again {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        Some(AGAIN_AFTER)
    }
}

impl Backoff for Again {
    fn reset(&mut self) {}
}

async fn forward<K>(
    stream: impl Stream<Item = watcher::Result<watcher::Event<K>>> + Send,
    changed: Arc<Notify>,
) where
    K: Resource<DynamicType = ()>,
{
    let mut stream = Box::pin(stream);
    while let Some(event) = stream.next().await {
        match event {
            Ok(watcher::Event::Init | watcher::Event::InitApply(_)) => {}
            Ok(_) => changed.notify_one(),
            Err(error) => {
                let kind = K::kind(&());
                debug!(error = &error as &dyn std::error::Error, %kind, "watch was interrupted; will resume");
            }
        }
    }
}
