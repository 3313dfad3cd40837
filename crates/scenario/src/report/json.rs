//! The report as JSON, and a baseline out of one.

use serde_json::{Value, json};

use super::Report;
use crate::gate::{Baseline, Decision};
use crate::statistics::{Durations, FailureKind, Statistics, StepStatistics};

/// Changes when a field changes its meaning.
const SCHEMA: &str = "foreshore.local/load-report/v1";

impl Report {
    pub fn json(&self) -> Value {
        let outcome = &self.outcome;
        let statistics = &outcome.statistics;
        let all = Statistics::together(&statistics.steps);
        let steps: Vec<Value> = self
            .step_names
            .iter()
            .zip(&statistics.steps)
            .map(|(name, step)| self::step(name, step))
            .collect();
        json!({
            "schema": SCHEMA,
            "scenario": self.scenario,
            "scenarioSha256": self.hash,
            "profile": self.profile,
            "verdict": self.verdict,
            "reasons": self.reasons(),
            "startedAt": outcome.started_at.to_string(),
            "elapsedSeconds": outcome.elapsed.as_secs_f64(),
            "seed": outcome.seed,
            "workers": outcome.workers,
            "targets": self.targets.iter().map(|(name, url)| json!({"name": name, "url": url})).collect::<Vec<_>>(),
            "leftOut": self.skipped.iter().map(|(step, reason)| json!({"step": step, "reason": reason})).collect::<Vec<_>>(),
            "planned": statistics.planned,
            "started": statistics.started,
            "completed": statistics.completed,
            "undelivered": statistics.undelivered(),
            "connections": statistics.connections,
            "generator": {
                "latenessSeconds": quantiles(&statistics.lateness),
                "busyNanos": statistics.busy_nanos,
                "starvedNanos": statistics.starved_nanos,
                "workerNanos": statistics.worker_nanos,
            },
            "all": self::step("", &all),
            "steps": steps,
            "gates": self.answers.iter().map(|answer| json!({
                "gate": answer.gate.text,
                "implied": answer.gate.implied,
                "decision": match answer.decision {
                    Decision::Holds => "holds",
                    Decision::Breached => "breached",
                    Decision::NoSamples => "no-samples",
                    Decision::Undecided => "undecided",
                },
                "measured": answer.measured,
            })).collect::<Vec<_>>(),
            "failures": outcome.failures.iter().map(|failure| json!({
                "step": self.step_names[failure.step],
                "kind": failure.kind.name(),
                "count": failure.count,
                "message": failure.message,
                "replay": failure.replay,
            })).collect::<Vec<_>>(),
            "timeline": {
                "secondsPerPoint": outcome.timeline.seconds,
                "points": outcome.timeline.moments.iter().map(|moment| json!({
                    "requests": moment.requests,
                    "failed": moment.failed,
                    "undelivered": moment.undelivered,
                    "inFlight": moment.in_flight,
                    "p50Seconds": moment.p50.as_secs_f64(),
                    "p99Seconds": moment.p99.as_secs_f64(),
                    "maxSeconds": moment.max.as_secs_f64(),
                })).collect::<Vec<_>>(),
            },
            "target": {
                "source": outcome.target.source,
                "problem": outcome.target.problem,
                "samples": outcome.target.samples.iter().map(|sample| json!({
                    "atSeconds": sample.at, "cpu": sample.cpu, "memoryBytes": sample.memory_bytes,
                    "pods": sample.pods,
                })).collect::<Vec<_>>(),
            },
        })
    }
}

fn step(name: &str, step: &StepStatistics) -> Value {
    let failures: serde_json::Map<String, Value> = FailureKind::ALL
        .into_iter()
        .zip(step.failures)
        .filter(|(_, count)| *count > 0)
        .map(|(kind, count)| (kind.name().to_owned(), count.into()))
        .collect();
    json!({
        "name": name,
        "requests": step.requests(),
        "failed": step.failed(),
        "failures": failures,
        "statuses": {
            "none": step.statuses[0], "1xx": step.statuses[1], "2xx": step.statuses[2],
            "3xx": step.statuses[3], "4xx": step.statuses[4], "5xx": step.statuses[5],
        },
        "bytes": step.bytes,
        "retries": step.retries,
        "latencySeconds": quantiles(&step.latency),
        "serviceSeconds": quantiles(&step.service),
        "slipSeconds": quantiles(&step.slip),
        // Microseconds and counts; enough to compare, merge or draw anew.
        "latencyBuckets": step.latency.buckets().map(|(micros, count)| json!([micros, count])).collect::<Vec<_>>(),
    })
}

fn quantiles(durations: &Durations) -> Value {
    let at = |share| durations.quantile(share).map(|value| value.as_secs_f64());
    json!({
        "p50": at(0.5), "p90": at(0.9), "p95": at(0.95), "p99": at(0.99), "p99.9": at(0.999),
        "mean": durations.mean().map(|value| value.as_secs_f64()),
        "max": durations.max().map(|value| value.as_secs_f64()),
    })
}

/// Reads the durations of an earlier report.
pub fn baseline(text: &str) -> Result<Baseline, String> {
    let value: Value =
        serde_json::from_str(text).map_err(|error| format!("it is not JSON: {error}"))?;
    if value["schema"] != SCHEMA {
        return Err(format!(
            "its `schema` is not `{SCHEMA}`; give the report.json of an earlier run"
        ));
    }
    let steps = value["steps"].as_array().into_iter().flatten();
    let mut baseline = Baseline::new();
    for step in std::iter::once(&value["all"]).chain(steps) {
        let name = step["name"].as_str().ok_or("a step has no name")?;
        let mut durations = Durations::default();
        for bucket in step["latencyBuckets"]
            .as_array()
            .ok_or("a step has no buckets")?
        {
            match (bucket[0].as_u64(), bucket[1].as_u64()) {
                (Some(micros), Some(count)) => durations.record_many(micros, count),
                _ => {
                    return Err(format!(
                        "step `{name}` has a bucket that is no pair of numbers"
                    ));
                }
            }
        }
        baseline.insert(name.to_owned(), durations);
    }
    Ok(baseline)
}
