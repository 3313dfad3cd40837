//! Small values for the tests of this crate.

use foreshore_cluster::{Entry, Inventory, Reference};
use foreshore_model::{
    Actor, ArtifactId, Digest, EnvironmentName, Intent, Operations, ReleaseFile, ServiceName,
};

use crate::source::{Manifest, ServiceFiles};

pub(crate) fn dev() -> EnvironmentName {
    EnvironmentName::new("dev").unwrap()
}

pub(crate) fn web() -> ServiceName {
    ServiceName::new("web").unwrap()
}

pub(crate) fn release(sequence: u64) -> ReleaseFile {
    ReleaseFile {
        service: web(),
        environment: dev(),
        sequence,
        artifact: Digest::of(&sequence.to_be_bytes()),
        artifact_id: ArtifactId::from_parts("main", &format!("{sequence:010}"), "plan"),
        intent: Intent::Release,
        actor: Actor::new("ada", "ada@example.org"),
        reason: String::new(),
        at: "2026-11-20T12:00:00Z".parse().unwrap(),
        previous: None,
        approved_by: Vec::new(),
        verdicts: Vec::new(),
    }
}

pub(crate) fn files(sequence: u64, manifests: &[&str]) -> ServiceFiles {
    let manifests = manifests.iter().enumerate().map(|(index, text)| Manifest {
        path: format!("manifests/{index}.yaml"),
        text: (*text).to_owned(),
    });
    ServiceFiles {
        tree: format!("tree-{sequence}"),
        release: release(sequence),
        operations: Operations::default(),
        removals: None,
        checks: Vec::new(),
        manifests_tree: format!("manifests-{sequence}"),
        manifests: manifests.collect(),
    }
}

/// An inventory of `Kind/name` words.
pub(crate) fn inventory(objects: &[&str]) -> Inventory {
    let mut made = Inventory::empty(dev(), web());
    made.entries = objects
        .iter()
        .map(|object| Entry::new(reference(object)))
        .collect();
    made
}

pub(crate) fn reference(object: &str) -> Reference {
    let (kind, name) = object.split_once('/').unwrap();
    let version = match kind {
        "Deployment" | "StatefulSet" => "apps/v1",
        "Ingress" => "networking.k8s.io/v1",
        _ => "v1",
    };
    Reference::new(version, kind, "shop-dev", name)
}
