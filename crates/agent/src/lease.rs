//! When a lease is to be renewed, when it may be taken, and when it was lost.
//!
//! Values in, decisions out: moments are those of this process's own clock,
//! and what other machines write as their time is only compared for change.

use std::time::Duration;

use foreshore_cluster::Lease;
use tokio::time::Instant;

/// How long what holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// So long a holder must have been silent before another takes its place.
    pub duration: Duration,
    /// How often the holder says that it is there.
    pub renew_every: Duration,
    /// When the last word that arrived is older, the holder writes nothing more.
    ///
    /// From here to `duration` there must be time enough for a write that was
    /// just sent to arrive or to be given up.
    pub write_within: Duration,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            duration: Duration::from_secs(30),
            renew_every: Duration::from_secs(5),
            write_within: Duration::from_secs(15),
        }
    }
}

/// What is to be done about the lease now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Move {
    /// Write it in our name, from this state of it.
    Write(Lease),
    /// Another holds it; look again after this.
    Wait(Duration),
}

/// One candidate's knowledge of the lease.
#[derive(Debug, Clone)]
pub(crate) struct Tenure {
    me: String,
    terms: Terms,
    /// When the last renewal that was answered had been sent.
    renewed_at: Option<Instant>,
    /// Another's lease as last seen, and since when it says the same.
    seen: Option<(Lease, Instant)>,
}

impl Tenure {
    pub(crate) fn new(me: String, terms: Terms) -> Self {
        Self {
            me,
            terms,
            renewed_at: None,
            seen: None,
        }
    }

    /// Decides by what the cluster has; none means that there is no lease.
    pub(crate) fn next(&mut self, found: &Lease, now: Instant) -> Move {
        let mut ours = found.clone();
        ours.seconds = self.terms.duration.as_secs().max(1);
        if found.holder == self.me {
            return Move::Write(ours);
        }
        self.renewed_at = None;
        let is_free = found.holder.is_empty() || self.silence(found, now) >= self.patience(found);
        if is_free {
            ours.holder.clone_from(&self.me);
            ours.transitions += 1;
            return Move::Write(ours);
        }
        let left = self
            .patience(found)
            .saturating_sub(self.silence(found, now));
        Move::Wait(left.min(self.terms.renew_every))
    }

    /// How long the other has said nothing new, as far as this process has seen.
    fn silence(&mut self, found: &Lease, now: Instant) -> Duration {
        match &self.seen {
            Some((seen, since)) if seen == found => now.duration_since(*since),
            _ => {
                self.seen = Some((found.clone(), now));
                Duration::ZERO
            }
        }
    }

    /// The holder's own terms count if they are longer: it may be of another version.
    fn patience(&self, found: &Lease) -> Duration {
        self.terms.duration.max(Duration::from_secs(found.seconds))
    }

    /// A write of ours that was sent at this moment was accepted.
    pub(crate) fn renewed(&mut self, sent_at: Instant) {
        self.renewed_at = Some(sent_at);
        self.seen = None;
    }

    /// Somebody else wrote the lease: until it is read again nothing is certain.
    pub(crate) fn contested(&mut self) {
        self.renewed_at = None;
    }

    /// The moment from which nothing may be written any more, none if nothing may be written now.
    pub(crate) fn writes_until(&self) -> Option<Instant> {
        self.renewed_at.map(|at| at + self.terms.write_within)
    }

