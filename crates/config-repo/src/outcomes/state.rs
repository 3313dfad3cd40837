//! What is recorded, in memory and as files.

use std::collections::{BTreeMap, BTreeSet};

use foreshore_git::{Change, ObjectId, Repository};
use foreshore_model::config::OUTCOMES_REF;
use foreshore_model::{
    ArtifactId, Digest, EnvironmentName, Outcome, Phase, ServiceName, SiteName, Verdict,
};
use foreshore_release::{Place, Verified};
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::ReadError;

/// Healthy artifacts remembered of each service: enough to roll back over a bad month.
const VERIFIED_MAX: usize = 50;

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) tip: Option<ObjectId>,
    outcomes: BTreeMap<(Place, SiteName), Outcome>,
    pub(super) verified: BTreeMap<Place, Vec<Verified>>,
    pub(super) verdicts: BTreeMap<Place, Vec<Verdict>>,
    /// Files that memory has newer than the repository.
    dirty: BTreeSet<Record>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Record {
    Outcome(Place, SiteName),
    Verified(Place),
    Verdicts(Place),
}

/// Verdicts remembered of each service: a month of several releases a day with several checks.
const VERDICTS_MAX: usize = 500;

/// [`Verified`] as a file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct VerifiedEntry {
    artifact: Digest,
    artifact_id: ArtifactId,
    sequence: u64,
    at: Timestamp,
}

/// What the config repository says about the release that an outcome is about.
pub(super) struct Release {
    pub(super) artifact_id: ArtifactId,
    pub(super) sites: Vec<SiteName>,
}

impl State {
    pub(super) fn read(repository: &Repository) -> Result<Self, ReadError> {
        let mut state = Self {
            tip: repository.resolve(OUTCOMES_REF)?,
            ..Self::default()
        };
        let Some(tip) = &state.tip else {
            return Ok(state);
        };
        let files = repository.files(&repository.root(tip)?)?;
        let ids: Vec<ObjectId> = files.values().map(|entry| entry.id.clone()).collect();
        for (path, bytes) in files.keys().zip(repository.read_blobs(&ids)?) {
            let parts: Vec<&str> = path.split('/').collect();
            match parts[..] {
                ["outcomes", ..] => {
                    let outcome: Outcome = json(path, &bytes)?;
                    state
                        .outcomes
                        .insert((place_of(&outcome), outcome.site.clone()), outcome);
                }
                ["verified", environment, file] => {
                    let entries: Vec<VerifiedEntry> = json(path, &bytes)?;
                    state.verified.insert(
                        place_at(path, environment, file)?,
                        entries.into_iter().map(Verified::from).collect(),
                    );
                }
                ["verdicts", environment, file] => {
                    let verdicts = json(path, &bytes)?;
                    let place = place_at(path, environment, file)?;
                    state.verdicts.insert(place, verdicts);
                }
                _ => {}
            }
        }
        Ok(state)
    }

    /// Takes the files over that memory has no newer ones of.
    pub(super) fn merge(&mut self, newer: Self) {
        for (key, outcome) in newer.outcomes {
            if !self
                .dirty
                .contains(&Record::Outcome(key.0.clone(), key.1.clone()))
            {
                self.outcomes.insert(key, outcome);
            }
        }
        for (place, mut list) in newer.verified {
            if self.dirty.contains(&Record::Verified(place.clone())) {
                let ours = self.verified.remove(&place).unwrap_or_default();
                for entry in ours {
                    if list.iter().all(|other| other.sequence != entry.sequence) {
                        list.push(entry);
                    }
                }
                list.sort_by_key(|entry| entry.sequence);
            }
            self.verified.insert(place, list);
        }
        for (place, mut list) in newer.verdicts {
            if self.dirty.contains(&Record::Verdicts(place.clone())) {
                let ours = self.verdicts.remove(&place).unwrap_or_default();
                for verdict in ours {
                    if !list.contains(&verdict) {
                        list.push(verdict);
                    }
                }
            }
            self.verdicts.insert(place, list);
        }
        self.tip = newer.tip;
    }

    pub(super) fn newest(&self, place: &Place) -> Vec<Outcome> {
        self.outcomes
            .iter()
            .filter(|((of, _), _)| of == place)
            .map(|(_, outcome)| outcome.clone())
            .collect()
    }

    pub(super) fn all(&self) -> Vec<Outcome> {
        self.outcomes.values().cloned().collect()
    }

