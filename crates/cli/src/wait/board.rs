//! What is shown of releases while they are followed: one row for each step, site and group of pods.

use std::collections::BTreeMap;
use std::time::Duration;

use foreshore_model::api::{ServiceStatus, Status};
use foreshore_model::outcome::Cause;
use foreshore_model::{EnvironmentName, Outcome as Report, Phase, ServiceName, SiteName};
use serde::Serialize;

use super::Awaited;
use super::standing::{find, number, reports};
use super::words::{cause_text, verdict_text};

/// The reason of a cause that says which checks are still run.
const CHECKS: &str = "Checks";

/// A station on the way from a commit to proven pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Step {
    Commit,
    Agent,
    Rollout,
    Pods,
    Checks,
}

impl Step {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Commit => "commit",
            Self::Agent => "agent",
            Self::Rollout => "rollout",
            Self::Pods => "pods",
            Self::Checks => "check",
        }
    }
}

/// How far a step is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Progress {
    Waiting,
    Running,
    Stalled,
    Done,
    Failed,
    Superseded,
}

impl Progress {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Stalled => "stalled",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Superseded => "superseded",
        }
    }
}

/// One step of one release, in one site.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Row {
    pub(super) service: ServiceName,
    pub(super) environment: EnvironmentName,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) number: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) site: Option<SiteName>,
    pub(super) step: Step,
    pub(super) state: Progress,
    /// Several groups of pods, or checks, of one release differ by this.
    #[serde(skip)]
    pub(super) part: String,
    pub(super) words: String,
    /// Last lines of a log.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) log: Vec<String>,
}

type Key = (
    EnvironmentName,
    ServiceName,
    Option<SiteName>,
    Step,
    String,
    Progress,
);

impl Row {
    fn key(&self) -> Key {
        (
            self.environment.clone(),
            self.service.clone(),
            self.site.clone(),
            self.step,
            self.part.clone(),
            self.state,
        )
    }

    fn of(awaited: &Awaited, number: Option<u64>, step: Step, state: Progress) -> Self {
        Self {
            service: awaited.service.clone(),
            environment: awaited.environment.clone(),
            number,
            site: None,
            step,
            state,
            part: String::new(),
            words: String::new(),
            log: Vec::new(),
        }
    }

    fn at(mut self, site: &SiteName) -> Self {
        self.site = Some(site.clone());
        self
    }

    fn saying(mut self, words: impl Into<String>) -> Self {
        self.words = words.into();
        self
    }
}

/// The rows as they were last seen, and since when each is as it is.
#[derive(Debug, Default)]
pub(super) struct Board {
    rows: Vec<Row>,
    since: BTreeMap<Key, Duration>,
}

impl Board {
    /// Takes in what is so `now`; returns the rows that are new or other than before.
    pub(super) fn look(&mut self, rows: Vec<Row>, now: Duration) -> Vec<Row> {
        let since = rows.iter().map(|row| {
            let key = row.key();
            let since = self.since.get(&key).copied().unwrap_or(now);
            (key, since)
        });
        self.since = since.collect();
        let news = rows.iter().filter(|row| !self.rows.contains(row)).cloned();
        let news = news.collect();
        self.rows = rows;
        news
    }

    /// The rows in order, each with how long it has been in its state.
    pub(super) fn timed(&self, now: Duration) -> impl Iterator<Item = (&Row, Duration)> {
        self.rows.iter().map(move |row| {
            let since = self.since.get(&row.key()).copied().unwrap_or(now);
            (row, now.saturating_sub(since))
        })
    }
}

/// Lays out how all awaited releases stand.
pub(super) fn rows(awaited: &[Awaited], status: &Status) -> Vec<Row> {
    awaited
        .iter()
        .flat_map(|awaited| rows_of(awaited, status))
        .collect()
}

fn rows_of(awaited: &Awaited, status: &Status) -> Vec<Row> {
    let Some(found) = find(awaited, status) else {
        let row = Row::of(awaited, awaited.sequence, Step::Commit, Progress::Waiting);
        return vec![row.saying("nothing is released yet")];
    };
    let number = number(awaited, found);
    let release = &found.release;
    let said = format!(
        "number {}: {} by {}",
        release.sequence, release.artifact_id, release.actor.name
    );
    if release.sequence > number {
        let row = Row::of(awaited, Some(number), Step::Commit, Progress::Superseded);
        return vec![row.saying(format!("by {said}"))];
    }
    let mut rows = vec![Row::of(awaited, Some(number), Step::Commit, Progress::Done).saying(said)];
    for site in sites(found, number) {
        let report = reports(found, number).find(|report| report.site == site);
        match report {
            None => rows.push(silent(awaited, number, &site, status)),
            Some(report) => rows.extend(in_site(awaited, report)),
        }
    }
    rows
}

