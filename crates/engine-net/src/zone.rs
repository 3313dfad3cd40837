//! The names of the cluster domain and what they stand for; pure.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;

use crate::service::{ServiceName, cluster_ip, is_headless, is_ready, name_of, service_of};

/// The domain of every cluster here.
pub(crate) const DOMAIN: &str = "cluster.local";

/// What one name stands for. Names are lower case, without the last dot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) addresses: BTreeSet<Ipv4Addr>,
    /// Port and target name.
    pub(crate) services: BTreeSet<(u16, String)>,
    pub(crate) alias: Option<String>,
}

/// All names, including those that only lead to others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Zone {
    entries: BTreeMap<String, Entry>,
}

impl Zone {
    pub(crate) fn new(services: &[Arc<Service>], slices: &[Arc<EndpointSlice>]) -> Self {
        let mut by_service: BTreeMap<ServiceName, Vec<&EndpointSlice>> = BTreeMap::new();
        for slice in slices {
            if let Some(name) = service_of(slice) {
                by_service.entry(name).or_default().push(slice);
            }
        }
        let mut zone = Self::default();
        zone.entry(&format!("svc.{DOMAIN}"));
        for service in services {
            let name = name_of(service);
            let slices = by_service.get(&name).map(Vec::as_slice).unwrap_or_default();
            zone.add(service, &name, slices);
        }
        zone
    }

    /// What a name stands for; none if it does not exist.
    pub(crate) fn get(&self, name: &str) -> Option<&Entry> {
        self.entries.get(name)
    }

    fn add(
        &mut self,
        service: &Service,
        (namespace, name): &ServiceName,
        slices: &[&EndpointSlice],
    ) {
        let Some(spec) = &service.spec else { return };
        let base = format!("{name}.{namespace}.svc.{DOMAIN}");
        if spec.type_.as_deref() == Some("ExternalName") {
            let target = spec.external_name.clone().unwrap_or_default();
            self.entry(&base).alias = Some(target.trim_end_matches('.').to_lowercase());
        } else if is_headless(service) {
            self.add_headless(&base, slices);
        } else if let Some(address) = cluster_ip(service) {
            self.entry(&base).addresses.insert(address);
            for port in spec.ports.iter().flatten() {
                if let (Some(name), Ok(number)) = (&port.name, u16::try_from(port.port)) {
                    let protocol = port.protocol.as_deref().unwrap_or("TCP").to_lowercase();
                    let owner = format!("_{}._{protocol}.{base}", name.to_lowercase());
                    self.entry(&owner).services.insert((number, base.clone()));
                }
            }
        }
    }

    /// A headless Service is its pods: one name each, all together under its own.
    fn add_headless(&mut self, base: &str, slices: &[&EndpointSlice]) {
        self.entry(base);
        for slice in slices {
            for endpoint in slice
                .endpoints
                .iter()
                .flatten()
                .filter(|endpoint| is_ready(endpoint))
            {
                for address in &endpoint.addresses {
                    let Ok(IpAddr::V4(address)) = address.parse() else {
                        continue;
                    };
                    let host = endpoint
                        .hostname
                        .clone()
                        .unwrap_or_else(|| address.to_string().replace('.', "-"))
                        .to_lowercase();
                    let own = format!("{host}.{base}");
                    self.entry(base).addresses.insert(address);
                    self.entry(&own).addresses.insert(address);
                    for port in slice.ports.iter().flatten() {
                        let name = port.name.as_deref().filter(|name| !name.is_empty());
                        let number = port.port.and_then(|port| u16::try_from(port).ok());
                        if let (Some(name), Some(number)) = (name, number) {
                            let protocol = port.protocol.as_deref().unwrap_or("TCP").to_lowercase();
                            let owner = format!("_{}._{protocol}.{base}", name.to_lowercase());
                            self.entry(&owner).services.insert((number, own.clone()));
                        }
                    }
                }
            }
        }
    }

    /// Returns the entry; the names above it exist from then on too.
    fn entry(&mut self, name: &str) -> &mut Entry {
        let name = name.to_lowercase();
        let mut above = name.as_str();
        while let Some((_, parent)) = above.split_once('.') {
            if above == DOMAIN {
                break;
            }
            self.entries.entry(parent.to_owned()).or_default();
            above = parent;
        }
        self.entries.entry(name).or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn zone(service: &Value) -> Zone {
        let service = json!({"metadata": {"name": "web", "namespace": "dev"}, "spec": service});
        let slice = json!({
            "metadata": {"name": "web-1", "namespace": "dev", "labels": {"kubernetes.io/service-name": "web"}},
            "addressType": "IPv4",
            "endpoints": [
                {"addresses": ["10.244.0.2"], "hostname": "web-0"},
                {"addresses": ["10.244.0.3"]},
                {"addresses": ["10.244.0.4"], "conditions": {"ready": false}},
            ],
            "ports": [{"name": "http", "port": 8080}],
        });
        Zone::new(
            &[Arc::new(serde_json::from_value(service).unwrap())],
            &[Arc::new(serde_json::from_value(slice).unwrap())],
        )
    }

    /// The one place that asks: addresses, then services, then the alias.
    #[track_caller]
    fn check(service: &Value, name: &str, expected: Option<&str>) {
        let zone = zone(service);
        let answer = zone.get(name).map(|entry| {
            let addresses = entry.addresses.iter().map(ToString::to_string);
            let services = entry
                .services
                .iter()
                .map(|(port, target)| format!("{target}:{port}"));
            addresses
                .chain(services)
                .chain(entry.alias.clone())
                .collect::<Vec<_>>()
                .join(" ")
        });
        assert_eq!(answer.as_deref(), expected, "{name}");
    }

    fn plain() -> Value {
        json!({"clusterIP": "10.96.0.7", "ports": [{"name": "http", "port": 80}]})
    }

    #[test]
    fn a_service_stands_for_its_address() {
        check(&plain(), "web.dev.svc.cluster.local", Some("10.96.0.7"));
        check(
            &plain(),
            "_http._tcp.web.dev.svc.cluster.local",
            Some("web.dev.svc.cluster.local:80"),
        );
    }

    #[test]
    fn names_above_a_service_exist_and_others_do_not() {
        check(&plain(), "dev.svc.cluster.local", Some(""));
        check(&plain(), "cluster.local", Some(""));
        check(&plain(), "other.svc.cluster.local", None);
        check(&plain(), "api.dev.svc.cluster.local", None);
    }

    #[test]
    fn a_headless_service_is_its_ready_pods() {
        let headless = json!({"clusterIP": "None", "ports": [{"name": "http", "port": 80}]});
        check(
            &headless,
            "web.dev.svc.cluster.local",
            Some("10.244.0.2 10.244.0.3"),
        );
        check(
            &headless,
            "web-0.web.dev.svc.cluster.local",
            Some("10.244.0.2"),
        );
        check(
            &headless,
            "10-244-0-3.web.dev.svc.cluster.local",
            Some("10.244.0.3"),
        );
        check(&headless, "10-244-0-4.web.dev.svc.cluster.local", None);
        check(
            &headless,
            "_http._tcp.web.dev.svc.cluster.local",
            Some("10-244-0-3.web.dev.svc.cluster.local:8080 web-0.web.dev.svc.cluster.local:8080"),
        );
    }

    #[test]
    fn an_external_name_is_an_alias() {
        let alias = json!({"type": "ExternalName", "externalName": "DB.example.com."});
        check(&alias, "web.dev.svc.cluster.local", Some("db.example.com"));
    }
}
