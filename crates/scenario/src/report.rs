//! The report of a run: all numbers in one value, and its forms.

mod html;
mod json;
mod junit;
mod prometheus;
mod text;
mod timeline;

use std::time::Duration;

use jiff::Timestamp;

use crate::bind::Setup;
use crate::gate::{Answer, Baseline, Decision, Facts, decide};
use crate::statistics::{FailureKind, Statistics};
use crate::verdict::{Verdict, judge};

pub use json::baseline;
pub use timeline::{Moment, Timeline};

/// What a runner hands back.
#[derive(Debug, Clone)]
pub struct Outcome {
    pub statistics: Statistics,
    pub timeline: Timeline,
    pub failures: Vec<Failure>,
    /// In a functional run: how each step went, in order.
    pub log: Vec<StepRun>,
    /// Steps that a functional run did not write down, because there were too many.
    pub log_dropped: u64,
    pub started_at: Timestamp,
    pub elapsed: Duration,
    pub interrupted: bool,
    pub seed: u64,
    pub workers: usize,
    pub target: TargetUse,
}

/// One kind of failure of one step: how often, and how it looked the first time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub step: usize,
    pub kind: FailureKind,
    pub count: u64,
    pub message: String,
    /// A command that sends the same request again; secrets are left out.
    pub replay: String,
}

/// One step of a functional run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepRun {
    pub step: usize,
    pub user: u64,
    pub iteration: u64,
    pub status: u16,
    pub duration: Duration,
    pub failure: Option<(FailureKind, String, String)>,
}

/// What the target used meanwhile, or why that is not known.
#[derive(Debug, Clone, Default)]
pub struct TargetUse {
    /// Where the numbers come from; empty if nothing was asked for.
    pub source: String,
    pub samples: Vec<TargetSample>,
    pub problem: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TargetSample {
    /// Seconds from the start.
    pub at: f64,
    /// Processors in use.
    pub cpu: f64,
    pub memory_bytes: u64,
    /// Pods that were ready, where the target has pods.
    pub pods: Option<u32>,
}

/// A run, what its gates say, and the verdict.
#[derive(Debug, Clone)]
pub struct Report {
    pub scenario: String,
    pub hash: String,
    pub profile: String,
    pub functional: bool,
    pub step_names: Vec<String>,
    pub targets: Vec<(String, String)>,
    pub skipped: Vec<(String, String)>,
    pub answers: Vec<Answer>,
    pub verdict: Verdict,
    pub outcome: Outcome,
}

impl Report {
    /// Judges a run.
    pub fn new(setup: &Setup, outcome: Outcome, baseline: Option<&Baseline>) -> Self {
        let program = &setup.program;
        let step_names: Vec<String> = program.steps.iter().map(|step| step.name.clone()).collect();
        let window_lengths: Vec<Duration> = setup
            .profile
            .windows
            .iter()
            .map(|window| window.to.saturating_sub(window.from))
            .collect();
        let facts = Facts {
            statistics: &outcome.statistics,
            step_names: &step_names,
            elapsed: outcome.elapsed,
            window_lengths: &window_lengths,
            baseline,
        };
        let answers = decide(&setup.profile.gates, facts);
        let functional = setup.profile.load.is_functional();
        let verdict = judge(
            &outcome.statistics,
            &answers,
            functional,
            outcome.interrupted,
        );
        Self {
            scenario: program.name.clone(),
            hash: program.hash.clone(),
            profile: setup.profile.name.clone(),
            functional,
            targets: setup
                .targets
                .iter()
                .map(|target| (target.name.clone(), target.address.to_string()))
                .collect(),
            skipped: setup
                .profile
                .skipped
                .iter()
                .map(|(index, reason)| (step_names[*index].clone(), reason.clone()))
                .collect(),
            step_names,
            answers,
            verdict,
            outcome,
        }
    }

    /// Why the verdict is not a pass, in words.
    pub fn reasons(&self) -> Vec<String> {
        let mut reasons: Vec<String> = self
            .answers
            .iter()
            .filter_map(|answer| {
                let text = &answer.gate.text;
                let measured = &answer.measured;
                match answer.decision {
                    Decision::Holds => None,
                    Decision::Breached if answer.gate.measure.is_validity() => Some(format!(
                        "`{text}` does not hold: {measured}; the generator limited the run"
                    )),
                    Decision::Breached => Some(format!("`{text}` does not hold: {measured}")),
                    Decision::NoSamples => Some(format!("`{text}` cannot hold: {measured}")),
                    Decision::Undecided => Some(format!(
                        "`{text}` is undecided: {measured}; take more samples"
                    )),
                }
            })
            .collect();
        if self.outcome.interrupted {
            reasons.push("the run was interrupted".to_owned());
        }
        if self.outcome.statistics.requests() == 0 {
            reasons.push("no request was sent".to_owned());
        }
        if self.functional || self.verdict == Verdict::Unreachable {
            reasons.extend(self.outcome.failures.iter().map(|failure| {
                let name = &self.step_names[failure.step];
                format!("{name}: {}", failure.message)
            }));
        }
        reasons
    }
}
