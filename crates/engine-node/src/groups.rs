//! The node's control groups: one per pod, and below it one per container start.
//!
//! ```text
//! foreshore/NODE/UID/CONTAINER.ATTEMPT      in every hierarchy that lets us in
//! ```
//!
//! Where the machine lets us have none, pods run without limits, and say so.

use std::collections::{BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use foreshore_sys::cgroup::{CgroupError, Controller, Group, Layout, Limits, Tree, Usage};
use k8s_openapi::api::core::v1::{Container, Pod, ResourceRequirements};

use crate::pod::fields;

/// How long killed processes may take to leave their group.
const LIMIT: Duration = Duration::from_secs(30);
const AGAIN_AFTER: Duration = Duration::from_millis(10);

/// The groups of one node.
#[derive(Debug)]
pub(crate) struct Groups {
    tree: Tree,
}

impl Groups {
    /// Makes the node's own group and tells what is not possible, one line each.
    pub(crate) fn open(layout: &Layout, root: &Path) -> (Self, Vec<String>) {
        let (tree, refused) = Tree::open(layout, &name_of(root));
        let mut lines: Vec<String> = refused
            .iter()
            .map(|(controller, error)| format!("{controller}: {}", foreshore_model::chain(error)))
            .collect();
        let there = tree.controllers();
        let offered = layout.controllers();
        for controller in [Controller::Cpu, Controller::Memory, Controller::Processes] {
            if !there.contains(&controller) && !offered.contains(&controller) {
                lines.push(format!(
                    "{controller}: this machine has no such control group"
                ));
            }
        }
        (Self { tree }, lines)
    }

    /// Tries what can be limited, and leaves nothing behind.
    pub(crate) fn probe(layout: &Layout, root: &Path) -> (BTreeSet<Controller>, Vec<String>) {
        let (groups, missing) = Self::open(layout, root);
        let there = groups.tree.controllers();
        if let Err(error) = groups.tree.group(Path::new("")).remove() {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "control group of the probe stays");
        }
        groups.tree.remove_if_unused();
        (there, missing)
    }

    /// What an earlier run on the same folder may have left.
    pub(crate) fn of_earlier_run(root: &Path) -> Self {
        // A machine whose mounts cannot be read has no groups we could find.
        let layout = Layout::of_this_machine().unwrap_or_default();
        Self {
            tree: Tree::existing(&layout, &name_of(root)),
        }
    }

    /// Makes the groups of one container start and sets their limits.
    pub(crate) fn begin(
        &self,
        pod: &Pod,
        container: &Container,
        attempt: u32,
        pod_processes_max: u64,
    ) -> Result<Group, CgroupError> {
        let uid = fields::uid(pod);
        let of_pod = self.tree.create(Path::new(uid))?;
        of_pod.limit(&pod_limits(pod, pod_processes_max))?;
        let group = self.tree.create(&start_of(uid, &container.name, attempt))?;
        group.limit(&limits(container.resources.as_ref()))?;
        Ok(group)
    }

    pub(crate) fn of_start(&self, uid: &str, container: &str, attempt: u32) -> Group {
        self.tree.group(&start_of(uid, container, attempt))
    }

    pub(crate) fn of_pod(&self, uid: &str) -> Group {
        self.tree.group(Path::new(uid))
    }

    /// What all pods of the node have used since it was first started.
    pub(crate) fn usage(&self) -> Option<Usage> {
        self.tree.group(Path::new("")).usage()
    }

    /// Kills what is left in a group, then removes it.
    pub(crate) async fn end(&self, group: &Group) -> Result<(), CgroupError> {
        let deadline = tokio::time::Instant::now() + LIMIT;
        loop {
            if let Err(error) = group.kill() {
                tracing::warn!(%error, "processes of a control group cannot be killed");
            }
            match group.remove() {
                Err(_busy) if tokio::time::Instant::now() < deadline => {
                    tokio::time::sleep(AGAIN_AFTER).await;
                }
                done => return done,
            }
        }
    }

    pub(crate) async fn end_pod(&self, uid: &str) {
        if let Err(error) = self.end(&self.of_pod(uid)).await {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(
                error,
                uid,
                "control group of a pod stays until the next start"
            );
        }
    }

    /// Ends the groups of pods that nobody asks for any more.
    pub(crate) async fn end_unknown(&self, listed: &HashSet<String>) {
        for uid in self.tree.children() {
            if !listed.contains(&uid) {
                self.end_pod(&uid).await;
            }
        }
    }

    /// Removes all of it.
    pub(crate) async fn end_all(&self) {
        let all = self.tree.group(Path::new(""));
        if let Err(error) = self.end(&all).await {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "control groups of a node stay");
        }
        self.tree.remove_if_unused();
    }

    /// What the pod asks for and this node cannot enforce.
    pub(crate) fn not_enforced(&self, pod: &Pod) -> Vec<&'static str> {
        let there: BTreeSet<Controller> = self.tree.controllers();
        let mut asked = vec![limits(fields::spec(pod).resources.as_ref())];
        asked.extend(
            fields::containers(pod).map(|(_, container)| limits(container.resources.as_ref())),
        );
        let mut missing = Vec::new();
        if asked.iter().any(|one| one.cpu_millis_max.is_some()) && !there.contains(&Controller::Cpu)
        {
            missing.push("limits.cpu");
        }
        if asked.iter().any(|one| one.memory_bytes_max.is_some())
            && !there.contains(&Controller::Memory)
        {
            missing.push("limits.memory");
        }
        missing
    }
}

