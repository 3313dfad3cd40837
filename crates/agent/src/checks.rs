//! Runs what is measured after a rollout: the contract of every service, and the service's own checks.
//!
//! Everything is sent from a thread of its own, which may stand in another
//! network than this process, and which ends with the last check. What cannot
//! be reached or run gives a verdict that says so; it never passes.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use foreshore_load::{Brake, ContractError, Live, Options as RunOptions, RunError, check_contract};
use foreshore_model::{Check, ReleaseFile, Scenario, Verdict, chain, clock};
use foreshore_scenario::{EXPECTED_VERSION, Report, TARGET_URL, Verdict as Found, bind_check};
use foreshore_sys::Ground;
use tokio::sync::oneshot;
use tracing::error;

/// The name of the check that nobody has to write.
pub const CONTRACT: &str = "contract";

/// Between two tries of what nobody answered yet.
const AGAIN: Duration = Duration::from_millis(250);
/// Routes may still lead to pods of the release before: a failure this soon is no verdict yet.
const SETTLING: Duration = Duration::from_secs(3);
/// Characters of a verdict's summary.
const SUMMARY_MAX: usize = 400;

/// Where this agent can send checks from.
#[derive(Debug, Clone)]
pub struct CheckOptions {
    /// The network in which addresses of services lead to their pods, or why there is none.
    pub inside: Result<Ground, String>,
    /// Where the ingress answers; where each host name leads to, if not given.
    pub ingress: Option<SocketAddr>,
    /// How long all checks of one release may take.
    pub time: Duration,
    /// How long a check that nobody answers is tried again: routes follow a moment after pods.
    pub patience: Duration,
}

impl CheckOptions {
    pub fn new(inside: Result<Ground, String>) -> Self {
        Self {
            inside,
            ingress: None,
            time: Duration::from_mins(5),
            patience: Duration::from_secs(10),
        }
    }
}

/// Where one service answers, or why that is not known.
#[derive(Debug, Clone)]
pub(crate) struct Doors {
    /// `http://10.96.0.7:80`
    pub(crate) inside: Result<String, String>,
    /// `http://web.dev.localhost:8080`
    pub(crate) outside: Result<String, String>,
    /// The host of that, which may be unknown to any resolver.
    pub(crate) host: Option<String>,
    /// Whether the service says that it speaks HTTP, so that the contract holds for it.
    pub(crate) contract: bool,
}

/// All checks of one release.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) release: ReleaseFile,
    pub(crate) manifests_tree: String,
    pub(crate) checks: Vec<Check>,
    pub(crate) doors: Doors,
}

impl Plan {
    /// What is going to be checked, by name.
    pub(crate) fn names(&self) -> Vec<&str> {
        let contract = self.doors.contract.then_some(CONTRACT);
        let own = self.checks.iter().map(|check| check.name.as_str());
        contract.into_iter().chain(own).collect()
    }
}

/// Checks on their way; dropping it ends them.
#[derive(Debug)]
pub(crate) struct Running {
    brake: Brake,
    verdicts: oneshot::Receiver<Vec<Verdict>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.brake.pull();
    }
}

impl Running {
    /// Returns the verdicts once all are there.
    ///
    /// A thread that broke leaves none: a gate without a verdict stays closed.
    pub(crate) fn poll(&mut self) -> Option<Vec<Verdict>> {
        match self.verdicts.try_recv() {
            Ok(verdicts) => Some(verdicts),
            Err(oneshot::error::TryRecvError::Empty) => None,
            Err(oneshot::error::TryRecvError::Closed) => {
                error!("checks broke; the release goes without verdicts");
                Some(Vec::new())
            }
        }
    }
}

/// Starts the checks; `done` is called when they have ended.
pub(crate) fn start(
    plan: Plan,
    options: CheckOptions,
    done: impl FnOnce() + Send + 'static,
) -> std::io::Result<Running> {
    let brake = Brake::default();
    let (sender, verdicts) = oneshot::channel();
    let runner = Runner {
        deadline: Instant::now() + options.time,
        plan,
        options,
        brake: brake.clone(),
    };
    thread::Builder::new()
        .name("checks".to_owned())
        .spawn(move || {
            // Whoever waited may be gone: then nobody needs the answer.
            drop(sender.send(runner.run()));
            done();
        })?;
    Ok(Running { brake, verdicts })
}

/// What came of one try.
struct Seen {
    passed: bool,
    /// Nothing was measured.
    unknown: bool,
    summary: String,
}

impl Seen {
    fn unknown(summary: impl Into<String>) -> Self {
        Self {
            passed: false,
            unknown: true,
            summary: summary.into(),
        }
    }

    fn of(report: &Report) -> Self {
        let passed = report.verdict == Found::Pass;
        let summary = if passed {
            let steps = report.outcome.statistics.requests();
            format!("{steps} steps in {:.0?}", report.outcome.elapsed)
        } else {
            report.reasons().join("; ")
        };
        Self {
            passed,
            unknown: !passed && report.verdict != Found::Fail,
            summary,
        }
    }
}

