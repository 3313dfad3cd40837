//! Gates of a profile: metric, step, comparison, limit, window.

use std::time::Duration;

use super::Compiler;
use crate::gate::{Gate, Limit, Measure, Point};
use crate::problem::Fault;
use crate::program::{Comparison, Load, Profile, Window};
use crate::quantity;
use crate::token::Token;
use crate::words::Words;

const METRICS: [&str; 14] = [
    "p50",
    "p90",
    "p95",
    "p99",
    "p99.9",
    "mean",
    "max",
    "errors",
    "delivered",
    "samples",
    "rate",
    "busy",
    "starved",
    "status.5xx",
];

impl Compiler {
    /// Reads one gate after the other, as long as there are.
    ///
    /// `length` is that of the shape, if it was given before.
    pub(super) fn gates(
        &mut self,
        profile: &mut Profile,
        length: Option<Duration>,
        words: &mut Words,
    ) -> Result<(), Fault> {
        let token = words.next("a metric")?;
        self.gate(profile, length, &token, words)?;
        while let Some(token) = words.peek().cloned() {
            if measure(&token.text).is_none() {
                return Ok(());
            }
            words.next("a metric")?;
            self.gate(profile, length, &token, words)?;
        }
        Ok(())
    }

    fn gate(
        &mut self,
        profile: &mut Profile,
        length: Option<Duration>,
        token: &Token,
        words: &mut Words,
    ) -> Result<(), Fault> {
        let measure = measure(&token.text).ok_or_else(|| {
            let families = ["service.p99", "slip.p99", "lateness.p99"];
            Fault::new(token.span, format!("there is no metric `{}`", token.text))
                .nearest(&token.text, METRICS.into_iter().chain(families))
        })?;
        let (step, step_text) = self.gate_step(measure, token, words)?;
        let sign = words.next("a comparison")?;
        let comparison = match sign.text.as_str() {
            "<" => Comparison::Less,
            "<=" => Comparison::LessOrEqual,
            ">" => Comparison::Greater,
            ">=" => Comparison::GreaterOrEqual,
            other => {
                return Err(
                    Fault::new(sign.span, format!("`{other}` is not a comparison"))
                        .hint("a gate has `<`, `<=`, `>` or `>=`"),
                );
            }
        };
        let limit_at = words.peek().map(|token| token.text.clone());
        let limit = limit(measure, &token.text, words)?;
        let window_span = words.here();
        let window = window(profile, length, words)?;
        if window.is_some()
            && matches!(
                measure,
                Measure::Lateness(_) | Measure::Delivered | Measure::Busy | Measure::Starved
            )
        {
            return Err(Fault::new(
                window_span,
                format!("`{}` speaks of the whole run", token.text),
            ));
        }
        let limit_text = match limit {
            Limit::Baseline(factor) => format!("{factor} * baseline"),
            _ => limit_at.unwrap_or_default(),
        };
        let when = window.map_or_else(String::new, |index| {
            let Window { from, to } = profile.windows[index];
            format!(" during {}..{}", quantity::spell(from), quantity::spell(to))
        });
        profile.gates.push(Gate {
            measure,
            step,
            comparison,
            limit,
            window,
            text: format!("{}{step_text} {} {limit_text}{when}", token.text, sign.text),
            implied: false,
        });
        Ok(())
    }

    fn gate_step(
        &self,
        measure: Measure,
        metric: &Token,
        words: &mut Words,
    ) -> Result<(Option<usize>, String), Fault> {
        if !words.take("(") {
            return Ok((None, String::new()));
        }
        let name = words.next("a step's name")?;
        if matches!(
            measure,
            Measure::Lateness(_) | Measure::Delivered | Measure::Busy | Measure::Starved
        ) {
            return Err(Fault::new(
                name.span,
                format!("`{}` speaks of the whole run, not of a step", metric.text),
            ));
        }
        let steps = &self.program.steps;
        let index = steps
            .iter()
            .position(|step| step.name == name.text)
            .ok_or_else(|| {
                Fault::new(name.span, format!("there is no step `{}`", name.text))
                    .nearest(&name.text, steps.iter().map(|step| step.name.as_str()))
            })?;
        words.sign(")")?;
        Ok((Some(index), format!("({})", name.text)))
    }
}

fn measure(text: &str) -> Option<Measure> {
    Some(match text {
        "errors" => Measure::Errors,
        "delivered" => Measure::Delivered,
        "samples" => Measure::Samples,
        "rate" => Measure::Rate,
        "busy" => Measure::Busy,
        "starved" => Measure::Starved,
        _ => {
            if let Some(hundreds) = text
                .strip_prefix("status.")
                .and_then(|rest| rest.strip_suffix("xx"))
            {
                let hundreds = hundreds.parse().ok()?;
                return (1..=5)
                    .contains(&hundreds)
                    .then_some(Measure::Status(hundreds));
            }
            let (family, point): (fn(Point) -> Measure, _) = match text.split_once('.') {
                Some(("service", rest)) => (Measure::Service, rest),
                Some(("slip", rest)) => (Measure::Slip, rest),
                Some(("lateness", rest)) => (Measure::Lateness, rest),
                _ => (Measure::Latency, text),
            };
            family(self::point(point)?)
        }
    })
}

