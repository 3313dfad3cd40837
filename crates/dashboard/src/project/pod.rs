//! What pages show of a pod.

use foreshore_cluster::{ENVIRONMENT_LABEL, SERVICE_LABEL};
use jiff::Timestamp;
use kube::core::DynamicObject;
use serde_json::Value;

use super::{bytes, controller, created, int, label, list, millis, text, time};
use crate::cell::Tone;

/// One pod, as far as pages show it.
#[derive(Debug, Clone)]
pub(crate) struct Pod {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) uid: String,
    /// Labels say it, if the pod carries them; else its controller does.
    pub(crate) service: Option<String>,
    pub(crate) environment: Option<String>,
    pub(crate) controller: Option<(String, String)>,
    pub(crate) node: String,
    pub(crate) address: String,
    /// What `kubectl get pods` shows as status.
    pub(crate) word: String,
    pub(crate) tone: Tone,
    pub(crate) message: String,
    pub(crate) containers: Vec<Container>,
    pub(crate) created: Option<Timestamp>,
    pub(crate) cpu_millis: i64,
    pub(crate) memory_bytes: i64,
    /// What it may take at most; zero where nothing limits it.
    pub(crate) cpu_limit_millis: i64,
    pub(crate) memory_limit_bytes: i64,
    pub(crate) terminating: bool,
    /// Lives on one node only by its nature: a drain leaves it.
    pub(crate) daemon: bool,
    /// Data that a drain would lose.
    pub(crate) local_data: bool,
    pub(crate) labels: Vec<(String, String)>,
}

/// One container of a pod.
#[derive(Debug, Clone)]
pub(crate) struct Container {
    pub(crate) name: String,
    pub(crate) ready: bool,
    pub(crate) running: bool,
    pub(crate) word: String,
    pub(crate) message: String,
    pub(crate) restarts: i64,
    pub(crate) last_exit: Option<Exit>,
    /// How the application says that it is well.
    pub(crate) probe: Option<String>,
    pub(crate) image: String,
}

/// How a container ended.
#[derive(Debug, Clone)]
pub(crate) struct Exit {
    pub(crate) reason: String,
    pub(crate) code: i64,
    pub(crate) at: Option<Timestamp>,
}

/// The application's own health check, over all containers of a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum OwnCheck {
    Failing,
    None,
    Ok,
}

impl Pod {
    pub(crate) fn restarts(&self) -> i64 {
        self.containers
            .iter()
            .map(|container| container.restarts)
            .sum()
    }

    pub(crate) fn last_exit(&self) -> Option<&Exit> {
        let exits = self
            .containers
            .iter()
            .filter_map(|container| container.last_exit.as_ref());
        exits.max_by_key(|exit| exit.at)
    }

    pub(crate) fn ready(&self) -> bool {
        !self.containers.is_empty() && self.containers.iter().all(|container| container.ready)
    }

    pub(crate) fn finished(&self) -> bool {
        self.word == "Succeeded" || self.word == "Completed"
    }

    /// What the application's own check says; `None` where it has none.
    pub(crate) fn own_check(&self) -> OwnCheck {
        let mut probed = self
            .containers
            .iter()
            .filter(|container| container.probe.is_some())
            .peekable();
        if probed.peek().is_none() || self.finished() {
            return OwnCheck::None;
        }
        if probed.all(|container| container.ready) {
            OwnCheck::Ok
        } else {
            OwnCheck::Failing
        }
    }
}

pub(crate) fn pod(object: &DynamicObject) -> Pod {
    let data = &object.data;
    let containers = containers(data);
    let terminating = object.metadata.deletion_timestamp.is_some();
    let (word, tone, message) = state(data, &containers, terminating);
    let controller = controller(object);
    let specs = list(data, "/spec/containers");
    let request = |resource: &'static str| specs.iter().map(move |spec| spec.pointer(resource));
    Pod {
        namespace: object.metadata.namespace.clone().unwrap_or_default(),
        name: object.metadata.name.clone().unwrap_or_default(),
        uid: object.metadata.uid.clone().unwrap_or_default(),
        service: label(object, SERVICE_LABEL),
        environment: label(object, ENVIRONMENT_LABEL),
        node: text(data, "/spec/nodeName"),
        address: text(data, "/status/podIP"),
        word,
        tone,
        message,
        created: created(object),
        cpu_millis: request("/resources/requests/cpu").map(millis).sum(),
        memory_bytes: request("/resources/requests/memory").map(bytes).sum(),
        cpu_limit_millis: whole(request("/resources/limits/cpu").map(millis)),
        memory_limit_bytes: whole(request("/resources/limits/memory").map(bytes)),
        terminating,
        daemon: controller
            .as_ref()
            .is_some_and(|(kind, _)| kind == "DaemonSet" || kind == "Node"),
        local_data: list(data, "/spec/volumes")
            .iter()
            .any(|volume| volume.get("emptyDir").is_some()),
        labels: object
            .metadata
            .labels
            .iter()
            .flatten()
            .map(|(name, value)| (name.clone(), value.clone()))
            .take(20)
            .collect(),
        controller,
        containers,
    }
}

