//! What a worker writes down: statistics, failures, the functional log, ticks for the live view.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError};
use std::time::Duration;

use foreshore_scenario::{
    Durations, Failed, Failure, FailureKind, Sample, Statistics, StepRun, Window,
};

use super::user::{State, User};
use crate::plan::{Plan, nanos};
use crate::render;

const SECOND: u64 = 1_000_000_000;
/// Steps of a functional run that are told one by one.
const LOG_MAX: usize = 10_000;
/// Requests are kept to be shown until this many kinds of failures were seen.
const SHOWN_MAX: usize = 20;

/// What happened in one second of one worker.
#[derive(Debug, Clone)]
pub(crate) struct Tick {
    pub(crate) second: u64,
    pub(crate) requests: u64,
    pub(crate) failed: u64,
    pub(crate) undelivered: u64,
    pub(crate) in_flight: u64,
    pub(crate) latency: Durations,
}

impl Tick {
    pub(crate) fn new(second: u64) -> Self {
        Self {
            second,
            requests: 0,
            failed: 0,
            undelivered: 0,
            in_flight: 0,
            latency: Durations::coarse(),
        }
    }
}

/// One worker's part of the outcome.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) statistics: Statistics,
    pub(crate) failures: Vec<Failure>,
    pub(crate) log: Vec<StepRun>,
    pub(crate) log_dropped: u64,
}

pub(super) struct Ledger {
    plan: Arc<Plan>,
    statistics: Statistics,
    windows: Vec<(u64, u64)>,
    failures: BTreeMap<(usize, FailureKind), Failure>,
    log: Vec<StepRun>,
    log_dropped: u64,
    tick: Tick,
    ticks: SyncSender<Tick>,
}

impl Ledger {
    pub(super) fn new(plan: &Arc<Plan>, ticks: SyncSender<Tick>) -> Self {
        let windows: Vec<(u64, u64)> = plan
            .setup
            .profile
            .windows
            .iter()
            .map(|Window { from, to }| (nanos(*from), nanos(*to)))
            .collect();
        Self {
            statistics: Statistics::new(plan.setup.program.steps.len(), windows.len()),
            windows,
            failures: BTreeMap::new(),
            log: Vec::new(),
            log_dropped: 0,
            tick: Tick::new(0),
            ticks,
            plan: Arc::clone(plan),
        }
    }

    pub(super) fn late(&mut self, nanos: u64) {
        self.statistics.lateness.record(nanos);
    }

    pub(super) fn started(&mut self) {
        self.statistics.planned += 1;
        self.statistics.started += 1;
    }

    pub(super) fn undelivered(&mut self) {
        self.statistics.planned += 1;
        self.tick.undelivered += 1;
    }

    pub(super) fn completed(&mut self) {
        self.statistics.completed += 1;
    }

    pub(super) fn connected(&mut self) {
        self.statistics.connections += 1;
    }

    /// Whether a request that fails now would be the first of its kind to be shown.
    pub(super) fn wants_requests(&self) -> bool {
        self.failures.len() < SHOWN_MAX && self.statistics.started < 1000
    }

    pub(super) fn record(
        &mut self,
        user: &User,
        sample: &Sample,
        failed: Option<Failed>,
        tls: bool,
    ) {
        self.statistics.steps[user.step].record(sample);
        for (index, (from, to)) in self.windows.iter().enumerate() {
            if (*from..*to).contains(&sample.planned) {
                self.statistics.windows[index][user.step].record(sample);
            }
        }
        self.tick.requests += 1;
        self.tick.failed += u64::from(failed.is_some());
        self.tick
            .latency
            .record(sample.ended.saturating_sub(sample.planned));
        if failed.is_none() && !self.plan.functional {
            return;
        }
        let failure = failed.map(|failed| self.failure(user, failed, tls));
        if self.plan.functional {
            if self.log.len() == LOG_MAX {
                self.log_dropped += 1;
                return;
            }
            self.log.push(StepRun {
                step: user.step,
                user: user.number,
                iteration: user.iteration,
                status: sample.status,
                duration: Duration::from_nanos(sample.ended.saturating_sub(sample.sent)),
                failure,
            });
        }
    }

    /// Counts a failure; the first of its kind is described.
    fn failure(&mut self, user: &User, failed: Failed, tls: bool) -> (FailureKind, String, String) {
        let Failed { kind, message } = failed;
        let secrets = &self.plan.setup.secrets;
        if let Some(known) = self.failures.get_mut(&(user.step, kind)) {
            known.count += 1;
            if !self.plan.functional {
                return (kind, String::new(), String::new());
            }
        }
        let program = &self.plan.setup.program;
        let mut hidden = secrets.clone();
        for (capture, value) in program.captures.iter().zip(&user.captures) {
            if let (true, Some(value)) = (capture.secret, value) {
                hidden.push((capture.name.clone(), value.to_string()));
            }
        }
        let message = render::redact(&message, &hidden);
        let replay = if user.shown.is_empty() {
            String::new()
        } else {
            render::replay(&user.shown, tls, &hidden)
        };
        self.failures
            .entry((user.step, kind))
            .or_insert_with(|| Failure {
                step: user.step,
                kind,
                count: 1,
                message: message.clone(),
                replay: replay.clone(),
            });
        (kind, message, replay)
    }

    pub(super) fn next_tick(&self) -> u64 {
        (self.tick.second + 1) * SECOND
    }

    /// Hands over what happened when a second is over.
    pub(super) fn tick(&mut self, now: u64, active: u64) {
        self.tick.in_flight = self.tick.in_flight.max(active);
        let second = now / SECOND;
        if second <= self.tick.second {
            return;
        }
        self.send(second);
    }

    fn send(&mut self, next: u64) {
        let tick = std::mem::replace(&mut self.tick, Tick::new(next));
        match self.ticks.try_send(tick) {
            Ok(()) | Err(TrySendError::Disconnected(_)) => {}
            // The other side is slow: what happened is told with the next second.
            Err(TrySendError::Full(tick)) => {
                self.tick = Tick {
                    second: next,
                    ..tick
                }
            }
        }
    }

    /// Counts requests that got no answer before the run ended.
    pub(super) fn unfinished(&mut self, now: u64, users: &[User]) {
        if self.plan.brake.is_pulled() || self.plan.end().is_none() {
            return;
        }
        for user in users {
            if !matches!(user.state, State::Asking | State::Waiting | State::Retrying) {
                continue;
            }
            let sample = Sample {
                planned: user.planned,
                sent: user.sent,
                ended: now,
                status: 0,
                failure: Some(FailureKind::Unfinished),
                bytes: user.answer.bytes,
                retries: user.retries,
            };
            let failed = Failed {
                kind: FailureKind::Unfinished,
                message: "the run ended before the answer came".to_owned(),
            };
            self.record(user, &sample, Some(failed), false);
        }
    }

    pub(super) fn close(mut self, now: u64, idle: u64, starved: u64, active: u64) -> Part {
        self.tick.in_flight = self.tick.in_flight.max(active);
        self.send(u64::MAX / SECOND - 1);
        self.statistics.worker_nanos = now;
        self.statistics.busy_nanos = now.saturating_sub(idle);
        self.statistics.starved_nanos = starved;
        Part {
            statistics: self.statistics,
            failures: self.failures.into_values().collect(),
            log: self.log,
            log_dropped: self.log_dropped,
        }
    }
}
