//! Profiles: who sends the flow, how often, and what must hold.

use std::collections::BTreeSet;
use std::time::Duration;

use super::Compiler;
use crate::line::Line;
use crate::problem::{Fault, Span};
use crate::program::{Connections, Load, Operation, Profile};
use crate::shape::{Segment, Shape, Spacing};
use crate::words::Words;

const SETTINGS: [&str; 16] = [
    "iterations",
    "each",
    "users",
    "arrivals",
    "steps",
    "timeout",
    "stop-on-first-failure",
    "max-in-flight",
    "workers",
    "connections",
    "seed",
    "drain",
    "resume-tls",
    "spin",
    "gate",
    "limit",
];

/// More than one machine can hold open.
const USERS_MAX: u64 = 1_000_000;
const WORKERS_MAX: u64 = 1024;
/// Many times the in-flight requests of a healthy target at high rates.
const IN_FLIGHT_MAX: u64 = 10_000;

/// What a profile says, before it is known to be whole.
struct Draft {
    profile: Profile,
    iterations: Option<u64>,
    rows: Option<(usize, Option<u64>)>,
    users: Option<u64>,
    shape: Option<Load>,
    safe: Option<bool>,
}

impl Compiler {
    pub(super) fn profile(&mut self, line: &Line<'_>) -> Result<(), Fault> {
        let mut words = Words::of(line.text, line.number, line.indent + 1)?;
        for child in &line.children {
            if let Some(below) = child.children.first() {
                return Err(Fault::new(
                    below.span(),
                    "nothing is indented below a setting",
                ));
            }
            words.extend(Words::of(child.text, child.number, child.indent + 1)?);
        }
        words.take("profile");
        let name = words.name("a profile's name")?;
        if let Some(other) = self.program.profile(&name.text) {
            return Err(Fault::new(
                name.span,
                format!("line {} has a profile `{}` already", other.line, name.text),
            ));
        }
        let mut draft = Draft::new(name.text, line.number);
        while !words.is_done() {
            self.setting(&mut draft, &mut words)?;
        }
        let profile = self.whole(draft, name.span)?;
        self.program.profiles.push(profile);
        Ok(())
    }

    fn setting(&mut self, draft: &mut Draft, words: &mut Words) -> Result<(), Fault> {
        let token = words.next("a setting")?;
        let profile = &mut draft.profile;
        match token.text.as_str() {
            "iterations" => draft.iterations = Some(words.some(u64::MAX)?),
            "each" => draft.rows = Some(self.rows(words)?),
            "users" => {
                let span = words.here();
                let shape = levels(words, Words::users)?;
                match shape {
                    Levels::Number(number) => draft.users = Some(whole(number)),
                    Levels::Shape(shape) => set_shape(draft, Load::Users(shape), span)?,
                }
            }
            "arrivals" => {
                let spacing = if words.take("poisson") {
                    Spacing::Poisson
                } else {
                    words.take("even");
                    Spacing::Even
                };
                let span = words.here();
                let Levels::Shape(shape) = levels(words, Words::rate)? else {
                    return Err(words
                        .unexpected("`for`, `->` or `,`")
                        .hint("for example `arrivals 100/s for 60s`"));
                };
                self.check_rate(&shape, span)?;
                set_shape(draft, Load::Arrivals { shape, spacing }, span)?;
            }
            "steps" => {
                draft.safe = Some(if words.take("safe") {
                    true
                } else if words.take("all") {
                    false
                } else {
                    return Err(words.unexpected("`safe` or `all`"));
                });
            }
            "timeout" => profile.timeout = Some(words.stretch()?),
            "stop-on-first-failure" => profile.stop_on_first_failure = true,
            "max-in-flight" => profile.in_flight_max = words.some(USERS_MAX)?,
            "workers" => {
                profile.workers = Some(usize::try_from(words.some(WORKERS_MAX)?).unwrap_or(1));
            }
            "connections" => {
                profile.connections = if words.take("own") {
                    Connections::Own
                } else {
                    Connections::Shared(words.some(USERS_MAX)?)
                };
            }
            "seed" => profile.seed = Some(words.count()?),
            "drain" => profile.drain = words.duration()?,
            "resume-tls" => profile.resume_tls = true,
            "spin" => profile.spin = true,
            "gate" => {
                let length = draft.shape.as_ref().and_then(Load::length);
                self.gates(profile, length, words)?;
            }
            other => {
                return Err(
                    Fault::new(token.span, format!("a profile has no setting `{other}`"))
                        .nearest(other, SETTINGS.into_iter().take(15)),
                );
            }
        }
        Ok(())
    }

    fn rows(&self, words: &mut Words) -> Result<(usize, Option<u64>), Fault> {
        let name = words.next("the name of data")?;
        let data = self
            .program
            .data
            .iter()
            .position(|data| data.name == name.text)
            .ok_or_else(|| {
                Fault::new(name.span, format!("there is no data `{}`", name.text)).nearest(
                    &name.text,
                    self.program.data.iter().map(|data| data.name.as_str()),
                )
            })?;
        let limit = if words.take("limit") {
            Some(words.some(u64::MAX)?)
        } else {
            None
        };
        Ok((data, limit))
    }

