//! The nodes of the simulated world: pods start, end as told, and go away.

use rand::RngExt;
use serde_json::{Value, json};

use super::World;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// A pod with this annotation ends by itself: `Succeeded` or `Failed`.
pub(crate) const ENDS: &str = "simulate/ends";

impl World {
    /// Moves one pod a step; returns whether anything happened.
    pub(super) fn run_nodes(&mut self) -> bool {
        let pods: Vec<(String, Value)> = self
            .objects
            .iter()
            .filter(|((kind, _), pod)| kind == "Pod" && has_more_to_do(pod))
            .map(|((_, name), pod)| (name.clone(), pod.clone()))
            .collect();
        if pods.is_empty() {
            return false;
        }
        let (name, mut pod) = pods[self.random.random_range(0..pods.len())].clone();
        if !pod["metadata"]["deletionTimestamp"].is_null() {
            self.end_pod(&name);
            return true;
        }
        if pod["spec"]["nodeName"].is_null() {
            pod["spec"]["nodeName"] = json!(wanted_node(&pod));
            self.put_pod(pod);
            return true;
        }
        let is_running = pod["status"]["phase"] == "Running";
        let ends = pod["metadata"]["annotations"][ENDS].as_str();
        let next = match (is_running, ends) {
            (false, _) if is_broken(&pod) => ("Running", "False"),
            (false, _) => ("Running", "True"),
            (true, Some(phase)) => (phase, "False"),
            (true, None) => return false,
        };
        let status = json!({"phase": next.0, "conditions": [
            {"type": "Ready", "status": next.1, "lastTransitionTime": Time(self.now)},
        ]});
        self.set_status("Pod", &name, status);
        true
    }

    fn put_pod(&mut self, pod: Value) {
        let name = pod["metadata"]["name"].as_str().unwrap().to_owned();
        self.replace(("Pod".to_owned(), name), pod);
    }
}

fn has_more_to_do(pod: &Value) -> bool {
    let phase = pod["status"]["phase"].as_str().unwrap_or_default();
    let leaves = !pod["metadata"]["deletionTimestamp"].is_null();
    let ends = pod["metadata"]["annotations"][ENDS].is_string();
    (leaves && pod["metadata"]["ended"].is_null())
        || (!leaves && (phase == "Pending" || (phase == "Running" && ends)))
}

/// Pods with this image never become ready.
fn is_broken(pod: &Value) -> bool {
    pod["spec"]["containers"][0]["image"]
        .as_str()
        .is_some_and(|image| image.starts_with("broken"))
}

/// The node a daemon pod is made for, or any.
fn wanted_node(pod: &Value) -> String {
    let path = "/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms/0/matchFields/0/values/0";
    pod.pointer(path)
        .and_then(Value::as_str)
        .unwrap_or("node")
        .to_owned()
}