fn point(text: &str) -> Option<Point> {
    match text {
        "mean" => Some(Point::Mean),
        "max" => Some(Point::Max),
        _ => {
            let number: f64 = text.strip_prefix('p')?.parse().ok()?;
            (number > 0.0 && number < 100.0).then_some(Point::Quantile(number / 100.0))
        }
    }
}

fn limit(measure: Measure, metric: &str, words: &mut Words) -> Result<Limit, Fault> {
    let token = words.next("a limit")?;
    let wrong = |what: &str| {
        Err(Fault::new(
            token.span,
            format!(
                "`{metric}` is compared with {what}, not with `{}`",
                token.text
            ),
        ))
    };
    if let Ok(factor) = token.text.parse::<f64>()
        && words.at("*")
    {
        words.take("*");
        words.sign("baseline")?;
        if !matches!(measure, Measure::Latency(Point::Quantile(_))) {
            return Err(Fault::new(
                token.span,
                format!("`{metric}` is not compared with a baseline"),
            )
            .hint("only percentiles of latency are, such as `p99(step)`"));
        }
        return Ok(Limit::Baseline(factor));
    }
    match measure {
        Measure::Latency(_) | Measure::Service(_) | Measure::Slip(_) | Measure::Lateness(_) => {
            match quantity::duration(&token.text) {
                Some(duration) => Ok(Limit::Duration(duration)),
                None => wrong("a duration such as `400ms`"),
            }
        }
        Measure::Errors
        | Measure::Status(_)
        | Measure::Delivered
        | Measure::Busy
        | Measure::Starved => match quantity::share(&token.text) {
            Some(share) => Ok(Limit::Share(share)),
            None => wrong("a share such as `0.1%`"),
        },
        Measure::Samples => match quantity::count(&token.text) {
            Some(count) => Ok(Limit::Count(count)),
            None => wrong("a whole number"),
        },
        Measure::Rate => match quantity::rate(&token.text) {
            Some(rate) => Ok(Limit::Rate(rate)),
            None => wrong("a rate such as `5000/s`"),
        },
    }
}

/// Reads `last 60s` or `during 20s..180s`.
fn window(
    profile: &mut Profile,
    length: Option<Duration>,
    words: &mut Words,
) -> Result<Option<usize>, Fault> {
    let keyword = words.here();
    let last = words.take("last");
    if !last && !words.take("during") {
        return Ok(None);
    }
    let Some(length) = length else {
        return Err(Fault::new(keyword, "this part of the run is not known yet")
            .hint("give the shape first: `arrivals … for …` or `users … for …`"));
    };
    let span = words.here();
    let window = if last {
        let part = words.stretch()?;
        length
            .checked_sub(part)
            .map(|from| Window { from, to: length })
    } else {
        let token = words.next("a stretch of the run")?;
        let parts = token
            .text
            .split_once("..")
            .and_then(|(from, to)| Some((quantity::duration(from)?, quantity::duration(to)?)));
        let Some((from, to)) = parts.filter(|(from, to)| from < to) else {
            return Err(Fault::new(
                token.span,
                format!("`{}` is not a stretch of the run", token.text),
            )
            .hint("write `during 20s..180s`"));
        };
        (to <= length).then_some(Window { from, to })
    };
    let window = window.ok_or_else(|| {
        let length = quantity::spell(length);
        Fault::new(span, format!("the run is only {length} long"))
    })?;
    let index = profile
        .windows
        .iter()
        .position(|known| *known == window)
        .unwrap_or_else(|| {
            profile.windows.push(window);
            profile.windows.len() - 1
        });
    Ok(Some(index))
}

/// Adds what must hold for a run to prove anything, where the file does not say it otherwise.
pub(super) fn imply(profile: &mut Profile) {
    if profile.load.is_functional() {
        return;
    }
    let duration = |millis| Limit::Duration(Duration::from_millis(millis));
    let mut usual = vec![
        (
            "errors < 1%",
            Measure::Errors,
            Comparison::Less,
            Limit::Share(0.01),
        ),
        (
            "lateness.p99 < 10ms",
            Measure::Lateness(Point::Quantile(0.99)),
            Comparison::Less,
            duration(10),
        ),
        (
            "starved < 5%",
            Measure::Starved,
            Comparison::Less,
            Limit::Share(0.05),
        ),
    ];
    if matches!(profile.load, Load::Arrivals { .. }) {
        usual.push((
            "delivered >= 99%",
            Measure::Delivered,
            Comparison::GreaterOrEqual,
            Limit::Share(0.99),
        ));
    } else {
        usual.push((
            "busy < 95%",
            Measure::Busy,
            Comparison::Less,
            Limit::Share(0.95),
        ));
    }
    for (text, measure, comparison, limit) in usual {
        let said = profile.gates.iter().any(|gate| {
            gate.step.is_none()
                && gate.window.is_none()
                && std::mem::discriminant(&gate.measure) == std::mem::discriminant(&measure)
        });
        if !said {
            profile.gates.push(Gate {
                measure,
                step: None,
                comparison,
                limit,
                window: None,
                text: text.to_owned(),
                implied: true,
            });
        }
    }
}
