//! What a Service with a selector asks for: `EndpointSlices` of its pods.

mod port;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointConditions, EndpointPort, EndpointSlice};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::change::{Change, name, reference, uid};
use crate::ownership::controller_reference;
use crate::{pod, selector};

/// The label that leads from a slice to its Service.
pub const SERVICE_NAME: &str = "kubernetes.io/service-name";
/// The label that says who writes a slice.
pub const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
/// The value of [`MANAGED_BY`] on slices written here.
pub const MANAGER: &str = "endpointslice-controller.k8s.io";
const HEADLESS: &str = "service.kubernetes.io/headless";

/// Endpoints in one slice at most.
const SLICE_SIZE: usize = 100;

/// What is known about one Service.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a> {
    pub service: &'a Service,
    /// All pods of its namespace.
    pub pods: &'a [Arc<Pod>],
    /// All slices of its namespace.
    pub slices: &'a [Arc<EndpointSlice>],
    /// `topology.kubernetes.io/zone` of each node that has one.
    pub zones: &'a BTreeMap<String, String>,
}

/// Pods whose named ports resolve alike share slices.
type Ports = Vec<(String, i32, String, Option<String>)>;

/// Returns the changes after which the slices name exactly the selected pods.
pub fn decide(inputs: &Inputs<'_>) -> Vec<Change> {
    let service = inputs.service;
    let Some(spec) = &service.spec else {
        return Vec::new();
    };
    if service.metadata.deletion_timestamp.is_some() {
        return Vec::new();
    }
    let own: Vec<&Arc<EndpointSlice>> = inputs
        .slices
        .iter()
        .filter(|slice| is_own(slice, service))
        .collect();
    let is_external = spec.type_.as_deref() == Some("ExternalName");
    let Some(wanted) = spec
        .selector
        .as_ref()
        .filter(|wanted| !wanted.is_empty() && !is_external)
    else {
        // Slices of a Service that lost its selector are no longer ours to keep.
        return own
            .into_iter()
            .map(|slice| Change::delete(slice.as_ref(), None))
            .collect();
    };

    let mut groups: BTreeMap<Ports, BTreeMap<String, Endpoint>> = BTreeMap::new();
    for pod in inputs
        .pods
        .iter()
        .filter(|pod| selector::matches_map(wanted, pod.metadata.labels.as_ref()))
    {
        if let Some((key, endpoint)) = endpoint(service, pod, inputs.zones) {
            groups
                .entry(port::resolve(service, pod))
                .or_default()
                .insert(key, endpoint);
        }
    }
    if groups.is_empty() {
        // One empty slice says "nobody" where none would say "not decided yet".
        groups.insert(Ports::new(), BTreeMap::new());
    }
    distribute(service, groups, own)
}

/// Fills existing slices before new ones, so that a pod's change touches one slice.
fn distribute(
    service: &Service,
    groups: BTreeMap<Ports, BTreeMap<String, Endpoint>>,
    own: Vec<&Arc<EndpointSlice>>,
) -> Vec<Change> {
    let mut changes = Vec::new();
    let mut taken: Vec<String> = own
        .iter()
        .map(|slice| name(slice.as_ref()).to_owned())
        .collect();
    let mut left = own;
    left.sort_by_key(|slice| name(slice.as_ref()).to_owned());
    for (ports, mut endpoints) in groups {
        let (same, others): (Vec<_>, Vec<_>) =
            left.into_iter().partition(|slice| ports_of(slice) == ports);
        left = others;
        let mut kept: Vec<(&Arc<EndpointSlice>, Vec<Endpoint>)> = same
            .into_iter()
            .map(|slice| {
                let still = slice
                    .endpoints
                    .iter()
                    .flatten()
                    .filter_map(|old| endpoints.remove(&key(old)));
                (slice, still.collect())
            })
            .collect();
        let mut new = endpoints.into_values();
        for (_, content) in &mut kept {
            let room = SLICE_SIZE.saturating_sub(content.len());
            content.extend(new.by_ref().take(room));
        }
        // With no endpoint at all, one empty slice stays (or is created).
        let mut needs_placeholder = kept.iter().all(|(_, content)| content.is_empty());
        for (slice, content) in kept {
            if content.is_empty() && !needs_placeholder {
                changes.push(Change::delete(slice.as_ref(), None));
            } else {
                needs_placeholder &= !content.is_empty();
                changes.extend(rewrite(service, slice, content));
            }
        }
        let rest: Vec<Endpoint> = new.collect();
        let chunks: Vec<Vec<Endpoint>> = if rest.is_empty() && needs_placeholder {
            vec![Vec::new()]
        } else {
            rest.chunks(SLICE_SIZE).map(<[Endpoint]>::to_vec).collect()
        };
        for chunk in chunks {
            let slice = new_slice(service, &ports, chunk, &taken);
            taken.push(name(&slice).to_owned());
            changes.push(Change::create(&slice, None));
        }
    }
    changes.extend(
        left.into_iter()
            .map(|slice| Change::delete(slice.as_ref(), None)),
    );
    changes
}

