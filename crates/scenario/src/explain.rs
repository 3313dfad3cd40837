//! A compiled scenario in words: what would be sent, in which order, and what must hold.

use std::fmt::Write as _;

use crate::program::{
    Connections, Load, Operation, Profile, Program, Source, Statuses, Step, When,
};
use crate::quantity::{spell, spell_share};
use crate::shape::{Shape, Spacing};
use crate::template::{Escape, Expression, Part, Template};

impl Program {
    /// Writes the program; secrets appear by name only.
    pub fn explain(&self) -> String {
        let mut out = String::new();
        self.write(&mut out)
            .expect("writing to a string cannot fail");
        out
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        writeln!(out, "scenario {}  sha256:{}", self.name, &self.hash[..12])?;
        for target in &self.targets {
            writeln!(out, "target   {} = {}", target.name, source(&target.source))?;
        }
        for value in &self.values {
            writeln!(out, "value    {} = {}", value.name, source(&value.source))?;
        }
        for secret in &self.secrets {
            writeln!(out, "secret   {} = {}", secret.name, source(&secret.source))?;
        }
        for data in &self.data {
            let columns: Vec<&str> = data.columns.iter().map(|(name, _)| name.as_str()).collect();
            writeln!(
                out,
                "data     {} = {} ({}), columns: {}",
                data.name,
                data.file,
                if data.unique { "unique" } else { "shared" },
                columns.join(", ")
            )?;
        }
        if let Some(rate) = self.rate_max {
            writeln!(out, "at most  {rate:.0} requests/s")?;
        }
        writeln!(
            out,
            "\nflow     at most {} requests a pass",
            self.requests_max()
        )?;
        for (place, operation) in self.flow.iter().enumerate() {
            self.operation(place, operation, out)?;
        }
        for profile in &self.profiles {
            self.profile_text(profile, out)?;
        }
        Ok(())
    }

    fn operation(&self, place: usize, operation: &Operation, out: &mut String) -> std::fmt::Result {
        write!(out, "  {place:>3}  ")?;
        match operation {
            Operation::Step(index) => self.step(&self.steps[*index], out),
            Operation::Think { least, most } if least == most => {
                writeln!(out, "think {}", spell(*least))
            }
            Operation::Think { least, most } => {
                writeln!(out, "think {} to {}", spell(*least), spell(*most))
            }
            Operation::Repeat { times, .. } => writeln!(out, "repeat {times} times"),
            Operation::Again { start, .. } => writeln!(out, "again from {start}"),
            Operation::Pick { branches } => {
                let total: u32 = branches.iter().map(|(weight, _)| weight).sum();
                write!(out, "pick")?;
                for (weight, start) in branches {
                    let share = f64::from(*weight) / f64::from(total);
                    write!(out, " {}: go to {start};", spell_share(share))?;
                }
                writeln!(out)
            }
            Operation::Jump(to) => writeln!(out, "go to {to}"),
        }
    }

    fn step(&self, step: &Step, out: &mut String) -> std::fmt::Result {
        let method = step.method.name();
        writeln!(out, "{}: {method} {}", step.name, self.template(&step.url))?;
        let margin = "         ";
        for (name, value) in &step.headers {
            writeln!(out, "{margin}{name}: {}", self.template(value))?;
        }
        if let Some(body) = &step.body {
            writeln!(out, "{margin}body {}", self.template(body))?;
        }
        let expected: Vec<String> = step.expect.iter().copied().map(statuses).collect();
        writeln!(out, "{margin}expect {}", expected.join(" | "))?;
        if let Some(retry) = step.retry {
            writeln!(
                out,
                "{margin}again every {} for {} until that and every assertion holds",
                spell(retry.every),
                spell(retry.within)
            )?;
        }
        if let Some(stream) = &step.stream {
            writeln!(
                out,
                "{margin}read {} server-sent events within {}",
                stream.events,
                spell(stream.within)
            )?;
        }
        for (slot, subject) in &step.captures {
            let capture = &self.captures[*slot];
            let secret = if capture.secret { " (secret)" } else { "" };
            writeln!(out, "{margin}capture {}{secret} = {subject}", capture.name)?;
        }
        for assert in &step.asserts {
            let when = match assert.when {
                When::Always => String::new(),
                When::Functional => " (not under load)".to_owned(),
                When::Sample(share) => format!(" (under load on {})", spell_share(share)),
            };
            let text = assert.text.split(" @").next().unwrap_or_default().trim();
            writeln!(out, "{margin}assert {text}{when}")?;
        }
        Ok(())
    }

