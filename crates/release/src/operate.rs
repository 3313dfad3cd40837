//! What people change about a running service without a build: replicas, bounds, floors, pause.

use std::collections::BTreeMap;

use foreshore_model::api::OperationsChange;
use foreshore_model::operations::{Bounds, Changed, Floor};
use foreshore_model::yaml::YamlError;
use foreshore_model::{Actor, Operations, nearest, yaml};
use jiff::Timestamp;

use crate::commit::{Commit, Decision, Step, service_directory};
use crate::refusal::Refusal;
use crate::world::{Place, World};

/// The most replicas that may be asked for; more is a slip of the finger.
pub const REPLICAS_MAX: u32 = 1_000;
/// The most floors one service may have at a time.
const FLOORS_MAX: usize = 50;

/// A workload of the present release, as its manifests show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workload {
    pub name: String,
    /// What the manifest says, one if it says nothing.
    pub replicas: u32,
    /// The bounds of its autoscaler, if it has one.
    pub bounds: Option<Bounds>,
}

/// Finds the workloads that can be scaled in released files, by path and text.
pub fn workloads<'a>(
    files: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Result<Vec<Workload>, YamlError> {
    let mut found: Vec<Workload> = Vec::new();
    let mut bounds: BTreeMap<String, Bounds> = BTreeMap::new();
    for (path, text) in files {
        for object in yaml::read_manifests(path, text)? {
            let count = |field: &str, otherwise: u32| {
                let number = object["spec"][field].as_u64();
                number.map_or(otherwise, |number| {
                    u32::try_from(number).unwrap_or(u32::MAX)
                })
            };
            match object["kind"].as_str() {
                Some("Deployment" | "StatefulSet" | "ReplicaSet") => {
                    let name = object["metadata"]["name"].as_str().unwrap_or_default();
                    found.push(Workload {
                        name: name.to_owned(),
                        replicas: count("replicas", 1),
                        bounds: None,
                    });
                }
                Some("HorizontalPodAutoscaler") => {
                    let target = &object["spec"]["scaleTargetRef"]["name"];
                    let target = target.as_str().unwrap_or_default().to_owned();
                    let (min, max) = (count("minReplicas", 1), count("maxReplicas", 1));
                    bounds.insert(target, Bounds { min, max });
                }
                _ => {}
            }
        }
    }
    for workload in &mut found {
        workload.bounds = bounds.get(&workload.name).copied();
    }
    Ok(found)
}

/// A change that somebody asks for.
#[derive(Debug, Clone)]
pub struct Operation {
    pub place: Place,
    /// What the present release runs.
    pub workloads: Vec<Workload>,
    pub change: OperationsChange,
    pub actor: Actor,
    pub reason: String,
    pub key: String,
    /// Refuse unless the operations have this number now.
    pub expected: Option<u64>,
}

/// What a change of operations comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operated {
    pub operations: Operations,
    /// What changed, in words; empty if nothing did.
    pub words: Vec<String>,
}

/// Works a change out without writing it.
pub fn operated(world: &World, operation: &Operation, now: Timestamp) -> Result<Operated, Refusal> {
    let (environment, service) = &operation.place;
    world.release(environment, service)?;
    let before = world
        .operations
        .get(&operation.place)
        .cloned()
        .unwrap_or_default();
    if let Some(expected) = operation.expected.filter(|number| *number != before.number) {
        return Err(moved(&before, expected, operation));
    }
    let mut after = before.clone();
    // What is over needs no more room.
    after.floors.retain(|floor| floor.until > now);
    let words = change(&mut after, operation, now)?;
    let same = Operations {
        floors: before.floors.clone(),
        ..after.clone()
    } == before
        && after
            .floors
            .iter()
            .all(|floor| before.floors.contains(floor))
        && words.is_empty();
    if same {
        return Ok(Operated {
            operations: before,
            words: Vec::new(),
        });
    }
    after.number = before.number + 1;
    after.changed = Some(Changed {
        actor: operation.actor.clone(),
        reason: operation.reason.clone(),
        at: now,
    });
    Ok(Operated {
        operations: after,
        words,
    })
}

