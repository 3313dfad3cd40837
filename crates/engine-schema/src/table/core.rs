//! Rows of the core group but pods.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::selector::labels;
use super::{Shown, or_none, storage};
use crate::convert::convert_event;

pub(super) fn cells(plural: &str, shown: Shown<'_>) -> Option<Vec<Value>> {
    let count = |path: &str| {
        let map = shown.at(path).and_then(Value::as_object);
        map.map_or(0, Map::len)
    };
    Some(match plural {
        "namespaces" => vec![
            shown.name(),
            json!(shown.text("/status/phase")),
            shown.age(),
        ],
        "secrets" => vec![
            shown.name(),
            json!(shown.text("/type")),
            json!(count("/data")),
            shown.age(),
        ],
        "configmaps" => vec![
            shown.name(),
            json!(count("/data") + count("/binaryData")),
            shown.age(),
        ],
        "serviceaccounts" => vec![shown.name(), shown.age()],
        "services" => service(shown),
        "nodes" => node(shown),
        "events" => event(shown),
        "endpoints" => vec![shown.name(), json!(endpoints(shown)), shown.age()],
        "persistentvolumes" => storage::volume(shown),
        "persistentvolumeclaims" => storage::claim(shown),
        _ => return None,
    })
}

fn service(shown: Shown<'_>) -> Vec<Value> {
    let kind = shown.text("/spec/type");
    let cluster = shown
        .list("/spec/clusterIPs")
        .first()
        .and_then(Value::as_str)
        .unwrap_or("<none>");
    let ports: Vec<String> = shown
        .list("/spec/ports")
        .iter()
        .map(|port| {
            let (number, protocol) = (&port["port"], port["protocol"].as_str().unwrap_or_default());
            match port["nodePort"].as_i64().filter(|port| *port > 0) {
                Some(node) => format!("{number}:{node}/{protocol}"),
                None => format!("{number}/{protocol}"),
            }
        })
        .collect();
    let mut selector = labels(shown.object["spec"]["selector"].as_object());
    if selector.is_empty() {
        "<none>".clone_into(&mut selector);
    }
    vec![
        shown.name(),
        json!(kind),
        json!(cluster),
        json!(external_address(kind, shown)),
        json!(or_none(&ports.join(","))),
        shown.age(),
        json!(selector),
    ]
}

fn external_address(kind: &str, shown: Shown<'_>) -> String {
    let external: Vec<&str> = shown
        .list("/spec/externalIPs")
        .iter()
        .filter_map(Value::as_str)
        .collect();
    match kind {
        "ClusterIP" | "NodePort" => or_none(&external.join(",")).to_owned(),
        "LoadBalancer" => {
            let mut addresses = load_balancer(shown);
            addresses.extend(external.into_iter().map(str::to_owned));
            if addresses.is_empty() {
                "<pending>".to_owned()
            } else {
                addresses.join(",")
            }
        }
        "ExternalName" => shown.text("/spec/externalName").to_owned(),
        _ => "<unknown>".to_owned(),
    }
}

/// Addresses or names a load balancer has, sorted.
pub(super) fn load_balancer(shown: Shown<'_>) -> Vec<String> {
    let address = |ingress: &Value| {
        ["ip", "hostname"]
            .iter()
            .filter_map(|field| ingress[*field].as_str())
            .find(|text| !text.is_empty())
            .map(str::to_owned)
    };
    let sorted: BTreeSet<String> = shown
        .list("/status/loadBalancer/ingress")
        .iter()
        .filter_map(address)
        .collect();
    sorted.into_iter().collect()
}

