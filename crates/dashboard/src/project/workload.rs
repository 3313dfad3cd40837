//! What pages show of whatever makes pods.

use foreshore_cluster::{ENVIRONMENT_LABEL, SERVICE_LABEL};
use kube::core::DynamicObject;

use super::{controller, int, label, list, text};

/// One workload, as far as pages show it.
#[derive(Debug, Clone)]
pub(crate) struct Workload {
    pub(crate) kind: &'static str,
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) service: Option<String>,
    pub(crate) environment: Option<String>,
    pub(crate) owner: Option<String>,
    pub(crate) controller: Option<(String, String)>,
    pub(crate) desired: i64,
    pub(crate) ready: i64,
    pub(crate) updated: i64,
    pub(crate) paused: bool,
    pub(crate) version: String,
    /// Whether its controller has seen its last change.
    pub(crate) observed: bool,
}

impl Workload {
    pub(crate) fn settled(&self) -> bool {
        self.observed && self.ready >= self.desired && self.updated >= self.desired
    }

    /// Whether it may have more than one pod on purpose.
    pub(crate) fn scalable(&self) -> bool {
        matches!(self.kind, "Deployment" | "StatefulSet")
    }
}

pub(crate) fn deployment(object: &DynamicObject) -> Workload {
    workload("Deployment", object)
}

pub(crate) fn stateful_set(object: &DynamicObject) -> Workload {
    workload("StatefulSet", object)
}

pub(crate) fn daemon_set(object: &DynamicObject) -> Workload {
    workload("DaemonSet", object)
}

pub(crate) fn replica_set(object: &DynamicObject) -> Workload {
    workload("ReplicaSet", object)
}

fn workload(kind: &'static str, object: &DynamicObject) -> Workload {
    let data = &object.data;
    let count = |pointer: &str| int(data, pointer);
    let daemon = kind == "DaemonSet";
    let desired = if daemon {
        count("/status/desiredNumberScheduled").unwrap_or(0)
    } else {
        count("/spec/replicas").unwrap_or(1)
    };
    let ready = if daemon {
        count("/status/numberReady")
    } else {
        count("/status/readyReplicas")
    };
    let updated = if daemon {
        count("/status/updatedNumberScheduled")
    } else {
        count("/status/updatedReplicas")
    };
    let image = list(data, "/spec/template/spec/containers")
        .first()
        .map_or_else(String::new, |first| text(first, "/image"));
    Workload {
        kind,
        namespace: object.metadata.namespace.clone().unwrap_or_default(),
        name: object.metadata.name.clone().unwrap_or_default(),
        service: label(object, SERVICE_LABEL),
        environment: label(object, ENVIRONMENT_LABEL),
        owner: label(object, "foreshore.local/owner"),
        controller: controller(object),
        desired,
        ready: ready.unwrap_or(0),
        // ReplicaSets have one template and say nothing of updates.
        updated: if kind == "ReplicaSet" {
            desired
        } else {
            updated.unwrap_or(0)
        },
        paused: data
            .pointer("/spec/paused")
            .and_then(serde_json::Value::as_bool)
            .unwrap_or(false),
        version: version(&image),
        observed: object.metadata.generation.is_none()
            || count("/status/observedGeneration") >= object.metadata.generation,
    }
}

/// The tag of an image, or the start of its digest.
fn version(image: &str) -> String {
    if let Some((_, digest)) = image.split_once("@sha256:") {
        return digest.chars().take(12).collect();
    }
    let name = image.rsplit('/').next().unwrap_or_default();
    name.split_once(':')
        .map_or_else(String::new, |(_, tag)| tag.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_version_is_the_tag_or_the_start_of_the_digest() {
        for (image, expected) in [
            ("registry:5000/web:1.2", "1.2"),
            ("registry:5000/web", ""),
            ("web@sha256:0123456789abcdef", "0123456789ab"),
            ("", ""),
        ] {
            assert_eq!(version(image), expected, "{image}");
        }
    }

    #[test]
    fn a_workload_is_settled_once_its_controller_saw_the_change() {
        let read = |observed: i64, ready: i64| {
            deployment(&serde_json::from_value(json!({
                "apiVersion": "apps/v1", "kind": "Deployment",
                "metadata": {"name": "web", "generation": 2},
                "spec": {"replicas": 2}, "status": {"observedGeneration": observed, "readyReplicas": ready, "updatedReplicas": 2},
            })).unwrap())
        };
        assert!(read(2, 2).settled());
        assert!(!read(1, 2).settled());
        assert!(!read(2, 1).settled());
    }
}
