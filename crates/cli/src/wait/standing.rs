//! How a release stands, and how a wait for several ends.

use foreshore_model::api::{ServiceStatus, Status};
use foreshore_model::{ExitCode, Outcome as Report, Phase, Verdict};

use super::Awaited;
use super::words::verdict_text;
use crate::failure::Failure;
use crate::terminal::Outcome;

/// How one release stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Standing {
    Pending,
    Healthy,
    Failed,
    /// It runs, and a check that its service makes a gate did not pass.
    Unproven,
    Superseded {
        by: u64,
    },
}

pub(super) fn find<'a>(awaited: &Awaited, status: &'a Status) -> Option<&'a ServiceStatus> {
    status
        .services
        .iter()
        .find(|row| row.service == awaited.service && row.environment == awaited.environment)
}

/// The number of the release that is meant.
pub(super) fn number(awaited: &Awaited, row: &ServiceStatus) -> u64 {
    awaited.sequence.unwrap_or(row.release.sequence)
}

pub(super) fn reports(row: &ServiceStatus, sequence: u64) -> impl Iterator<Item = &Report> {
    row.outcomes
        .iter()
        .filter(move |outcome| outcome.sequence == sequence)
}

pub(super) fn standing(awaited: &Awaited, status: &Status) -> Standing {
    let Some(row) = find(awaited, status) else {
        return Standing::Pending;
    };
    let sequence = number(awaited, row);
    if row.release.sequence > sequence {
        return Standing::Superseded {
            by: row.release.sequence,
        };
    }
    let phases: Vec<Phase> = reports(row, sequence)
        .map(|outcome| outcome.phase)
        .collect();
    let has_spoken = |site: &foreshore_model::SiteName| {
        reports(row, sequence).any(|report| report.site == *site)
    };
    if phases.contains(&Phase::Failed) {
        Standing::Failed
    } else if broken_gates(row, sequence).next().is_some() {
        Standing::Unproven
    } else if !phases.is_empty()
        && phases.iter().all(|phase| *phase == Phase::Healthy)
        && row.sites.iter().all(has_spoken)
    {
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

/// Says which release took the place, and who made it.
fn successor(awaited: &Awaited, status: &Status) -> String {
    find(awaited, status).map_or_else(String::new, |row| {
        format!(
            ", {} by {}",
            row.release.artifact_id, row.release.actor.name
        )
    })
}

fn name(awaited: &Awaited) -> String {
    format!("{} in {}", awaited.service, awaited.environment)
}

/// Ends with the code that fits the worst release.
pub(super) fn conclude(
    awaited: &[Awaited],
    standings: &[Standing],
    status: &Status,
) -> Result<Outcome, Failure> {
    let first = |wanted: &dyn Fn(&Standing) -> bool| {
        let index = standings.iter().position(wanted)?;
        Some((&awaited[index], &standings[index]))
    };
    if let Some((awaited, _)) = first(&|standing| *standing == Standing::Failed) {
        return Err(failed(awaited));
    }
    if let Some((awaited, _)) = first(&|standing| *standing == Standing::Unproven) {
        return Err(unproven(awaited, status));
    }
    if let Some((awaited, Standing::Superseded { by })) =
        first(&|standing| matches!(standing, Standing::Superseded { .. }))
    {
        return Err(Failure::new(
            ExitCode::Conflict,
            format!(
                "the release of {} was superseded by number {by}{}",
                name(awaited),
                successor(awaited, status)
            ),
        ));
    }
    let rows: Vec<&ServiceStatus> = awaited
        .iter()
        .filter_map(|awaited| find(awaited, status))
        .collect();
    let words = awaited.iter().zip(&rows).map(|(awaited, row)| {
        format!(
            "{} is healthy: {} (number {})",
            name(awaited),
            row.release.artifact_id,
            row.release.sequence
        )
    });
    Outcome::answer(&rows, words.collect::<Vec<_>>().join("\n"))
}

fn failed(awaited: &Awaited) -> Failure {
    Failure::new(
        ExitCode::Failed,
        format!("the release of {} failed", name(awaited)),
    )
    .hint(format!(
        "bring back what ran before: `foreshore rollback {} -e {}`",
        awaited.service, awaited.environment
    ))
}

fn unproven(awaited: &Awaited, status: &Status) -> Failure {
    let broken: Vec<String> = find(awaited, status)
        .into_iter()
        .flat_map(|row| broken_gates(row, number(awaited, row)))
        .map(verdict_text)
        .collect();
    Failure::new(
        ExitCode::Failed,
        format!(
            "the release of {} runs and did not pass its checks: {}",
            name(awaited),
            broken.join("; ")
        ),
    )
    .hint(format!(
        "`foreshore describe release {} -e {}` shows every verdict",
        awaited.service, awaited.environment
    ))
}
