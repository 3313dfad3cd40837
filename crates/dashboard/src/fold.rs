//! Events folded into one line per cause, kept for a day.
//!
//! A cause is: whose object, which reason, and the message without the numbers
//! and ids that differ from one repeat to the next.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::project::other::Event;

/// Causes kept at most; the oldest go first.
const CAUSES_MAX: usize = 5_000;
/// Events of a cause whose counts are remembered one by one.
const SEEN_MAX: usize = 512;
/// How long a cause is kept after it was last seen.
const KEEP: SignedDuration = SignedDuration::from_hours(24);
/// Slices of the day for the sparkline.
pub(crate) const SLICES: usize = 24;
const NODES_MAX: usize = 20;

/// One cause and how often it was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Cause {
    pub(crate) namespace: String,
    pub(crate) kind: String,
    /// Name of the object, or of the workload behind it.
    pub(crate) owner: String,
    pub(crate) reason: String,
    pub(crate) warning: bool,
    /// One of its messages, the newest.
    pub(crate) sample: String,
    pub(crate) count: i64,
    pub(crate) first: Timestamp,
    pub(crate) last: Timestamp,
    pub(crate) nodes: Vec<String>,
    /// Repeats by hour since the epoch.
    hours: BTreeMap<i64, i64>,
    /// What each event object counted when it was last seen.
    seen: BTreeMap<String, i64>,
}

impl Cause {
    /// Repeats in each of the last hours, oldest first.
    pub(crate) fn rate(&self, now: Timestamp) -> Vec<i64> {
        let hour = hour(now);
        let slices = i64::try_from(SLICES).unwrap_or(24);
        (hour - slices + 1..=hour)
            .map(|hour| self.hours.get(&hour).copied().unwrap_or(0))
            .collect()
    }
}

/// All causes of one cluster.
#[derive(Debug, Clone, Default)]
pub(crate) struct Fold {
    causes: BTreeMap<String, Cause>,
}

fn hour(at: Timestamp) -> i64 {
    at.as_second().div_euclid(3_600)
}