/// The sites that have to carry the release: those of the environment, and whoever reported.
fn sites(found: &ServiceStatus, number: u64) -> Vec<SiteName> {
    let mut sites = found.sites.clone();
    for report in reports(found, number) {
        if !sites.contains(&report.site) {
            sites.push(report.site.clone());
        }
    }
    sites
}

fn silent(awaited: &Awaited, number: u64, site: &SiteName, status: &Status) -> Row {
    let agent = status
        .agents
        .iter()
        .find(|agent| agent.environment == awaited.environment);
    let words = match agent {
        Some(_) => "no word from the agent about this release yet".to_owned(),
        None => format!(
            "no agent of {} has reported since the server started; does one run?",
            awaited.environment
        ),
    };
    Row::of(awaited, Some(number), Step::Agent, Progress::Waiting)
        .at(site)
        .saying(words)
}

fn in_site(awaited: &Awaited, report: &Report) -> Vec<Row> {
    let row = |step, state| Row::of(awaited, Some(report.sequence), step, state).at(&report.site);
    let checking = report.causes.iter().find(|cause| cause.reason == CHECKS);
    let (agent, rollout) = stations(report.phase, checking.is_some());
    let mut rows = vec![row(Step::Agent, agent.0).saying(agent.1)];
    if let Some((state, words)) = rollout {
        rows.push(row(Step::Rollout, state).saying(words));
    }
    let bad = match report.phase {
        Phase::Failed | Phase::Degraded => Progress::Failed,
        _ => Progress::Stalled,
    };
    for (cause, others) in groups(&report.causes) {
        let mut pods = row(Step::Pods, bad).saying(cause_text(cause, others));
        pods.part = format!("{} {}", cause.object, cause.reason);
        pods.log.clone_from(&cause.log);
        rows.push(pods);
    }
    if let Some(cause) = checking {
        rows.push(row(Step::Checks, Progress::Running).saying(cause.message.clone()));
    }
    for verdict in &report.verdicts {
        let state = if verdict.passed {
            Progress::Done
        } else {
            Progress::Failed
        };
        let mut check = row(Step::Checks, state).saying(verdict_text(verdict));
        check.part.clone_from(&verdict.check);
        rows.push(check);
    }
    rows
}

type Station = (Progress, &'static str);

/// What a phase says of the agent's own work, and of the rollout.
fn stations(phase: Phase, checking: bool) -> (Station, Option<Station>) {
    let applied = (Progress::Done, "applied");
    let rollout = match phase {
        Phase::Applying => return ((Progress::Running, "applying"), None),
        Phase::Progressing if checking => (Progress::Done, "rolled out"),
        Phase::Progressing => (Progress::Running, "progressing"),
        Phase::Healthy => (Progress::Done, "healthy"),
        Phase::Failed => (Progress::Failed, "failed"),
        Phase::Degraded => (Progress::Failed, "degraded"),
        Phase::Superseded => (Progress::Superseded, "superseded"),
        Phase::Retired => (Progress::Done, "retired"),
    };
    (applied, Some(rollout))
}

/// Joins pods that stand still for the same reason; each group with how many others are in it.
fn groups(causes: &[Cause]) -> Vec<(&Cause, usize)> {
    let mut groups: Vec<(&Cause, usize)> = Vec::new();
    for cause in causes.iter().filter(|cause| cause.reason != CHECKS) {
        let same = |other: &Cause| {
            let is_pod = |cause: &Cause| cause.object.starts_with("Pod/");
            is_pod(cause)
                && is_pod(other)
                && (&cause.container, &cause.reason, cause.exit_code)
                    == (&other.container, &other.reason, other.exit_code)
        };
        match groups.iter_mut().find(|(first, _)| same(first)) {
            Some((_, others)) => *others += 1,
            None => groups.push((cause, 0)),
        }
    }
    groups
}
