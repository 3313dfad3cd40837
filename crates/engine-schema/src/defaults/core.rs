//! Defaults of the core group, and what the server adds to new pods and
//! services after the writer's fields have been attributed.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::image::means_latest;
use super::{Fields, is_null, is_unset, make_object, object, objects, set_null, set_unset, text};
use crate::quantity::Quantity;

/// Permission bits of files in volumes: 0644.
const FILE_MODE: i64 = 0o644;

/// How long a client keeps its endpoint.
const SESSION_SECONDS: i64 = 10_800;

/// How long a pod stays on a node that is not ready or not reachable.
const TOLERATION_SECONDS: i64 = 300;

pub(super) fn set_defaults(name: &str, fields: &mut Fields) {
    match name {
        "Pod" => pod(fields),
        "PodSpec" => pod_spec(fields),
        "Container" | "EphemeralContainer" => container(fields),
        "ResourceRequirements" | "VolumeResourceRequirements" => ["limits", "requests"]
            .iter()
            .for_each(|list| round_up(fields, list)),
        "NodeStatus" => node_status(fields),
        "ServiceSpec" => service_spec(fields),
        "Volume" => volume(fields),
        "Probe" => {
            set_unset(fields, "timeoutSeconds", 1);
            set_unset(fields, "periodSeconds", 10);
            set_unset(fields, "successThreshold", 1);
            set_unset(fields, "failureThreshold", 3);
        }
        "HTTPGetAction" => {
            set_unset(fields, "path", "/");
            set_unset(fields, "scheme", "HTTP");
        }
        "SecretVolumeSource"
        | "ConfigMapVolumeSource"
        | "DownwardAPIVolumeSource"
        | "ProjectedVolumeSource" => set_null(fields, "defaultMode", FILE_MODE),
        "ServiceAccountTokenProjection" => set_null(fields, "expirationSeconds", 3600),
        "HostPathVolumeSource" => set_null(fields, "type", ""),
        "ObjectFieldSelector" => set_unset(fields, "apiVersion", "v1"),
        "Secret" => secret(fields),
        "Namespace" => namespace(fields),
        "NamespaceStatus" => set_unset(fields, "phase", "Active"),
        "EndpointPort" => set_unset(fields, "protocol", "TCP"),
        "PersistentVolumeClaimSpec" => set_null(fields, "volumeMode", "Filesystem"),
        "PersistentVolumeSpec" => {
            set_unset(fields, "persistentVolumeReclaimPolicy", "Retain");
            set_null(fields, "volumeMode", "Filesystem");
        }
        "PersistentVolumeClaimStatus" | "PersistentVolumeStatus" => {
            set_unset(fields, "phase", "Pending");
        }
        _ => {}
    }
}

fn pod(fields: &mut Fields) {
    let Some(spec) = object(fields, "spec") else {
        return;
    };
    for list in ["containers", "initContainers"] {
        for container in objects(spec, list) {
            if let Some(resources) = object(container, "resources") {
                requests_from_limits(resources);
            }
        }
    }
    set_null(spec, "enableServiceLinks", true);
    if spec.get("hostNetwork").and_then(Value::as_bool) == Some(true) {
        for list in ["containers", "initContainers"] {
            for port in objects(spec, list).flat_map(|container| objects(container, "ports")) {
                if is_unset(port, "hostPort")
                    && let Some(number) = port.get("containerPort").cloned()
                {
                    port.insert("hostPort".to_owned(), number);
                }
            }
        }
    }
}

fn requests_from_limits(resources: &mut Fields) {
    let limits = resources
        .get("limits")
        .and_then(Value::as_object)
        .cloned()
        .unwrap_or_default();
    if limits.is_empty() {
        return;
    }
    if let Some(requests) = make_object(resources, "requests") {
        for (name, limit) in limits {
            requests.entry(name).or_insert(limit);
        }
    }
}

