//! Which controller decides about which kind in the simulated world.

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use serde::de::DeserializeOwned;

use super::World;
use crate::change::Change;
use crate::{daemon_set, deployment, disruption, job, replica_set, stateful_set};

/// The kinds somebody decides about.
pub(super) const KINDS: [&str; 6] = [
    "Job",
    "DaemonSet",
    "Deployment",
    "PodDisruptionBudget",
    "ReplicaSet",
    "StatefulSet",
];

impl World {
    /// What the controller of `kind` asks for, from what it sees.
    pub(super) fn decide(&self, kind: &str, name: &str) -> Vec<Change> {
        let uid = self.view[&(kind.to_owned(), name.to_owned())]["metadata"]["uid"]
            .as_str()
            .unwrap();
        let settled = self.is_settled(uid);
        let pods = self.seen("Pod");
        match kind {
            "Job" => {
                let inputs = job::Inputs {
                    job: &self.view_of::<Job>(kind, name),
                    pods: &pods,
                    settled,
                };
                job::decide(&inputs, self.now)
            }
            "DaemonSet" => {
                let inputs = daemon_set::Inputs {
                    set: &self.view_of::<DaemonSet>(kind, name),
                    nodes: &self.seen("Node"),
                    pods: &pods,
                    revisions: &self.seen("ControllerRevision"),
                    settled,
                    held_back: &std::collections::BTreeMap::new(),
                };
                daemon_set::decide(&inputs, self.now)
            }
            "Deployment" => {
                let inputs = deployment::Inputs {
                    deployment: &self.view_of::<Deployment>(kind, name),
                    replica_sets: &self.seen("ReplicaSet"),
                    pods: &pods,
                };
                deployment::decide(&inputs, self.now)
            }
            "ReplicaSet" => {
                let inputs = replica_set::Inputs {
                    replica_set: &self.view_of::<ReplicaSet>(kind, name),
                    pods: &pods,
                    settled,
                    failure: None,
                };
                replica_set::decide(&inputs, self.now)
            }
            "StatefulSet" => {
                let inputs = stateful_set::Inputs {
                    set: &self.view_of::<StatefulSet>(kind, name),
                    pods: &pods,
                    revisions: &self.seen("ControllerRevision"),
                    claims: &self.seen("PersistentVolumeClaim"),
                    settled,
                };
                stateful_set::decide(&inputs, self.now)
            }
            "PodDisruptionBudget" => {
                let inputs = disruption::Inputs {
                    budget: &self.view_of::<PodDisruptionBudget>(kind, name),
                    pods: &pods,
                    replica_sets: &self.seen("ReplicaSet"),
                    deployments: &self.seen("Deployment"),
                    stateful_sets: &self.seen("StatefulSet"),
                };
                disruption::decide(&inputs, self.now)
            }
            other => panic!("nobody decides about {other}"),
        }
    }

    fn view_of<K: DeserializeOwned>(&self, kind: &str, name: &str) -> K {
        let object = &self.view[&(kind.to_owned(), name.to_owned())];
        serde_json::from_value(object.clone()).unwrap()
    }
}
