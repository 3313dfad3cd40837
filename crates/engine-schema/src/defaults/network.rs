//! Defaults of networking, discovery, access control, scheduling and storage classes.

use serde_json::json;

use super::{Fields, is_unset, set_null, set_unset, text};

const RBAC: &str = "rbac.authorization.k8s.io";

pub(super) fn set_defaults(name: &str, fields: &mut Fields) {
    match name {
        "EndpointPort" => {
            set_null(fields, "name", "");
            set_null(fields, "protocol", "TCP");
        }
        "NetworkPolicyPort" => set_null(fields, "protocol", "TCP"),
        "NetworkPolicySpec" => {
            let types = if is_unset(fields, "egress") {
                json!(["Ingress"])
            } else {
                json!(["Ingress", "Egress"])
            };
            set_unset(fields, "policyTypes", types);
        }
        "IngressClassParametersReference" => set_null(fields, "scope", "Cluster"),
        "PriorityClass" => set_null(fields, "preemptionPolicy", "PreemptLowerPriority"),
        "StorageClass" => {
            set_null(fields, "reclaimPolicy", "Delete");
            set_null(fields, "volumeBindingMode", "Immediate");
        }
        "RoleRef" => set_unset(fields, "apiGroup", RBAC),
        "Subject" if matches!(text(fields, "kind"), "User" | "Group") => {
            set_unset(fields, "apiGroup", RBAC);
        }
        _ => {}
    }
}
