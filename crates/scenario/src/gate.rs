//! Gates: what must hold for a run, and what the run says to each.

use std::time::Duration;

use crate::program::Comparison;
use crate::quantity::{spell, spell_share};
use crate::statistics::{Durations, Statistics, StepStatistics};

/// One condition on the numbers of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Gate {
    pub measure: Measure,
    /// `None` for all steps together.
    pub step: Option<usize>,
    pub comparison: Comparison,
    pub limit: Limit,
    /// Index into the windows of the profile.
    pub window: Option<usize>,
    /// As it was typed.
    pub text: String,
    /// Added because the file does not say otherwise.
    pub implied: bool,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Measure {
    Latency(Point),
    Service(Point),
    Slip(Point),
    Lateness(Point),
    /// Share of requests that failed.
    Errors,
    /// Share of answers with a status of these hundreds.
    Status(u8),
    /// Share of planned arrivals that were sent.
    Delivered,
    Samples,
    /// Requests that ended per second of the run.
    Rate,
    /// Share of time the generator had work.
    Busy,
    /// Share of time the generator waited for a processor.
    Starved,
}

/// A point of a distribution.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Point {
    Quantile(f64),
    Mean,
    Max,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Limit {
    Duration(Duration),
    Share(f64),
    Count(u64),
    Rate(f64),
    /// So many times what an earlier run measured.
    Baseline(f64),
}

impl Measure {
    /// Speaks of the generator, so a breach makes the measurement invalid.
    pub fn is_validity(self) -> bool {
        matches!(
            self,
            Self::Lateness(_) | Self::Slip(_) | Self::Delivered | Self::Busy | Self::Starved
        )
    }
}

/// What a run says to a gate.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    pub gate: Gate,
    pub decision: Decision,
    /// What was measured, in words.
    pub measured: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    Holds,
    Breached,
    /// Nothing was measured.
    NoSamples,
    /// Too few samples to tell from noise.
    Undecided,
}

/// Durations of an earlier run, by the name of the step; the empty name for all together.
pub type Baseline = std::collections::BTreeMap<String, Durations>;

/// What gates look at.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    pub statistics: &'a Statistics,
    pub step_names: &'a [String],
    pub elapsed: Duration,
    pub window_lengths: &'a [Duration],
    pub baseline: Option<&'a Baseline>,
}

/// Holds a run against its gates.
pub fn decide(gates: &[Gate], facts: Facts<'_>) -> Vec<Answer> {
    gates.iter().map(|gate| answer(gate, facts)).collect()
}

fn answer(gate: &Gate, facts: Facts<'_>) -> Answer {
    let (decision, measured) = match gate.limit {
        Limit::Baseline(factor) => against_baseline(gate, factor, facts),
        limit => match measured(gate, facts) {
            None => (Decision::NoSamples, "no samples".to_owned()),
            Some(value) => {
                let wanted = match limit {
                    Limit::Duration(wanted) => wanted.as_secs_f64(),
                    Limit::Share(wanted) | Limit::Rate(wanted) => wanted,
                    #[expect(clippy::cast_precision_loss, reason = "counts stay below 2^53")]
                    Limit::Count(wanted) => wanted as f64,
                    Limit::Baseline(_) => unreachable!("decided above"),
                };
                let holds = gate.comparison.holds(value.total_cmp(&wanted));
                let decision = if holds {
                    Decision::Holds
                } else {
                    Decision::Breached
                };
                (decision, spelled(limit, value))
            }
        },
    };
    Answer {
        gate: gate.clone(),
        decision,
        measured,
    }
}

fn spelled(limit: Limit, value: f64) -> String {
    match limit {
        Limit::Duration(_) | Limit::Baseline(_) => spell(Duration::from_secs_f64(value)),
        Limit::Share(_) => spell_share(value),
        Limit::Count(_) => format!("{value:.0}"),
        Limit::Rate(_) => format!("{value:.1}/s"),
    }
}

fn steps(gate: &Gate, facts: Facts<'_>) -> StepStatistics {
    let list = match gate.window {
        Some(window) => &facts.statistics.windows[window],
        None => &facts.statistics.steps,
    };
    match gate.step {
        Some(step) => list[step].clone(),
        None => Statistics::together(list),
    }
}

/// `None` where nothing was measured.
#[expect(clippy::cast_precision_loss, reason = "counts stay below 2^53")]
fn measured(gate: &Gate, facts: Facts<'_>) -> Option<f64> {
    let share = |part: u64, whole: u64| (whole > 0).then(|| part as f64 / whole as f64);
    let statistics = facts.statistics;
    match gate.measure {
        Measure::Latency(point) => at(&steps(gate, facts).latency, point),
        Measure::Service(point) => at(&steps(gate, facts).service, point),
        Measure::Slip(point) => at(&steps(gate, facts).slip, point),
        Measure::Lateness(point) => at(&statistics.lateness, point),
        Measure::Errors => {
            let steps = steps(gate, facts);
            share(steps.failed(), steps.requests())
        }
        Measure::Status(hundreds) => {
            let steps = steps(gate, facts);
            share(steps.statuses[usize::from(hundreds)], steps.requests())
        }
        Measure::Delivered => share(statistics.started, statistics.planned),
        Measure::Samples => Some(steps(gate, facts).requests() as f64),
        Measure::Rate => {
            let length = gate
                .window
                .map_or(facts.elapsed, |window| facts.window_lengths[window])
                .as_secs_f64();
            let requests = steps(gate, facts).requests();
            (length > 0.0 && requests > 0).then(|| requests as f64 / length)
        }
        Measure::Busy => share(statistics.busy_nanos, statistics.worker_nanos),
        Measure::Starved => share(statistics.starved_nanos, statistics.worker_nanos),
    }
}

fn at(durations: &Durations, point: Point) -> Option<f64> {
    let value = match point {
        Point::Quantile(share) => durations.quantile(share),
        Point::Mean => durations.mean(),
        Point::Max => durations.max(),
    };
    value.map(|value| value.as_secs_f64())
}

/// Compares a quantile with that of an earlier run, by intervals, so that noise neither blocks nor passes.
fn against_baseline(gate: &Gate, factor: f64, facts: Facts<'_>) -> (Decision, String) {
    let Measure::Latency(Point::Quantile(share)) = gate.measure else {
        unreachable!("the compiler takes a baseline for quantiles of latency only");
    };
    let Some(baseline) = facts.baseline else {
        return (
            Decision::NoSamples,
            "no baseline was given (--baseline REPORT.json)".to_owned(),
        );
    };
    let name = gate.step.map_or("", |step| facts.step_names[step].as_str());
    let now = steps(gate, facts).latency;
    let before = baseline.get(name);
    let (Some((low, high)), Some((low_before, high_before))) = (
        now.interval(share),
        before.and_then(|before| before.interval(share)),
    ) else {
        return (Decision::NoSamples, "no samples".to_owned());
    };
    let least = low.as_secs_f64() / high_before.as_secs_f64().max(1e-6);
    let most = high.as_secs_f64() / low_before.as_secs_f64().max(1e-6);
    let words = format!("{least:.2} to {most:.2} x baseline");
    let sure = |ratio: f64| gate.comparison.holds(ratio.total_cmp(&factor));
    let decision = match (sure(least), sure(most)) {
        (true, true) => Decision::Holds,
        (false, false) => Decision::Breached,
        _ => Decision::Undecided,
    };
    (decision, words)
}