    /// Takes an outcome in; false if it says nothing new.
    pub(super) fn take(&mut self, outcome: Outcome, release: Option<&Release>) -> bool {
        let place = place_of(&outcome);
        let key = (place.clone(), outcome.site.clone());
        if let Some(before) = self.outcomes.get(&key) {
            let same = Outcome {
                at: before.at,
                ..outcome.clone()
            } == *before;
            if outcome.sequence < before.sequence || same {
                return false;
            }
        }
        let outcome_passed = !outcome.verdicts.iter().any(Verdict::is_breach);
        let (sequence, artifact, at, phase) = (
            outcome.sequence,
            outcome.artifact.clone(),
            outcome.at,
            outcome.phase,
        );
        self.dirty
            .insert(Record::Outcome(key.0.clone(), key.1.clone()));
        self.take_verdicts(&place, &outcome.verdicts);
        self.outcomes.insert(key, outcome);
        if let Some(release) = release.filter(|_| phase == Phase::Healthy && outcome_passed)
            && self.healthy_everywhere(&place, sequence, &release.sites)
        {
            self.verify(
                place,
                Verified {
                    artifact,
                    artifact_id: release.artifact_id.clone(),
                    sequence,
                    at,
                },
            );
        }
        true
    }

    fn take_verdicts(&mut self, place: &Place, verdicts: &[Verdict]) {
        for verdict in verdicts {
            let list = self.verdicts.entry(place.clone()).or_default();
            if list.contains(verdict) {
                continue;
            }
            list.push(verdict.clone());
            if verdict.is_breach()
                && let Some(verified) = self.verified.get_mut(place)
            {
                // What failed a check is nothing to roll back to.
                verified.retain(|entry| entry.artifact != verdict.artifact);
                self.dirty.insert(Record::Verified(place.clone()));
            }
            list.drain(..list.len().saturating_sub(VERDICTS_MAX));
            self.dirty.insert(Record::Verdicts(place.clone()));
        }
    }

    /// Whether every site of the environment runs this release and is well.
    fn healthy_everywhere(&self, place: &Place, sequence: u64, sites: &[SiteName]) -> bool {
        sites.iter().all(|site| {
            let outcome = self.outcomes.get(&(place.clone(), site.clone()));
            outcome.is_some_and(|outcome| {
                outcome.sequence == sequence && outcome.phase == Phase::Healthy
            })
        })
    }

    fn verify(&mut self, place: Place, entry: Verified) {
        let list = self.verified.entry(place.clone()).or_default();
        if list.iter().any(|known| known.sequence == entry.sequence) {
            return;
        }
        list.push(entry);
        list.sort_by_key(|entry| entry.sequence);
        list.drain(..list.len().saturating_sub(VERIFIED_MAX));
        self.dirty.insert(Record::Verified(place));
    }

    /// Returns the files to write; they count as written only after [`Self::written`].
    pub(super) fn changes(&self) -> Vec<Change> {
        self.dirty
            .iter()
            .filter_map(|record| self.change(record))
            .collect()
    }

    fn change(&self, record: &Record) -> Option<Change> {
        match record {
            Record::Outcome((environment, service), site) => {
                let key = ((environment.clone(), service.clone()), site.clone());
                let path = format!("outcomes/{environment}/{site}/{service}.json");
                Some(Change::write(path, text(self.outcomes.get(&key)?)))
            }
            Record::Verified(place) => {
                let list: Vec<VerifiedEntry> = self
                    .verified
                    .get(place)?
                    .iter()
                    .map(VerifiedEntry::from)
                    .collect();
                Some(Change::write(
                    format!("verified/{}/{}.json", place.0, place.1),
                    text(&list),
                ))
            }
            Record::Verdicts(place) => Some(Change::write(
                format!("verdicts/{}/{}.json", place.0, place.1),
                text(self.verdicts.get(place)?),
            )),
        }
    }

    pub(super) fn written(&mut self, tip: ObjectId) {
        self.tip = Some(tip);
        self.dirty.clear();
    }
}

pub(super) fn place_of(outcome: &Outcome) -> Place {
    (outcome.environment.clone(), outcome.service.clone())
}

fn place_at(path: &str, environment: &str, file: &str) -> Result<Place, ReadError> {
    let misplaced = || ReadError::Misplaced {
        path: path.to_owned(),
        found: "no service".to_owned(),
    };
    let environment = EnvironmentName::new(environment).map_err(|_| misplaced())?;
    let service = file.strip_suffix(".json").ok_or_else(misplaced)?;
    let service = ServiceName::new(service).map_err(|_| misplaced())?;
    Ok((environment, service))
}

fn json<T: DeserializeOwned>(path: &str, bytes: &[u8]) -> Result<T, ReadError> {
    serde_json::from_slice(bytes).map_err(|cause| ReadError::Json {
        path: path.to_owned(),
        cause,
    })
}

fn text<T: Serialize>(value: &T) -> Vec<u8> {
    let mut text = serde_json::to_vec_pretty(value).expect("outcomes are plain data");
    text.push(b'\n');
    text
}

impl From<&Verified> for VerifiedEntry {
    fn from(entry: &Verified) -> Self {
        let Verified {
            artifact,
            artifact_id,
            sequence,
            at,
        } = entry.clone();
        Self {
            artifact,
            artifact_id,
            sequence,
            at,
        }
    }
}

impl From<VerifiedEntry> for Verified {
    fn from(entry: VerifiedEntry) -> Self {
        let VerifiedEntry {
            artifact,
            artifact_id,
            sequence,
            at,
        } = entry;
        Self {
            artifact,
            artifact_id,
            sequence,
            at,
        }
    }
}