    /// How long to wait after an attempt; a failed one is repeated sooner.
    pub(crate) fn pause(&self, went_well: bool) -> Duration {
        if went_well {
            self.terms.renew_every
        } else {
            self.terms.renew_every / 5
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TERMS: Terms = Terms {
        duration: Duration::from_secs(30),
        renew_every: Duration::from_secs(5),
        write_within: Duration::from_secs(15),
    };

    fn lease(holder: &str, renewed: &str, transitions: u64) -> Lease {
        let mut lease = Lease::new("ns", "lease");
        holder.clone_into(&mut lease.holder);
        renewed.clone_into(&mut lease.renewed);
        lease.transitions = transitions;
        lease
    }

    /// One candidate, `me`, that looks at these states of the lease at these seconds.
    #[track_caller]
    fn check(looks: &[(u64, Lease, &str)]) {
        let start = Instant::now();
        let mut tenure = Tenure::new("me".to_owned(), TERMS);
        for (second, found, expected) in looks {
            let now = start + Duration::from_secs(*second);
            let told = match tenure.next(found, now) {
                Move::Write(lease) => {
                    tenure.renewed(now);
                    format!("write {} {}", lease.holder, lease.transitions)
                }
                Move::Wait(pause) => format!("wait {}", pause.as_secs()),
            };
            assert_eq!(told, *expected, "at {second} s");
        }
    }

    #[test]
    fn a_lease_that_nobody_has_is_taken_at_once() {
        check(&[(0, lease("", "", 0), "write me 1")]);
        check(&[(0, lease("", "given back", 4), "write me 5")]);
    }

    #[test]
    fn ones_own_lease_is_renewed_also_after_a_restart() {
        check(&[
            (0, lease("me", "long ago", 3), "write me 3"),
            (5, lease("me", "just now", 3), "write me 3"),
        ]);
    }

    #[test]
    fn another_is_followed_only_after_a_whole_term_of_silence() {
        check(&[
            (0, lease("other", "a", 1), "wait 5"),
            (29, lease("other", "a", 1), "wait 1"),
            (30, lease("other", "a", 1), "write me 2"),
        ]);
        check(&[
            (0, lease("other", "a", 1), "wait 5"),
            (29, lease("other", "b", 1), "wait 5"),
            (58, lease("other", "b", 1), "wait 1"),
            (59, lease("other", "b", 1), "write me 2"),
        ]);
    }

    #[test]
    fn what_the_other_calls_its_time_does_not_matter() {
        for renewed in ["1999-01-01T00:00:00Z", "2999-01-01T00:00:00Z", "nonsense"] {
            check(&[
                (0, lease("other", renewed, 1), "wait 5"),
                (30, lease("other", renewed, 1), "write me 2"),
            ]);
        }
    }

    #[test]
    fn longer_terms_of_the_holder_are_respected() {
        let mut found = lease("other", "a", 1);
        found.seconds = 60;
        check(&[
            (0, found.clone(), "wait 5"),
            (59, found.clone(), "wait 1"),
            (60, found, "write me 2"),
        ]);
    }

    #[test]
    fn writing_ends_well_before_another_may_begin() {
        let start = Instant::now();
        let mut tenure = Tenure::new("me".to_owned(), TERMS);
        assert_eq!(tenure.writes_until(), None);
        tenure.renewed(start);
        assert_eq!(tenure.writes_until(), Some(start + TERMS.write_within));
        assert!(TERMS.write_within < TERMS.duration);
        tenure.contested();
        assert_eq!(tenure.writes_until(), None);
        tenure.renewed(start);
        tenure.next(&lease("other", "a", 2), start);
        assert_eq!(
            tenure.writes_until(),
            None,
            "a deposed leader writes nothing"
        );
    }

    #[test]
    fn of_two_candidates_never_both_write_whatever_is_lost() {
        use rand::{RngExt as _, SeedableRng as _};
        for seed in 0..200 {
            let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
            let start = Instant::now();
            let mut candidates = ["a", "b"].map(|name| Tenure::new(name.to_owned(), TERMS));
            let mut stored = (Lease::new("ns", "lease"), 0_u32);
            let mut due = [start, start];
            for second in 0..600 {
                let now = start + Duration::from_secs(second);
                for (index, tenure) in candidates.iter_mut().enumerate() {
                    // A candidate may be stopped for a while, or cut off.
                    if now < due[index] {
                        continue;
                    }
                    due[index] = now + Duration::from_secs(random.random_range(1..8));
                    if random.random_bool(0.05) {
                        due[index] = now + Duration::from_secs(random.random_range(1..60));
                    }
                    if random.random_bool(0.2) {
                        continue;
                    }
                    let (found, version) = stored.clone();
                    if let Move::Write(mut lease) = tenure.next(&found, now) {
                        lease.renewed = format!("{second}");
                        if stored.1 == version {
                            stored = (lease, version + 1);
                        }
                        // The answer may be lost although the write arrived.
                        if random.random_bool(0.8) {
                            tenure.renewed(now);
                        }
                    }
                }
                let writing = candidates
                    .iter()
                    .filter(|tenure| tenure.writes_until().is_some_and(|until| now < until));
                assert!(writing.count() <= 1, "seed {seed}, second {second}");
            }
        }
    }
}
