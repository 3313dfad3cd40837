//! Creations and deletions asked for and not yet seen in the cache.

use std::collections::{BTreeSet, HashMap};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// After this time an expectation was lost, not late: the cache is believed again.
const EXPIRY: Duration = Duration::from_mins(5);

/// Per owner (by uid), what its cache should still show.
#[derive(Debug, Default)]
pub(crate) struct Expectations {
    owners: Mutex<HashMap<String, Pending>>,
}

#[derive(Debug)]
struct Pending {
    creations: usize,
    deletions: BTreeSet<String>,
    since: Instant,
}

impl Expectations {
    /// Tells whether the cache has caught up with what was asked for.
    pub(crate) fn are_met(&self, owner: &str, now: Instant) -> bool {
        self.owners
            .lock()
            .expect("no code panics while it holds expectations")
            .get(owner)
            .is_none_or(|pending| {
                (pending.creations == 0 && pending.deletions.is_empty())
                    || now.duration_since(pending.since) > EXPIRY
            })
    }

    /// Notes what is about to be asked for. Called before, never after: the
    /// event may arrive before the answer.
    pub(crate) fn expect(
        &self,
        owner: &str,
        creations: usize,
        deletions: impl IntoIterator<Item = String>,
    ) {
        let pending = Pending {
            creations,
            deletions: deletions.into_iter().collect(),
            since: Instant::now(),
        };
        self.owners
            .lock()
            .expect("no code panics while it holds expectations")
            .insert(owner.to_owned(), pending);
    }

    /// One creation was seen, or was refused.
    pub(crate) fn created(&self, owner: &str) {
        self.update(owner, |pending| {
            pending.creations = pending.creations.saturating_sub(1);
        });
    }

    /// One deletion was seen, or was refused.
    pub(crate) fn deleted(&self, owner: &str, uid: &str) {
        self.update(owner, |pending| {
            pending.deletions.remove(uid);
        });
    }

    /// The owner is gone.
    pub(crate) fn forget(&self, owner: &str) {
        self.owners
            .lock()
            .expect("no code panics while it holds expectations")
            .remove(owner);
    }

    fn update(&self, owner: &str, change: impl FnOnce(&mut Pending)) {
        if let Some(pending) = self
            .owners
            .lock()
            .expect("no code panics while it holds expectations")
            .get_mut(owner)
        {
            change(pending);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expectations_are_met_by_events_or_expire() {
        let expectations = Expectations::default();
        let now = Instant::now();
        assert!(expectations.are_met("set", now));
        expectations.expect("set", 1, ["pod".to_owned()]);
        expectations.created("set");
        assert!(!expectations.are_met("set", now));
        expectations.deleted("set", "pod");
        assert!(expectations.are_met("set", now));
        expectations.expect("set", 1, []);
        assert!(!expectations.are_met("set", now));
        assert!(expectations.are_met("set", now + EXPIRY + Duration::from_secs(1)));
    }
}
