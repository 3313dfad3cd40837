//! How many requests run at once: more while the server keeps up, fewer when it complains.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// The bound of requests in flight, moved by the server's answers.
///
/// It grows by one after as many good answers as it has places, and halves on
/// `429`; until the time the server named, nobody starts.
#[derive(Debug)]
pub(crate) struct Pace {
    state: Mutex<State>,
    room: Notify,
    most: usize,
}

#[derive(Debug)]
struct State {
    places: usize,
    taken: usize,
    good: usize,
    not_before: Option<Instant>,
}

/// A place among the requests in flight; dropping it makes room.
#[derive(Debug)]
pub(crate) struct Place<'a>(&'a Pace);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.lock().taken -= 1;
        self.0.room.notify_one();
    }
}

impl Pace {
    pub(crate) fn new(start: usize, most: usize) -> Self {
        let state = State {
            places: start.clamp(1, most.max(1)),
            taken: 0,
            good: 0,
            not_before: None,
        };
        Self {
            state: Mutex::new(state),
            room: Notify::new(),
            most: most.max(1),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Counters stay meaningful even if a holder panicked between two lines.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a place.
    pub(crate) async fn place(&self) -> Place<'_> {
        loop {
            let room = self.room.notified();
            let wait = {
                let mut state = self.lock();
                let now = Instant::now();
                match state.not_before.filter(|time| *time > now) {
                    Some(time) => Some(time),
                    None if state.taken < state.places => {
                        state.taken += 1;
                        if state.taken < state.places {
                            // A permit may have been stored for several waiters at once.
                            self.room.notify_one();
                        }
                        return Place(self);
                    }
                    None => None,
                }
            };
            match wait {
                Some(time) => tokio::time::sleep_until(time).await,
                None => room.await,
            }
        }
    }

    pub(crate) fn went_well(&self) {
        let mut state = self.lock();
        state.good += 1;
        if state.good >= state.places && state.places < self.most {
            state.places += 1;
            state.good = 0;
            drop(state);
            self.room.notify_one();
        }
    }

    pub(crate) fn slow_down(&self, retry_after: Option<Duration>) {
        let mut state = self.lock();
        state.places = (state.places / 2).max(1);
        state.good = 0;
        if let Some(wait) = retry_after {
            let until = Instant::now() + wait;
            state.not_before = Some(state.not_before.map_or(until, |time| time.max(until)));
        }
    }

    #[cfg(test)]
    fn places(&self) -> usize {
        self.lock().places
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn complaints_halve_and_good_answers_add_one() {
        let pace = Pace::new(16, 18);
        pace.slow_down(None);
        assert_eq!(pace.places(), 8);
        for _ in 0..8 {
            pace.went_well();
        }
        assert_eq!(pace.places(), 9);
        for _ in 0..1000 {
            pace.went_well();
        }
        assert_eq!(pace.places(), 18, "never above the cap");
        for _ in 0..20 {
            pace.slow_down(None);
        }
        assert_eq!(pace.places(), 1, "never none");
    }

    #[tokio::test]
    async fn nobody_enters_beyond_the_bound_until_a_place_is_free() {
        let pace = Pace::new(2, 2);
        let first = pace.place().await;
        let _second = pace.place().await;
        let third = tokio::time::timeout(Duration::from_millis(20), pace.place()).await;
        assert!(third.is_err());
        drop(first);
        tokio::time::timeout(Duration::from_secs(5), pace.place())
            .await
            .unwrap();
    }

    #[tokio::test]
    async fn nobody_starts_before_the_time_the_server_named() {
        let pace = Pace::new(4, 4);
        let before = Instant::now();
        pace.slow_down(Some(Duration::from_millis(50)));
        let _place = pace.place().await;
        assert!(before.elapsed() >= Duration::from_millis(50));
    }
}
