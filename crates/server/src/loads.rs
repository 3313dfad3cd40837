//! Load runs that people tell of, for everybody to see while they go on.
//!
//! Kept in memory only: a run that still goes on is told of again within a second.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use foreshore_model::api::load::{LoadRow, LoadRun, Loads as Answer};
use jiff::Timestamp;

use crate::changes::Changes;

/// The most runs kept; the oldest gives way.
const RUNS_MAX: usize = 20;

/// Runs by the time they began.
#[derive(Debug)]
pub(crate) struct Loads {
    kept: Mutex<Vec<LoadRow>>,
    changes: Changes,
}

impl Default for Loads {
    fn default() -> Self {
        Self {
            kept: Mutex::default(),
            changes: Changes::starting_at(1),
        }
    }
}

/// A run of this name belongs to somebody else.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("run `{id}` was started by {actor}")]
pub(crate) struct Taken {
    id: String,
    actor: String,
}

impl Loads {
    pub(crate) fn put(&self, run: LoadRun, actor: &str, now: Timestamp) -> Result<(), Taken> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let known = kept.iter().position(|row| row.run.id == run.id);
        if let Some(place) = known {
            let before = &kept[place];
            if before.actor != actor {
                return Err(Taken {
                    id: run.id,
                    actor: before.actor.clone(),
                });
            }
            // A report that was overtaken on its way is no news.
            if run.elapsed_seconds < before.run.elapsed_seconds {
                return Ok(());
            }
            kept.remove(place);
        }
        kept.push(LoadRow {
            run,
            actor: actor.to_owned(),
            heard_at: now,
        });
        kept.sort_by_key(|row| std::cmp::Reverse(row.run.started_at));
        kept.truncate(RUNS_MAX);
        drop(kept);
        self.changes.announce();
        Ok(())
    }

    /// Returns all runs once their version is another than `known`, or the time is over.
    pub(crate) async fn after(&self, known: u64, limit: Duration) -> Answer {
        self.changes.wait(known, limit).await;
        self.all()
    }

    pub(crate) fn all(&self) -> Answer {
        // The version first: what comes in between is told again.
        let version = self.changes.version();
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        Answer {
            version,
            runs: kept.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(id: &str, started: i64, elapsed: f64) -> LoadRun {
        LoadRun {
            id: id.into(),
            scenario: "s".into(),
            profile: "p".into(),
            targets: vec![],
            started_at: Timestamp::from_second(started).unwrap(),
            elapsed_seconds: elapsed,
            length_seconds: None,
            shape_unit: "users".into(),
            requests: 0,
            failed: 0,
            undelivered: 0,
            in_flight: 0,
            latency: None,
            point_seconds: 1,
            points: vec![],
            verdict: None,
            reasons: vec![],
        }
    }

    #[test]
    fn a_run_is_replaced_by_its_own_later_word_only() {
        let loads = Loads::default();
        let now = Timestamp::UNIX_EPOCH;
        loads.put(run("a", 1, 5.0), "ada", now).unwrap();
        loads.put(run("a", 1, 4.0), "ada", now).unwrap();
        assert_eq!(loads.all().runs[0].run.elapsed_seconds.to_string(), "5");
        let taken = loads.put(run("a", 1, 6.0), "eve", now).unwrap_err();
        assert!(taken.to_string().contains("ada"));
    }

    #[test]
    fn the_oldest_run_gives_way() {
        let loads = Loads::default();
        for number in 0..30 {
            let id = format!("r{number}");
            loads
                .put(run(&id, number, 0.0), "ada", Timestamp::UNIX_EPOCH)
                .unwrap();
        }
        let runs = loads.all().runs;
        assert_eq!((runs.len(), runs[0].run.id.as_str()), (RUNS_MAX, "r29"));
    }
}