fn start_of(uid: &str, container: &str, attempt: u32) -> PathBuf {
    Path::new(uid).join(format!("{container}.{attempt}"))
}

/// Name of the control group, in each hierarchy, of the node that keeps its
/// state in `root`.
pub fn name_of(root: &Path) -> PathBuf {
    let path = std::path::absolute(root).unwrap_or_else(|_| root.to_path_buf());
    // FNV-1a: short, the same in every build, and no adversary chooses paths here.
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for byte in path.as_os_str().as_encoded_bytes() {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    }
    Path::new("foreshore").join(format!("{hash:016x}"))
}

fn pod_limits(pod: &Pod, processes_max: u64) -> Limits {
    Limits {
        processes_max: Some(processes_max),
        ..limits(fields::spec(pod).resources.as_ref())
    }
}

/// Requests and limits in the kernel's terms. A limit alone is a request too.
fn limits(resources: Option<&ResourceRequirements>) -> Limits {
    let quantity = |list: Option<&std::collections::BTreeMap<_, _>>, name: &str| {
        let quantity: &k8s_openapi::apimachinery::pkg::api::resource::Quantity = list?.get(name)?;
        u64::try_from(fields::milli(&quantity.0)?).ok()
    };
    let limits = resources.and_then(|resources| resources.limits.as_ref());
    let requests = resources.and_then(|resources| resources.requests.as_ref());
    let cpu_millis_max = quantity(limits, "cpu");
    Limits {
        cpu_millis_max,
        cpu_millis_share: quantity(requests, "cpu").or(cpu_millis_max),
        memory_bytes_max: quantity(limits, "memory").map(|millis| millis.div_ceil(1000)),
        processes_max: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn requests_are_shares_and_limits_are_quotas() {
        let check = |resources: serde_json::Value, expected: [Option<u64>; 3]| {
            let resources = serde_json::from_value(resources).unwrap();
            let limits = limits(Some(&resources));
            assert_eq!(
                [
                    limits.cpu_millis_max,
                    limits.cpu_millis_share,
                    limits.memory_bytes_max
                ],
                expected
            );
        };
        check(
            json!({ "requests": { "cpu": "250m" }, "limits": { "cpu": "1.5", "memory": "64Mi" } }),
            [Some(1500), Some(250), Some(64 << 20)],
        );
        check(
            json!({ "limits": { "cpu": "1" } }),
            [Some(1000), Some(1000), None],
        );
        check(json!({}), [None, None, None]);
    }

    #[test]
    fn a_machine_without_groups_names_what_a_pod_goes_without() {
        let (groups, lines) = Groups::open(&Layout::none(), Path::new("/somewhere"));
        assert_eq!(lines.len(), 3, "{lines:?}");
        let pod = serde_json::from_value(json!({ "spec": { "containers": [
            { "name": "a", "resources": { "limits": { "memory": "1Mi" } } },
        ] } }))
        .unwrap();
        assert_eq!(groups.not_enforced(&pod), ["limits.memory"]);
        assert_eq!(groups.usage(), None);
    }

    #[test]
    fn the_name_of_a_node_belongs_to_its_folder() {
        assert_eq!(name_of(Path::new("/a/b")), name_of(Path::new("/a/b")));
        assert_ne!(name_of(Path::new("/a/b")), name_of(Path::new("/a/c")));
    }
}
