//! How long to wait before trying the same thing again.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

const FIRST: SignedDuration = SignedDuration::from_secs(10);
const LONGEST: SignedDuration = SignedDuration::from_mins(5);
/// After this long without trouble, trouble is new trouble.
const FORGET_AFTER: SignedDuration = SignedDuration::from_mins(10);

/// A delay that doubles from ten seconds to five minutes, as kubelet's does.
/// The first repetition does not wait at all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Backoff {
    delay_seconds: i64,
    changed: Option<Timestamp>,
}

impl Backoff {
    /// When to try again what ended at `ended`.
    pub(crate) fn due(&self, ended: Timestamp) -> Timestamp {
        if self.is_forgotten(ended) {
            ended
        } else {
            later(ended, self.delay())
        }
    }

    /// The delay in force, in words.
    pub(crate) fn words(&self) -> String {
        let seconds = self.delay_seconds;
        if seconds >= 60 {
            format!("{}m{}s", seconds / 60, seconds % 60)
        } else {
            format!("{seconds}s")
        }
    }

    /// Notes a try at `now` of what had ended at `ended`.
    pub(crate) fn next(&mut self, ended: Timestamp, now: Timestamp) {
        let delay = if self.delay_seconds == 0 || self.is_forgotten(ended) {
            FIRST
        } else {
            (self.delay() * 2).min(LONGEST)
        };
        *self = Self {
            delay_seconds: delay.as_secs(),
            changed: Some(now),
        };
    }

    fn delay(&self) -> SignedDuration {
        SignedDuration::from_secs(self.delay_seconds)
    }

    fn is_forgotten(&self, at: Timestamp) -> bool {
        self.changed
            .is_some_and(|changed| at.duration_since(changed) > FORGET_AFTER)
    }
}

/// `at` plus `delay`; stays at the end of time rather than failing there.
pub(crate) fn later(at: Timestamp, delay: SignedDuration) -> Timestamp {
    at.checked_add(delay).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn the_first_repetition_is_immediate_and_the_delay_then_doubles_to_five_minutes() {
        let mut backoff = Backoff::default();
        let mut delays = Vec::new();
        let mut now = second(0);
        for _ in 0..8 {
            let due = backoff.due(now);
            delays.push(due.duration_since(now).as_secs());
            backoff.next(now, due);
            now = later(due, SignedDuration::from_secs(1));
        }
        assert_eq!(delays, [0, 10, 20, 40, 80, 160, 300, 300]);
    }

    #[test]
    fn a_container_that_ran_long_enough_starts_afresh() {
        let mut backoff = Backoff::default();
        backoff.next(second(0), second(0));
        backoff.next(second(1), second(11));
        let long_after = second(11 + 601);
        assert_eq!(backoff.due(long_after), long_after);
        backoff.next(long_after, long_after);
        assert_eq!(backoff.words(), "10s");
    }
}