fn pod_spec(fields: &mut Fields) {
    set_unset(fields, "dnsPolicy", "ClusterFirst");
    set_unset(fields, "restartPolicy", "Always");
    set_null(fields, "securityContext", Map::new());
    set_null(fields, "terminationGracePeriodSeconds", 30);
    set_unset(fields, "schedulerName", "default-scheduler");
    // The old name of the field follows the new one, in both directions.
    let account = if is_unset(fields, "serviceAccountName") {
        text(fields, "serviceAccount")
    } else {
        text(fields, "serviceAccountName")
    }
    .to_owned();
    if !account.is_empty() {
        fields.insert("serviceAccountName".to_owned(), json!(account));
        fields.insert("serviceAccount".to_owned(), json!(account));
    }
}

fn container(fields: &mut Fields) {
    let policy = if means_latest(text(fields, "image")) {
        "Always"
    } else {
        "IfNotPresent"
    };
    set_unset(fields, "imagePullPolicy", policy);
    set_unset(fields, "terminationMessagePath", "/dev/termination-log");
    set_unset(fields, "terminationMessagePolicy", "File");
}

/// Rounds the quantities of a list up to thousandths.
fn round_up(fields: &mut Fields, list: &str) {
    for value in object(fields, list).into_iter().flat_map(Map::values_mut) {
        let Some(quantity) = value.as_str().and_then(|text| Quantity::parse(text).ok()) else {
            continue;
        };
        *value = json!(quantity.rounded_to_millis().to_string());
    }
}

fn node_status(fields: &mut Fields) {
    if is_null(fields, "allocatable")
        && let Some(capacity) = fields.get("capacity").cloned()
    {
        fields.insert("allocatable".to_owned(), capacity);
    }
    for list in ["capacity", "allocatable"] {
        round_up(fields, list);
    }
}

/// Plain text is only a way to write data; it is never kept.
fn secret(fields: &mut Fields) {
    set_unset(fields, "type", "Opaque");
    let Some(Value::Object(plain)) = fields.remove("stringData") else {
        return;
    };
    if let Some(data) = make_object(fields, "data") {
        for (key, value) in plain {
            let encoded = STANDARD.encode(value.as_str().unwrap_or_default());
            data.insert(key, json!(encoded));
        }
    }
}

fn namespace(fields: &mut Fields) {
    let name = fields
        .get("metadata")
        .map(|metadata| metadata["name"].clone())
        .filter(|name| name.as_str().is_some_and(|name| !name.is_empty()));
    if let (Some(name), Some(metadata)) = (name, object(fields, "metadata"))
        && let Some(labels) = make_object(metadata, "labels")
    {
        labels.insert("kubernetes.io/metadata.name".to_owned(), name);
    }
}

/// Fields of a volume that are no source.
fn volume(fields: &mut Fields) {
    if fields
        .iter()
        .all(|(name, value)| name == "name" || value.is_null())
    {
        fields.insert("emptyDir".to_owned(), json!({}));
    }
    if let Some(image) = object(fields, "image") {
        let policy = if means_latest(text(image, "reference")) {
            "Always"
        } else {
            "IfNotPresent"
        };
        set_unset(image, "pullPolicy", policy);
    }
}

fn service_spec(fields: &mut Fields) {
    set_unset(fields, "sessionAffinity", "None");
    if text(fields, "sessionAffinity") == "None" {
        fields.remove("sessionAffinityConfig");
    } else if fields
        .get("sessionAffinityConfig")
        .is_none_or(|config| config["clientIP"]["timeoutSeconds"].is_null())
    {
        fields.insert(
            "sessionAffinityConfig".to_owned(),
            json!({"clientIP": {"timeoutSeconds": SESSION_SECONDS}}),
        );
    }
    set_unset(fields, "type", "ClusterIP");
    for port in objects(fields, "ports") {
        set_unset(port, "protocol", "TCP");
        let number = port.get("port").cloned().unwrap_or_else(|| json!(0));
        set_unset(port, "targetPort", number);
    }
    let kind = text(fields, "type").to_owned();
    let external = kind == "NodePort"
        || kind == "LoadBalancer"
        || (kind == "ClusterIP" && !is_unset(fields, "externalIPs"));
    if external {
        set_unset(fields, "externalTrafficPolicy", "Cluster");
    }
    if kind != "ExternalName" {
        set_null(fields, "internalTrafficPolicy", "Cluster");
    }
    if kind == "LoadBalancer" {
        set_null(fields, "allocateLoadBalancerNodePorts", true);
    }
}

