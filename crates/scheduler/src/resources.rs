//! What pods ask for and nodes have to give, by resource name.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, Node, Pod};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use crate::quantity;

/// Thousandths of each resource.
pub(crate) type Amounts = BTreeMap<String, i128>;

pub(crate) const CPU: &str = "cpu";
pub(crate) const MEMORY: &str = "memory";

/// What a pod without requests is taken to use when nodes are compared:
/// otherwise any number of them would look free.
const TYPICAL: [(&str, i128); 2] = [(CPU, 100), (MEMORY, 200 * 1024 * 1024 * 1000)];

/// Returns what the pod reserves: the sum of its containers or the biggest
/// moment of its start, and what the runtime adds.
pub(crate) fn requests(pod: &Pod) -> Amounts {
    let Some(spec) = &pod.spec else {
        return Amounts::new();
    };
    let mut running = Amounts::new();
    for container in &spec.containers {
        add(&mut running, &container_requests(container));
    }
    let mut sidecars = Amounts::new();
    let mut peak = Amounts::new();
    for container in spec.init_containers.iter().flatten() {
        let own = container_requests(container);
        if container.restart_policy.as_deref() == Some("Always") {
            add(&mut sidecars, &own);
            raise(&mut peak, &sidecars);
        } else {
            let mut moment = sidecars.clone();
            add(&mut moment, &own);
            raise(&mut peak, &moment);
        }
    }
    add(&mut running, &sidecars);
    raise(&mut running, &peak);
    if let Some(requests) = spec
        .resources
        .as_ref()
        .and_then(|resources| resources.requests.as_ref())
    {
        running.extend(amounts(requests));
    }
    if let Some(overhead) = &spec.overhead {
        add(&mut running, &amounts(overhead));
    }
    running
}

/// Like [`requests`], with something for pods that ask for nothing.
pub(crate) fn typical(requests: &Amounts) -> Amounts {
    TYPICAL
        .iter()
        .map(|&(name, least)| {
            (
                name.to_owned(),
                requests
                    .get(name)
                    .copied()
                    .filter(|&some| some > 0)
                    .unwrap_or(least),
            )
        })
        .collect()
}

pub(crate) fn allocatable(node: &Node) -> Amounts {
    node.status
        .as_ref()
        .and_then(|status| status.allocatable.as_ref())
        .map(amounts)
        .unwrap_or_default()
}

pub(crate) fn add(sum: &mut Amounts, more: &Amounts) {
    for (name, amount) in more {
        *sum.entry(name.clone()).or_default() += amount;
    }
}

pub(crate) fn subtract(sum: &mut Amounts, less: &Amounts) {
    for (name, amount) in less {
        *sum.entry(name.clone()).or_default() -= amount;
    }
}

fn raise(most: &mut Amounts, other: &Amounts) {
    for (name, amount) in other {
        let known = most.entry(name.clone()).or_default();
        *known = (*known).max(*amount);
    }
}

fn container_requests(container: &Container) -> Amounts {
    container
        .resources
        .as_ref()
        .and_then(|resources| resources.requests.as_ref())
        .map(amounts)
        .unwrap_or_default()
}

/// The API accepts only quantities, so one that does not parse counts as nothing.
fn amounts(quantities: &BTreeMap<String, Quantity>) -> Amounts {
    quantities
        .iter()
        .map(|(name, quantity)| (name.clone(), quantity::milli(&quantity.0).unwrap_or(0)))
        .collect()
}
