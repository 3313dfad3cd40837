//! The variables by which programs older than cluster DNS find services.

use std::collections::BTreeMap;

use super::Sources;

/// Variables older programs find services by.
pub(super) fn variables(sources: &Sources, links: bool) -> BTreeMap<String, String> {
    let mut result = BTreeMap::new();
    let linked = sources.services.iter().filter(|_| links);
    for service in linked.chain(&sources.api) {
        let Some(spec) = &service.spec else { continue };
        let address = spec.cluster_ip.as_deref().unwrap_or("None");
        let Some(first) = spec.ports.as_ref().and_then(|ports| ports.first()) else {
            continue;
        };
        if address == "None" || address.is_empty() {
            continue;
        }
        let prefix = service
            .metadata
            .name
            .as_deref()
            .unwrap_or_default()
            .to_uppercase()
            .replace('-', "_");
        result.insert(format!("{prefix}_SERVICE_HOST"), address.to_owned());
        result.insert(format!("{prefix}_SERVICE_PORT"), first.port.to_string());
        let protocol = |port: &k8s_openapi::api::core::v1::ServicePort| {
            port.protocol
                .clone()
                .unwrap_or_else(|| "TCP".to_owned())
                .to_lowercase()
        };
        result.insert(
            format!("{prefix}_PORT"),
            format!("{}://{address}:{}", protocol(first), first.port),
        );
        for port in spec.ports.iter().flatten() {
            if let Some(name) = &port.name {
                let name = name.to_uppercase().replace('-', "_");
                result.insert(
                    format!("{prefix}_SERVICE_PORT_{name}"),
                    port.port.to_string(),
                );
            }
            let protocol = protocol(port);
            let stem = format!("{prefix}_PORT_{}_{}", port.port, protocol.to_uppercase());
            result.insert(
                stem.clone(),
                format!("{protocol}://{address}:{}", port.port),
            );
            result.insert(format!("{stem}_PROTO"), protocol);
            result.insert(format!("{stem}_PORT"), port.port.to_string());
            result.insert(format!("{stem}_ADDR"), address.to_owned());
        }
    }
    result
}
