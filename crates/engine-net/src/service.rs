//! Services and their endpoints as addresses; pure.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointSlice};

const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// What Kubernetes takes where a Service does not say how long.
const AFFINITY: Duration = Duration::from_hours(3);

/// Namespace and name.
pub(crate) type ServiceName = (String, String);

/// Who answers on one port of a Service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Backends {
    pub(crate) ready: Vec<SocketAddr>,
    /// Not ready any more but still answering: better than nobody.
    pub(crate) draining: Vec<SocketAddr>,
    /// How long a client stays with the endpoint it was led to, if it does.
    pub(crate) affinity: Option<Duration>,
}

impl Backends {
    /// The addresses to use now: the ready ones, or with none those that drain.
    pub(crate) fn usable(&self) -> &[SocketAddr] {
        if self.ready.is_empty() {
            &self.draining
        } else {
            &self.ready
        }
    }
}

/// All ports of all Services with who answers there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Services {
    /// By Service and port number of the Service.
    ports: BTreeMap<(ServiceName, i32), Arc<Backends>>,
    /// Port numbers by name.
    names: BTreeMap<(ServiceName, String), i32>,
    /// TCP addresses to listen on: inside the ground, or for node ports on the
    /// host's loopback.
    pub(crate) fronts: BTreeMap<SocketAddr, Backends>,
    /// The same for UDP.
    pub(crate) udp_fronts: BTreeMap<SocketAddr, Backends>,
    /// What was asked for and is not done, by Service.
    pub(crate) unsupported: BTreeMap<ServiceName, Vec<String>>,
}

impl Services {
    /// Reads the addresses off the objects. `dns` is served by the DNS itself.
    pub(crate) fn new(
        services: &[Arc<Service>],
        slices: &[Arc<EndpointSlice>],
        dns: Ipv4Addr,
    ) -> Self {
        let mut by_service: BTreeMap<ServiceName, Vec<&EndpointSlice>> = BTreeMap::new();
        for slice in slices {
            if let Some(name) = service_of(slice) {
                by_service.entry(name).or_default().push(slice);
            }
        }
        let mut all = Self::default();
        for service in services {
            let name = name_of(service);
            let slices = by_service.get(&name).map(Vec::as_slice).unwrap_or_default();
            all.add(service, &name, slices, dns);
        }
        all
    }

    fn add(
        &mut self,
        service: &Service,
        name: &ServiceName,
        slices: &[&EndpointSlice],
        dns: Ipv4Addr,
    ) {
        let Some(spec) = &service.spec else { return };
        let address = cluster_ip(service);
        for port in spec.ports.iter().flatten() {
            let mut backends = backends(port, slices);
            backends.affinity = affinity(spec);
            if let Some(port_name) = &port.name {
                self.names
                    .insert((name.clone(), port_name.clone()), port.port);
            }
            let protocol = port.protocol.as_deref().unwrap_or("TCP");
            let cluster = address.and_then(|address| socket(address.into(), port.port));
            let fronts = match protocol {
                "TCP" => &mut self.fronts,
                "UDP" => &mut self.udp_fronts,
                other => {
                    let what = format!("port {}: protocol {other}", port.port);
                    self.note(name, what);
                    continue;
                }
            };
            // The DNS answers by itself, as does whoever names itself as endpoint.
            if let Some(front) = cluster
                && !backends.ready.contains(&front)
                && address != Some(dns)
            {
                fronts.insert(front, backends.clone());
            }
            let node_port = port.node_port.filter(|port| *port > 0);
            if let Some(front) = node_port.and_then(|port| socket(Ipv4Addr::LOCALHOST.into(), port))
            {
                fronts.insert(front, backends.clone());
            }
            if protocol == "TCP" {
                self.ports
                    .insert((name.clone(), port.port), Arc::new(backends));
            }
        }
        if spec.type_.as_deref() == Some("LoadBalancer") {
            let what =
                "type LoadBalancer: there is none; its node ports answer on the host's loopback";
            self.note(name, what.to_owned());
        }
    }

    fn note(&mut self, name: &ServiceName, what: String) {
        self.unsupported.entry(name.clone()).or_default().push(what);
    }

    /// The endpoints of a Service's port.
    pub(crate) fn backends(&self, port: &(ServiceName, i32)) -> Option<&Arc<Backends>> {
        self.ports.get(port)
    }

