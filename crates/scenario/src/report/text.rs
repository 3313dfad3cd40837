//! The report for people at a terminal.

use std::fmt::Write as _;
use std::time::Duration;

use super::Report;
use crate::gate::Decision;
use crate::quantity::{spell, spell_share};
use crate::statistics::{Durations, StepStatistics};

impl Report {
    /// Numbers by step, gates and the verdict.
    pub fn text(&self) -> String {
        let mut out = String::new();
        self.write_text(&mut out)
            .expect("writing to a string cannot fail");
        out
    }

    fn write_text(&self, out: &mut String) -> std::fmt::Result {
        if self.functional {
            self.write_log(out)?;
        } else {
            self.write_numbers(out)?;
        }
        for failure in &self.outcome.failures {
            if !self.functional {
                let name = &self.step_names[failure.step];
                writeln!(out, "  {} x {name}: {}", failure.count, failure.message)?;
            }
        }
        for answer in &self.answers {
            let word = match answer.decision {
                Decision::Holds => "holds",
                Decision::Breached => "BREACHED",
                Decision::NoSamples => "NO SAMPLES",
                Decision::Undecided => "UNDECIDED",
            };
            writeln!(
                out,
                "gate {}: {word} ({})",
                answer.gate.text, answer.measured
            )?;
        }
        writeln!(out, "verdict: {}", self.verdict.name())
    }

    fn write_log(&self, out: &mut String) -> std::fmt::Result {
        for run in &self.outcome.log {
            let name = &self.step_names[run.step];
            let took = spell(run.duration);
            match &run.failure {
                None => writeln!(out, "ok    {name}  {}  {took}", run.status)?,
                Some((_, message, replay)) => {
                    writeln!(out, "FAIL  {name}  {took}  {message}")?;
                    if !replay.is_empty() {
                        writeln!(out, "      again: {replay}")?;
                    }
                }
            }
        }
        if self.outcome.log_dropped > 0 {
            writeln!(out, "… and {} more steps", self.outcome.log_dropped)?;
        }
        for (step, reason) in &self.skipped {
            writeln!(out, "left out  {step}: {reason}")?;
        }
        Ok(())
    }

    fn write_numbers(&self, out: &mut String) -> std::fmt::Result {
        let statistics = &self.outcome.statistics;
        let width = self
            .step_names
            .iter()
            .map(|name| name.chars().count())
            .max()
            .unwrap_or(0)
            .max("step".len());
        writeln!(
            out,
            "{:width$}  {:>9} {:>7} {:>8} {:>8} {:>8} {:>8} {:>8}",
            "step", "requests", "failed", "p50", "p95", "p99", "p99.9", "max"
        )?;
        for (name, step) in self.step_names.iter().zip(&statistics.steps) {
            row(out, width, name, step)?;
        }
        let elapsed = self.outcome.elapsed.as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "counts stay below 2^53")]
        let share = |part: u64, whole: u64| part as f64 / (whole.max(1)) as f64;
        #[expect(clippy::cast_precision_loss, reason = "counts stay below 2^53")]
        let rate = statistics.requests() as f64 / elapsed.max(1e-9);
        writeln!(
            out,
            "{} requests in {}, {rate:.0}/s; delivered {} of {} planned; {} connections",
            statistics.requests(),
            spell(self.outcome.elapsed),
            statistics.started,
            statistics.planned,
            statistics.connections,
        )?;
        writeln!(
            out,
            "generator: {} workers, busy {}, waited for a processor {}, late by {} (p50) {} (p99); seed {}",
            self.outcome.workers,
            spell_share(share(statistics.busy_nanos, statistics.worker_nanos)),
            spell_share(share(statistics.starved_nanos, statistics.worker_nanos)),
            at(&statistics.lateness, 0.5),
            at(&statistics.lateness, 0.99),
            self.outcome.seed,
        )
    }
}

fn row(out: &mut String, width: usize, name: &str, step: &StepStatistics) -> std::fmt::Result {
    writeln!(
        out,
        "{name:width$}  {:>9} {:>7} {:>8} {:>8} {:>8} {:>8} {:>8}",
        step.requests(),
        step.failed(),
        at(&step.latency, 0.5),
        at(&step.latency, 0.95),
        at(&step.latency, 0.99),
        at(&step.latency, 0.999),
        step.latency.max().map_or_else(|| "-".to_owned(), spell),
    )
}

fn at(durations: &Durations, share: f64) -> String {
    durations
        .quantile(share)
        .map_or_else(|| "-".to_owned(), |value: Duration| spell(value))
}
