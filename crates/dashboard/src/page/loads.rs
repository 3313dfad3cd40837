//! Load runs: those that go on and those that ended, and one of them with its charts.

use foreshore_model::api::load::{LoadPoint, LoadRow, Percentiles};
use jiff::Timestamp;

use crate::cell::{self, Tone};
use crate::html::Html;
use crate::listing::Facts;
use crate::view::Part;

/// A generator tells of its run once a second; after this it is not heard any more.
const SILENT_SECONDS: i64 = 10;

/// The charts' size, in their own units.
const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 140.0;

/// How a run stands: tone, word, and why.
fn state(row: &LoadRow, now: Timestamp) -> (Tone, String, String) {
    let run = &row.run;
    if let Some(verdict) = &run.verdict {
        let tone = match verdict.as_str() {
            "pass" => Tone::Good,
            "fail" | "unreachable" => Tone::Bad,
            _ => Tone::Unknown,
        };
        return (tone, verdict.clone(), run.reasons.join("; "));
    }
    if now.duration_since(row.heard_at).as_secs() > SILENT_SECONDS {
        let why = "its generator tells nothing any more; how it ended is not known";
        return (Tone::Unknown, "silent".to_owned(), why.to_owned());
    }
    (Tone::Busy, "running".to_owned(), String::new())
}

/// All runs the server knows of.
pub(crate) fn list(facts: &Facts) -> Vec<Part> {
    vec![Part::Live("runs", table(facts))]
}

fn table(facts: &Facts) -> Html {
    let mut html = Html::new();
    if facts.loads.runs.is_empty() {
        html.raw("<p class=empty>No load run was told of since the server started. <code>foreshore load FILE --profile NAME</code> tells of its run while a platform is up.</p>");
        return html;
    }
    html.raw("<div class=scroll tabindex=0 role=region aria-label=\"Load runs\"><table><thead><tr><th scope=col>Run</th><th scope=col>State</th><th scope=col>By</th><th scope=col class=number>Requests</th><th scope=col class=number>Failed</th><th scope=col class=number>p99</th><th scope=col>Began</th></tr></thead><tbody>");
    for row in &facts.loads.runs {
        let run = &row.run;
        let (tone, word, why) = state(row, facts.now);
        html.raw("<tr><th scope=row data-label=Run>").link(
            &format!("/loads/{}", run.id),
            &format!("{} · {}", run.scenario, run.profile),
        );
        html.raw("</th><td data-label=State>");
        cell::status(&mut html, tone, &word, &why);
        html.raw("</td><td data-label=By>").text(&row.actor);
        html.raw("</td><td class=number data-label=Requests>")
            .number(run.requests);
        html.raw("</td><td class=number data-label=Failed>")
            .text(&share(run.failed, run.requests));
        html.raw("</td><td class=number data-label=p99>")
            .text(&run.latency.map_or_else(String::new, |it| spell(it.p99)));
        html.raw("</td><td data-label=Began>")
            .age(run.started_at, facts.now)
            .raw("</td></tr>");
    }
    html.raw("</tbody></table></div>");
    html
}

pub(crate) fn title(id: &str, facts: &Facts) -> Option<String> {
    let run = &find(id, facts)?.run;
    Some(format!("{} · {}", run.scenario, run.profile))
}

fn find<'a>(id: &str, facts: &'a Facts) -> Option<&'a LoadRow> {
    facts.loads.runs.iter().find(|row| row.run.id == id)
}

/// One run; nothing if the server was not told of it.
pub(crate) fn parts(id: &str, facts: &Facts) -> Option<Vec<Part>> {
    let row = find(id, facts)?;
    let run = &row.run;
    Some(vec![
        Part::Live("state", summary(row, facts)),
        Part::Live("figures", figures(row)),
        Part::Live("rate", rate(row)),
        Part::Live("latency", latency(&run.points)),
    ])
}

fn summary(row: &LoadRow, facts: &Facts) -> Html {
    let run = &row.run;
    let (tone, word, why) = state(row, facts.now);
    let mut html = Html::new();
    html.raw("<p>");
    cell::status(&mut html, tone, &word, "");
    html.raw(" ").text(&format!("{:.0} s", run.elapsed_seconds));
    if let Some(length) = run.length_seconds {
        html.text(&format!(" of {length:.0} s"));
    }
    html.raw(", began ").age(run.started_at, facts.now);
    html.text(&format!(
        ", by {}, against {}",
        row.actor,
        run.targets.join(", ")
    ));
    html.raw("</p>");
    if let Some(length) = run.length_seconds.filter(|length| *length > 0.0) {
        let done = (run.elapsed_seconds / length).clamp(0.0, 1.0);
        html.raw("<progress max=1 aria-label=\"Done\"")
            .attribute("value", &format!("{done:.3}"))
            .raw("></progress>");
    }
    if !why.is_empty() {
        html.raw("<p>").text(&why).raw("</p>");
    }
    html
}

fn figures(row: &LoadRow) -> Html {
    let run = &row.run;
    let mut html = Html::new();
    let mut figure = |name: &'static str, value: &str| {
        html.raw("<div><dt>").raw(name).raw("</dt><dd>");
        html.text(value).raw("</dd></div>");
    };
    let last = run.points.last().map_or(0, |point| point.requests);
    figure("Requests", &run.requests.to_string());
    figure("Per second", &per_second(last, run.point_seconds));
    figure("Failed", &share(run.failed, run.requests));
    figure("Not delivered", &run.undelivered.to_string());
    figure("In flight", &run.in_flight.to_string());
    if let Some(Percentiles {
        p50,
        p90,
        p99,
        p999,
        max,
    }) = run.latency
    {
        figure("p50", &spell(p50));
        figure("p90", &spell(p90));
        figure("p99", &spell(p99));
        figure("p99.9", &spell(p999));
        figure("max", &spell(max));
    }
    let mut whole = Html::new();
    whole.raw("<dl class=figures>").append(&html).raw("</dl>");
    whole
}