struct Runner {
    plan: Plan,
    options: CheckOptions,
    brake: Brake,
    deadline: Instant,
}

impl Runner {
    fn run(self) -> Vec<Verdict> {
        let mut verdicts = Vec::new();
        // What goes the users' way is sent before this thread moves into the other network for good.
        let (outside, inside): (Vec<&Check>, Vec<&Check>) =
            self.plan.checks.iter().partition(|check| check.outside);
        for check in outside {
            let seen = self.door(&self.plan.doors.outside, |base| self.own(check, base));
            verdicts.push(self.verdict(&check.name, check.gate, &seen));
        }
        let entered = match &self.options.inside {
            Ok(ground) => ground
                .enter()
                .map_err(|error| format!("cannot enter the cluster's network: {error}")),
            Err(why) => Err(why.clone()),
        };
        let base = entered.and_then(|()| self.plan.doors.inside.clone());
        if self.plan.doors.contract {
            let seen = self.door(&base, |base| self.contract(base));
            verdicts.push(self.verdict(CONTRACT, false, &seen));
        }
        for check in inside {
            let seen = self.door(&base, |base| self.own(check, base));
            verdicts.push(self.verdict(&check.name, check.gate, &seen));
        }
        verdicts
    }

    /// Tries until it passes, as long as patience lasts; the last try counts.
    fn door(&self, base: &Result<String, String>, attempt: impl Fn(&str) -> Seen) -> Seen {
        let base = match base {
            Ok(base) => base,
            Err(why) => return Seen::unknown(why),
        };
        let start = Instant::now();
        loop {
            if self.is_over() {
                return Seen::unknown(format!("did not end within {:?}", self.options.time));
            }
            if self.brake.is_pulled() {
                return Seen::unknown("a newer release came before the check ended");
            }
            let seen = attempt(base);
            if self.brake.is_pulled() || self.is_over() {
                // What was stopped half way says nothing.
                continue;
            }
            let patience = if seen.unknown {
                self.options.patience
            } else {
                self.options.patience.min(SETTLING)
            };
            if seen.passed || start.elapsed() >= patience {
                return seen;
            }
            thread::sleep(AGAIN);
        }
    }

    fn is_over(&self) -> bool {
        Instant::now() >= self.deadline
    }

    fn contract(&self, base: &str) -> Seen {
        let version = self.plan.release.artifact_id.to_string();
        match check_contract(base, Some(&version), &self.run_options()) {
            Ok(report) => Seen::of(&report),
            Err(ContractError::Bind(error)) => Seen::unknown(chain(&error)),
            Err(ContractError::Run(error)) => broken(&error),
        }
    }

    fn own(&self, check: &Check, base: &str) -> Seen {
        let Scenario::Text(text) = &check.scenario else {
            return Seen::unknown("the artifact names the scenario's file and does not hold it");
        };
        let release = &self.plan.release;
        let facts = BTreeMap::from([
            (TARGET_URL, base.to_owned()),
            (EXPECTED_VERSION, release.artifact_id.to_string()),
            ("FORESHORE_SERVICE", release.service.to_string()),
            ("FORESHORE_ENVIRONMENT", release.environment.to_string()),
        ]);
        let setup = match bind_check(check, text, &facts) {
            Ok(setup) => setup,
            Err(error) => return Seen::unknown(chain(&error)),
        };
        let watch = |_: &Live<'_>| {
            if self.is_over() {
                self.brake.pull();
            }
        };
        match foreshore_load::run(&setup, Path::new("."), &self.run_options(), watch) {
            Ok(outcome) => Seen::of(&Report::new(&setup, outcome, None)),
            Err(error) => broken(&error),
        }
    }

    fn run_options(&self) -> RunOptions {
        let known = self.options.ingress.zip(self.plan.doors.host.clone());
        let hosts = known.map(|(ingress, host)| (host, ingress.ip()));
        RunOptions {
            workers: Some(1),
            hosts: hosts.into_iter().collect(),
            brake: self.brake.clone(),
            ..RunOptions::default()
        }
    }

    fn verdict(&self, check: &str, gate: bool, seen: &Seen) -> Verdict {
        let release = &self.plan.release;
        Verdict {
            check: check.to_owned(),
            artifact: release.artifact.clone(),
            environment: release.environment.clone(),
            tree: self.plan.manifests_tree.clone(),
            passed: seen.passed,
            unknown: seen.unknown,
            gate,
            summary: seen.summary.chars().take(SUMMARY_MAX).collect(),
            at: clock::now(),
        }
    }
}

fn broken(error: &RunError) -> Seen {
    Seen::unknown(chain(error))
}

#[cfg(test)]
mod tests;
