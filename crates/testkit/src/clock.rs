//! Simulated time: it stands still until a test moves it.
//!
//! Decisions take times as values. A test that drives many of them keeps one
//! [`Clock`], asks it for the time, and lets it jump to the next wake-up.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use jiff::{SignedDuration, Timestamp};

/// A clock with a list of wake-ups, each carrying what to do then.
#[derive(Debug, Clone)]
pub struct Clock<W> {
    now: Timestamp,
    wakeups: BinaryHeap<Reverse<Wakeup<W>>>,
    /// Wake-ups of the same moment come in the order they were asked for.
    asked: u64,
}

#[derive(Debug, Clone)]
struct Wakeup<W> {
    due: Timestamp,
    turn: u64,
    what: W,
}

impl<W> Wakeup<W> {
    fn key(&self) -> (Timestamp, u64) {
        (self.due, self.turn)
    }
}

impl<W> PartialEq for Wakeup<W> {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl<W> Eq for Wakeup<W> {}

impl<W> PartialOrd for Wakeup<W> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<W> Ord for Wakeup<W> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}

/// A Friday noon: far from midnight, month's end and daylight saving.
const START: &str = "2026-05-15T12:00:00Z";

impl<W> Default for Clock<W> {
    fn default() -> Self {
        Self::at(START.parse().expect("the constant is a time"))
    }
}

impl<W> Clock<W> {
    /// A clock that shows `now`.
    pub fn at(now: Timestamp) -> Self {
        Self {
            now,
            wakeups: BinaryHeap::new(),
            asked: 0,
        }
    }

    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// Asks to be woken in `after`; a negative time means at once.
    pub fn wake_after(&mut self, after: SignedDuration, what: W) {
        self.wake_at(self.now + after, what);
    }

    /// Asks to be woken at `due`.
    pub fn wake_at(&mut self, due: Timestamp, what: W) {
        self.wakeups.push(Reverse(Wakeup {
            due,
            turn: self.asked,
            what,
        }));
        self.asked += 1;
    }

    /// Moves to the next wake-up and returns it; stays if there is none.
    pub fn skip_to_next(&mut self) -> Option<W> {
        let Reverse(wakeup) = self.wakeups.pop()?;
        self.now = self.now.max(wakeup.due);
        Some(wakeup.what)
    }

    /// Moves by `duration` and returns the wake-ups passed, in order.
    pub fn advance(&mut self, duration: SignedDuration) -> Vec<W> {
        let target = self.now + duration;
        let mut passed = Vec::new();
        while self
            .wakeups
            .peek()
            .is_some_and(|Reverse(wakeup)| wakeup.due <= target)
        {
            passed.extend(self.skip_to_next());
        }
        self.now = target;
        passed
    }

    /// Sets the time without waking anybody, as a machine's clock may jump.
    pub fn jump(&mut self, now: Timestamp) {
        self.now = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(count: i64) -> SignedDuration {
        SignedDuration::from_secs(count)
    }

    #[test]
    fn wakeups_come_in_order_of_time_then_of_asking() {
        let mut clock = Clock::default();
        clock.wake_after(seconds(2), "late");
        clock.wake_after(seconds(1), "first");
        clock.wake_after(seconds(1), "second");
        assert_eq!(clock.advance(seconds(1)), ["first", "second"]);
        assert_eq!(clock.advance(seconds(5)), ["late"]);
    }

    #[test]
    fn the_next_wakeup_moves_the_time_to_its_own() {
        let mut clock = Clock::default();
        let start = clock.now();
        clock.wake_after(seconds(30), ());
        assert_eq!(clock.skip_to_next(), Some(()));
        assert_eq!(
            clock.now() - start,
            jiff::Span::new().seconds(30).fieldwise()
        );
        assert_eq!(clock.skip_to_next(), None);
    }

    #[test]
    fn a_wakeup_missed_by_a_jump_does_not_turn_time_back() {
        let mut clock = Clock::default();
        clock.wake_after(seconds(1), ());
        let later = clock.now() + seconds(3600);
        clock.jump(later);
        assert_eq!(clock.skip_to_next(), Some(()));
        assert_eq!(clock.now(), later);
    }
}
