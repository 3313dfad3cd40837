//! Server-side apply: a manager states what it wants, the object follows, and
//! what others want differently is a conflict.

use std::fmt;

use foreshore_engine_schema::TypeRef;
use jiff::Timestamp;
use serde_json::Value;

use crate::compare::compare;
use crate::field_set::FieldSet;
use crate::last_applied;
use crate::managed::{
    Entry, Key, Managed, Manager, Operation, decode, encode, spell_time, stripped,
};
use crate::merge::merged;
use crate::ownership::owned_by;
use crate::path::Path;
use crate::remove::without;
use crate::update::{Write, attribute, disown, empty_object, never_owned};
use crate::validate::{Undeclared, problems};
use crate::view::same;

/// An apply request.
#[derive(Debug, Clone, Copy)]
pub struct ApplyRequest<'a> {
    pub type_ref: TypeRef<'a>,
    /// `None` creates the object.
    pub live: Option<&'a Value>,
    /// What the manager wants, as it was sent.
    pub config: &'a Value,
    pub manager: &'a Manager,
    pub now: Timestamp,
    /// Take conflicting fields over.
    pub force: bool,
    /// Paths this endpoint does not write, such as `status` on the main resource.
    pub reset: &'a FieldSet,
}

/// Why a configuration was not applied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApplyError {
    /// 409 with one cause per field.
    #[error("{0}")]
    Conflicts(Conflicts),
    /// The configuration does not fit the type; the real server answers 500.
    #[error("failed to create typed patch object ({object}): {}", first(.problems))]
    Undeclared {
        /// `namespace/name; group/version, Kind=kind`.
        object: String,
        problems: Vec<Undeclared>,
    },
    /// 400.
    #[error("metadata.managedFields must be nil")]
    ManagedFieldsInConfig,
    #[error("failed to decode managed fields")]
    LiveManagedFields,
}

/// The real server stops at the first problem it meets.
fn first(problems: &[Undeclared]) -> String {
    problems
        .first()
        .map(ToString::to_string)
        .unwrap_or_default()
}

fn describe(config: &Value) -> String {
    let word = |pointer| {
        config
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    format!(
        "{}/{}; {}, Kind={}",
        word("/metadata/namespace"),
        word("/metadata/name"),
        word("/apiVersion"),
        word("/kind")
    )
}

/// A field that another manager wants differently.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// The other manager, as messages name it: `"kubectl" using apps/v1`.
    pub manager: String,
    /// For example `.spec.replicas`: the cause's `field`.
    pub path: String,
    /// The cause's `message`: `conflict with "kubectl" using apps/v1`.
    pub message: String,
}

/// All conflicts of a request; displayed as the answer's message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflicts(pub Vec<Conflict>);

impl fmt::Display for Conflicts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [one] = self.0.as_slice() {
            return write!(
                f,
                "Apply failed with 1 conflict: {}: {}",
                one.message, one.path
            );
        }
        write!(f, "Apply failed with {} conflicts: ", self.0.len())?;
        let mut last = None;
        for conflict in &self.0 {
            if last.is_some() {
                f.write_str("\n")?;
            }
            if last != Some(&conflict.manager) {
                writeln!(f, "conflicts with {}:", conflict.manager)?;
                last = Some(&conflict.manager);
            }
            write!(f, "- {}", conflict.path)?;
        }
        Ok(())
    }
}

/// Applies a configuration. Returns the merged object with its
/// `managedFields`; the caller conforms, defaults and validates it.
pub fn apply(request: ApplyRequest<'_>) -> Result<Value, ApplyError> {
    if request
        .config
        .pointer("/metadata/managedFields")
        .is_some_and(|fields| !fields.is_null())
    {
        return Err(ApplyError::ManagedFieldsInConfig);
    }
    let problems = problems(request.type_ref, request.config);
    if !problems.is_empty() {
        return Err(ApplyError::Undeclared {
            object: describe(request.config),
            problems,
        });
    }
    let result = apply_once(request).map(|applied| applied.object);
    // kubectl's own client-side apply may be taken over without asking.
    let result = match result {
        Err(Failure::Conflicts(keys)) if request.manager.name == "kubectl" => {
            let allowed = request
                .live
                .and_then(|live| {
                    last_applied::allowed(request.type_ref, live, &request.manager.api_version)
                })
                .unwrap_or_default();
            let left: Vec<(Key, Path)> = keys
                .into_iter()
                .filter(|(_, path)| !allowed.has(&path.0))
                .collect();
            if left.is_empty() {
                apply_once(ApplyRequest {
                    force: true,
                    ..request
                })
                .map(|applied| applied.object)
            } else {
                Err(Failure::Conflicts(left))
            }
        }
        result => result,
    };
    let mut object = result.map_err(Failure::into_error)?;
    if request.manager.name == "kubectl" {
        last_applied::refresh(&mut object, request.config);
    }
    Ok(object)
}