    /// The number of a Service's port by its name.
    pub(crate) fn port_number(&self, service: &ServiceName, name: &str) -> Option<i32> {
        self.names.get(&(service.clone(), name.to_owned())).copied()
    }
}

pub(crate) fn name_of(service: &Service) -> ServiceName {
    (
        service.metadata.namespace.clone().unwrap_or_default(),
        service.metadata.name.clone().unwrap_or_default(),
    )
}

/// The Service a slice belongs to.
pub(crate) fn service_of(slice: &EndpointSlice) -> Option<ServiceName> {
    let name = slice.metadata.labels.as_ref()?.get(SERVICE_NAME)?;
    Some((slice.metadata.namespace.clone()?, name.clone()))
}

/// The address of a Service; none for headless ones and aliases.
pub(crate) fn cluster_ip(service: &Service) -> Option<Ipv4Addr> {
    let spec = service.spec.as_ref()?;
    if spec.type_.as_deref() == Some("ExternalName") {
        return None;
    }
    spec.cluster_ip.as_ref()?.parse().ok()
}

pub(crate) fn is_headless(service: &Service) -> bool {
    service
        .spec
        .as_ref()
        .and_then(|spec| spec.cluster_ip.as_deref())
        == Some("None")
}

/// Whether an endpoint may get new connections; absent means yes.
pub(crate) fn is_ready(endpoint: &Endpoint) -> bool {
    endpoint
        .conditions
        .as_ref()
        .and_then(|conditions| conditions.ready)
        .unwrap_or(true)
}

fn is_draining(endpoint: &Endpoint) -> bool {
    endpoint.conditions.as_ref().is_some_and(|conditions| {
        conditions.serving.unwrap_or(false) && conditions.terminating.unwrap_or(false)
    })
}

/// How long clients stay with their endpoint, if the Service wants that.
fn affinity(spec: &ServiceSpec) -> Option<Duration> {
    if spec.session_affinity.as_deref() != Some("ClientIP") {
        return None;
    }
    let config = spec.session_affinity_config.as_ref();
    let seconds = config
        .and_then(|config| config.client_ip.as_ref()?.timeout_seconds)
        .and_then(|seconds| u64::try_from(seconds).ok());
    Some(seconds.map_or(AFFINITY, Duration::from_secs))
}

fn backends(port: &ServicePort, slices: &[&EndpointSlice]) -> Backends {
    let wanted = port.name.as_deref().unwrap_or_default();
    let protocol = port.protocol.as_deref().unwrap_or("TCP");
    let mut backends = Backends::default();
    for slice in slices {
        let number = slice.ports.iter().flatten().find(|candidate| {
            candidate.name.as_deref().unwrap_or_default() == wanted
                && candidate.protocol.as_deref().unwrap_or("TCP") == protocol
        });
        let Some(number) = number.and_then(|port| port.port) else {
            continue;
        };
        for endpoint in slice.endpoints.iter().flatten() {
            let addresses = endpoint
                .addresses
                .iter()
                .filter_map(|address| socket(address.parse().ok()?, number));
            if is_ready(endpoint) {
                backends.ready.extend(addresses);
            } else if is_draining(endpoint) {
                backends.draining.extend(addresses);
            }
        }
    }
    backends.ready.sort_unstable();
    backends.ready.dedup();
    backends.draining.sort_unstable();
    backends.draining.dedup();
    backends
}

