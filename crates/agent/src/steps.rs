//! What to do, as data: stages of steps that turn what a service has into what it shall have.
//!
//! The steps of one stage may run at the same time, the stages run in order.
//! Nothing here asks the cluster.

use std::fmt;

use jiff::Timestamp;
use serde_json::Value;

use foreshore_cluster::{Entry, HookRun, Inventory, Reference};
use foreshore_model::Digest;

use crate::desired::Desired;
use crate::order;

/// One thing to do in the cluster.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Make the namespace if it does not exist.
    Namespace(String),
    /// Ask the server whether it would accept the object.
    Validate(Value),
    /// Remember, before writing, all that may exist from now on.
    Expect(Vec<Entry>),
    Apply(Value),
    Scale {
        reference: Reference,
        replicas: u32,
    },
    /// Remember that this release was written completely.
    Record {
        tree: String,
        sequence: u64,
        artifact: Digest,
    },
    /// Remember what became of Jobs around releases.
    Hooks(Vec<HookRun>),
    /// Remove the object if it is the one we made.
    Prune(Entry),
    /// Forget a service that has nothing left.
    Forget,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = |object: &Value| {
            Reference::of(object).map_or_else(String::new, |reference| reference.to_string())
        };
        match self {
            Self::Namespace(name) => write!(f, "make namespace {name}"),
            Self::Validate(object) => write!(f, "validate {}", named(object)),
            Self::Expect(entries) => write!(f, "expect {} objects", entries.len()),
            Self::Apply(object) => write!(f, "apply {}", named(object)),
            Self::Scale {
                reference,
                replicas,
            } => write!(f, "scale {reference} to {replicas}"),
            Self::Record { sequence, .. } => write!(f, "record release {sequence}"),
            Self::Hooks(runs) => write!(f, "remember {} hooks", runs.len()),
            Self::Prune(entry) => write!(f, "prune {}", entry.reference()),
            Self::Forget => write!(f, "forget"),
        }
    }
}

impl Step {
    pub(crate) fn record(desired: &Desired) -> Self {
        Self::Record {
            tree: desired.tree.clone(),
            sequence: desired.release.sequence,
            artifact: desired.release.artifact.clone(),
        }
    }
}

/// Steps that may run at the same time.
pub type Stage = Vec<Step>;

/// Why a release is not carried out although it can be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("the release has no objects at all; retire the service if that is meant")]
    Empty,
    #[error(
        "it would remove {count} of {total} objects ({first}, …); that needs a confirmation: `foreshore confirm`"
    )]
    TooManyRemoved {
        count: usize,
        total: usize,
        first: String,
    },
    #[error(
        "it would remove {object}, and with it what it keeps; that needs a confirmation: `foreshore confirm`"
    )]
    Keeps { object: String },
}

impl Refusal {
    /// One word for reports.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Empty => "EmptyRelease",
            Self::TooManyRemoved { .. } | Self::Keeps { .. } => "RemovalNeedsConfirmation",
        }
    }
}

/// Kinds that take data or other objects with them.
const KEEPERS: [&str; 4] = [
    "Namespace",
    "PersistentVolumeClaim",
    "CustomResourceDefinition",
    "StatefulSet",
];
/// So many removals are normal in any release.
const REMOVED_ALWAYS_FINE: usize = 5;
/// And so many of a hundred.
const REMOVED_PERCENT_FINE: usize = 30;

