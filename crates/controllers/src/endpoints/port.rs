//! Ports of a Service as one pod serves them, and names for slices.

use std::hash::Hasher;

use k8s_openapi::api::core::v1::{Pod, Service, ServicePort};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::Ports;

/// Returns the ports, with target ports by name looked up in the pod.
///
/// A port whose name the pod does not have is left out: nobody could answer there.
pub(super) fn resolve(service: &Service, pod: &Pod) -> Ports {
    let mut ports: Ports = service
        .spec
        .iter()
        .flat_map(|spec| spec.ports.iter().flatten())
        .filter_map(|port| {
            let protocol = port.protocol.clone().unwrap_or_else(|| "TCP".to_owned());
            let number = number(port, &protocol, pod)?;
            Some((
                port.name.clone().unwrap_or_default(),
                number,
                protocol,
                port.app_protocol.clone(),
            ))
        })
        .collect();
    ports.sort();
    ports
}

fn number(port: &ServicePort, protocol: &str, pod: &Pod) -> Option<i32> {
    match &port.target_port {
        None | Some(IntOrString::Int(0)) => Some(port.port),
        Some(IntOrString::Int(number)) => Some(*number),
        Some(IntOrString::String(name)) => pod
            .spec
            .as_ref()?
            .containers
            .iter()
            .flat_map(|container| container.ports.iter().flatten())
            .find(|candidate| {
                candidate.name.as_deref() == Some(name)
                    && candidate.protocol.as_deref().unwrap_or("TCP") == protocol
            })
            .map(|candidate| candidate.container_port),
    }
}

/// Returns five letters that depend on nothing but the arguments.
pub(super) fn suffix(service_uid: &str, ports: &Ports, attempt: u32) -> String {
    const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
    let mut hasher = Fnv(0xcbf2_9ce4_8422_2325);
    hasher.write(service_uid.as_bytes());
    hasher.write(format!("{ports:?}").as_bytes());
    hasher.write(&attempt.to_le_bytes());
    let mut hash = hasher.finish();
    let mut suffix = String::new();
    for _ in 0..5 {
        let index = usize::try_from(hash % 27).expect("a remainder below 27 fits");
        suffix.push(char::from(ALPHABET[index]));
        hash /= 27;
    }
    suffix
}

/// FNV-1a: the standard library's hasher may change between releases.
struct Fnv(u64);

impl Hasher for Fnv {
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
