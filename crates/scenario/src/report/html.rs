//! The report as one HTML page that needs nothing else: charts are SVG in it.

use std::fmt::Write as _;

use super::junit::escaped;
use super::{Report, TargetSample, Timeline};
use crate::gate::Decision;
use crate::quantity::spell;
use crate::statistics::{Durations, Statistics};

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 180.0;
/// Left of and below a chart, for the numbers at its axes.
const MARGIN: f64 = 56.0;

const STYLE: &str = "body{font:14px/1.5 system-ui,sans-serif;max-width:920px;margin:2em auto;padding:0 1em;color:#1c2430;background:#fff}\
h1{font-size:1.4em}h2{font-size:1.1em;margin-top:2em}table{border-collapse:collapse;width:100%}\
th,td{text-align:right;padding:.25em .6em;border-bottom:1px solid #d8dee6;font-variant-numeric:tabular-nums}\
th:first-child,td:first-child{text-align:left}.v{display:inline-block;padding:.1em .7em;border:2px solid;border-radius:4px;font-weight:600}\
.pass{color:#0a6b3d}.fail,.unreachable{color:#a3161d}.invalid,.interrupted{color:#8a5a00}\
svg{width:100%;height:auto;background:#f7f9fb}svg text{font-size:11px;fill:#4a5666}code{overflow-wrap:anywhere}\
@media(prefers-color-scheme:dark){body{background:#14181e;color:#dfe5ec}svg{background:#1b2129}svg text{fill:#9aa7b6}th,td{border-color:#333c47}\
.pass{color:#5fd39a}.fail,.unreachable{color:#ff8a8f}.invalid,.interrupted{color:#f0bd5c}}";

impl Report {
    pub fn html(&self) -> String {
        let mut out = String::new();
        self.page(&mut out)
            .expect("writing to a string cannot fail");
        out
    }

    fn page(&self, out: &mut String) -> std::fmt::Result {
        let title = escaped(&format!("{} · {}", self.scenario, self.profile));
        writeln!(
            out,
            "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\"><title>{title}</title><style>{STYLE}</style></head><body>"
        )?;
        let verdict = self.verdict.name();
        writeln!(
            out,
            "<h1>{title} <span class=\"v {verdict}\">{verdict}</span></h1>"
        )?;
        for reason in self.reasons() {
            writeln!(out, "<p>{}</p>", escaped(&reason))?;
        }
        self.facts(out)?;
        self.steps(out)?;
        self.gates(out)?;
        if !self.functional {
            let all = Statistics::together(&self.outcome.statistics.steps);
            writeln!(
                out,
                "<h2>Latency by percentile, from the planned moment</h2>"
            )?;
            percentiles(out, &all.latency, &all.service)?;
            writeln!(out, "<h2>Distribution</h2>")?;
            histogram(out, &all.latency)?;
            self.over_time(out)?;
        }
        self.failures(out)?;
        writeln!(out, "</body></html>")
    }

    fn facts(&self, out: &mut String) -> std::fmt::Result {
        let outcome = &self.outcome;
        let statistics = &outcome.statistics;
        let targets: Vec<String> = self
            .targets
            .iter()
            .map(|(name, url)| format!("{} = {}", escaped(name), escaped(url)))
            .collect();
        writeln!(
            out,
            "<p>{} for {}; {}; seed {}; scenario sha256 <code>{}</code></p>",
            outcome.started_at,
            spell(outcome.elapsed),
            targets.join(", "),
            outcome.seed,
            self.hash
        )?;
        writeln!(
            out,
            "<p>{} requests; delivered {} of {} planned, {} undelivered; {} connections; {} workers; generator late by {} at p99</p>",
            statistics.requests(),
            statistics.started,
            statistics.planned,
            statistics.undelivered(),
            statistics.connections,
            outcome.workers,
            statistics
                .lateness
                .quantile(0.99)
                .map_or_else(|| "-".to_owned(), spell),
        )
    }

    fn steps(&self, out: &mut String) -> std::fmt::Result {
        writeln!(
            out,
            "<h2>Steps</h2><table><tr><th>step<th>requests<th>failed<th>p50<th>p95<th>p99<th>p99.9<th>max<th>service p99</tr>"
        )?;
        let statistics = &self.outcome.statistics;
        for (name, step) in self.step_names.iter().zip(&statistics.steps) {
            let at = |durations: &Durations, share| {
                durations
                    .quantile(share)
                    .map_or_else(|| "-".to_owned(), spell)
            };
            writeln!(
                out,
                "<tr><td>{}<td>{}<td>{}<td>{}<td>{}<td>{}<td>{}<td>{}<td>{}</tr>",
                escaped(name),
                step.requests(),
                step.failed(),
                at(&step.latency, 0.5),
                at(&step.latency, 0.95),
                at(&step.latency, 0.99),
                at(&step.latency, 0.999),
                at(&step.latency, 1.0),
                at(&step.service, 0.99),
            )?;
        }
        writeln!(out, "</table>")?;
        for (step, reason) in &self.skipped {
            writeln!(
                out,
                "<p>Left out: {} ({})</p>",
                escaped(step),
                escaped(reason)
            )?;
        }
        Ok(())
    }

