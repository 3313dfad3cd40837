//! Feeds the decisions about `EndpointSlices`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use foreshore_controllers::{endpoints, pod_is_ready, selector_map_matches};
use k8s_openapi::api::core::v1::{Node, Pod, Service};

use super::cache::{Cache, Delta, ObjectKey, key_of};
use super::execute::Executor;
use super::queue::Queue;
use super::work::workers;
use super::{Informers, Task, after_sync};

/// Services worked on at once.
const WORKERS: usize = 5;
/// Pods of one rollout change together; a short wait makes one write of them.
const GATHER: Duration = Duration::from_millis(20);
const ZONE: &str = "topology.kubernetes.io/zone";

pub(super) fn tasks(informers: &mut Informers, executor: &Executor) -> Vec<Task> {
    let queue = Arc::new(Queue::<ObjectKey>::new());
    let services = informers.services.cache();
    let slices = informers.slices.cache();
    let pods = informers.pods.cache();
    let nodes = informers.nodes.cache();

    let filled = Arc::clone(&queue);
    informers
        .services
        .on_change(move |delta| filled.add(key_of(&delta.latest().metadata)));
    let filled = Arc::clone(&queue);
    informers.slices.on_change(move |delta| {
        for slice in delta.states() {
            let service = slice
                .metadata
                .labels
                .as_ref()
                .and_then(|labels| labels.get(endpoints::SERVICE_NAME));
            if let Some(service) = service {
                let namespace = slice.metadata.namespace.clone().unwrap_or_default();
                filled.add_after((namespace, service.clone()), GATHER);
            }
        }
    });
    let (filled, known) = (Arc::clone(&queue), Arc::clone(&services));
    informers
        .pods
        .on_change(move |delta| pod_changed(&filled, &known, delta));

    let caches = (
        Arc::clone(&services),
        Arc::clone(&slices),
        Arc::clone(&pods),
        Arc::clone(&nodes),
    );
    let ready = async move {
        tokio::join!(
            caches.0.synced(),
            caches.1.synced(),
            caches.2.synced(),
            caches.3.synced()
        );
    };
    let decide = move |(namespace, name): &ObjectKey| {
        let Some(service) = services.get(namespace, name) else {
            return Vec::new();
        };
        endpoints::decide(&endpoints::Inputs {
            service: &service,
            pods: &pods.in_namespace(namespace),
            slices: &slices.in_namespace(namespace),
            zones: &zones(&nodes),
        })
    };
    let executor = executor.of("endpoint-slice-controller");
    vec![after_sync(
        ready,
        workers(WORKERS, &queue, &executor, decide, |_, _| ()),
    )]
}

fn zones(nodes: &Cache<Node>) -> BTreeMap<String, String> {
    nodes
        .all()
        .iter()
        .filter_map(|node| {
            let zone = node.metadata.labels.as_ref()?.get(ZONE)?;
            Some((node.metadata.name.clone()?, zone.clone()))
        })
        .collect()
}

fn pod_changed(queue: &Queue<ObjectKey>, services: &Cache<Service>, delta: &Delta<Pod>) {
    if let (Some(old), Some(new)) = (&delta.old, &delta.new)
        && face(old) == face(new)
    {
        return;
    }
    let namespace = delta
        .latest()
        .metadata
        .namespace
        .clone()
        .unwrap_or_default();
    for service in services.in_namespace(&namespace) {
        let Some(selector) = service
            .spec
            .as_ref()
            .and_then(|spec| spec.selector.as_ref())
        else {
            continue;
        };
        let selected = delta
            .states()
            .any(|pod| selector_map_matches(selector, pod.metadata.labels.as_ref()));
        if selected {
            queue.add_after(key_of(&service.metadata), GATHER);
        }
    }
}

/// All of a pod that shows in a slice.
fn face(pod: &Pod) -> impl PartialEq + use<> {
    let status = pod.status.as_ref();
    (
        pod.metadata.labels.clone(),
        pod.metadata.deletion_timestamp.is_some(),
        status.and_then(|status| status.pod_ip.clone()),
        status.and_then(|status| status.phase.clone()),
        pod.spec.as_ref().and_then(|spec| spec.node_name.clone()),
        pod_is_ready(pod),
    )
}
