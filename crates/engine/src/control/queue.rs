//! The work queue of a controller: each key at most once at a time, later if
//! asked, slower if it fails.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::fmt::Debug;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// Wait after the first failure; it doubles with each further one.
const BACKOFF_FIRST: Duration = Duration::from_millis(5);
/// Longest wait between two attempts. Events cut it short.
const BACKOFF_MAX: Duration = Duration::from_mins(1);

/// What a key may be.
pub(crate) trait Key: Clone + Eq + Hash + Ord + Debug + Send + Sync + 'static {}
impl<T: Clone + Eq + Hash + Ord + Debug + Send + Sync + 'static> Key for T {}

/// Keys waiting to be worked on.
///
/// It holds a key once however often it is added, so it never grows beyond the
/// number of objects.
#[derive(Debug)]
pub(crate) struct Queue<K> {
    state: Mutex<State<K>>,
    wake: Notify,
}

#[derive(Debug)]
struct State<K> {
    ready: VecDeque<K>,
    /// Keys that are in `ready`, or that must be worked on again when done.
    dirty: BTreeSet<K>,
    busy: BTreeSet<K>,
    delayed: BTreeSet<(Instant, K)>,
    due: HashMap<K, Instant>,
    failures: HashMap<K, u32>,
}

impl<K: Key> Queue<K> {
    pub(crate) fn new() -> Self {
        let state = State {
            ready: VecDeque::new(),
            dirty: BTreeSet::new(),
            busy: BTreeSet::new(),
            delayed: BTreeSet::new(),
            due: HashMap::new(),
            failures: HashMap::new(),
        };
        Self {
            state: Mutex::new(state),
            wake: Notify::new(),
        }
    }

    /// Adds a key now; while it is being worked on, it comes again afterwards.
    pub(crate) fn add(&self, key: K) {
        self.lock().add(key);
        self.wake.notify_one();
    }

    /// Adds a key later; an earlier time already set stays.
    pub(crate) fn add_after(&self, key: K, wait: Duration) {
        self.lock().add_at(key, Instant::now() + wait);
        self.wake.notify_one();
    }

    /// Adds a key whose work failed, later each time.
    pub(crate) fn add_failed(&self, key: K) {
        self.lock().add_failed(key, Instant::now());
        self.wake.notify_one();
    }

    /// Forgets how often the key failed.
    pub(crate) fn forget(&self, key: &K) {
        self.lock().failures.remove(key);
    }

    /// Waits for a key. The caller must hand it to [`Self::done`] afterwards.
    pub(crate) async fn take(&self) -> K {
        loop {
            let next = match self.lock().next(Instant::now()) {
                Ok((key, more)) => {
                    if more {
                        self.wake.notify_one();
                    }
                    return key;
                }
                Err(next) => next,
            };
            match next {
                Some(at) => {
                    // Another worker may take the due key first; then this one waits on.
                    tokio::select! {
                        () = tokio::time::sleep_until(at.into()) => {}
                        () = self.wake.notified() => {}
                    }
                }
                None => self.wake.notified().await,
            }
        }
    }

    /// Ends the work on a key.
    pub(crate) fn done(&self, key: &K) {
        let again = self.lock().done(key);
        if again {
            self.wake.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<K>> {
        self.state
            .lock()
            .expect("no code panics while it holds the queue")
    }
}

impl<K: Key> State<K> {
    fn add(&mut self, key: K) {
        if self.dirty.insert(key.clone()) && !self.busy.contains(&key) {
            self.ready.push_back(key);
        }
    }

    fn add_at(&mut self, key: K, at: Instant) {
        if let Some(&known) = self.due.get(&key) {
            if known <= at {
                return;
            }
            self.delayed.remove(&(known, key.clone()));
        }
        self.due.insert(key.clone(), at);
        self.delayed.insert((at, key));
    }

    fn add_failed(&mut self, key: K, now: Instant) {
        let failures = self.failures.entry(key.clone()).or_default();
        *failures += 1;
        let wait = BACKOFF_FIRST
            .saturating_mul(1 << (*failures - 1).min(16))
            .min(BACKOFF_MAX);
        self.add_at(key, now + wait);
    }

    /// Returns the next key and whether more are ready, or when one will be.
    fn next(&mut self, now: Instant) -> Result<(K, bool), Option<Instant>> {
        while self.delayed.first().is_some_and(|(at, _)| *at <= now) {
            let Some((_, key)) = self.delayed.pop_first() else {
                break;
            };
            self.due.remove(&key);
            self.add(key);
        }
        let Some(key) = self.ready.pop_front() else {
            return Err(self.delayed.first().map(|(at, _)| *at));
        };
        self.dirty.remove(&key);
        self.busy.insert(key.clone());
        Ok((key, !self.ready.is_empty()))
    }

    /// Returns whether the key was added again meanwhile.
    fn done(&mut self, key: &K) -> bool {
        self.busy.remove(key);
        let again = self.dirty.contains(key);
        if again {
            self.ready.push_back(key.clone());
        }
        again
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> State<&'static str> {
        Queue::new().state.into_inner().unwrap()
    }

    /// Milliseconds from `now` until the next key is due; none is ready.
    fn wait(state: &mut State<&'static str>, now: Instant) -> u128 {
        state
            .next(now)
            .unwrap_err()
            .unwrap()
            .duration_since(now)
            .as_millis()
    }

    #[test]
    fn a_key_added_twice_is_worked_on_once() {
        let (mut state, now) = (state(), Instant::now());
        state.add("a");
        state.add("a");
        state.add("b");
        assert_eq!(state.next(now), Ok(("a", true)));
        assert_eq!(state.next(now), Ok(("b", false)));
        assert_eq!(state.next(now), Err(None));
    }

    #[test]
    fn a_key_added_during_its_work_comes_again_afterwards() {
        let (mut state, now) = (state(), Instant::now());
        state.add("a");
        assert_eq!(state.next(now), Ok(("a", false)));
        state.add("a");
        assert_eq!(state.next(now), Err(None));
        assert!(state.done(&"a"));
        assert_eq!(state.next(now), Ok(("a", false)));
    }

    #[test]
    fn failures_wait_longer_each_time_until_forgotten() {
        let (mut state, mut now) = (state(), Instant::now());
        let mut waits = Vec::new();
        for _ in 0..20 {
            state.add_failed("a", now);
            waits.push(wait(&mut state, now));
            now += BACKOFF_MAX;
            state.next(now).unwrap();
            state.done(&"a");
        }
        assert_eq!(waits[..4], [5, 10, 20, 40]);
        assert_eq!(waits[19], BACKOFF_MAX.as_millis());
        state.failures.remove("a");
        state.add_failed("a", now);
        assert_eq!(wait(&mut state, now), 5);
    }

    #[test]
    fn the_earlier_of_two_times_counts_and_only_once() {
        let (mut state, now) = (state(), Instant::now());
        let second = Duration::from_secs(1);
        state.add_at("a", now + 9 * second);
        state.add_at("a", now + 3 * second);
        state.add_at("a", now + 6 * second);
        assert_eq!(wait(&mut state, now), 3000);
        assert_eq!(state.next(now + 10 * second), Ok(("a", false)));
        assert_eq!(state.next(now + 10 * second), Err(None));
    }
}