    fn gates(&self, out: &mut String) -> std::fmt::Result {
        if self.answers.is_empty() {
            return Ok(());
        }
        writeln!(
            out,
            "<h2>Gates</h2><table><tr><th>gate<th>measured<th>decision</tr>"
        )?;
        for answer in &self.answers {
            let (class, word) = match answer.decision {
                Decision::Holds => ("pass", "holds"),
                Decision::Breached => ("fail", "breached"),
                Decision::NoSamples => ("fail", "no samples"),
                Decision::Undecided => ("invalid", "undecided"),
            };
            writeln!(
                out,
                "<tr><td><code>{}</code><td>{}<td class=\"{class}\">{word}</tr>",
                escaped(&answer.gate.text),
                escaped(&answer.measured)
            )?;
        }
        writeln!(out, "</table>")
    }

    fn over_time(&self, out: &mut String) -> std::fmt::Result {
        let timeline = &self.outcome.timeline;
        writeln!(out, "<h2>Requests and failures per second</h2>")?;
        #[expect(clippy::cast_precision_loss, reason = "counts stay below 2^53")]
        let per_second = |count: u64| count as f64 / timeline.seconds as f64;
        let lines = [
            Line::of("#2a6fb0", "requests/s", timeline, |it| {
                per_second(it.requests)
            }),
            Line::of("#c0272d", "failed/s", timeline, |it| per_second(it.failed)),
            Line::of("#8a5a00", "undelivered/s", timeline, |it| {
                per_second(it.undelivered)
            }),
        ];
        chart(out, &lines, |value| format!("{value:.0}"))?;
        writeln!(out, "<h2>Latency over time</h2>")?;
        let lines = [
            Line::of("#2a6fb0", "p50", timeline, |it| it.p50.as_secs_f64()),
            Line::of("#c0272d", "p99", timeline, |it| it.p99.as_secs_f64()),
        ];
        chart(out, &lines, seconds)?;
        let target = &self.outcome.target;
        writeln!(out, "<h2>What the target used</h2>")?;
        if let Some(problem) = &target.problem {
            return writeln!(out, "<p>Not measured: {}</p>", escaped(problem));
        }
        if target.samples.is_empty() {
            return writeln!(
                out,
                "<p>Not measured: name the target's pods with --target-service, its process with --target-pid, its cgroup with --target-cgroup, or its metrics with --target-metrics.</p>"
            );
        }
        writeln!(
            out,
            "<p>From {}, on the same axis of time.</p>",
            escaped(&target.source)
        )?;
        let end = self.outcome.elapsed.as_secs_f64().max(1e-9);
        let points = |value: fn(&TargetSample) -> Option<f64>| -> Vec<(f64, f64)> {
            let samples = target.samples.iter();
            samples
                .filter_map(|it| Some((it.at / end, value(it)?)))
                .collect()
        };
        let cpu = Line {
            color: "#0a6b3d",
            name: "processors",
            points: points(|it| Some(it.cpu)),
        };
        chart(out, &[cpu], |value| format!("{value:.2}"))?;
        let pods = Line {
            color: "#6b3fa0",
            name: "ready pods",
            points: points(|it| it.pods.map(f64::from)),
        };
        if pods.points.is_empty() {
            return Ok(());
        }
        chart(out, &[pods], |value| format!("{value:.1}"))
    }

    fn failures(&self, out: &mut String) -> std::fmt::Result {
        if self.outcome.failures.is_empty() {
            return Ok(());
        }
        writeln!(
            out,
            "<h2>Failures</h2><table><tr><th>step<th>kind<th>count</tr>"
        )?;
        for failure in &self.outcome.failures {
            writeln!(
                out,
                "<tr><td>{}<br>{}<br><code>{}</code><td>{}<td>{}</tr>",
                escaped(&self.step_names[failure.step]),
                escaped(&failure.message),
                escaped(&failure.replay),
                failure.kind.name(),
                failure.count
            )?;
        }
        writeln!(out, "</table>")
    }
}

/// One line of a chart; points have their place between 0 and 1.
struct Line {
    color: &'static str,
    name: &'static str,
    points: Vec<(f64, f64)>,
}

impl Line {
    #[expect(clippy::cast_precision_loss, reason = "a timeline has few points")]
    fn of(
        color: &'static str,
        name: &'static str,
        timeline: &Timeline,
        value: impl Fn(&super::Moment) -> f64,
    ) -> Self {
        let count = timeline.moments.len().max(1) as f64;
        let points = timeline
            .moments
            .iter()
            .enumerate()
            .map(|(place, moment)| ((place as f64 + 0.5) / count, value(moment)))
            .collect();
        Self {
            color,
            name,
            points,
        }
    }
}