/// The limit of all containers together: one without makes the pod one without.
fn whole(limits: impl Iterator<Item = i64>) -> i64 {
    limits
        .map(|limit| (limit > 0).then_some(limit))
        .sum::<Option<i64>>()
        .unwrap_or(0)
}

fn containers(data: &Value) -> Vec<Container> {
    let statuses = list(data, "/status/containerStatuses");
    list(data, "/spec/containers")
        .iter()
        .map(|spec| {
            let name = text(spec, "/name");
            let none = Value::Null;
            let status = statuses
                .iter()
                .find(|status| status["name"] == name.as_str())
                .unwrap_or(&none);
            let (word, message) = container_state(&status["state"]);
            Container {
                ready: status["ready"] == true,
                running: status.pointer("/state/running").is_some(),
                word,
                message,
                restarts: int(status, "/restartCount").unwrap_or(0),
                last_exit: exit(&status["lastState"]["terminated"])
                    .or_else(|| exit(&status["state"]["terminated"])),
                probe: probe(&spec["readinessProbe"]),
                image: text(spec, "/image"),
                name,
            }
        })
        .collect()
}

fn container_state(state: &Value) -> (String, String) {
    for (place, usual) in [("waiting", "Waiting"), ("terminated", "Terminated")] {
        if let Some(found) = state.get(place) {
            let reason = text(found, "/reason");
            let word = if reason.is_empty() {
                usual.to_owned()
            } else {
                reason
            };
            return (word, text(found, "/message"));
        }
    }
    let word = if state.get("running").is_some() {
        "Running"
    } else {
        "Waiting"
    };
    (word.to_owned(), String::new())
}

fn exit(terminated: &Value) -> Option<Exit> {
    Some(Exit {
        code: int(terminated, "/exitCode")?,
        reason: text(terminated, "/reason"),
        at: time(terminated, "/finishedAt"),
    })
}

fn probe(probe: &Value) -> Option<String> {
    let target = |pointer: &str| {
        probe.pointer(pointer).map(|value| {
            value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned)
        })
    };
    if let Some(path) = target("/httpGet/path") {
        let port = target("/httpGet/port").unwrap_or_default();
        return Some(format!("GET {path} on port {port}"));
    }
    if let Some(port) = target("/tcpSocket/port") {
        return Some(format!("port {port} accepts connections"));
    }
    if probe.get("grpc").is_some() {
        return Some("gRPC health check".to_owned());
    }
    probe
        .get("exec")
        .map(|_| "a command in the container".to_owned())
}

/// Reasons out of which nothing comes without somebody's help.
const TROUBLE: [&str; 10] = [
    "CrashLoopBackOff",
    "ImagePullBackOff",
    "ErrImagePull",
    "InvalidImageName",
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
    "OOMKilled",
    "Error",
    "ErrImageNeverPull",
];