    fn template(&self, template: &Template) -> String {
        template
            .parts
            .iter()
            .map(|part| match part {
                Part::Text(text) => text.replace('\n', "\\n"),
                Part::Hole(expression, escape) => {
                    let how = match escape {
                        Escape::Plain => "",
                        Escape::Url => "|url",
                        Escape::JsonText => "|json",
                    };
                    format!("{{{{{}{how}}}}}", self.expression(expression))
                }
            })
            .collect()
    }

    fn expression(&self, expression: &Expression) -> String {
        match expression {
            Expression::Target(index) => self.targets[*index].name.clone(),
            Expression::Value(index) => self.values[*index].name.clone(),
            Expression::Secret(index) => self.secrets[*index].name.clone(),
            Expression::Capture(slot) => self.captures[*slot].name.clone(),
            Expression::Field { data, column } => {
                let data = &self.data[*data];
                format!("{}.{}", data.name, data.columns[*column].0)
            }
            Expression::Uuid => "uuid".to_owned(),
            Expression::OneOf(choices) => format!("one_of {}", choices.join(" ")),
            Expression::Whole { least, most } => format!("int {least} {most}"),
            Expression::Letters(count) => format!("letters {count}"),
            Expression::User => "user".to_owned(),
            Expression::Iteration => "iteration".to_owned(),
            Expression::UnixMillis => "unix_millis".to_owned(),
        }
    }

    fn profile_text(&self, profile: &Profile, out: &mut String) -> std::fmt::Result {
        writeln!(out, "\nprofile  {}", profile.name)?;
        match &profile.load {
            Load::Iterations { each, users } => {
                writeln!(out, "  {users} users, {each} passes each")?;
            }
            Load::Rows { data, limit, users } => {
                let limit = limit.map_or_else(String::new, |limit| format!(", at most {limit}"));
                let name = &self.data[*data].name;
                writeln!(
                    out,
                    "  one pass for each row of {name}{limit}, {users} users"
                )?;
            }
            Load::Users(shape) => {
                writeln!(out, "  closed: as many users as")?;
                segments(shape, "", out)?;
            }
            Load::Arrivals { shape, spacing } => {
                let spacing = match spacing {
                    Spacing::Even => "even",
                    Spacing::Poisson => "Poisson",
                };
                writeln!(out, "  open: {:.0} arrivals, {spacing}", shape.total())?;
                segments(shape, "/s", out)?;
            }
        }
        if !profile.load.is_functional() {
            let connections = match profile.connections {
                Connections::Own => "each user its own".to_owned(),
                Connections::Shared(count) => format!("{count} shared by all users"),
            };
            writeln!(
                out,
                "  connections: {connections}; at most {} users at once",
                profile.in_flight_max
            )?;
        }
        for (index, reason) in &profile.skipped {
            writeln!(out, "  leaves out {}: {reason}", self.steps[*index].name)?;
        }
        for gate in &profile.gates {
            let implied = if gate.implied {
                "  (unless the file says otherwise)"
            } else {
                ""
            };
            writeln!(out, "  gate {}{implied}", gate.text)?;
        }
        Ok(())
    }
}

fn segments(shape: &Shape, unit: &str, out: &mut String) -> std::fmt::Result {
    for segment in &shape.segments {
        let length = spell(segment.length);
        if (segment.from - segment.to).abs() < f64::EPSILON {
            writeln!(out, "    {}{unit} for {length}", Plain(segment.from))?;
        } else {
            let (from, to) = (Plain(segment.from), Plain(segment.to));
            writeln!(out, "    {from}{unit} -> {to}{unit} over {length}")?;
        }
    }
    Ok(())
}

/// A number without digits that say nothing.
struct Plain(f64);

impl std::fmt::Display for Plain {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = format!("{:.3}", self.0);
        out.write_str(text.trim_end_matches('0').trim_end_matches('.'))
    }
}

fn source(source: &Source) -> String {
    match source {
        Source::Literal(text) => text.clone(),
        Source::Environment { variable, default } => match default {
            Some(default) => format!("${variable}, or {default}"),
            None => format!("${variable}"),
        },
    }
}

fn statuses(statuses: Statuses) -> String {
    let Statuses { first, last } = statuses;
    if first == last {
        first.to_string()
    } else {
        format!("{first}..{last}")
    }
}

impl std::fmt::Display for crate::program::Subject {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Status => out.write_str("status"),
            Self::Duration => out.write_str("duration"),
            Self::Size => out.write_str("size"),
            Self::Sha256 => out.write_str("sha256"),
            Self::Body => out.write_str("body"),
            Self::Header(name) => write!(out, "header {name}"),
            Self::Cookie(name) => write!(out, "cookie {name}"),
            Self::Json(path) => write!(out, "json {path}"),
            Self::Regex(regex) => write!(out, "regex \"{regex}\""),
        }
    }
}
