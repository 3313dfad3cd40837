//! What a decision may look at.

use std::collections::BTreeMap;
use std::sync::Arc;

use foreshore_model::config::{Environment, Hold, Policy, Request};
use foreshore_model::{
    ArtifactId, ArtifactRecord, Digest, EnvironmentName, Freeze, FreezeName, Operations,
    PolicyName, ReleaseFile, ServiceName, Tombstone, Verdict, nearest,
};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::refusal::Refusal;

/// A service in an environment.
pub type Place = (EnvironmentName, ServiceName);

/// The config repository at one commit, and which artifacts have proven themselves where.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct World {
    pub environments: BTreeMap<EnvironmentName, Environment>,
    pub policies: BTreeMap<PolicyName, Policy>,
    pub releases: BTreeMap<Place, ReleaseFile>,
    pub holds: BTreeMap<Place, Hold>,
    /// Open requests by id.
    pub requests: BTreeMap<String, Request>,
    /// Artifacts that were healthy, oldest first.
    pub verified: BTreeMap<Place, Vec<Verified>>,
    /// What checks found, oldest first.
    pub verdicts: BTreeMap<Place, Vec<Verdict>>,
    pub operations: BTreeMap<Place, Operations>,
    /// Services that were retired, and not released again since.
    pub tombstones: BTreeMap<Place, Tombstone>,
    pub freezes: BTreeMap<FreezeName, Freeze>,
    /// What the clock shows in each time zone that a freeze may stand in.
    pub zones: Arc<BTreeMap<String, TimeZone>>,
    /// Tree id of the manifests that a place holds, where it is known.
    pub trees: BTreeMap<Place, String>,
}

/// An artifact that was healthy somewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    pub artifact: Digest,
    pub artifact_id: ArtifactId,
    /// The release under which it was.
    pub sequence: u64,
    pub at: Timestamp,
}

/// An artifact that could be released.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    pub digest: Digest,
    pub record: ArtifactRecord,
}

impl World {
    /// Returns an environment, or the nearest name to the one that is not there.
    pub fn environment(&self, name: &EnvironmentName) -> Result<&Environment, Refusal> {
        self.environments.get(name).ok_or_else(|| {
            let refusal = Refusal::not_found(format!("there is no environment `{name}`"));
            match nearest(
                name.as_str(),
                self.environments.keys().map(EnvironmentName::as_str),
            ) {
                Some(near) => refusal.hint(format!("did you mean `{near}`?")),
                None => refusal.hint(format!("known are: {}", joined(self.environments.keys()))),
            }
        })
    }

    /// Returns what an environment runs of a service.
    pub fn release(
        &self,
        environment: &EnvironmentName,
        service: &ServiceName,
    ) -> Result<&ReleaseFile, Refusal> {
        self.environment(environment)?;
        self.releases
            .get(&(environment.clone(), service.clone()))
            .ok_or_else(|| {
                let refusal =
                    Refusal::not_found(format!("`{service}` has no release in `{environment}`"));
                let known = self.releases.keys().map(|(_, service)| service.as_str());
                match nearest(service.as_str(), known).filter(|near| *near != service.as_str()) {
                    Some(near) => refusal.hint(format!("did you mean `{near}`?")),
                    None => refusal.hint("build one with `foreshore run build` in its repository"),
                }
            })
    }

    /// Returns the sequence number that the next release of a service gets.
    pub fn next_sequence(&self, place: &Place) -> u64 {
        let running = self.releases.get(place).map(|release| release.sequence);
        let ended = self.tombstones.get(place).map(|stone| stone.sequence);
        running.max(ended).unwrap_or(0) + 1
    }

    /// Whether an artifact was healthy in an environment.
    pub fn is_verified(&self, place: &Place, artifact: &Digest) -> bool {
        self.verified
            .get(place)
            .is_some_and(|list| list.iter().any(|verified| verified.artifact == *artifact))
    }
}

pub(crate) fn joined<T: ToString>(names: impl IntoIterator<Item = T>) -> String {
    names
        .into_iter()
        .map(|name| name.to_string())
        .collect::<Vec<_>>()
        .join(", ")
}