impl Fold {
    /// Adds what an event tells beyond what it told before.
    pub(crate) fn add(&mut self, event: &Event, owner: &str, now: Timestamp) {
        let last = event.last.unwrap_or(now).min(now);
        if now.duration_since(last) > KEEP {
            return;
        }
        let first = event.first.unwrap_or(last).min(last);
        let template = template(&event.message);
        let parts = [
            &*event.namespace,
            &event.object.0,
            owner,
            &event.reason,
            &template,
        ];
        let key = parts.join("\u{1f}");
        let cause = self.causes.entry(key).or_insert_with(|| Cause {
            namespace: event.namespace.clone(),
            kind: event.object.0.clone(),
            owner: owner.to_owned(),
            reason: event.reason.clone(),
            warning: event.warning,
            sample: String::new(),
            count: 0,
            first,
            last,
            nodes: Vec::new(),
            hours: BTreeMap::new(),
            seen: BTreeMap::new(),
        });
        let before = cause.seen.get(&event.uid).copied().unwrap_or(0);
        // A count that went back belongs to a new series of the same event.
        let more = if event.count >= before {
            event.count - before
        } else {
            event.count
        };
        if cause.seen.len() >= SEEN_MAX && !cause.seen.contains_key(&event.uid) {
            cause.seen.pop_first();
        }
        cause.seen.insert(event.uid.clone(), event.count);
        cause.count = cause.count.saturating_add(more);
        *cause.hours.entry(hour(last)).or_default() += more;
        cause.first = cause.first.min(first);
        if last >= cause.last || cause.sample.is_empty() {
            cause.sample.clone_from(&event.message);
        }
        cause.last = cause.last.max(last);
        if !event.node.is_empty()
            && cause.nodes.len() < NODES_MAX
            && !cause.nodes.contains(&event.node)
        {
            cause.nodes.push(event.node.clone());
        }
        if self.causes.len() > CAUSES_MAX {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        let oldest = self
            .causes
            .iter()
            .min_by_key(|(_, cause)| cause.last)
            .map(|(key, _)| key.clone());
        if let Some(oldest) = oldest {
            self.causes.remove(&oldest);
        }
    }

    /// Forgets what was last seen more than a day ago.
    pub(crate) fn expire(&mut self, now: Timestamp) {
        let oldest = hour(now) - i64::try_from(SLICES).unwrap_or(24);
        self.causes
            .retain(|_, cause| now.duration_since(cause.last) <= KEEP);
        for cause in self.causes.values_mut() {
            cause.hours.retain(|hour, _| *hour > oldest);
        }
    }

    pub(crate) fn causes(&self) -> impl Iterator<Item = (&str, &Cause)> {
        self.causes.iter().map(|(key, cause)| (key.as_str(), cause))
    }

    /// Returns all causes, to be kept over a restart.
    pub(crate) fn to_text(&self) -> String {
        serde_json::to_string(&self.causes).unwrap_or_default()
    }

    /// Takes up what an earlier run has kept; what cannot be read is told and left.
    pub(crate) fn from_text(text: &str) -> Result<Self, serde_json::Error> {
        Ok(Self {
            causes: serde_json::from_str(text)?,
        })
    }
}

/// The message without what differs between repeats: numbers, hashes, addresses.
fn template(message: &str) -> String {
    let mut out = String::new();
    for word in message.split_whitespace().take(40) {
        if !out.is_empty() {
            out.push(' ');
        }
        let varies = word.chars().any(|character| character.is_ascii_digit())
            || (word.len() >= 24 && word.contains(['-', '/', '_']));
        out.push_str(if varies { "#" } else { word });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn event(uid: &str, message: &str, count: i64, last: i64) -> Event {
        Event {
            uid: uid.into(),
            namespace: "dev".into(),
            object: ("Pod".into(), "web-1".into()),
            warning: true,
            reason: "BackOff".into(),
            message: message.into(),
            count,
            first: Some(at(0)),
            last: Some(at(last)),
            node: "local".into(),
        }
    }

    #[test]
    fn repeats_that_differ_in_numbers_are_one_line() {
        let mut fold = Fold::default();
        for number in 0..870 {
            fold.add(
                &event(
                    &format!("u{}", number % 7),
                    &format!("port {number} already allocated"),
                    1 + number / 7,
                    number,
                ),
                "elk-108",
                at(1_000),
            );
        }
        let causes: Vec<&Cause> = fold.causes().map(|(_, cause)| cause).collect();
        assert_eq!(causes.len(), 1);
        assert_eq!(causes[0].count, 870);
        assert_eq!((causes[0].first, causes[0].last), (at(0), at(869)));
        assert_eq!(causes[0].sample, "port 869 already allocated");
    }

    #[test]
    fn the_same_event_seen_again_counts_once() {
        let mut fold = Fold::default();
        for _ in 0..3 {
            fold.add(&event("u", "back-off", 5, 10), "web", at(20));
        }
        fold.add(&event("u", "back-off", 7, 15), "web", at(20));
        assert_eq!(fold.causes().next().unwrap().1.count, 7);
    }

    #[test]
    fn a_cause_is_kept_for_a_day_and_over_a_restart() {
        let mut fold = Fold::default();
        fold.add(&event("u", "back-off", 5, 10), "web", at(20));
        let mut fold = Fold::from_text(&fold.to_text()).unwrap();
        fold.expire(at(20 * 3_600));
        assert_eq!(fold.causes().count(), 1);
        fold.expire(at(25 * 3_600));
        assert_eq!(fold.causes().count(), 0);
    }

    #[test]
    fn causes_and_what_is_known_of_them_are_bounded() {
        let mut fold = Fold::default();
        for number in 0..CAUSES_MAX + 10 {
            let second = i64::try_from(number).unwrap();
            fold.add(
                &event("u", "x", 1, second),
                &format!("owner{number}"),
                at(50_000),
            );
        }
        assert_eq!(fold.causes().count(), CAUSES_MAX);
        let mut fold = Fold::default();
        for number in 0..2_000 {
            fold.add(&event(&format!("u{number}"), "x", 1, 5), "web", at(10));
        }
        assert!(fold.causes().next().unwrap().1.seen.len() <= SEEN_MAX);
    }

    #[test]
    fn a_time_in_the_future_counts_as_now() {
        let mut fold = Fold::default();
        fold.add(&event("u", "x", 1, 1_000_000), "web", at(10));
        assert_eq!(fold.causes().next().unwrap().1.last, at(10));
    }
}
