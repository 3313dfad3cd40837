//! Runs a bound scenario: starts the workers, gathers what they measured.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use foreshore_scenario::{
    Arrivals, Connections, Durations, Failure, Load, Moment, Outcome, Setup, Statistics, StepRun,
    Timeline,
};
use rustix::process::{Resource, getrlimit};

use crate::endpoint::Endpoints;
use crate::error::RunError;
use crate::plan::{self, Brake, Plan};
use crate::target::{Sampler, TargetSource};
use crate::worker::{Part, Tick, Worker};

/// Seconds of ticks that may wait to be looked at, per worker.
const TICKS_MAX: usize = 64;
/// Time for all workers to be ready before the first moment of the plan.
const RUN_UP: Duration = Duration::from_millis(20);
/// Files that are open anyway: outputs, pollers, the report.
const OTHER_FILES: u64 = 64;

/// How a run is carried out.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Threads; the profile's `workers`, else one for each processor, but one for small runs.
    pub workers: Option<usize>,
    /// Goes before the profile's seed; without both, one is drawn and reported.
    pub seed: Option<u64>,
    pub target: TargetSource,
    pub brake: Brake,
    /// Where hosts are, by name; the resolver is asked for all others.
    pub hosts: BTreeMap<String, IpAddr>,
}

/// A run as it is going on.
#[derive(Debug)]
pub struct Live<'a> {
    pub elapsed: Duration,
    /// How long the shape goes on, if it says.
    pub length: Option<Duration>,
    pub requests: u64,
    pub failed: u64,
    pub undelivered: u64,
    pub in_flight: u64,
    /// From the planned moment, with two digits.
    pub latency: &'a Durations,
    pub timeline: &'a Timeline,
}

