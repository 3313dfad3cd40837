//! How many pods a budget should find, and how many of them must stay healthy.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::Inputs;
use crate::bounds::{Rounding, count, resolve};
use crate::change::{name, uid};
use crate::ownership::controller_of;

/// The numbers a budget is measured against.
pub(super) struct Expected {
    pub(super) total: i32,
    pub(super) healthy: i32,
    /// Whether pods without a controller made the total uncertain.
    pub(super) has_unmanaged: bool,
}

/// Returns the numbers, or why they are unknown.
pub(super) fn count_pods(inputs: &Inputs<'_>, pods: &[&Pod]) -> Result<Expected, String> {
    let spec = inputs.budget.spec.clone().unwrap_or_default();
    if let Some(most) = &spec.max_unavailable {
        let (total, has_unmanaged) = scale(inputs, pods)?;
        return Ok(Expected {
            total,
            healthy: (total - resolve(most, total, Rounding::Up)).max(0),
            has_unmanaged,
        });
    }
    match &spec.min_available {
        Some(IntOrString::Int(least)) => Ok(Expected {
            total: count(pods.len()),
            healthy: *least,
            has_unmanaged: false,
        }),
        Some(share) => {
            let (total, has_unmanaged) = scale(inputs, pods)?;
            Ok(Expected {
                total,
                healthy: resolve(share, total, Rounding::Up),
                has_unmanaged,
            })
        }
        None => Ok(Expected {
            total: 0,
            healthy: 0,
            has_unmanaged: false,
        }),
    }
}

/// The replicas all controllers of the pods want together, and whether a pod
/// has no controller.
fn scale(inputs: &Inputs<'_>, pods: &[&Pod]) -> Result<(i32, bool), String> {
    let mut scales: BTreeMap<String, i32> = BTreeMap::new();
    let mut has_unmanaged = false;
    for pod in pods {
        let Some(owner) = controller_of(&pod.metadata) else {
            has_unmanaged = true;
            continue;
        };
        if scales.contains_key(&owner.uid) {
            continue;
        }
        match owner_scale(inputs, owner) {
            Some((uid, replicas)) => {
                scales.insert(uid, replicas);
            }
            None => return Err(unknown(owner, name(*pod))),
        }
    }
    Ok((scales.values().sum(), has_unmanaged))
}

/// The uid and the replicas of what scales the pods of `owner`.
fn owner_scale(inputs: &Inputs<'_>, owner: &OwnerReference) -> Option<(String, i32)> {
    match owner.kind.as_str() {
        "ReplicaSet" => {
            let set = inputs
                .replica_sets
                .iter()
                .find(|set| uid(set.as_ref()) == owner.uid)?;
            let above = controller_of(&set.metadata)
                .filter(|above| above.kind == "Deployment")
                .and_then(|above| {
                    let known = inputs.deployments.iter();
                    known.clone().find(|one| uid(one.as_ref()) == above.uid)
                });
            Some(match above {
                Some(deployment) => (
                    uid(deployment.as_ref()).to_owned(),
                    deployment.spec.as_ref()?.replicas.unwrap_or(1),
                ),
                None => (owner.uid.clone(), set.spec.as_ref()?.replicas.unwrap_or(1)),
            })
        }
        "StatefulSet" => {
            let set = inputs
                .stateful_sets
                .iter()
                .find(|set| uid(set.as_ref()) == owner.uid)?;
            Some((owner.uid.clone(), set.spec.as_ref()?.replicas.unwrap_or(1)))
        }
        _ => None,
    }
}

fn unknown(owner: &OwnerReference, pod: &str) -> String {
    let group = owner.api_version.split_once('/').map(|(group, _)| group);
    match (owner.kind.as_str(), group) {
        ("ReplicaSet" | "StatefulSet", _) => format!("found no controllers for pod {pod:?}"),
        (kind, Some(group)) => format!(
            "{}s.{group} does not implement the scale subresource",
            kind.to_lowercase()
        ),
        (kind, None) => format!(
            "{}s does not implement the scale subresource",
            kind.to_lowercase()
        ),
    }
}