fn seconds(value: f64) -> String {
    spell(std::time::Duration::from_secs_f64(value.max(0.0)))
}

fn chart(out: &mut String, lines: &[Line], label: impl Fn(f64) -> String) -> std::fmt::Result {
    let top = lines
        .iter()
        .flat_map(|line| &line.points)
        .map(|(_, value)| *value)
        .fold(0.0, f64::max);
    let top = if top > 0.0 { top } else { 1.0 };
    open(out)?;
    for share in [0.0, 0.5, 1.0] {
        let y = HEIGHT - share * (HEIGHT - 20.0);
        writeln!(
            out,
            "<path d=\"M{MARGIN} {y:.1}H{WIDTH}\" stroke=\"#8894a3\" stroke-opacity=\".35\"/><text x=\"4\" y=\"{:.1}\">{}</text>",
            y + 4.0,
            label(top * share)
        )?;
    }
    for (index, line) in lines.iter().enumerate() {
        let mut path = String::new();
        for (place, (x, value)) in line.points.iter().enumerate() {
            let letter = if place == 0 { 'M' } else { 'L' };
            let x = MARGIN + x * (WIDTH - MARGIN);
            let y = HEIGHT - value / top * (HEIGHT - 20.0);
            write!(path, "{letter}{x:.1} {y:.1}")?;
        }
        let x = MARGIN + 120.0 * f64::from(u8::try_from(index).unwrap_or(0));
        writeln!(
            out,
            "<path d=\"{path}\" fill=\"none\" stroke=\"{0}\" stroke-width=\"1.6\"/><text x=\"{x}\" y=\"{1}\" style=\"fill:{0}\">{2}</text>",
            line.color,
            HEIGHT + 20.0,
            line.name
        )?;
    }
    writeln!(out, "</svg>")
}

fn open(out: &mut String) -> std::fmt::Result {
    writeln!(
        out,
        "<svg viewBox=\"0 0 {} {}\" role=\"img\">",
        WIDTH + 8.0,
        HEIGHT + 26.0
    )
}

/// Latency against 1/(1-p), so that the tail has room.
fn percentiles(out: &mut String, latency: &Durations, service: &Durations) -> std::fmt::Result {
    let decades = 5.0;
    let line = |color, name, durations: &Durations| Line {
        color,
        name,
        points: (0..=200_u8)
            .filter_map(|place| {
                let x = f64::from(place) / 200.0;
                let share = 1.0 - 10_f64.powf(-x * decades);
                Some((x, durations.quantile(share)?.as_secs_f64()))
            })
            .collect(),
    };
    let lines = [
        line("#c0272d", "from planned", latency),
        line("#2a6fb0", "from sent", service),
    ];
    chart(out, &lines, seconds)?;
    writeln!(
        out,
        "<p>Left to right: p0, p90, p99, p99.9, p99.99, p99.999.</p>"
    )
}

/// Bars over a logarithmic axis.
fn histogram(out: &mut String, durations: &Durations) -> std::fmt::Result {
    const BARS: usize = 60;
    let mut bars = [0_u64; BARS];
    let buckets: Vec<(u64, u64)> = durations.buckets().collect();
    let (Some(first), Some(last)) = (buckets.first(), buckets.last()) else {
        return writeln!(out, "<p>Nothing was measured.</p>");
    };
    #[expect(clippy::cast_precision_loss, reason = "microseconds of an hour fit")]
    let log = |micros: u64| (micros.max(1) as f64).ln();
    let (low, high) = (log(first.0), log(last.0));
    let width = (high - low).max(1e-9);
    for (micros, count) in &buckets {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a place among sixty bars"
        )]
        let place = ((log(*micros) - low) / width * (BARS - 1) as f64) as usize;
        bars[place.min(BARS - 1)] += count;
    }
    let top = bars.iter().copied().max().unwrap_or(1).max(1);
    open(out)?;
    let step = (WIDTH - MARGIN) / 60.0;
    for (place, count) in (0_u8..).zip(bars) {
        #[expect(clippy::cast_precision_loss, reason = "counts stay below 2^53")]
        let height = count as f64 / top as f64 * (HEIGHT - 20.0);
        let x = MARGIN + f64::from(place) * step;
        writeln!(
            out,
            "<rect x=\"{x:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{height:.1}\" fill=\"#2a6fb0\"/>",
            HEIGHT - height,
            step - 1.0
        )?;
    }
    let text = |micros: u64| spell(std::time::Duration::from_micros(micros));
    writeln!(
        out,
        "<text x=\"{MARGIN}\" y=\"{0}\">{1}</text><text x=\"{2}\" y=\"{0}\" text-anchor=\"end\">{3}</text></svg>",
        HEIGHT + 20.0,
        text(first.0),
        WIDTH,
        text(last.0)
    )
}