/// What the shape asks for, what was answered, and what failed, over time.
fn rate(row: &LoadRow) -> Html {
    let run = &row.run;
    let each = seconds(run.point_seconds);
    let answered: Vec<f64> = values(&run.points, |point| count(point.requests) / each);
    let failed: Vec<f64> = values(&run.points, |point| count(point.failed) / each);
    let shape: Vec<f64> = values(&run.points, |point| point.shape);
    let is_rate = run.shape_unit == "arrivals per second";
    let lines: &[(&'static str, &'static str, &[f64])] = if is_rate {
        &[
            ("shape", "asked for", &shape),
            ("one", "answered", &answered),
            ("bad", "failed", &failed),
        ]
    } else {
        &[("one", "answered", &answered), ("bad", "failed", &failed)]
    };
    let mut html = chart("Requests per second", lines, &|value| format!("{value:.0}"));
    if !is_rate && !shape.is_empty() {
        let users = chart("Users", &[("shape", "asked for", &shape)], &|value| {
            format!("{value:.0}")
        });
        html.append(&users);
    }
    html
}

fn latency(points: &[LoadPoint]) -> Html {
    let p50 = values(points, |point| count(point.p50));
    let p99 = values(points, |point| count(point.p99));
    chart(
        "Latency from the planned moment",
        &[("one", "p50", &p50), ("two", "p99", &p99)],
        &|value| {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "microseconds of a chart's axis are not negative and fit"
            )]
            let micros = value as u64;
            spell(micros)
        },
    )
}

fn values(points: &[LoadPoint], value: impl Fn(&LoadPoint) -> f64) -> Vec<f64> {
    points.iter().map(value).collect()
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts of a run stay below 2^53"
)]
fn count(number: u64) -> f64 {
    number as f64
}

fn seconds(number: u64) -> f64 {
    count(number.max(1))
}

/// Lines over the same time, with a legend in words and the highest value.
fn chart(
    title: &'static str,
    lines: &[(&'static str, &'static str, &[f64])],
    spelled: &dyn Fn(f64) -> String,
) -> Html {
    let mut html = Html::new();
    let most = lines
        .iter()
        .flat_map(|(_, _, values)| values.iter().copied())
        .fold(0.0, f64::max);
    let now: Vec<String> = lines
        .iter()
        .map(|(_, name, values)| {
            let last = values.last().copied().unwrap_or_default();
            format!("{name} {}", spelled(last))
        })
        .collect();
    html.raw("<figure class=chart><figcaption><strong>")
        .raw(title)
        .raw("</strong>");
    for ((class, _, _), words) in lines.iter().zip(&now) {
        html.raw(" <span").attribute("class", class).raw(">");
        html.text(words).raw("</span>");
    }
    html.raw(" <span class=quiet>highest ")
        .text(&spelled(most))
        .raw("</span></figcaption><svg viewBox=\"0 0 720 140\" preserveAspectRatio=none role=img");
    html.attribute("aria-label", &format!("{title}: {}", now.join(", ")))
        .raw(">");
    for (class, _, values) in lines {
        html.raw("<polyline")
            .attribute("class", class)
            .raw(" points=\"")
            .long_text(&polyline(values, most), 8_000)
            .raw("\"/>");
    }
    html.raw("</svg></figure>");
    html
}

fn polyline(values: &[f64], most: f64) -> String {
    let last = u32::try_from(values.len())
        .unwrap_or(u32::MAX)
        .saturating_sub(1);
    let step = WIDTH / f64::from(last.max(1));
    let scale = if most > 0.0 {
        (HEIGHT - 4.0) / most
    } else {
        0.0
    };
    let points: Vec<String> = (0_u32..)
        .zip(values)
        .map(|(index, value)| {
            let (x, y) = (f64::from(index) * step, HEIGHT - 2.0 - value * scale);
            format!("{x:.0},{y:.0}")
        })
        .collect();
    points.join(" ")
}

fn per_second(requests: u64, point_seconds: u64) -> String {
    format!("{:.0}", count(requests) / seconds(point_seconds))
}

fn share(part: u64, all: u64) -> String {
    if part == 0 || all == 0 {
        return part.to_string();
    }
    format!("{part} ({:.2} %)", count(part) * 100.0 / count(all))
}

/// Microseconds in words.
fn spell(micros: u64) -> String {
    let value = count(micros);
    match micros {
        0..1_000 => format!("{micros} µs"),
        1_000..100_000 => format!("{:.1} ms", value / 1e3),
        100_000..10_000_000 => format!("{:.0} ms", value / 1e3),
        _ => format!("{:.1} s", value / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_value_touches_the_top_and_zero_lies_on_the_ground() {
        assert_eq!(polyline(&[0.0, 10.0], 10.0), "0,138 720,2");
        assert_eq!(polyline(&[3.0], 0.0), "0,138");
        assert_eq!(polyline(&[], 0.0), "");
    }

    #[test]
    fn latencies_and_shares_are_short() {
        assert_eq!(
            [spell(7), spell(1_500), spell(880_000), spell(12_300_000)],
            ["7 µs", "1.5 ms", "880 ms", "12.3 s"]
        );
        assert_eq!([share(0, 10), share(1, 400)], ["0", "1 (0.25 %)"]);
    }
}