/// One pod as an endpoint, with the uid that identifies it among them.
fn endpoint(
    service: &Service,
    pod: &Pod,
    zones: &BTreeMap<String, String>,
) -> Option<(String, Endpoint)> {
    let address = pod
        .status
        .as_ref()?
        .pod_ip
        .clone()
        .filter(|address| !address.is_empty())?;
    if pod::is_terminal(pod) {
        return None;
    }
    let spec = pod.spec.as_ref()?;
    let publish = service
        .spec
        .as_ref()
        .and_then(|spec| spec.publish_not_ready_addresses)
        == Some(true);
    let serving = pod::is_ready(pod);
    let terminating = pod.metadata.deletion_timestamp.is_some();
    let node = spec.node_name.clone().filter(|node| !node.is_empty());
    let mut target = reference(pod);
    target.api_version = None;
    target.resource_version = None;
    let endpoint = Endpoint {
        addresses: vec![address],
        conditions: Some(EndpointConditions {
            ready: Some(publish || (serving && !terminating)),
            serving: Some(publish || serving),
            terminating: Some(terminating),
        }),
        hostname: spec
            .hostname
            .clone()
            .filter(|host| !host.is_empty() && spec.subdomain.as_deref() == Some(name(service))),
        zone: node.as_ref().and_then(|node| zones.get(node)).cloned(),
        node_name: node,
        target_ref: Some(target),
        ..Endpoint::default()
    };
    Some((uid(pod).to_owned(), endpoint))
}

fn key(endpoint: &Endpoint) -> String {
    endpoint
        .target_ref
        .as_ref()
        .and_then(|target| target.uid.clone())
        .unwrap_or_default()
}

fn is_own(slice: &EndpointSlice, service: &Service) -> bool {
    let label = |key| {
        slice
            .metadata
            .labels
            .as_ref()
            .and_then(|labels| labels.get(key))
            .map(String::as_str)
    };
    label(SERVICE_NAME) == Some(name(service))
        && label(MANAGED_BY) == Some(MANAGER)
        && slice.metadata.deletion_timestamp.is_none()
}

fn ports_of(slice: &EndpointSlice) -> Ports {
    slice
        .ports
        .iter()
        .flatten()
        .map(|port| {
            let text = |value: &Option<String>, default: &str| {
                value.clone().unwrap_or_else(|| default.to_owned())
            };
            (
                text(&port.name, ""),
                port.port.unwrap_or(0),
                text(&port.protocol, "TCP"),
                port.app_protocol.clone(),
            )
        })
        .collect()
}

fn rewrite(
    service: &Service,
    slice: &EndpointSlice,
    mut endpoints: Vec<Endpoint>,
) -> Option<Change> {
    let mut wanted = slice.clone();
    endpoints.sort_by_key(key);
    let mut before = slice.endpoints.clone().unwrap_or_default();
    before.sort_by_key(key);
    if before != endpoints {
        wanted.endpoints = Some(endpoints);
    }
    wanted.metadata.labels = Some(labels(service));
    Change::update(slice, &wanted)
}

/// The labels of the Service, and those that lead back to it.
fn labels(service: &Service) -> BTreeMap<String, String> {
    let mut labels = service.metadata.labels.clone().unwrap_or_default();
    labels.insert(SERVICE_NAME.to_owned(), name(service).to_owned());
    labels.insert(MANAGED_BY.to_owned(), MANAGER.to_owned());
    if service
        .spec
        .as_ref()
        .and_then(|spec| spec.cluster_ip.as_deref())
        == Some("None")
    {
        labels.insert(HEADLESS.to_owned(), String::new());
    } else {
        labels.remove(HEADLESS);
    }
    labels
}

/// The name follows from the Service and a counter, so that a decision made
/// twice from a stale cache asks for the same slice and is refused.
fn new_slice(
    service: &Service,
    ports: &Ports,
    mut endpoints: Vec<Endpoint>,
    taken: &[String],
) -> EndpointSlice {
    let name = (0..=u32::MAX)
        .map(|attempt| {
            format!(
                "{}-{}",
                name(service),
                port::suffix(uid(service), ports, attempt)
            )
        })
        .find(|name| !taken.contains(name))
        .expect("a service has fewer slices than there are attempts");
    endpoints.sort_by_key(key);
    EndpointSlice {
        metadata: ObjectMeta {
            name: Some(name),
            namespace: service.metadata.namespace.clone(),
            labels: Some(labels(service)),
            owner_references: Some(vec![controller_reference(service)]),
            ..ObjectMeta::default()
        },
        address_type: "IPv4".to_owned(),
        endpoints: Some(endpoints),
        ports: Some(
            ports
                .iter()
                .map(|(name, port, protocol, app_protocol)| EndpointPort {
                    name: Some(name.clone()),
                    port: Some(*port),
                    protocol: Some(protocol.clone()),
                    app_protocol: app_protocol.clone(),
                })
                .collect(),
        ),
    }
}
