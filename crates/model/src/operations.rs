//! `operations.yaml`: what people change about a running service without a build.
//!
//! Which replicas hold at a moment is computed here, so that command line,
//! server and agent agree; the moment is passed in.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::person::Actor;

/// Operational state beside the artifact.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Operations {
    /// Grows by one with every change; an outcome tells which one the agent has carried out.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub number: u64,
    /// Replicas of each workload by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub replicas: BTreeMap<String, u32>,
    /// Bounds of the workloads that an autoscaler moves.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub bounds: BTreeMap<String, Bounds>,
    /// Capacity that must be there for a while, whatever else is asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub floors: Vec<Floor>,
    /// The agent leaves the service alone while this is set.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub paused: bool,
    /// Who changed it last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed: Option<Changed>,
}

/// Who changed something, when and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Changed {
    pub actor: Actor,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    #[schemars(with = "String")]
    pub at: Timestamp,
}

/// The least and the most replicas an autoscaler may choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Bounds {
    pub min: u32,
    pub max: u32,
}

/// So many replicas at least, from one moment to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Floor {
    pub workload: String,
    pub replicas: u32,
    #[schemars(with = "String")]
    pub from: Timestamp,
    #[schemars(with = "String")]
    pub until: Timestamp,
}

impl Floor {
    /// Whether it holds at this moment; the end is not part of it.
    pub fn is_active(&self, now: Timestamp) -> bool {
        self.from <= now && now < self.until
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Operations {
    /// Returns the replicas that a workload shall have at this moment, if people set them.
    pub fn replicas_at(&self, workload: &str, now: Timestamp) -> Option<u32> {
        let base = *self.replicas.get(workload)?;
        Some(base.max(self.floor_at(workload, now)))
    }

    /// Returns the bounds that a workload's autoscaler shall have at this moment, if people set them.
    pub fn bounds_at(&self, workload: &str, now: Timestamp) -> Option<Bounds> {
        let bounds = *self.bounds.get(workload)?;
        let floor = self.floor_at(workload, now);
        Some(Bounds {
            min: bounds.min.max(floor),
            max: bounds.max.max(floor),
        })
    }

    fn floor_at(&self, workload: &str, now: Timestamp) -> u32 {
        let active = self
            .floors
            .iter()
            .filter(|floor| floor.workload == workload && floor.is_active(now));
        active.map(|floor| floor.replicas).max().unwrap_or(0)
    }

    /// Returns the next moment at which a floor begins or ends.
    pub fn next_change(&self, now: Timestamp) -> Option<Timestamp> {
        let moments = self
            .floors
            .iter()
            .flat_map(|floor| [floor.from, floor.until]);
        moments.filter(|moment| *moment > now).min()
    }

    /// Names every workload that something is said about.
    pub fn workloads(&self) -> Vec<&str> {
        let floors = self.floors.iter().map(|floor| &floor.workload);
        let mut names: Vec<&str> = self
            .replicas
            .keys()
            .chain(self.bounds.keys())
            .chain(floors)
            .map(String::as_str)
            .collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn floor(replicas: u32, from: i64, until: i64) -> Floor {
        Floor {
            workload: "web".into(),
            replicas,
            from: at(from),
            until: at(until),
        }
    }

    #[test]
    fn the_highest_active_floor_lifts_replicas_and_bounds_and_lets_them_go_again() {
        let operations = Operations {
            replicas: [("web".to_owned(), 3)].into(),
            bounds: [("web".to_owned(), Bounds { min: 2, max: 10 })].into(),
            floors: vec![floor(8, 100, 200), floor(20, 150, 160)],
            ..Operations::default()
        };
        for (now, replicas, min, max) in [
            (99, 3, 2, 10),
            (100, 8, 8, 10),
            (155, 20, 20, 20),
            (160, 8, 8, 10),
            (200, 3, 2, 10),
        ] {
            assert_eq!(operations.replicas_at("web", at(now)), Some(replicas));
            assert_eq!(
                operations.bounds_at("web", at(now)),
                Some(Bounds { min, max })
            );
        }
        assert_eq!(operations.replicas_at("api", at(155)), None);
        assert_eq!(operations.next_change(at(100)), Some(at(150)));
        assert_eq!(operations.next_change(at(200)), None);
        assert_eq!(operations.workloads(), ["web"]);
    }

    #[test]
    fn a_file_of_the_first_version_reads_back() {
        let old: Operations =
            crate::yaml::read("operations.yaml", "replicas:\n  web: 3\npaused: true\n").unwrap();
        assert_eq!(old.replicas_at("web", at(0)), Some(3));
        assert!(old.paused);
        assert_eq!(old.number, 0);
    }
}
