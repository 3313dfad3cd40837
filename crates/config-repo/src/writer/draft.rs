//! A batch in the making: decided, not yet written.

use std::collections::BTreeMap;

use foreshore_git::{Chain, Change, Expected, NewCommit, ObjectId, RefUpdate};
use foreshore_model::config::{Hold, Request};
use foreshore_model::{Actor, ReleaseFile, yaml};
use foreshore_release::{Commit, Proposal, Refusal, Step, World};
use jiff::Timestamp;

use super::Answer;
use crate::error::ReadError;
use crate::layout::{MAIN_REF, branch_of};
use crate::reader::{Reader, apply};
use crate::requests::REQUEST_FILE;

/// What a job's answer will be.
pub(super) enum Planned {
    Answer(Box<Answer>),
    Commit(Box<Numbered>),
    Failed(ReadError),
}

/// The commit of this number on the main branch, and what it makes.
#[derive(Clone)]
pub(super) struct Numbered {
    pub(super) index: usize,
    pub(super) subject: String,
    pub(super) release: Option<ReleaseFile>,
    pub(super) hold: Option<Hold>,
}

/// The commits of one batch, and the world after them.
pub(super) struct Draft {
    pub(super) reader: Reader,
    tip: ObjectId,
    main: Vec<NewCommit>,
    keys: BTreeMap<String, Numbered>,
    branches: BTreeMap<String, Branch>,
}

/// A request's branch: what it is, and what is added.
#[derive(Default)]
struct Branch {
    commits: Vec<NewCommit>,
    closed: bool,
}

impl Draft {
    pub(super) fn new(reader: Reader, tip: ObjectId) -> Self {
        Self {
            reader,
            tip,
            main: Vec::new(),
            keys: BTreeMap::new(),
            branches: BTreeMap::new(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.main.is_empty() && self.branches.is_empty()
    }

    /// Returns the answer for a key that this very batch has carried out.
    pub(super) fn known(&self, key: &str) -> Option<Planned> {
        self.keys
            .get(key)
            .map(|numbered| Planned::Commit(Box::new(numbered.clone())))
    }

    /// Adds a commit to the main branch.
    pub(super) fn commit(&mut self, key: &str, commit: Commit, now: Timestamp) -> Planned {
        if let Some(refusal) = self.reader.blocked(&commit) {
            return Planned::Answer(Box::new(Answer::Refused(refusal)));
        }
        // Tried on an empty world first: a commit that makes no sense leaves no trace.
        let tried = apply(&mut World::default(), &commit)
            .and_then(|()| apply(&mut self.reader.world, &commit));
        if let Err(error) = tried {
            return Planned::Failed(error);
        }
        for id in &commit.closes {
            self.close(id);
        }
        let index = self.main.len();
        self.main.push(new_commit(
            commit.steps.iter().map(change).collect(),
            commit.message(),
            &commit.actor,
            now,
        ));
        let Commit {
            subject,
            release,
            hold,
            ..
        } = commit;
        let numbered = Numbered {
            index,
            subject,
            release,
            hold,
        };
        if !key.is_empty() {
            self.keys.insert(key.to_owned(), numbered.clone());
        }
        Planned::Commit(Box::new(numbered))
    }

    fn close(&mut self, id: &str) {
        if self.reader.requests.contains_key(id) {
            *self.branches.entry(id.to_owned()).or_default() = Branch {
                commits: Vec::new(),
                closed: true,
            };
        } else {
            // It was asked for and answered within this batch.
            self.branches.remove(id);
        }
    }

    /// Adds a commit to a request's branch.
    pub(super) fn propose(&mut self, proposal: Proposal, now: Timestamp) -> Planned {
        let message = proposal.message();
        let Proposal {
            request,
            steps,
            needed,
            unchanged,
            actor,
            ..
        } = proposal;
        if !unchanged {
            if let Err(refusal) = self.add(&request, &steps, message, (&actor, now)) {
                return Planned::Answer(Box::new(Answer::Refused(refusal)));
            }
            self.reader
                .world
                .requests
                .insert(request.id.clone(), request.clone());
        }
        Planned::Answer(Box::new(Answer::Requested { request, needed }))
    }

    fn add(
        &mut self,
        request: &Request,
        steps: &[Step],
        message: String,
        (actor, now): (&Actor, Timestamp),
    ) -> Result<(), Refusal> {
        foreshore_git::check_ref(&branch_of(&request.id))
            .map_err(|error| Refusal::usage(error.to_string()))?;
        let text = yaml::write(request).map_err(|error| Refusal::usage(error.to_string()))?;
        let branch = self.branches.entry(request.id.clone()).or_default();
        // People who look at the branch see what the release would change.
        let mut changes: Vec<Change> = steps.iter().map(change).collect();
        changes.push(Change::write(REQUEST_FILE, text));
        branch
            .commits
            .push(new_commit(changes, message, actor, now));
        branch.closed = false;
        Ok(())
    }

    /// Returns the chains to write: the main branch first, then the requests.
    pub(super) fn chains(&self) -> Vec<Chain> {
        let main = Chain {
            parent: Some(self.tip.clone()),
            commits: self.main.clone(),
        };
        let requests = self.branches.iter().map(|(id, branch)| {
            let parent = self.reader.requests.get(id).unwrap_or(&self.tip);
            Chain {
                parent: Some(parent.clone()),
                commits: branch.commits.clone(),
            }
        });
        std::iter::once(main).chain(requests).collect()
    }

    /// Returns the moves of references that publish the written chains.
    pub(super) fn updates(&self, written: &[Vec<ObjectId>]) -> Vec<RefUpdate> {
        let mut updates = Vec::new();
        if let Some(new) = written[0].last() {
            let expected = Expected::At(self.tip.clone());
            updates.push(RefUpdate {
                name: MAIN_REF.to_owned(),
                new: Some(new.clone()),
                expected,
            });
        }
        for ((id, branch), ids) in self.branches.iter().zip(&written[1..]) {
            let expected = Expected::of(self.reader.requests.get(id));
            let new = ids.last().cloned();
            if new.is_some() || branch.closed {
                updates.push(RefUpdate {
                    name: branch_of(id),
                    new,
                    expected,
                });
            }
        }
        updates
    }

    /// Returns the keys of the main branch with the number of their commit.
    pub(super) fn keys(&self) -> impl Iterator<Item = (&String, usize)> {
        self.keys
            .iter()
            .map(|(key, numbered)| (key, numbered.index))
    }
}

fn new_commit(changes: Vec<Change>, message: String, actor: &Actor, at: Timestamp) -> NewCommit {
    NewCommit {
        changes,
        message,
        author: actor.clone(),
        committer: Actor::automation(),
        at,
    }
}

fn change(step: &Step) -> Change {
    match step {
        Step::Write { path, text } => Change::write(path, text.as_bytes()),
        Step::Remove { path } | Step::RemoveTree { path } => Change::remove(path),
    }
}