/// Runs the scenario; blocks until it is over. `watch` is called about once a second.
///
/// `folder` is where the scenario lies: certificates are named relative to it.
pub fn run(
    setup: &Setup,
    folder: &Path,
    options: &Options,
    mut watch: impl FnMut(&Live<'_>),
) -> Result<Outcome, RunError> {
    let functional = setup.profile.load.is_functional();
    let workers = workers(setup, options);
    let seed = options.seed.or(setup.profile.seed).unwrap_or_else(drawn);
    check_rows(setup, seed)?;
    let mut endpoints = Endpoints::resolve(setup, folder, &options.hosts)?;
    let prepared = plan::prepare(setup, &mut endpoints);
    check_files(setup, endpoints.len() as u64)?;
    let started_at = foreshore_model::clock::now();
    let plan = Arc::new(Plan {
        keep: plan::keeps(setup, functional),
        timeouts: plan::timeouts(setup),
        setup: setup.clone(),
        endpoints,
        prepared,
        start: Instant::now() + RUN_UP,
        started_millis: started_at.as_millisecond(),
        seed,
        workers,
        brake: options.brake.clone(),
        functional,
    });
    let sampler = Sampler::start(&options.target, plan.start);
    let (sender, receiver) = mpsc::sync_channel(TICKS_MAX * workers);
    let mut threads = Vec::new();
    for index in 0..workers {
        let worker =
            Worker::new(Arc::clone(&plan), index, sender.clone()).map_err(RunError::Worker)?;
        let thread = thread::Builder::new()
            .name(format!("load-{index}"))
            .spawn(move || worker.run())
            .map_err(RunError::Worker)?;
        threads.push(thread);
    }
    drop(sender);
    let mut gathering = Gathering::new(&plan, workers);
    loop {
        match receiver.recv_timeout(Duration::from_millis(500)) {
            Ok(tick) => {
                if gathering.add(&tick) {
                    watch(&gathering.live());
                }
            }
            Err(RecvTimeoutError::Timeout) => watch(&gathering.live()),
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    let elapsed = Duration::from_nanos(plan.now());
    let mut parts = Vec::new();
    for thread in threads {
        match thread.join() {
            Ok(part) => parts.push(part.map_err(RunError::Worker)?),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
    let merged = Merged::of(setup, parts);
    Ok(Outcome {
        statistics: merged.statistics,
        timeline: gathering.timeline,
        failures: merged.failures,
        log: merged.log,
        log_dropped: merged.log_dropped,
        started_at,
        elapsed,
        interrupted: options.brake.is_pulled(),
        seed,
        workers,
        target: sampler.finish(),
    })
}

fn workers(setup: &Setup, options: &Options) -> usize {
    if setup.profile.load.is_functional() {
        return 1;
    }
    let processors = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    options
        .workers
        .or(setup.profile.workers)
        .unwrap_or_else(|| match &setup.profile.load {
            // One thread sends this much with ease, and is never late because of another.
            Load::Arrivals { shape, .. } if shape.peak() <= 5_000.0 => 1,
            Load::Users(shape) if shape.peak() < 8.0 => 1,
            _ => processors,
        })
        .max(1)
}

/// A seed that differs from run to run, and is reported.
fn drawn() -> u64 {
    let now = foreshore_model::clock::now().as_nanosecond();
    u64::try_from(now & 0xffff_ffff).unwrap_or(0)
}

/// Says before the start when unique rows would run out.
fn check_rows(setup: &Setup, seed: u64) -> Result<(), RunError> {
    for (data, rows) in setup.program.data.iter().zip(&setup.rows) {
        if !data.unique {
            continue;
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the compiler bounds the number of users"
        )]
        let needed = match &setup.profile.load {
            Load::Rows { .. } => continue,
            Load::Iterations { users, .. } => *users,
            Load::Users(shape) => shape.peak().ceil() as u64,
            Load::Arrivals { shape, spacing } => {
                Arrivals::new(shape.clone(), *spacing, seed).count() as u64
            }
        };
        if needed > rows.len() as u64 {
            return Err(RunError::Rows {
                data: data.name.clone(),
                rows: rows.len() as u64,
                needed,
            });
        }
    }
    Ok(())
}

/// Says before the start when the limit of open files would end the run.
fn check_files(setup: &Setup, endpoints: u64) -> Result<(), RunError> {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the compiler bounds the number of users"
    )]
    let users = match &setup.profile.load {
        Load::Iterations { users, .. } | Load::Rows { users, .. } => *users,
        Load::Users(shape) => shape.peak().ceil() as u64,
        Load::Arrivals { .. } => setup.profile.in_flight_max,
    };
    let each = match setup.profile.connections {
        Connections::Own => users,
        Connections::Shared(count) => count.min(users),
    };
    let needed = each * endpoints.max(1) + OTHER_FILES;
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    if needed <= limit {
        return Ok(());
    }
    let raised = foreshore_sys::raise_open_files().unwrap_or(limit);
    if needed <= raised {
        return Ok(());
    }
    Err(RunError::OpenFiles {
        needed,
        limit: raised,
    })
}

/// Ticks of all workers, second by second.
struct Gathering<'a> {
    plan: &'a Plan,
    workers: usize,
    timeline: Timeline,
    latency: Durations,
    requests: u64,
    failed: u64,
    undelivered: u64,
    in_flight: u64,
    /// The second that is being put together, and how many workers told theirs.
    open: Tick,
    told: usize,
}

impl<'a> Gathering<'a> {
    fn new(plan: &'a Plan, workers: usize) -> Self {
        Self {
            plan,
            workers,
            timeline: Timeline::default(),
            latency: Durations::coarse(),
            requests: 0,
            failed: 0,
            undelivered: 0,
            in_flight: 0,
            open: Tick::new(0),
            told: 0,
        }
    }

    /// Adds one worker's second; returns whether a second is whole.
    fn add(&mut self, tick: &Tick) -> bool {
        self.requests += tick.requests;
        self.failed += tick.failed;
        self.undelivered += tick.undelivered;
        self.latency.merge(&tick.latency);
        if tick.second != self.open.second {
            self.close();
            self.open = Tick::new(tick.second);
        }
        self.open.requests += tick.requests;
        self.open.failed += tick.failed;
        self.open.undelivered += tick.undelivered;
        self.open.in_flight += tick.in_flight;
        self.open.latency.merge(&tick.latency);
        self.told += 1;
        if self.told < self.workers {
            return false;
        }
        self.in_flight = self.open.in_flight;
        self.close();
        self.open = Tick::new(tick.second + 1);
        true
    }

    fn close(&mut self) {
        if self.told == 0 {
            return;
        }
        self.told = 0;
        let moment = Moment {
            undelivered: self.open.undelivered,
            in_flight: self.open.in_flight,
            ..Moment::new(self.open.requests, self.open.failed, &self.open.latency)
        };
        self.timeline.add(self.open.second, &moment);
    }

    fn live(&self) -> Live<'_> {
        Live {
            elapsed: Duration::from_nanos(self.plan.now()),
            length: self.plan.setup.profile.load.length(),
            requests: self.requests,
            failed: self.failed,
            undelivered: self.undelivered,
            in_flight: self.in_flight,
            latency: &self.latency,
            timeline: &self.timeline,
        }
    }
}

/// The parts of all workers as one.
struct Merged {
    statistics: Statistics,
    failures: Vec<Failure>,
    log: Vec<StepRun>,
    log_dropped: u64,
}

impl Merged {
    fn of(setup: &Setup, parts: Vec<Part>) -> Self {
        let steps = setup.program.steps.len();
        let mut merged = Self {
            statistics: Statistics::new(steps, setup.profile.windows.len()),
            failures: Vec::new(),
            log: Vec::new(),
            log_dropped: 0,
        };
        for part in parts {
            merged.statistics.merge(&part.statistics);
            merged.log.extend(part.log);
            merged.log_dropped += part.log_dropped;
            for failure in part.failures {
                let known = merged
                    .failures
                    .iter_mut()
                    .find(|known| (known.step, known.kind) == (failure.step, failure.kind));
                match known {
                    Some(known) => known.count += failure.count,
                    None => merged.failures.push(failure),
                }
            }
        }
        merged
    }
}