fn node(shown: Shown<'_>) -> Vec<Value> {
    let ready = shown
        .list("/status/conditions")
        .iter()
        .rev()
        .find(|condition| condition["type"] == "Ready");
    let mut status = match ready.map(|condition| condition["status"] == "True") {
        Some(true) => "Ready",
        Some(false) => "NotReady",
        None => "Unknown",
    }
    .to_owned();
    if shown.object["spec"]["unschedulable"] == true {
        status.push_str(",SchedulingDisabled");
    }
    let mut roles = BTreeSet::new();
    for (key, value) in shown.object["metadata"]["labels"]
        .as_object()
        .into_iter()
        .flatten()
    {
        if let Some(role) = key
            .strip_prefix("node-role.kubernetes.io/")
            .filter(|role| !role.is_empty())
        {
            roles.insert(role);
        } else if key == "kubernetes.io/role" {
            roles.extend(value.as_str().filter(|role| !role.is_empty()));
        }
    }
    let roles: Vec<&str> = roles.into_iter().collect();
    let address = |kind: &str| {
        shown
            .list("/status/addresses")
            .iter()
            .find(|address| address["type"] == kind)
            .and_then(|address| address["address"].as_str())
            .unwrap_or("<none>")
    };
    let info = |field: &str| {
        let text = shown.text(&format!("/status/nodeInfo/{field}"));
        if text.is_empty() { "<unknown>" } else { text }.to_owned()
    };
    let mut kernel = info("kernelVersion");
    let architecture = shown.text("/status/nodeInfo/architecture");
    if !architecture.is_empty() {
        kernel = format!("{kernel} ({architecture})");
    }
    vec![
        shown.name(),
        json!(status),
        json!(or_none(&roles.join(","))),
        shown.age(),
        json!(shown.text("/status/nodeInfo/kubeletVersion")),
        json!(address("InternalIP")),
        json!(address("ExternalIP")),
        json!(info("osImage")),
        json!(kernel),
        json!(info("containerRuntimeVersion")),
    ]
}

/// An `events.k8s.io` event has the row of the same event in the core group.
pub(super) fn converted_event(shown: Shown<'_>) -> Option<Vec<Value>> {
    let mut object = shown.object.clone();
    convert_event(object.as_object_mut()?, true);
    Some(event(Shown {
        object: &object,
        now: shown.now,
    }))
}

fn event(shown: Shown<'_>) -> Vec<Value> {
    let object = shown.object;
    let first = if object["firstTimestamp"].is_null() {
        shown.since(&object["eventTime"])
    } else {
        shown.since(&object["firstTimestamp"])
    };
    let mut last = if object["lastTimestamp"].is_null() {
        first.clone()
    } else {
        shown.since(&object["lastTimestamp"])
    };
    let mut count = shown.number("/count").max(1);
    if let Some(series) = object["series"].as_object() {
        last = shown.since(series.get("lastObservedTime").unwrap_or(&Value::Null));
        count = series
            .get("count")
            .and_then(Value::as_i64)
            .unwrap_or_default();
    }
    let kind = shown.text("/involvedObject/kind").to_lowercase();
    let name = shown.text("/involvedObject/name");
    let target = if name.is_empty() {
        kind
    } else {
        format!("{kind}/{name}")
    };
    let either = |first: &'static str, second: &'static str| {
        let text = shown.text(first);
        if text.is_empty() {
            shown.text(second)
        } else {
            text
        }
    };
    let (component, host) = (
        either("/source/component", "/reportingComponent"),
        either("/source/host", "/reportingInstance"),
    );
    let source = if host.is_empty() {
        component.to_owned()
    } else {
        format!("{component}, {host}")
    };
    vec![
        json!(last),
        json!(shown.text("/type")),
        json!(shown.text("/reason")),
        json!(target),
        json!(shown.text("/involvedObject/fieldPath")),
        json!(source),
        json!(shown.text("/message").trim()),
        json!(first),
        json!(count),
        shown.name(),
    ]
}

fn endpoints(shown: Shown<'_>) -> String {
    let subsets = shown.list("/subsets");
    if subsets.is_empty() {
        return "<none>".to_owned();
    }
    let mut all = Vec::new();
    for subset in subsets {
        let list = |name: &str| subset[name].as_array().map_or(&[][..], Vec::as_slice);
        let addresses = || {
            list("addresses")
                .iter()
                .filter_map(|address| address["ip"].as_str())
        };
        if list("ports").is_empty() {
            all.extend(addresses().map(str::to_owned));
        }
        for port in list("ports") {
            all.extend(addresses().map(|address| {
                if address.contains(':') {
                    format!("[{address}]:{}", port["port"])
                } else {
                    format!("{address}:{}", port["port"])
                }
            }));
        }
    }
    if all.is_empty() {
        String::new()
    } else {
        super::with_more(&all)
    }
}