/// Decides about a change of operations.
pub fn operate(world: &World, operation: &Operation, now: Timestamp) -> Result<Decision, Refusal> {
    let Operated { operations, words } = operated(world, operation, now)?;
    if words.is_empty() {
        return Ok(Decision::NotHeld);
    }
    let (environment, service) = &operation.place;
    let text = yaml::write(&operations).map_err(|error| Refusal::usage(error.to_string()))?;
    let step = Step::Write {
        path: format!(
            "{}/operations.yaml",
            service_directory(environment, service)
        ),
        text,
    };
    let subject = format!(
        "[{environment}/{service}] {} by {}",
        words.join(", "),
        operation.actor.name
    );
    let mut commit = Commit::plain(
        subject,
        vec![step],
        &operation.actor,
        &operation.reason,
        &operation.key,
    );
    commit.trailers.insert(
        0,
        (
            "Operations",
            format!("{environment}/{service}/{}", operations.number),
        ),
    );
    Ok(commit.into())
}

fn moved(before: &Operations, expected: u64, operation: &Operation) -> Refusal {
    let who = before
        .changed
        .as_ref()
        .map_or("somebody", |changed| changed.actor.name.as_str());
    let (environment, service) = &operation.place;
    Refusal::conflict(format!(
        "{who} moved first: the operations of `{service}` in `{environment}` have number {}, not {expected}",
        before.number
    ))
    .hint("look with `foreshore describe service` and ask again")
}

fn change(
    after: &mut Operations,
    operation: &Operation,
    now: Timestamp,
) -> Result<Vec<String>, Refusal> {
    let find = |name: &Option<String>| workload(operation, name.as_deref());
    match &operation.change {
        OperationsChange::Replicas { workload, replicas } => {
            set_replicas(after, find(workload)?, *replicas)
        }
        OperationsChange::Step { workload, by } => {
            let workload = find(workload)?;
            let current = after
                .replicas
                .get(&workload.name)
                .copied()
                .unwrap_or(workload.replicas);
            let wanted = current.checked_add_signed(*by).ok_or_else(|| {
                Refusal::usage(format!(
                    "`{}` has {current} replicas, so {} cannot be taken away",
                    workload.name,
                    by.unsigned_abs()
                ))
            })?;
            set_replicas(after, workload, wanted)
        }
        OperationsChange::Bounds { workload, min, max } => {
            set_bounds(after, find(workload)?, *min, *max)
        }
        OperationsChange::Floor {
            workload,
            replicas,
            from,
            until,
        } => {
            let floor = Floor {
                workload: find(workload)?.name.clone(),
                replicas: *replicas,
                from: from.unwrap_or(now),
                until: *until,
            };
            add_floor(after, find(workload)?, floor, now)
        }
        OperationsChange::NoFloor { workload } => {
            let name = workload
                .as_ref()
                .map(|_| find(workload))
                .transpose()?
                .map(|found| found.name.clone());
            let count = after.floors.len();
            after
                .floors
                .retain(|floor| name.as_ref().is_some_and(|name| floor.workload != *name));
            let gone = count - after.floors.len();
            Ok((gone > 0)
                .then(|| format!("take {gone} floors away"))
                .into_iter()
                .collect())
        }
        OperationsChange::Pause => Ok(pause(after, true, "pause")),
        OperationsChange::Resume => Ok(pause(after, false, "resume")),
    }
}

fn pause(after: &mut Operations, paused: bool, word: &str) -> Vec<String> {
    if after.paused == paused {
        return Vec::new();
    }
    after.paused = paused;
    vec![word.to_owned()]
}

fn set_replicas(
    after: &mut Operations,
    workload: &Workload,
    replicas: u32,
) -> Result<Vec<String>, Refusal> {
    check_count(replicas)?;
    if workload.bounds.is_some() {
        return Err(Refusal::usage(format!(
            "an autoscaler chooses the replicas of `{}`",
            workload.name
        ))
        .hint("give it bounds with --min and --max, or a floor with --floor"));
    }
    let before = after.replicas.insert(workload.name.clone(), replicas);
    if before == Some(replicas) {
        return Ok(Vec::new());
    }
    let from = before.unwrap_or(workload.replicas);
    Ok(vec![format!(
        "scale {} from {from} to {replicas}",
        workload.name
    )])
}

