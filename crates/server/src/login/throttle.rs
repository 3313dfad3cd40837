//! How often somebody may guess a password, without locking anybody else out.
//!
//! Every attempt counts as wrong until it was right, so that many at once do
//! not slip through together. What is counted:
//!
//! - one name from one address: after a few the next has to wait, longer and longer;
//! - one address, whatever the names;
//! - one name, from wherever: only for addresses that guessed it wrong
//!   themselves, so whoever holds the name gets in while others guess it.
//!
//! An address from which a name got in before is judged by its own attempts alone.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// After this time without an attempt nothing is held against anybody.
const FORGOTTEN: SignedDuration = SignedDuration::from_mins(15);
/// An address that a name came from is known for so long.
const KNOWN: SignedDuration = SignedDuration::from_hours(24 * 30);
/// Entries of one book; when it is full, the older half goes.
const ENTRIES_MAX: usize = 10_000;

/// How many attempts are free, and how long the wait becomes at most.
struct Rule {
    free: u32,
    wait_max: u64,
}

const PAIR: Rule = Rule {
    free: 5,
    wait_max: 300,
};
const ADDRESS: Rule = Rule {
    free: 30,
    wait_max: 300,
};
const NAME: Rule = Rule {
    free: 20,
    wait_max: 60,
};
/// So many attempts everybody has at a name that others guess at.
const OWN_TRIES: u32 = 2;

#[derive(Debug, Clone, Copy)]
struct Tally {
    wrong: u32,
    last: Timestamp,
}

type Book<K> = BTreeMap<K, Tally>;

#[derive(Debug, Default)]
struct Books {
    pairs: Book<(String, IpAddr)>,
    addresses: Book<IpAddr>,
    names: Book<String>,
    known: Book<(String, IpAddr)>,
}

/// Counts attempts; a restart forgets them.
#[derive(Debug, Default)]
pub(super) struct Throttle {
    books: Mutex<Books>,
}

impl Rule {
    /// How long somebody with this tally still has to wait.
    fn wait(&self, tally: Option<&Tally>, now: Timestamp) -> Option<Duration> {
        let tally = tally?;
        let over = tally.wrong.checked_sub(self.free)?;
        let seconds = 1_u64
            .checked_shl(over)
            .unwrap_or(self.wait_max)
            .min(self.wait_max);
        let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
        // Whole seconds, and never negative: a clock that was set back only waits from anew.
        let passed = now.duration_since(tally.last).as_secs().max(0);
        let left = u64::try_from(seconds - passed).ok()?;
        (left > 0).then(|| Duration::from_secs(left))
    }
}

impl Throttle {
    /// Counts an attempt, or says how long it has to wait; a refused one does not count.
    pub(super) fn attempt(&self, name: &str, from: IpAddr, now: Timestamp) -> Result<(), Duration> {
        let from = network(from);
        let name: String = name.chars().take(64).collect();
        let pair = (name.clone(), from);
        let mut books = self.books.lock().unwrap_or_else(PoisonError::into_inner);
        let books = &mut *books;
        let is_known = recent(&books.known, &pair, KNOWN, now).is_some();
        let own = recent(&books.pairs, &pair, FORGOTTEN, now);
        let mut waits = vec![PAIR.wait(own, now)];
        if !is_known {
            waits.push(ADDRESS.wait(recent(&books.addresses, &from, FORGOTTEN, now), now));
            if own.is_some_and(|own| own.wrong >= OWN_TRIES) {
                waits.push(NAME.wait(recent(&books.names, &name, FORGOTTEN, now), now));
            }
        }
        if let Some(wait) = waits.into_iter().flatten().max() {
            return Err(wait);
        }
        count(&mut books.pairs, pair, now);
        if !is_known {
            count(&mut books.addresses, from, now);
            count(&mut books.names, name, now);
        }
        Ok(())
    }

    /// Takes back what was counted against somebody who got in.
    pub(super) fn succeeded(&self, name: &str, from: IpAddr, now: Timestamp) {
        let from = network(from);
        let pair = (name.to_owned(), from);
        let mut books = self.books.lock().unwrap_or_else(PoisonError::into_inner);
        books.pairs.remove(&pair);
        // One of them was not wrong; others from there, or at this name, still were.
        if let Some(tally) = books.addresses.get_mut(&from) {
            tally.wrong = tally.wrong.saturating_sub(1);
        }
        if let Some(tally) = books.names.get_mut(name) {
            tally.wrong = tally.wrong.saturating_sub(1);
        }
        count(&mut books.known, pair, now);
    }
}

/// Whoever has one address of version 6 has a whole network of them.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let kept = u128::from(address) & (u128::MAX << 64);
            IpAddr::V6(kept.into())
        }
        IpAddr::V4(address) => IpAddr::V4(address),
    }
}

