//! Follows releases until each is healthy, has failed, or was superseded.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use foreshore_model::api::{ServiceStatus, Status};
use foreshore_model::outcome::Cause;
use foreshore_model::{
    EnvironmentName, ExitCode, Outcome as Report, Phase, ServiceName, Verdict, nearest,
};

use crate::client::Client;
use crate::context::Context;
use crate::failure::Failure;
use crate::terminal::Outcome;

/// The server answers at the latest after this time, so that a broken connection is noticed.
const POLL_SECONDS: u64 = 20;

/// One release to follow; without a number, whichever is the desired one.
#[derive(Debug, Clone)]
pub(crate) struct Awaited {
    pub(crate) service: ServiceName,
    pub(crate) environment: EnvironmentName,
    pub(crate) sequence: Option<u64>,
}

/// How one release stands.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Standing {
    Pending,
    Healthy,
    Failed,
    /// It runs, and a check that its service makes a gate did not pass.
    Unproven,
    Superseded {
        by: u64,
    },
}

/// Waits, saying what changes, and ends with the code that fits the worst release.
pub(crate) async fn until_settled(
    client: &Client,
    awaited: &[Awaited],
    timeout: Duration,
    context: &Context,
) -> Result<Outcome, Failure> {
    let deadline = Instant::now() + timeout;
    let mut said = Vec::new();
    let mut status: Status = client.get("/status").await?;
    loop {
        let standings: Vec<Standing> = awaited
            .iter()
            .map(|awaited| standing(awaited, &status))
            .collect();
        for line in awaited.iter().flat_map(|awaited| lines(awaited, &status)) {
            if !said.contains(&line) {
                context.terminal.say(&line);
                said.push(line);
            }
        }
        if !standings.contains(&Standing::Pending) {
            return conclude(awaited, &standings, &status);
        }
        status = next_status(client, &status, deadline, timeout).await?;
    }
}

/// Waits until the status is as wanted.
pub(crate) async fn for_status(
    client: &Client,
    timeout: Duration,
    mut is_wanted: impl FnMut(&Status) -> bool,
) -> Result<(), Failure> {
    let deadline = Instant::now() + timeout;
    let mut status: Status = client.get("/status").await?;
    while !is_wanted(&status) {
        status = next_status(client, &status, deadline, timeout).await?;
    }
    Ok(())
}

/// Fails if there is nothing that could be waited for.
pub(crate) async fn exists(client: &Client, awaited: &Awaited) -> Result<(), Failure> {
    let status: Status = client.get("/status").await?;
    let found = find(awaited, &status);
    let known = found.is_some_and(|row| {
        awaited
            .sequence
            .is_none_or(|sequence| sequence <= row.release.sequence)
    });
    if known {
        return Ok(());
    }
    let (service, environment) = (&awaited.service, &awaited.environment);
    if let (Some(row), Some(sequence)) = (found, awaited.sequence) {
        return Err(Failure::new(
            ExitCode::NotFound,
            format!("{service} has no release number {sequence} in {environment}"),
        )
        .hint(format!("the newest is number {}", row.release.sequence)));
    }
    let failure = Failure::new(
        ExitCode::NotFound,
        format!("service `{service}` has no release in {environment}"),
    );
    let names = status.services.iter().map(|row| row.service.as_str());
    Err(match nearest(service.as_str(), names) {
        Some(near) if near != service.as_str() => failure.hint(format!("did you mean `{near}`?")),
        _ => failure.hint("build one with `foreshore run build` in its repository"),
    })
}

/// Returns the next status that is another, or says that the time is over.
async fn next_status(
    client: &Client,
    status: &Status,
    deadline: Instant,
    timeout: Duration,
) -> Result<Status, Failure> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(Failure::new(
            ExitCode::TimedOut,
            format!("not settled after {timeout:?}; the work goes on"),
        )
        .hint("follow it with `foreshore status --wait`"));
    }
    let seconds = left.as_secs().clamp(1, POLL_SECONDS);
    client
        .get(&format!(
            "/status?after={}&timeout={seconds}",
            path_segment(&status.version)
        ))
        .await
}

fn find<'a>(awaited: &Awaited, status: &'a Status) -> Option<&'a ServiceStatus> {
    status
        .services
        .iter()
        .find(|row| row.service == awaited.service && row.environment == awaited.environment)
}

fn reports(row: &ServiceStatus, sequence: u64) -> impl Iterator<Item = &Report> {
    row.outcomes
        .iter()
        .filter(move |outcome| outcome.sequence == sequence)
}

fn standing(awaited: &Awaited, status: &Status) -> Standing {
    let Some(row) = find(awaited, status) else {
        return Standing::Pending;
    };
    let sequence = awaited.sequence.unwrap_or(row.release.sequence);
    if row.release.sequence > sequence {
        return Standing::Superseded {
            by: row.release.sequence,
        };
    }
    let mut phases = reports(row, sequence)
        .map(|outcome| outcome.phase)
        .peekable();
    if phases.peek().is_none() {
        return Standing::Pending;
    }
    let phases: Vec<Phase> = phases.collect();
    if phases.contains(&Phase::Failed) {
        Standing::Failed
    } else if broken_gates(row, sequence).next().is_some() {
        Standing::Unproven
    } else if phases.iter().all(|phase| *phase == Phase::Healthy) {
        Standing::Healthy
    } else {
        Standing::Pending
    }
}

/// Verdicts that keep the release from the next environment.
fn broken_gates(row: &ServiceStatus, sequence: u64) -> impl Iterator<Item = &Verdict> {
    reports(row, sequence)
        .flat_map(|outcome| &outcome.verdicts)
        .filter(|verdict| verdict.gate && !verdict.passed)
}