/// Returns the steps that write a release; nothing is removed yet.
///
/// The whole set is validated before the first object is written, and what
/// may come to exist is remembered before it does.
pub fn release_steps(
    desired: &Desired,
    inventory: &Inventory,
    now: Timestamp,
) -> Result<Vec<Stage>, Refusal> {
    if desired.objects.is_empty() {
        return Err(Refusal::Empty);
    }
    guard(
        &removed(desired, inventory),
        inventory.entries.len(),
        &desired.confirmed,
    )?;
    let objects = desired.objects_at(now);
    let mut stages = vec![
        vec![Step::Namespace(desired.namespace.clone())],
        objects.iter().cloned().map(Step::Validate).collect(),
    ];
    let expected = union(desired, inventory);
    if expected != inventory.entries {
        stages.push(vec![Step::Expect(expected)]);
    }
    // A workload that is there is scaled before its manifest is written: a manifest
    // that says nothing of replicas any more would let them fall to one in between.
    let is_there = |reference: &Reference| {
        inventory
            .entry(reference)
            .is_some_and(|entry| !entry.uid.is_empty())
    };
    let scale = |(reference, replicas)| Step::Scale {
        reference,
        replicas,
    };
    let (present, absent): (Vec<_>, Vec<_>) = desired
        .scaled(now)
        .into_iter()
        .partition(|(reference, _)| is_there(reference));
    let (before, after): (Stage, Stage) = (
        present.into_iter().map(scale).collect(),
        absent.into_iter().map(scale).collect(),
    );
    if !before.is_empty() {
        stages.push(before);
    }
    for stage in order::staged(objects, order::kind_of) {
        stages.push(stage.into_iter().map(Step::Apply).collect());
    }
    if !after.is_empty() {
        stages.push(after);
    }
    stages.push(vec![Step::record(desired)]);
    Ok(stages)
}

/// Returns the steps that remove what a service has but shall not have any more.
///
/// They run once the release is healthy, so that a rename never leaves a
/// moment in which neither the old nor the new object answers.
pub fn prune_steps(desired: &Desired, inventory: &Inventory) -> Vec<Stage> {
    let removed: Vec<Entry> = removed(desired, inventory).into_iter().cloned().collect();
    if removed.is_empty() {
        return Vec::new();
    }
    let mut stages = removals(removed);
    stages.push(vec![Step::record(desired)]);
    stages
}

/// Returns the steps that remove a service that was ended; what keeps data needs its own consent.
pub fn retire_steps(inventory: &Inventory, confirmed: &[String]) -> Result<Vec<Stage>, Refusal> {
    let all: Vec<&Entry> = inventory.entries.iter().collect();
    if let Some(object) = unconfirmed_keeper(&all, confirmed) {
        return Err(Refusal::Keeps { object });
    }
    let mut stages = removals(inventory.entries.clone());
    stages.push(vec![Step::Forget]);
    Ok(stages)
}

fn removed<'a>(desired: &Desired, inventory: &'a Inventory) -> Vec<&'a Entry> {
    let wanted: Vec<Reference> = desired.references().collect();
    let is_wanted = |entry: &Entry| {
        wanted
            .iter()
            .any(|reference| reference.is_same(&entry.reference()))
    };
    inventory
        .entries
        .iter()
        .filter(|entry| !is_wanted(entry))
        .collect()
}

fn unconfirmed_keeper(removed: &[&Entry], confirmed: &[String]) -> Option<String> {
    let keepers = removed
        .iter()
        .filter(|entry| KEEPERS.contains(&entry.kind.as_str()));
    keepers
        .map(|entry| entry.reference().to_string())
        .find(|object| !confirmed.contains(object))
}

fn guard(removed: &[&Entry], total: usize, confirmed: &[String]) -> Result<(), Refusal> {
    if let Some(object) = unconfirmed_keeper(removed, confirmed) {
        return Err(Refusal::Keeps { object });
    }
    if confirmed.iter().any(|object| object == "*") {
        return Ok(());
    }
    let fine = REMOVED_ALWAYS_FINE.max(total * REMOVED_PERCENT_FINE / 100);
    match removed {
        [first, ..] if removed.len() > fine => Err(Refusal::TooManyRemoved {
            count: removed.len(),
            total,
            first: first.reference().to_string(),
        }),
        _ => Ok(()),
    }
}

/// What is remembered, and what is to come that is not remembered yet.
fn union(desired: &Desired, inventory: &Inventory) -> Vec<Entry> {
    let mut entries = inventory.entries.clone();
    for reference in desired.references() {
        match entries
            .iter_mut()
            .find(|entry| entry.reference().is_same(&reference))
        {
            Some(entry) => entry.api_version = reference.api_version,
            None => entries.push(Entry::new(reference)),
        }
    }
    entries
}

fn removals(entries: Vec<Entry>) -> Vec<Stage> {
    let mut stages: Vec<Stage> = order::staged(entries, |entry| entry.kind.as_str())
        .into_iter()
        .map(|stage| stage.into_iter().map(Step::Prune).collect())
        .collect();
    stages.reverse();
    stages
}

#[cfg(test)]
mod tests;
