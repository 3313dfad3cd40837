//! Rules of services and ingresses.

use crate::assess::{Context, Related};
use crate::object::{Object, age};
use crate::state::{Health, State};

pub(crate) fn service(object: Object<'_>, context: &Context<'_>) -> Health {
    let kind = object.text("/spec/type").unwrap_or("ClusterIP");
    let address = object.text("/spec/clusterIP").unwrap_or_default();
    if kind == "ExternalName" || address == "None" {
        return Health::current();
    }
    if address.is_empty() {
        return Health::new(
            State::InProgress,
            object.cause("NoAddress", "no cluster address is assigned yet"),
        );
    }
    if kind == "LoadBalancer" && !has_address(object) {
        let late = age(context.since, context.now) >= context.options.load_balancer_after;
        let state = if late {
            State::Degraded
        } else {
            State::InProgress
        };
        return Health::new(
            state,
            object.cause("NoLoadBalancer", "the load balancer has no address yet"),
        );
    }
    Health::current()
}

/// Whether a load balancer published at least one address or host name.
fn has_address(object: Object<'_>) -> bool {
    object
        .list("/status/loadBalancer/ingress")
        .iter()
        .map(Object)
        .any(|entry| entry.text("/ip").is_some() || entry.text("/hostname").is_some())
}

pub(crate) fn ingress(object: Object<'_>, related: Related<'_>) -> Health {
    let class = object.text("/spec/ingressClassName");
    if let Some(class) = class.filter(|class| related.is_absent("IngressClass", class)) {
        let message = format!("ingress class `{class}` does not exist");
        return Health::new(State::Degraded, object.cause("NoIngressClass", message));
    }
    if let Some(backend) = backends(object)
        .into_iter()
        .find(|name| related.is_absent("Service", name))
    {
        let message = format!("backend service `{backend}` does not exist");
        return Health::new(State::Degraded, object.cause("NoBackend", message));
    }
    if has_address(object) {
        return Health::current();
    }
    // Some controllers never publish an address; only if this one did for a
    // neighbour is it worth waiting for.
    let publishes = related.of_kind("Ingress").any(|other| {
        other.uid() != object.uid()
            && other.text("/spec/ingressClassName") == class
            && has_address(other)
    });
    if publishes {
        return Health::new(
            State::InProgress,
            object.cause(
                "NoAddress",
                "its controller has not published an address yet",
            ),
        );
    }
    Health::current()
}

fn backends(object: Object<'_>) -> Vec<&str> {
    let paths = object
        .list("/spec/rules")
        .iter()
        .map(Object)
        .flat_map(|rule| rule.list("/http/paths"));
    let of_rules = paths
        .map(Object)
        .filter_map(|path| path.text("/backend/service/name"));
    object
        .text("/spec/defaultBackend/service/name")
        .into_iter()
        .chain(of_rules)
        .collect()
}