/// Says what a check found, in one line.
pub(crate) fn verdict_text(verdict: &Verdict) -> String {
    let mut text = format!(
        "{} {} in {}",
        verdict.check,
        verdict.word(),
        verdict.environment
    );
    if !verdict.summary.is_empty() {
        write!(text, ": {}", printable(&verdict.summary)).expect("writing to a string cannot fail");
    }
    text
}

fn lines(awaited: &Awaited, status: &Status) -> Vec<String> {
    let Some(row) = find(awaited, status) else {
        return Vec::new();
    };
    let sequence = awaited.sequence.unwrap_or(row.release.sequence);
    let place = format!("{}/{}", awaited.environment, awaited.service);
    let mut lines = Vec::new();
    for outcome in reports(row, sequence) {
        lines.push(format!(
            "{place} {}: {}",
            row.release.artifact_id,
            outcome.phase.word()
        ));
        lines.extend(
            outcome
                .causes
                .iter()
                .map(|cause| format!("{place} {}", cause_text(cause))),
        );
        let verdicts = outcome.verdicts.iter();
        lines.extend(verdicts.map(|verdict| format!("{place} check {}", verdict_text(verdict))));
    }
    lines
}

/// Says a cause in words: object, container, reason, message, and the last log lines indented.
pub(crate) fn cause_text(cause: &Cause) -> String {
    let mut text = cause.object.clone();
    if let Some(container) = &cause.container {
        write!(text, " container {container}").expect("writing to a string cannot fail");
    }
    write!(text, ": {}", cause.reason).expect("writing to a string cannot fail");
    if let Some(code) = cause.exit_code {
        write!(text, " (exit code {code})").expect("writing to a string cannot fail");
    }
    if !cause.message.is_empty() {
        write!(text, ": {}", printable(&cause.message)).expect("writing to a string cannot fail");
    }
    for line in &cause.log {
        write!(text, "\n    | {}", printable(line)).expect("writing to a string cannot fail");
    }
    text
}

/// Takes control characters out, which a log may hold to deceive a terminal.
fn printable(text: &str) -> String {
    text.chars()
        .map(|c| {
            if c.is_control() && c != '\t' {
                '\u{fffd}'
            } else {
                c
            }
        })
        .collect()
}

/// Says which release took the place, and who made it.
fn successor(awaited: &Awaited, status: &Status) -> String {
    find(awaited, status).map_or_else(String::new, |row| {
        format!(
            ", {} by {}",
            row.release.artifact_id, row.release.actor.name
        )
    })
}

fn conclude(
    awaited: &[Awaited],
    standings: &[Standing],
    status: &Status,
) -> Result<Outcome, Failure> {
    let name = |index: usize| {
        format!(
            "{} in {}",
            awaited[index].service, awaited[index].environment
        )
    };
    if let Some(index) = standings
        .iter()
        .position(|standing| *standing == Standing::Failed)
    {
        let awaited = &awaited[index];
        return Err(Failure::new(
            ExitCode::Failed,
            format!("the release of {} failed", name(index)),
        )
        .hint(format!(
            "bring back what ran before: `foreshore rollback {} -e {}`",
            awaited.service, awaited.environment
        )));
    }
    let unproven = standings
        .iter()
        .position(|standing| *standing == Standing::Unproven);
    if let Some(index) = unproven {
        return Err(unproven_failure(&awaited[index], &name(index), status));
    }
    let superseded = standings
        .iter()
        .enumerate()
        .find_map(|(index, standing)| match standing {
            Standing::Superseded { by } => Some((index, *by)),
            _ => None,
        });
    if let Some((index, by)) = superseded {
        return Err(Failure::new(
            ExitCode::Conflict,
            format!(
                "the release of {} was superseded by number {by}{}",
                name(index),
                successor(&awaited[index], status)
            ),
        ));
    }
    let rows: Vec<&ServiceStatus> = awaited
        .iter()
        .filter_map(|awaited| find(awaited, status))
        .collect();
    let words = awaited.iter().zip(&rows).map(|(awaited, row)| {
        format!(
            "{} in {} is healthy: {} (number {})",
            awaited.service, awaited.environment, row.release.artifact_id, row.release.sequence
        )
    });
    Outcome::answer(&rows, words.collect::<Vec<_>>().join("\n"))
}

fn unproven_failure(awaited: &Awaited, name: &str, status: &Status) -> Failure {
    let broken: Vec<String> = find(awaited, status)
        .into_iter()
        .flat_map(|row| broken_gates(row, awaited.sequence.unwrap_or(row.release.sequence)))
        .map(verdict_text)
        .collect();
    Failure::new(
        ExitCode::Failed,
        format!(
            "the release of {name} runs and did not pass its checks: {}",
            broken.join("; ")
        ),
    )
    .hint(format!(
        "`foreshore describe release {} -e {}` shows every verdict",
        awaited.service, awaited.environment
    ))
}

/// Reads `90s`, `5m`, `1h`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let signed: jiff::SignedDuration = text
        .parse()
        .map_err(|error| format!("{error}; write it as `90s` or `5m`"))?;
    Duration::try_from(signed).map_err(|_| "a duration is not negative".to_owned())
}

/// Escapes a text for use inside a URL.
pub(crate) fn path_segment(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => {
                escaped.push(char::from(byte));
            }
            _ => write!(escaped, "%{byte:02X}").expect("writing to a string cannot fail"),
        }
    }
    escaped
}