fn socket(address: IpAddr, port: i32) -> Option<SocketAddr> {
    Some(SocketAddr::new(address, u16::try_from(port).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn objects(service: &Value, endpoints: &Value) -> (Vec<Arc<Service>>, Vec<Arc<EndpointSlice>>) {
        let service = json!({"metadata": {"name": "web", "namespace": "dev"}, "spec": service});
        let slice = json!({
            "metadata": {"name": "web-1", "namespace": "dev", "labels": {SERVICE_NAME: "web"}},
            "addressType": "IPv4",
            "endpoints": endpoints,
            "ports": [{"name": "http", "port": 8080}],
        });
        (
            vec![Arc::new(serde_json::from_value(service).unwrap())],
            vec![Arc::new(serde_json::from_value(slice).unwrap())],
        )
    }

    /// The one place that builds the table: fronts with who is used behind them.
    #[track_caller]
    fn check(service: &Value, endpoints: &Value, expected: &[&str]) {
        let (services, slices) = objects(service, endpoints);
        let table = Services::new(&services, &slices, Ipv4Addr::new(10, 96, 0, 10));
        let fronts: Vec<String> = table
            .fronts
            .iter()
            .map(|(front, backends)| {
                let usable: Vec<String> =
                    backends.usable().iter().map(ToString::to_string).collect();
                format!("{front} -> {}", usable.join(" "))
                    .trim_end()
                    .to_owned()
            })
            .collect();
        assert_eq!(fronts, expected);
    }

    fn endpoint(address: &str, ready: bool, serving: bool, terminating: bool) -> Value {
        json!({"addresses": [address],
            "conditions": {"ready": ready, "serving": serving, "terminating": terminating}})
    }

    fn port() -> Value {
        json!({"clusterIP": "10.96.0.7", "ports": [{"name": "http", "port": 80, "targetPort": "http"}]})
    }

    #[test]
    fn ready_endpoints_are_used_and_others_not() {
        let endpoints = json!([
            endpoint("10.244.0.3", true, true, false),
            endpoint("10.244.0.2", true, true, false),
            endpoint("10.244.0.4", false, false, false),
            endpoint("10.244.0.5", false, true, true),
        ]);
        check(
            &port(),
            &endpoints,
            &["10.96.0.7:80 -> 10.244.0.2:8080 10.244.0.3:8080"],
        );
    }

    #[test]
    fn draining_endpoints_are_better_than_none() {
        check(
            &port(),
            &json!([endpoint("10.244.0.5", false, true, true)]),
            &["10.96.0.7:80 -> 10.244.0.5:8080"],
        );
        check(
            &port(),
            &json!([endpoint("10.244.0.5", false, false, true)]),
            &["10.96.0.7:80 ->"],
        );
    }

    #[test]
    fn a_service_that_answers_by_itself_has_no_front() {
        let service = json!({"clusterIP": "10.96.0.1", "ports": [{"name": "http", "port": 8080}]});
        check(
            &service,
            &json!([endpoint("10.96.0.1", true, true, false)]),
            &[],
        );
    }

    #[test]
    fn headless_services_aliases_and_the_dns_have_no_front() {
        let endpoints = json!([endpoint("10.244.0.2", true, true, false)]);
        check(
            &json!({"clusterIP": "None", "ports": [{"name": "http", "port": 80}]}),
            &endpoints,
            &[],
        );
        check(
            &json!({"type": "ExternalName", "externalName": "example.com"}),
            &endpoints,
            &[],
        );
        check(
            &json!({"clusterIP": "10.96.0.10", "ports": [{"name": "http", "port": 53}]}),
            &endpoints,
            &[],
        );
    }

    #[test]
    fn node_ports_are_on_the_hosts_loopback() {
        let service = json!({"clusterIP": "10.96.0.7", "type": "NodePort",
            "ports": [{"name": "http", "port": 80, "nodePort": 30080}]});
        check(
            &service,
            &json!([endpoint("10.244.0.2", true, true, false)]),
            &[
                "10.96.0.7:80 -> 10.244.0.2:8080",
                "127.0.0.1:30080 -> 10.244.0.2:8080",
            ],
        );
    }

    #[test]
    fn affinity_and_udp_are_kept_with_the_front() {
        let service = json!({"clusterIP": "10.96.0.7", "sessionAffinity": "ClientIP",
            "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 60}},
            "ports": [{"name": "http", "port": 80}, {"name": "log", "port": 514, "protocol": "UDP"}]});
        let (services, slices) = objects(&service, &json!([]));
        let table = Services::new(&services, &slices, Ipv4Addr::LOCALHOST);
        let front = |port: u16| SocketAddr::from(([10, 96, 0, 7], port));
        let affinity = Some(Duration::from_mins(1));
        assert_eq!(table.fronts[&front(80)].affinity, affinity);
        assert!(table.udp_fronts.contains_key(&front(514)));
        assert_eq!(table.unsupported, BTreeMap::new());
    }

    #[test]
    fn what_is_not_done_is_named() {
        let service = json!({"clusterIP": "10.96.0.7", "type": "LoadBalancer",
            "ports": [{"name": "http", "port": 80, "protocol": "SCTP"}]});
        let (services, slices) = objects(&service, &json!([]));
        let table = Services::new(&services, &slices, Ipv4Addr::LOCALHOST);
        let name = ("dev".to_owned(), "web".to_owned());
        let named = &table.unsupported[&name];
        assert_eq!(named[0], "port 80: protocol SCTP");
        assert!(named[1].starts_with("type LoadBalancer"), "{named:?}");
    }
}