    /// Holds arrivals against `max-rate`, every request of the flow counted.
    fn check_rate(&self, shape: &Shape, span: Span) -> Result<(), Fault> {
        #[expect(clippy::cast_precision_loss, reason = "flows have few requests")]
        let requests = self.program.requests_max() as f64;
        match self.program.rate_max {
            Some(most) if shape.peak() * requests > most => Err(Fault::new(
                span,
                format!(
                    "{:.0} requests/s at the peak are more than `max-rate` allows ({most:.0}/s)",
                    shape.peak() * requests
                ),
            )
            .hint("lower the arrivals, or raise `max-rate` if the target may take it")),
            _ => Ok(()),
        }
    }

    fn whole(&self, draft: Draft, span: Span) -> Result<Profile, Fault> {
        let mut profile = draft.profile;
        let users = draft.users.unwrap_or(1);
        let loads = [
            draft.iterations.is_some(),
            draft.rows.is_some(),
            draft.shape.is_some(),
        ];
        if loads.iter().filter(|given| **given).count() > 1 {
            return Err(Fault::new(span, "this profile says twice how it runs")
                .hint("take one of `iterations`, `each`, `users … for`, `arrivals`"));
        }
        profile.load = if let Some((data, limit)) = draft.rows {
            Load::Rows { data, limit, users }
        } else if let Some(each) = draft.iterations {
            Load::Iterations { each, users }
        } else if let Some(load) = draft.shape {
            load
        } else {
            return Err(Fault::new(span, "this profile does not say how it runs").hint(
                "add `iterations 1`, `each DATA`, `users 50 for 60s` or `arrivals 100/s for 60s`",
            ));
        };
        if draft.safe.unwrap_or(profile.name == "smoke") {
            profile.skipped = self.skipped();
            if profile.skipped.len() == self.program.steps.len() {
                return Err(Fault::new(span, "this profile leaves out every step").hint(
                    "mark steps that harm nothing with `@safe`, or add `steps all` to the profile",
                ));
            }
        }
        super::gate::imply(&mut profile);
        Ok(profile)
    }

    /// Steps that change something, and those that need what they would have answered.
    pub(super) fn skipped(&self) -> Vec<(usize, String)> {
        let program = &self.program;
        let mut skipped = Vec::new();
        let mut made = BTreeSet::new();
        for operation in &program.flow {
            let Operation::Step(index) = operation else {
                continue;
            };
            let step = &program.steps[*index];
            let missing = step
                .needs()
                .find(|slot| !made.contains(slot))
                .map(|slot| program.captures[slot].name.as_str());
            if !step.safe {
                skipped.push((
                    *index,
                    format!("{} may change something", step.method.name()),
                ));
            } else if let Some(name) = missing {
                skipped.push((
                    *index,
                    format!("needs `{name}`, which a left-out step captures"),
                ));
            } else {
                made.extend(step.captures.iter().map(|(slot, _)| *slot));
            }
        }
        skipped
    }
}

impl Draft {
    fn new(name: String, line: u32) -> Self {
        Self {
            profile: Profile {
                name,
                line,
                load: Load::Iterations { each: 1, users: 1 },
                timeout: None,
                stop_on_first_failure: false,
                in_flight_max: IN_FLIGHT_MAX,
                workers: None,
                connections: Connections::Own,
                seed: None,
                drain: Duration::from_secs(30),
                resume_tls: false,
                spin: false,
                gates: Vec::new(),
                windows: Vec::new(),
                skipped: Vec::new(),
            },
            iterations: None,
            rows: None,
            users: None,
            shape: None,
            safe: None,
        }
    }
}

fn set_shape(draft: &mut Draft, load: Load, span: Span) -> Result<(), Fault> {
    if draft.shape.is_some() {
        return Err(Fault::new(span, "this profile has a shape already"));
    }
    draft.shape = Some(load);
    Ok(())
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "`Words::users` read it from a whole number"
)]
fn whole(number: f64) -> u64 {
    number as u64
}

/// A single number, or one that changes over time.
enum Levels {
    Number(f64),
    Shape(Shape),
}

impl Words {
    #[expect(clippy::cast_precision_loss, reason = "at most a million")]
    fn users(&mut self) -> Result<f64, Fault> {
        let span = self.here();
        let users = self.count()?;
        if users > USERS_MAX {
            return Err(Fault::new(span, format!("at most {USERS_MAX} users")));
        }
        Ok(users as f64)
    }
}

/// Reads `100 for 60s`, `0 -> 50 over 10s, hold 60s, -> 0 over 5s`, or one number.
fn levels(
    words: &mut Words,
    read: impl Fn(&mut Words) -> Result<f64, Fault>,
) -> Result<Levels, Fault> {
    let first = words.here();
    let mut level = read(words)?;
    let mut segments = Vec::new();
    let mut push = |from, to, length| segments.push(Segment { from, to, length });
    let mut fresh = true;
    loop {
        if !fresh && words.take("hold") {
            push(level, level, words.stretch()?);
        } else {
            if !fresh && !words.at("->") {
                level = read(words)?;
            }
            if words.take("->") {
                let to = read(words)?;
                words.sign("over")?;
                push(level, to, words.stretch()?);
                level = to;
            } else if words.take("for") {
                push(level, level, words.stretch()?);
            } else if !(fresh && words.at(",")) {
                if fresh {
                    return Ok(Levels::Number(level));
                }
                return Err(words.unexpected("`for` or `->`"));
            }
        }
        fresh = false;
        if !words.take(",") {
            break;
        }
    }
    let shape = Shape { segments };
    if shape.peak() <= 0.0 {
        return Err(Fault::new(first, "this shape never sends anything"));
    }
    Ok(Levels::Shape(shape))
}
