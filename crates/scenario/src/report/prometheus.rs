//! The report in Prometheus's text form; labels are names of the file, so they are few.

use std::fmt::Write as _;

use super::Report;
use crate::statistics::{FailureKind, StepStatistics};
use crate::verdict::Verdict;

impl Report {
    pub fn prometheus(&self) -> String {
        let mut out = String::new();
        self.write_metrics(&mut out)
            .expect("writing to a string cannot fail");
        out
    }

    fn write_metrics(&self, out: &mut String) -> std::fmt::Result {
        let statistics = &self.outcome.statistics;
        let run = format!(
            "scenario=\"{}\",profile=\"{}\"",
            label(&self.scenario),
            label(&self.profile)
        );
        head(
            out,
            "foreshore_load_verdict",
            "gauge",
            "1 for the verdict of the run",
        )?;
        for verdict in [
            Verdict::Pass,
            Verdict::Fail,
            Verdict::Invalid,
            Verdict::Unreachable,
            Verdict::Interrupted,
        ] {
            let value = u8::from(verdict == self.verdict);
            writeln!(
                out,
                "foreshore_load_verdict{{{run},verdict=\"{}\"}} {value}",
                verdict.name()
            )?;
        }
        for (name, help, value) in [
            (
                "planned",
                "Arrivals the shape asked for",
                statistics.planned,
            ),
            ("started", "Arrivals that were sent", statistics.started),
            (
                "completed",
                "Passes through the flow that ended",
                statistics.completed,
            ),
        ] {
            let name = format!("foreshore_load_{name}_total");
            head(out, &name, "counter", help)?;
            writeln!(out, "{name}{{{run}}} {value}")?;
        }
        self.write_counts(&run, out)?;
        self.write_latency(&run, out)
    }

    fn labelled(&self) -> impl Iterator<Item = (String, &StepStatistics)> {
        let names = self.step_names.iter().map(|name| label(name));
        names.zip(&self.outcome.statistics.steps)
    }

    fn write_counts(&self, run: &str, out: &mut String) -> std::fmt::Result {
        head(
            out,
            "foreshore_load_requests_total",
            "counter",
            "Requests by step",
        )?;
        for (name, step) in self.labelled() {
            writeln!(
                out,
                "foreshore_load_requests_total{{{run},step=\"{}\"}} {}",
                name,
                step.requests()
            )?;
        }
        head(
            out,
            "foreshore_load_failures_total",
            "counter",
            "Failed requests by step and kind",
        )?;
        for (name, step) in self.labelled() {
            for (kind, count) in FailureKind::ALL.into_iter().zip(step.failures) {
                writeln!(
                    out,
                    "foreshore_load_failures_total{{{run},step=\"{}\",kind=\"{}\"}} {count}",
                    name,
                    kind.name()
                )?;
            }
        }
        Ok(())
    }

    fn write_latency(&self, run: &str, out: &mut String) -> std::fmt::Result {
        head(
            out,
            "foreshore_load_latency_seconds",
            "summary",
            "From the planned moment to the end",
        )?;
        for (step_label, step) in self.labelled() {
            for share in [0.5, 0.9, 0.95, 0.99, 0.999] {
                if let Some(value) = step.latency.quantile(share) {
                    writeln!(
                        out,
                        "foreshore_load_latency_seconds{{{run},step=\"{step_label}\",quantile=\"{share}\"}} {}",
                        value.as_secs_f64()
                    )?;
                }
            }
            #[expect(clippy::cast_precision_loss, reason = "counts stay below 2^53")]
            let sum =
                step.latency.mean().unwrap_or_default().as_secs_f64() * step.requests() as f64;
            writeln!(
                out,
                "foreshore_load_latency_seconds_sum{{{run},step=\"{step_label}\"}} {sum}"
            )?;
            writeln!(
                out,
                "foreshore_load_latency_seconds_count{{{run},step=\"{step_label}\"}} {}",
                step.requests()
            )?;
        }
        Ok(())
    }
}

fn head(out: &mut String, name: &str, kind: &str, help: &str) -> std::fmt::Result {
    writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}")
}

fn label(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}