fn recent<'a, K: Ord>(
    book: &'a Book<K>,
    key: &K,
    within: SignedDuration,
    now: Timestamp,
) -> Option<&'a Tally> {
    book.get(key)
        .filter(|tally| now.duration_since(tally.last) < within)
}

fn count<K: Ord>(book: &mut Book<K>, key: K, now: Timestamp) {
    if book.len() >= ENTRIES_MAX && !book.contains_key(&key) {
        let mut moments: Vec<Timestamp> = book.values().map(|tally| tally.last).collect();
        moments.sort_unstable();
        let middle = moments[moments.len() / 2];
        book.retain(|_, tally| tally.last > middle);
    }
    let tally = book.entry(key).or_insert(Tally {
        wrong: 0,
        last: now,
    });
    if now.duration_since(tally.last) >= FORGOTTEN {
        tally.wrong = 0;
    }
    tally.wrong = tally.wrong.saturating_add(1);
    tally.last = now;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_000_000 + second).unwrap()
    }

    fn from(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// Attempts until one has to wait; returns how many were let through.
    fn guess(throttle: &Throttle, name: &str, address: &str, second: i64, most: u32) -> u32 {
        let tries = 0..most;
        u32::try_from(
            tries
                .take_while(|_| throttle.attempt(name, from(address), at(second)).is_ok())
                .count(),
        )
        .unwrap()
    }

    #[test]
    fn guesses_from_one_address_have_to_wait_longer_and_longer() {
        let throttle = Throttle::default();
        assert_eq!(guess(&throttle, "ada", "10.0.0.1", 0, 100), PAIR.free);
        let wait = throttle
            .attempt("ada", from("10.0.0.1"), at(0))
            .unwrap_err();
        assert_eq!(wait, Duration::from_secs(1));
        throttle.attempt("ada", from("10.0.0.1"), at(1)).unwrap();
        let wait = throttle
            .attempt("ada", from("10.0.0.1"), at(1))
            .unwrap_err();
        assert_eq!(wait, Duration::from_secs(2));
        let mut second = 1;
        for _ in 0..20 {
            second += 300;
            throttle
                .attempt("ada", from("10.0.0.1"), at(second))
                .unwrap();
        }
        let wait = throttle
            .attempt("ada", from("10.0.0.1"), at(second))
            .unwrap_err();
        assert_eq!(wait, Duration::from_mins(5));
        second += 15 * 60;
        assert_eq!(guess(&throttle, "ada", "10.0.0.1", second, 100), PAIR.free);
    }

    #[test]
    fn who_holds_the_name_gets_in_from_elsewhere_while_others_guess_it() {
        let throttle = Throttle::default();
        let ada = from("192.0.2.7");
        throttle.attempt("ada", ada, at(0)).unwrap();
        throttle.succeeded("ada", ada, at(0));
        for host in 1..=200 {
            guess(&throttle, "ada", &format!("10.0.{host}.1"), 1, 10);
        }
        // From where she came before, and from a place where she never was.
        assert_eq!(guess(&throttle, "ada", "192.0.2.7", 1, 100), PAIR.free);
        assert_eq!(guess(&throttle, "ada", "203.0.113.9", 1, 100), OWN_TRIES);
        // And nobody else hears of it.
        assert_eq!(guess(&throttle, "grace", "192.0.2.7", 1, 100), PAIR.free);
    }

    #[test]
    fn one_address_cannot_try_one_password_on_everybody() {
        let throttle = Throttle::default();
        let through = (0..100)
            .filter(|name| {
                throttle
                    .attempt(&format!("user{name}"), from("10.0.0.1"), at(0))
                    .is_ok()
            })
            .count();
        assert_eq!(through, usize::try_from(ADDRESS.free).unwrap());
        // A whole network of version 6 is one address; a mapped one of version 4 is itself.
        let through = (0..100)
            .filter(|host| {
                let address = from(&format!("2001:db8::{host:x}"));
                throttle
                    .attempt(&format!("user{host}"), address, at(0))
                    .is_ok()
            })
            .count();
        assert_eq!(through, usize::try_from(ADDRESS.free).unwrap());
        assert!(
            throttle
                .attempt("ada", from("::ffff:10.0.0.1"), at(0))
                .is_err()
        );
        assert!(throttle.attempt("ada", from("10.0.0.2"), at(0)).is_ok());
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let throttle = Throttle::default();
        for number in 0..2 * u32::try_from(ENTRIES_MAX).unwrap() {
            let address = IpAddr::V4((0x0a00_0000 + number).into());
            throttle
                .attempt("ada", address, at(i64::from(number)))
                .unwrap();
        }
        let books = throttle.books.lock().unwrap();
        assert!(books.pairs.len() <= ENTRIES_MAX && books.addresses.len() <= ENTRIES_MAX);
        assert!(
            books.pairs.len() >= ENTRIES_MAX / 2,
            "the younger ones stay"
        );
    }
}
