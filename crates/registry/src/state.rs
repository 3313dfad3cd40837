//! Which repository holds what; built from the journal, pure.

use std::collections::{BTreeMap, BTreeSet};

use foreshore_model::Digest;
use jiff::Timestamp;

use crate::arrival::Arrival;
use crate::journal::{Change, Entry, Manifest};

#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct State {
    repositories: BTreeMap<String, Repository>,
    arrivals: Vec<Arrival>,
    sequence: u64,
}

#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Repository {
    pub(crate) blobs: BTreeMap<Digest, Timestamp>,
    pub(crate) manifests: BTreeMap<Digest, Manifest>,
    pub(crate) tags: BTreeMap<String, Digest>,
}

impl State {
    pub(crate) fn repository(&self, name: &str) -> Option<&Repository> {
        self.repositories.get(name)
    }

    pub(crate) fn repositories(&self) -> impl Iterator<Item = (&str, &Repository)> {
        self.repositories
            .iter()
            .map(|(name, repository)| (name.as_str(), repository))
    }

    /// Returns the number of the next change.
    pub(crate) fn next_sequence(&self) -> u64 {
        self.sequence + 1
    }

    /// Returns the arrivals after `sequence`, oldest first.
    pub(crate) fn arrivals(&self, sequence: u64) -> &[Arrival] {
        let start = self
            .arrivals
            .partition_point(|arrival| arrival.sequence <= sequence);
        &self.arrivals[start..]
    }

    /// Carries out one change; returns the arrival that it was, if it was one.
    pub(crate) fn apply(&mut self, entry: Entry) -> Option<Arrival> {
        let Entry {
            sequence,
            at,
            repository: name,
            change,
        } = entry;
        self.sequence = self.sequence.max(sequence);
        let repository = self.repositories.entry(name.clone()).or_default();
        match change {
            Change::Blob { digest } => {
                repository.blobs.insert(digest, at);
            }
            Change::Manifest(manifest) => {
                let arrival = Arrival {
                    sequence,
                    at,
                    repository: name,
                    digest: manifest.digest.clone(),
                    tag: manifest.tag.clone(),
                    artifact_type: manifest.artifact_type.clone(),
                };
                if let Some(tag) = &manifest.tag {
                    repository.tags.insert(tag.clone(), manifest.digest.clone());
                }
                repository
                    .manifests
                    .insert(manifest.digest.clone(), manifest);
                self.arrivals.push(arrival.clone());
                return Some(arrival);
            }
            Change::RemoveBlob { digest } => {
                repository.blobs.remove(&digest);
            }
            Change::RemoveManifest { digest } => {
                repository.manifests.remove(&digest);
                repository.tags.retain(|_, target| *target != digest);
                self.arrivals
                    .retain(|arrival| arrival.repository != name || arrival.digest != digest);
            }
            Change::RemoveTag { tag } => {
                repository.tags.remove(&tag);
            }
        }
        None
    }
}

impl Repository {
    /// Returns the manifest under a tag or digest.
    pub(crate) fn find(&self, target: &str) -> Option<&Manifest> {
        match self.tags.get(target) {
            Some(digest) => self.manifests.get(digest),
            None => self.manifests.get(&target.parse().ok()?),
        }
    }

    pub(crate) fn holds(&self, digest: &Digest) -> bool {
        self.blobs.contains_key(digest) || self.manifests.contains_key(digest)
    }

    /// Returns what goes when a manifest goes: all that is about it, what is about that, and the manifest itself last.
    ///
    /// What has a tag of its own, or is a part of something that stays, stays.
    pub(crate) fn going_with(&self, digest: &Digest) -> Vec<Digest> {
        let mut going = vec![digest.clone()];
        let mut next = 0;
        while let Some(subject) = going.get(next).cloned() {
            next += 1;
            // Clients that do not know the referrers API list them under a tag made of the digest.
            let list = self.tags.get(&format!("sha256-{}", subject.hex()));
            let about = self.manifests.values().filter(|manifest| {
                manifest.subject.as_ref() == Some(&subject)
                    && !self.tags.values().any(|tagged| *tagged == manifest.digest)
            });
            let found = list
                .into_iter()
                .chain(about.map(|manifest| &manifest.digest));
            let fresh: Vec<Digest> = found
                .filter(|found| !going.contains(found))
                .cloned()
                .collect();
            going.extend(fresh);
        }
        let needed: BTreeSet<&Digest> = self
            .manifests
            .values()
            .filter(|manifest| !going.contains(&manifest.digest))
            .flat_map(|manifest| &manifest.parts)
            .collect();
        let goes = |found: &&Digest| *found == digest || !needed.contains(found);
        going.iter().filter(goes).rev().cloned().collect()
    }

    /// Returns the testimonies of a kind that are about nothing that is still there.
    pub(crate) fn orphans(&self, artifact_type: &str) -> Vec<Digest> {
        let about_nothing = |subject: &Digest| !self.manifests.contains_key(subject);
        self.manifests
            .values()
            .filter(|manifest| manifest.artifact_type.as_deref() == Some(artifact_type))
            .filter(|manifest| manifest.subject.as_ref().is_some_and(about_nothing))
            .map(|manifest| manifest.digest.clone())
            .collect()
    }

    /// Returns everything that some manifest needs.
    pub(crate) fn used(&self) -> BTreeSet<&Digest> {
        self.manifests
            .values()
            .flat_map(|manifest| &manifest.parts)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(sequence: u64, change: Change) -> Entry {
        Entry {
            sequence,
            at: Timestamp::UNIX_EPOCH,
            repository: "web".into(),
            change,
        }
    }

    fn manifest(content: &[u8], tag: Option<&str>) -> Change {
        Change::Manifest(Manifest {
            digest: Digest::of(content),
            size: content.len() as u64,
            media_type: "m".into(),
            artifact_type: None,
            subject: None,
            tag: tag.map(str::to_owned),
            parts: Vec::new(),
        })
    }

    #[test]
    fn a_tag_follows_the_newest_push_and_goes_with_its_manifest() {
        let mut state = State::default();
        state.apply(entry(1, manifest(b"a", Some("latest"))));
        state.apply(entry(2, manifest(b"b", Some("latest"))));
        let find = |state: &State, target: &str| {
            state
                .repository("web")
                .unwrap()
                .find(target)
                .map(|m| m.digest.clone())
        };
        assert_eq!(find(&state, "latest"), Some(Digest::of(b"b")));
        assert_eq!(
            find(&state, Digest::of(b"a").as_str()),
            Some(Digest::of(b"a"))
        );
        state.apply(entry(
            3,
            Change::RemoveManifest {
                digest: Digest::of(b"b"),
            },
        ));
        assert_eq!(find(&state, "latest"), None);
        assert_eq!(state.next_sequence(), 4);
    }

    #[test]
    fn a_listener_that_was_away_gets_what_came_after() {
        let mut state = State::default();
        for sequence in 1..=5 {
            state.apply(entry(sequence, manifest(&sequence.to_le_bytes(), None)));
        }
        let sequences = |since| {
            state
                .arrivals(since)
                .iter()
                .map(|arrival| arrival.sequence)
                .collect::<Vec<_>>()
        };
        assert_eq!(sequences(0), [1, 2, 3, 4, 5]);
        assert_eq!(sequences(3), [4, 5]);
        assert_eq!(sequences(9), Vec::<u64>::new());
    }
}
