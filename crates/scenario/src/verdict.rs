//! The three verdicts, and why.

use foreshore_model::ExitCode;
use serde::{Deserialize, Serialize};

use crate::gate::{Answer, Decision};
use crate::statistics::{FailureKind, Statistics};

/// What a run proves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    Pass,
    /// A gate was breached, or a check failed.
    Fail,
    /// The generator limited the run: it proves nothing about the target.
    Invalid,
    /// Nobody answered at all.
    Unreachable,
    Interrupted,
}

impl Verdict {
    pub fn exit_code(self) -> ExitCode {
        match self {
            Self::Pass => ExitCode::Done,
            Self::Fail => ExitCode::Failed,
            Self::Invalid => ExitCode::Invalid,
            Self::Unreachable => ExitCode::Unreachable,
            Self::Interrupted => ExitCode::Interrupted,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Invalid => "invalid",
            Self::Unreachable => "unreachable",
            Self::Interrupted => "interrupted",
        }
    }
}

/// Decides what a run proves.
///
/// Nobody there comes first, then a measurement that cannot be trusted, then
/// what it says about the target.
pub fn judge(
    statistics: &Statistics,
    answers: &[Answer],
    functional: bool,
    interrupted: bool,
) -> Verdict {
    let requests = statistics.requests();
    let unreachable: u64 = statistics
        .steps
        .iter()
        .flat_map(|step| FailureKind::ALL.into_iter().zip(step.failures))
        .filter(|(kind, _)| kind.is_unreachable())
        .map(|(_, count)| count)
        .sum();
    let breached = |validity: bool| {
        answers.iter().any(|answer| {
            let spoken_of = answer.gate.measure.is_validity();
            match answer.decision {
                Decision::Holds => false,
                Decision::Breached => spoken_of == validity,
                // A gate on numbers that are missing fails; it never passes.
                Decision::NoSamples => !validity,
                Decision::Undecided => validity,
            }
        })
    };
    if interrupted {
        Verdict::Interrupted
    } else if requests > 0 && unreachable == requests {
        Verdict::Unreachable
    } else if breached(true) {
        Verdict::Invalid
    } else if breached(false) || (functional && statistics.failed() > 0) || requests == 0 {
        Verdict::Fail
    } else {
        Verdict::Pass
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::gate::{Facts, Gate, Limit, Measure, Point, decide};
    use crate::program::Comparison;
    use crate::statistics::{Durations, Sample};

    fn gate(measure: Measure, comparison: Comparison, limit: Limit) -> Gate {
        Gate {
            measure,
            step: None,
            comparison,
            limit,
            window: None,
            text: String::new(),
            implied: false,
        }
    }

    fn statistics(requests: u64, failed: u64) -> Statistics {
        let mut statistics = Statistics::new(1, 0);
        for number in 0..requests {
            statistics.steps[0].record(&Sample {
                planned: 0,
                sent: 0,
                ended: (number + 1) * 1_000_000,
                status: 200,
                failure: (number < failed).then_some(FailureKind::Status),
                bytes: 0,
                retries: 0,
            });
        }
        statistics.planned = requests;
        statistics.started = requests;
        statistics.worker_nanos = 100;
        statistics
    }

    #[track_caller]
    fn check(statistics: &Statistics, gates: &[Gate], expected: Verdict) {
        let names = ["a".to_owned()];
        let facts = Facts {
            statistics,
            step_names: &names,
            elapsed: Duration::from_secs(1),
            window_lengths: &[],
            baseline: None,
        };
        let answers = decide(gates, facts);
        assert_eq!(
            judge(statistics, &answers, false, false),
            expected,
            "{answers:?}"
        );
    }

    const P99: Measure = Measure::Latency(Point::Quantile(0.99));

    #[test]
    fn a_breached_gate_fails_and_a_held_one_passes() {
        let limit = |millis| Limit::Duration(Duration::from_millis(millis));
        check(
            &statistics(100, 0),
            &[gate(P99, Comparison::Less, limit(200))],
            Verdict::Pass,
        );
        check(
            &statistics(100, 0),
            &[gate(P99, Comparison::Less, limit(50))],
            Verdict::Fail,
        );
        let errors = gate(Measure::Errors, Comparison::LessOrEqual, Limit::Share(0.01));
        check(
            &statistics(100, 1),
            std::slice::from_ref(&errors),
            Verdict::Pass,
        );
        check(&statistics(100, 2), &[errors], Verdict::Fail);
    }

    #[test]
    fn a_metric_without_samples_fails_its_gate() {
        let mut empty = statistics(10, 0);
        empty.steps.push(crate::StepStatistics::default());
        let mut missing = gate(
            P99,
            Comparison::Less,
            Limit::Duration(Duration::from_secs(9)),
        );
        missing.step = Some(1);
        check(&empty, &[missing], Verdict::Fail);
    }

    #[test]
    fn what_the_generator_could_not_send_makes_the_run_invalid_even_when_gates_are_breached() {
        let mut starved = statistics(92, 92);
        starved.planned = 100;
        let gates = [
            gate(
                Measure::Delivered,
                Comparison::GreaterOrEqual,
                Limit::Share(0.99),
            ),
            gate(Measure::Errors, Comparison::Less, Limit::Share(0.01)),
        ];
        check(&starved, &gates, Verdict::Invalid);
    }

    #[test]
    fn a_generator_that_waited_for_a_processor_makes_the_run_invalid() {
        let mut starved = statistics(10, 0);
        starved.starved_nanos = 6;
        let starving = gate(Measure::Starved, Comparison::Less, Limit::Share(0.05));
        check(&starved, &[starving], Verdict::Invalid);
    }

    #[test]
    fn nobody_there_is_unreachable_and_nothing_sent_is_no_pass() {
        let mut gone = statistics(3, 0);
        gone.steps[0].failures[FailureKind::Connect as usize] = 3;
        check(&gone, &[], Verdict::Unreachable);
        check(&statistics(0, 0), &[], Verdict::Fail);
    }

    #[test]
    fn a_baseline_decides_only_what_noise_cannot_explain() {
        let run = statistics(1000, 0);
        let names = ["a".to_owned()];
        let decision = |factor: f64, baseline: Durations| {
            let baseline = std::collections::BTreeMap::from([(String::new(), baseline)]);
            let facts = Facts {
                statistics: &run,
                step_names: &names,
                elapsed: Duration::from_secs(1),
                window_lengths: &[],
                baseline: Some(&baseline),
            };
            let gates = [gate(P99, Comparison::LessOrEqual, Limit::Baseline(factor))];
            decide(&gates, facts)[0].decision
        };
        let same = run.steps[0].latency.clone();
        assert_eq!(decision(1.10, same.clone()), Decision::Holds);
        assert_eq!(decision(0.5, same.clone()), Decision::Breached);
        assert_eq!(decision(1.0, same), Decision::Undecided);
        assert_eq!(decision(1.0, Durations::default()), Decision::NoSamples);
    }
}