fn set_bounds(
    after: &mut Operations,
    workload: &Workload,
    min: u32,
    max: u32,
) -> Result<Vec<String>, Refusal> {
    check_count(max)?;
    if workload.bounds.is_none() {
        return Err(Refusal::usage(format!(
            "no autoscaler chooses the replicas of `{}`",
            workload.name
        ))
        .hint("set them with --replicas, or give the service an autoscaler in its plan"));
    }
    if min == 0 || min > max {
        return Err(Refusal::usage(format!(
            "bounds of {min} to {max} leave an autoscaler nothing to choose"
        ))
        .hint("--min is at least 1 and at most --max"));
    }
    let bounds = Bounds { min, max };
    if after.bounds.insert(workload.name.clone(), bounds) == Some(bounds) {
        return Ok(Vec::new());
    }
    Ok(vec![format!("bound {} to {min}..{max}", workload.name)])
}

fn add_floor(
    after: &mut Operations,
    workload: &Workload,
    floor: Floor,
    now: Timestamp,
) -> Result<Vec<String>, Refusal> {
    check_count(floor.replicas)?;
    if floor.until <= floor.from || floor.until <= now {
        return Err(Refusal::usage(format!(
            "the floor ends at {}, before it can begin",
            floor.until
        ))
        .hint("give --until a moment in the future, like 2026-11-20T22:00:00+01:00"));
    }
    if after.floors.contains(&floor) {
        return Ok(Vec::new());
    }
    if after.floors.len() >= FLOORS_MAX {
        return Err(Refusal::usage(format!(
            "a service has at most {FLOORS_MAX} floors at a time"
        ))
        .hint("take some away with --no-floor"));
    }
    // The agent must know what to go back to when the floor is over.
    let name = workload.name.clone();
    if let Some(bounds) = workload.bounds {
        after.bounds.entry(name).or_insert(bounds);
    } else {
        after.replicas.entry(name).or_insert(workload.replicas);
    }
    let words = format!(
        "keep {} at {} at least from {} until {}",
        floor.workload, floor.replicas, floor.from, floor.until
    );
    after.floors.push(floor);
    after.floors.sort_by_key(|floor| floor.from);
    Ok(vec![words])
}

fn check_count(replicas: u32) -> Result<(), Refusal> {
    if replicas <= REPLICAS_MAX {
        return Ok(());
    }
    Err(Refusal::usage(format!(
        "{replicas} replicas are more than the {REPLICAS_MAX} that may be asked for"
    )))
}

/// Finds the workload that is meant.
fn workload<'a>(operation: &'a Operation, name: Option<&str>) -> Result<&'a Workload, Refusal> {
    let (environment, service) = &operation.place;
    let workloads = &operation.workloads;
    let names = || {
        workloads
            .iter()
            .map(|workload| workload.name.as_str())
            .collect::<Vec<_>>()
    };
    let Some(name) = name else {
        return match workloads.as_slice() {
            [one] => Ok(one),
            [] => Err(Refusal::usage(format!(
                "the release of `{service}` in `{environment}` has no workload that can be scaled"
            ))),
            _ => {
                let own = workloads
                    .iter()
                    .find(|workload| workload.name == service.as_str());
                own.ok_or_else(|| {
                    Refusal::usage(format!("`{service}` has several workloads"))
                        .hint(format!("name one with --workload: {}", names().join(", ")))
                })
            }
        };
    };
    workloads
        .iter()
        .find(|workload| workload.name == name)
        .ok_or_else(|| {
            let refusal = Refusal::not_found(format!(
                "`{service}` has no workload `{name}` in `{environment}`"
            ));
            match nearest(name, names()) {
                Some(near) => refusal.hint(format!("did you mean `{near}`?")),
                None => refusal.hint(format!("known are: {}", names().join(", "))),
            }
        })
}

#[cfg(test)]
mod tests;