/// Adds what admission adds to a new pod, after ownership was recorded:
/// tolerations of node trouble, priority, the default service account.
pub fn admit_pod(pod: &mut Value) {
    let Some(spec) = pod.get_mut("spec").and_then(Value::as_object_mut) else {
        return;
    };
    set_null(spec, "priority", 0);
    set_null(spec, "preemptionPolicy", "PreemptLowerPriority");
    set_unset(spec, "serviceAccountName", "default");
    let account = text(spec, "serviceAccountName").to_owned();
    spec.insert("serviceAccount".to_owned(), json!(account));
    for key in [
        "node.kubernetes.io/not-ready",
        "node.kubernetes.io/unreachable",
    ] {
        let Some(tolerations) = spec
            .entry("tolerations")
            .or_insert_with(|| json!([]))
            .as_array_mut()
        else {
            return;
        };
        let covered = tolerations.iter().any(|toleration| {
            let word = |name: &str| toleration[name].as_str().unwrap_or_default();
            (word("key") == key || word("key").is_empty())
                && (word("effect") == "NoExecute" || word("effect").is_empty())
        });
        if !covered {
            tolerations.push(json!({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": TOLERATION_SECONDS}));
        }
    }
}

/// Adds what admission adds to a new node, after ownership was recorded: it is
/// not ready until its agent says so.
pub fn admit_node(node: &mut Value) {
    let Some(spec) = node.get_mut("spec").and_then(Value::as_object_mut) else {
        return;
    };
    let taint = json!({"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"});
    if let Some(taints) = spec
        .entry("taints")
        .or_insert_with(|| json!([]))
        .as_array_mut()
        && !taints.contains(&taint)
    {
        taints.push(taint);
    }
}

/// Sets the status of a new pod: pending, with its quality-of-service class.
pub fn complete_created_pod(pod: &mut Value) {
    let class = quality_of_service(pod.get("spec").unwrap_or(&Value::Null));
    if let Some(pod) = pod.as_object_mut() {
        pod.insert(
            "status".to_owned(),
            json!({"phase": "Pending", "qosClass": class}),
        );
    }
}

/// `Guaranteed` if every container limits CPU and memory to what it requests,
/// `BestEffort` if none asks for either, otherwise `Burstable`.
fn quality_of_service(spec: &Value) -> &'static str {
    let containers = ["containers", "initContainers"]
        .iter()
        .filter_map(|list| spec[*list].as_array())
        .flatten();
    let amount = |container: &Value, list: &str, name: &str| {
        container["resources"][list][name]
            .as_str()
            .and_then(|text| Quantity::parse(text).ok())
            .filter(|quantity| !quantity.is_zero())
    };
    let (mut any, mut guaranteed) = (false, true);
    for container in containers {
        for name in ["cpu", "memory"] {
            let (request, limit) = (
                amount(container, "requests", name),
                amount(container, "limits", name),
            );
            any |= request.is_some() || limit.is_some();
            guaranteed &= limit.is_some() && request == limit;
        }
    }
    match (any, guaranteed) {
        (false, _) => "BestEffort",
        (true, true) => "Guaranteed",
        (true, false) => "Burstable",
    }
}

/// Sets what the server sets on a new service beside its addresses: one IPv4
/// family. Services that are names only have none.
pub fn complete_created_service(service: &mut Value) {
    let Some(service) = service.as_object_mut() else {
        return;
    };
    if let Some(spec) = object(service, "spec").filter(|spec| text(spec, "type") != "ExternalName")
    {
        set_unset(spec, "ipFamilies", json!(["IPv4"]));
        set_null(spec, "ipFamilyPolicy", "SingleStack");
    }
    service.insert("status".to_owned(), json!({"loadBalancer": {}}));
}
