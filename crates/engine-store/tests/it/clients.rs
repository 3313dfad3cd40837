//! Clients that read and write a few names at the same time, and note every call and answer.

use std::collections::{BTreeMap, HashMap};

use foreshore_engine_store::{CommitError, Expect, Object, Resource, Store};
use rand::RngExt;
use rand::rngs::StdRng;

use crate::linear::{Action, Note, Outcome, Wanted};
use crate::{delete, key, put};

/// Names all clients share; few, so that they get in each other's way.
const NAMES: u32 = 5;
/// Most copies of its number that a write consists of.
const COPIES: usize = 400;

/// One client; its calls are numbered from `first`.
pub(crate) struct Client {
    store: Store,
    random: StdRng,
    next: u64,
    /// What it read last under each name: the number of a call, and the revision.
    seen: HashMap<String, (u64, u64)>,
}

/// The number of the call that wrote an object.
pub(crate) fn number_of(object: &Object) -> u64 {
    let text = std::str::from_utf8(&object.bytes).expect("digits and spaces");
    let word = text.split(' ').next().unwrap_or_default();
    word.parse().expect("the number of a call")
}

/// What every name holds.
pub(crate) fn contents(store: &Store) -> BTreeMap<String, u64> {
    let snapshot = store.snapshot();
    let things = Resource::new("things");
    let objects = snapshot.list(&things, None, None);
    objects
        .map(|object| (object.key.name.to_string(), number_of(object)))
        .collect()
}

impl Client {
    pub(crate) fn new(store: Store, random: StdRng, first: u64) -> Self {
        Self {
            store,
            random,
            next: first,
            seen: HashMap::new(),
        }
    }

    /// Makes one call; false when the store does not answer any more.
    pub(crate) async fn call(&mut self, note: &impl Fn(Note)) -> bool {
        let call = self.next;
        self.next += 1;
        let name = format!("n{}", self.random.random_range(0..NAMES));
        let known = self.seen.get(&name).copied();
        let (wanted, expect) = match (self.random.random_range(0..4), known) {
            (0, _) => (Wanted::Absent, Expect::Absent),
            (1, Some((number, revision))) => (Wanted::Is(number), Expect::Revision(revision)),
            _ => (Wanted::Anything, Expect::Anything),
        };
        let action = match self.random.random_range(0..8) {
            0..2 => Action::Read,
            2 if wanted != Wanted::Absent => Action::Delete(wanted),
            _ => Action::Put(wanted),
        };
        note(Note::Begin {
            call,
            name: name.clone(),
            action,
        });
        let written = match action {
            Action::Read => {
                let found = self.store.get(&key(&name));
                let found = found.map(|object| (number_of(&object), object.revision));
                note(Note::End {
                    call,
                    outcome: Outcome::Found(found.map(|(number, _)| number)),
                });
                match found {
                    Some(found) => drop(self.seen.insert(name, found)),
                    None => drop(self.seen.remove(&name)),
                }
                return true;
            }
            Action::Put(_) => {
                let text = format!("{call} ").repeat(self.random.random_range(1..COPIES));
                self.store.write(put(&name, expect, &text)).await
            }
            Action::Delete(_) => self.store.write(delete(&name, expect)).await,
        };
        let outcome = match written {
            Ok(object) => Outcome::Done(object.revision),
            Err(CommitError::Exists { .. }) => Outcome::Exists,
            Err(CommitError::Missing { .. }) => Outcome::Missing,
            Err(CommitError::Changed { .. }) => Outcome::Changed,
            Err(CommitError::Write(_) | CommitError::Closed) => Outcome::Unknown,
        };
        note(Note::End { call, outcome });
        match (action, outcome) {
            (Action::Put(_), Outcome::Done(revision)) => {
                self.seen.insert(name, (call, revision));
            }
            (_, Outcome::Unknown) => return false,
            _ => {}
        }
        true
    }
}