struct Applied {
    object: Value,
}

enum Failure {
    Conflicts(Vec<(Key, Path)>),
    LiveManagedFields,
}

impl Failure {
    fn into_error(self) -> ApplyError {
        match self {
            Self::LiveManagedFields => ApplyError::LiveManagedFields,
            Self::Conflicts(found) => {
                let conflicts = found.into_iter().map(|(key, path)| {
                    let manager = key.describe();
                    Conflict {
                        message: format!("conflict with {manager}"),
                        manager,
                        path: path.to_string(),
                    }
                });
                ApplyError::Conflicts(Conflicts(conflicts.collect()))
            }
        }
    }
}

fn apply_once(request: ApplyRequest<'_>) -> Result<Applied, Failure> {
    let ApplyRequest {
        type_ref,
        config,
        manager,
        now,
        reset,
        ..
    } = request;
    let empty = empty_object(type_ref);
    let stored = request.live.unwrap_or(&empty);
    let mut managed = decode(stored).ok_or(Failure::LiveManagedFields)?;
    let live = stripped(stored);
    if managed.is_empty() {
        // Whatever is there already belongs to whoever came before the first apply.
        let before = Manager {
            name: "before-first-apply".to_owned(),
            ..manager.clone()
        };
        attribute(
            Write {
                type_ref,
                old: &empty,
                new: &live,
                manager: &before,
                now,
                reset,
            },
            &mut managed,
        );
    }
    let key = Key::new(manager, Operation::Apply);
    let last = managed.get(&key).cloned();
    let set = owned_by(type_ref, config).recursive_difference(reset);
    let time = last.as_ref().and_then(|entry| entry.time.clone());
    managed.insert(
        key.clone(),
        Entry {
            api_version: manager.api_version.clone(),
            set,
            time,
        },
    );
    let object = merged(type_ref, &live, config);
    let mut object = prune(
        type_ref,
        object,
        &managed,
        last.as_ref().map(|entry| &entry.set),
    );

    let comparison = compare(type_ref, &live, &object).without(reset);
    let changed = comparison.modified.union(&comparison.added);
    let conflicts: Vec<(Key, Path)> = managed
        .iter()
        .filter(|(other, _)| **other != key)
        .flat_map(|(other, entry)| {
            entry
                .set
                .intersection(&changed)
                .paths()
                .into_iter()
                .map(|path| (other.clone(), path))
                .collect::<Vec<_>>()
        })
        .collect();
    if !conflicts.is_empty() && !request.force {
        return Err(Failure::Conflicts(conflicts));
    }
    disown(&mut managed, Some(&key), &comparison);
    if let Some(entry) = managed.get_mut(&key) {
        entry.set = entry.set.difference(&never_owned());
        if !same(&live, &object) {
            entry.time = Some(spell_time(now));
        }
    }
    managed.retain(|_, entry| !entry.set.is_empty());
    encode(&mut object, &managed);
    Ok(Applied { object })
}

/// Removes what this manager applied last time, does not apply now, and nobody
/// else owns.
fn prune(
    type_ref: TypeRef<'_>,
    merged: Value,
    managed: &Managed,
    last: Option<&FieldSet>,
) -> Value {
    let Some(last) = last.filter(|last| !last.is_empty()) else {
        return merged;
    };
    let last = last.with_named_fields(type_ref);
    let pruned = without(type_ref, &merged, &last);
    // Removing an item takes everything below it along: add back what is owned.
    let owned = managed
        .values()
        .fold(FieldSet::default(), |all, entry| all.union(&entry.set))
        .with_named_fields(type_ref);
    let merged_set = owned_by(type_ref, &merged).with_named_fields(type_ref);
    let pruned_set = owned_by(type_ref, &pruned).with_named_fields(type_ref);
    let pruned = without(
        type_ref,
        &merged,
        &merged_set.difference(&pruned_set.union(&owned)),
    );
    // And what this manager never owned.
    let pruned_set = owned_by(type_ref, &pruned).with_named_fields(type_ref);
    without(
        type_ref,
        &merged,
        &merged_set.difference(&pruned_set).intersection(&last),
    )
}
