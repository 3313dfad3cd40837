//! Follows releases until each is healthy, has failed, or was superseded.

mod board;
mod progress;
mod standing;
mod words;

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use foreshore_model::api::Status;
use foreshore_model::{EnvironmentName, ExitCode, ServiceName, nearest};

use crate::client::Client;
use crate::context::Context;
use crate::failure::Failure;
use crate::terminal::Outcome;

use self::progress::Teller;
use self::standing::{Standing, conclude, find, standing};

pub(crate) use self::words::{cause_with_log as cause_text, verdict_text};

/// The server answers at the latest after this time, so that a broken connection is noticed.
const POLL_SECONDS: u64 = 20;

/// How often a live table is drawn anew, for the times in it.
const TICK: Duration = Duration::from_secs(1);

/// A server that is started anew is back within so many attempts, one a second.
const ATTEMPTS_MAX: u32 = 10;

/// One release to follow; without a number, whichever is the desired one.
#[derive(Debug, Clone)]
pub(crate) struct Awaited {
    pub(crate) service: ServiceName,
    pub(crate) environment: EnvironmentName,
    pub(crate) sequence: Option<u64>,
}

/// Waits, telling what changes, and ends with the code that fits the worst release.
pub(crate) async fn until_settled(
    client: &Client,
    awaited: &[Awaited],
    timeout: Duration,
    context: &Context,
) -> Result<Outcome, Failure> {
    let mut teller = Teller::new(context);
    let result = settle(client, awaited, timeout, &mut teller).await;
    teller.end(result)
}

async fn settle(
    client: &Client,
    awaited: &[Awaited],
    timeout: Duration,
    teller: &mut Teller,
) -> Result<Outcome, Failure> {
    let deadline = Instant::now() + timeout;
    let mut status: Status = client.get("/status").await?;
    loop {
        teller.look(board::rows(awaited, &status));
        let standings: Vec<Standing> = awaited
            .iter()
            .map(|awaited| standing(awaited, &status))
            .collect();
        if !standings.contains(&Standing::Pending) {
            return conclude(awaited, &standings, &status);
        }
        let newer = {
            let next = patiently(client, &status, deadline, timeout);
            tokio::pin!(next);
            loop {
                tokio::select! {
                    next = &mut next => break next?,
                    () = tokio::time::sleep(TICK), if teller.is_live() => teller.draw(),
                }
            }
        };
        status = newer;
    }
}

/// The next status, also from a server that is away for a moment.
async fn patiently(
    client: &Client,
    status: &Status,
    deadline: Instant,
    timeout: Duration,
) -> Result<Status, Failure> {
    let mut attempt = 1;
    loop {
        match next_status(client, status, deadline, timeout).await {
            Err(failure)
                if failure.code == ExitCode::Unreachable
                    && attempt < ATTEMPTS_MAX
                    && Instant::now() < deadline =>
            {
                attempt += 1;
                tokio::time::sleep(TICK).await;
            }
            result => return result,
        }
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