fn state(data: &Value, containers: &[Container], terminating: bool) -> (String, Tone, String) {
    let phase = text(data, "/status/phase");
    let message = text(data, "/status/message");
    if terminating {
        return ("Terminating".to_owned(), Tone::Busy, message);
    }
    let reason = text(data, "/status/reason");
    if phase == "Failed" {
        let word = if reason.is_empty() {
            "Failed".to_owned()
        } else {
            reason
        };
        return (word, Tone::Bad, message);
    }
    if phase == "Succeeded" {
        return ("Completed".to_owned(), Tone::Quiet, message);
    }
    for status in list(data, "/status/initContainerStatuses") {
        let (word, message) = container_state(&status["state"]);
        if TROUBLE.contains(&word.as_str()) {
            return (format!("Init:{word}"), Tone::Bad, message);
        }
        if word != "Running" && word != "Completed" && status.pointer("/state/terminated").is_none()
        {
            return ("Init".to_owned(), Tone::Busy, message);
        }
    }
    if let Some(stuck) = containers
        .iter()
        .find(|container| TROUBLE.contains(&container.word.as_str()))
    {
        return (stuck.word.clone(), Tone::Bad, stuck.message.clone());
    }
    if let Some(waiting) = containers.iter().find(|container| !container.running) {
        if phase == "Pending" && text(data, "/spec/nodeName").is_empty() {
            let condition = list(data, "/status/conditions")
                .iter()
                .find(|condition| condition["reason"] == "Unschedulable");
            return match condition {
                Some(condition) => (
                    "Unschedulable".to_owned(),
                    Tone::Bad,
                    text(condition, "/message"),
                ),
                None => ("Pending".to_owned(), Tone::Busy, message),
            };
        }
        return (waiting.word.clone(), Tone::Busy, waiting.message.clone());
    }
    if containers.iter().all(|container| container.ready) {
        return ("Running".to_owned(), Tone::Good, message);
    }
    ("Not ready".to_owned(), Tone::Busy, message)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(value: Value) -> Pod {
        pod(&serde_json::from_value(value).unwrap())
    }

    fn with_state(phase: &str, status: &Value) -> Pod {
        read(json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web-1", "namespace": "dev"},
            "spec": {"nodeName": "local", "containers": [{"name": "web", "readinessProbe": {"httpGet": {"path": "/health", "port": 8080}}}]},
            "status": {"phase": phase, "containerStatuses": [status]},
        }))
    }

    #[test]
    fn the_word_is_the_one_people_know() {
        for (phase, status, word, tone) in [
            (
                "Running",
                json!({"name": "web", "ready": true, "state": {"running": {}}}),
                "Running",
                Tone::Good,
            ),
            (
                "Running",
                json!({"name": "web", "ready": false, "state": {"running": {}}}),
                "Not ready",
                Tone::Busy,
            ),
            (
                "Running",
                json!({"name": "web", "ready": false, "state": {"waiting": {"reason": "CrashLoopBackOff"}}}),
                "CrashLoopBackOff",
                Tone::Bad,
            ),
            (
                "Pending",
                json!({"name": "web", "state": {"waiting": {"reason": "ContainerCreating"}}}),
                "ContainerCreating",
                Tone::Busy,
            ),
            (
                "Succeeded",
                json!({"name": "web", "state": {"terminated": {"exitCode": 0}}}),
                "Completed",
                Tone::Quiet,
            ),
            (
                "Failed",
                json!({"name": "web", "state": {"terminated": {"exitCode": 2}}}),
                "Failed",
                Tone::Bad,
            ),
        ] {
            let pod = with_state(phase, &status);
            assert_eq!((pod.word.as_str(), pod.tone), (word, tone), "{status}");
        }
    }

    #[test]
    fn the_applications_own_check_is_ok_failing_or_there_is_none() {
        let well = with_state(
            "Running",
            &json!({"name": "web", "ready": true, "state": {"running": {}}}),
        );
        assert_eq!(well.own_check(), OwnCheck::Ok);
        let ill = with_state(
            "Running",
            &json!({"name": "web", "ready": false, "state": {"running": {}}}),
        );
        assert_eq!(ill.own_check(), OwnCheck::Failing);
        let mut silent = well;
        silent.containers[0].probe = None;
        assert_eq!(silent.own_check(), OwnCheck::None);
    }

    #[test]
    fn an_object_without_anything_is_no_reason_to_panic() {
        let pod = read(
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, "spec": {"containers": "nonsense"}, "status": []}),
        );
        assert_eq!(pod.word, "Running");
        assert!(!pod.ready());
    }

    #[test]
    fn the_last_exit_is_told_with_its_code() {
        let pod = with_state(
            "Running",
            &json!({
                "name": "web", "restartCount": 4, "ready": true, "state": {"running": {}},
                "lastState": {"terminated": {"exitCode": 137, "reason": "OOMKilled", "finishedAt": "2026-01-01T00:00:00Z"}},
            }),
        );
        assert_eq!(pod.restarts(), 4);
        let exit = pod.last_exit().unwrap();
        assert_eq!((exit.code, exit.reason.as_str()), (137, "OOMKilled"));
    }
}
