//! Rows of networking, discovery, coordination and access control.

use serde_json::{Value, json};

use super::core::load_balancer;
use super::selector::label_selector;
use super::{Shown, or_none, with_more};

pub(super) fn cells(plural: &str, shown: Shown<'_>) -> Option<Vec<Value>> {
    Some(match plural {
        "ingresses" => {
            let class = shown.text("/spec/ingressClassName");
            let ports = if shown.list("/spec/tls").is_empty() {
                "80"
            } else {
                "80, 443"
            };
            vec![
                shown.name(),
                json!(or_none(class)),
                json!(hosts(shown)),
                json!(load_balancer(shown).join(",")),
                json!(ports),
                shown.age(),
            ]
        }
        "ingressclasses" => ingress_class(shown),
        "endpointslices" => {
            let (ports, endpoints) = (discovery_ports(shown), discovery_endpoints(shown));
            vec![
                shown.name(),
                json!(shown.text("/addressType")),
                json!(with_more(&ports)),
                json!(with_more(&endpoints)),
                shown.age(),
            ]
        }
        "leases" => vec![
            shown.name(),
            json!(shown.text("/spec/holderIdentity")),
            shown.age(),
        ],
        "rolebindings" | "clusterrolebindings" => binding(shown),
        "networkpolicies" => {
            let selector = label_selector(&shown.object["spec"]["podSelector"]);
            let selector = selector.unwrap_or_else(|| "<error>".to_owned());
            vec![shown.name(), json!(or_none(&selector)), shown.age()]
        }
        _ => return None,
    })
}

fn hosts(shown: Shown<'_>) -> String {
    let rules = shown.list("/spec/rules");
    let mut found = Vec::new();
    let mut more = false;
    for rule in rules {
        more |= found.len() == 3;
        let host = rule["host"].as_str().unwrap_or_default();
        if !more && !host.is_empty() {
            found.push(host);
        }
    }
    match found.as_slice() {
        [] => "*".to_owned(),
        hosts if more => format!("{} + {} more...", hosts.join(","), rules.len() - 3),
        hosts => hosts.join(","),
    }
}

fn ingress_class(shown: Shown<'_>) -> Vec<Value> {
    let mut name = shown.text("/metadata/name").to_owned();
    if shown.object["metadata"]["annotations"]["ingressclass.kubernetes.io/is-default-class"]
        == "true"
    {
        name.push_str(" (default)");
    }
    let parameters = &shown.object["spec"]["parameters"];
    let word = |field: &str| parameters[field].as_str().unwrap_or_default();
    let parameters = match parameters["apiGroup"].as_str() {
        _ if parameters.is_null() => "<none>".to_owned(),
        Some(group) => format!("{}.{group}/{}", word("kind"), word("name")),
        None => format!("{}/{}", word("kind"), word("name")),
    };
    vec![
        json!(name),
        json!(shown.text("/spec/controller")),
        json!(parameters),
        shown.age(),
    ]
}

fn discovery_ports(shown: Shown<'_>) -> Vec<String> {
    let port = |port: &Value| {
        port["port"]
            .as_i64()
            .map(|number| number.to_string())
            .or_else(|| port["name"].as_str().map(str::to_owned))
            .unwrap_or_else(|| "*".to_owned())
    };
    shown.list("/ports").iter().map(port).collect()
}

fn discovery_endpoints(shown: Shown<'_>) -> Vec<String> {
    shown
        .list("/endpoints")
        .iter()
        .filter_map(|endpoint| endpoint["addresses"].as_array())
        .flatten()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}

fn binding(shown: Shown<'_>) -> Vec<Value> {
    let role = format!(
        "{}/{}",
        shown.text("/roleRef/kind"),
        shown.text("/roleRef/name")
    );
    let subjects = |kind: &str| {
        let name = |subject: &Value| {
            let name = subject["name"].as_str().unwrap_or_default();
            if kind == "ServiceAccount" {
                format!(
                    "{}/{name}",
                    subject["namespace"].as_str().unwrap_or_default()
                )
            } else {
                name.to_owned()
            }
        };
        json!(
            shown
                .list("/subjects")
                .iter()
                .filter(|subject| subject["kind"] == kind)
                .map(name)
                .collect::<Vec<_>>()
                .join(", ")
        )
    };
    vec![
        shown.name(),
        json!(role),
        shown.age(),
        subjects("User"),
        subjects("Group"),
        subjects("ServiceAccount"),
    ]
}
