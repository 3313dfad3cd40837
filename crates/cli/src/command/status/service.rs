//! One service in a few lines: what each environment and site holds, whether it is well, and why not.

use foreshore_model::api::{ServiceStatus, Status};
use foreshore_model::{ExitCode, ServiceName};
use foreshore_server::Running;
use jiff::Timestamp;
use serde_json::json;

use crate::failure::Failure;
use crate::terminal::{Outcome, table};
use crate::wait;

/// Answers with the status of one service and what the clusters say of it.
pub(super) fn answer(
    status: &Status,
    running: &[Running],
    now: Timestamp,
) -> Result<Outcome, Failure> {
    let mut value = json!(status);
    value["running"] = json!(running);
    let code = if is_broken(status, running) {
        ExitCode::Failed
    } else {
        ExitCode::Done
    };
    Ok(Outcome::answer(&value, text(status, running, now))?.with_code(code))
}

/// Whether somebody must look.
fn is_broken(status: &Status, running: &[Running]) -> bool {
    let failed = |row: &ServiceStatus| matches!(row.health(), "failed" | "degraded");
    status.services.iter().any(failed) || running.iter().any(|one| one.failing > 0)
}

fn text(status: &Status, running: &[Running], now: Timestamp) -> String {
    let rows = status.services.iter().flat_map(|row| {
        let here: Vec<&Running> = running
            .iter()
            .filter(|one| one.environment == row.environment.as_str())
            .collect();
        let mut sites: Vec<String> = row.sites.iter().map(ToString::to_string).collect();
        sites.extend(here.iter().map(|one| one.site.clone()));
        sites.sort();
        sites.dedup();
        if sites.is_empty() {
            sites.push(String::new());
        }
        let lines: Vec<Vec<String>> = sites
            .iter()
            .map(|site| line(row, site, &here, now))
            .collect();
        lines
    });
    let mut text = table(
        &[
            "ENVIRONMENT",
            "SITE",
            "NUMBER",
            "ARTIFACT",
            "HEALTH",
            "READY",
            "RELEASED",
        ],
        rows,
    );
    for line in reasons(status, running, now) {
        text.push_str(&line);
        text.push('\n');
    }
    text
}

fn line(row: &ServiceStatus, site: &str, here: &[&Running], now: Timestamp) -> Vec<String> {
    let own = row
        .outcomes
        .iter()
        .find(|outcome| outcome.site.as_str() == site && outcome.sequence == row.release.sequence);
    let health = own.map_or("waiting", |outcome| outcome.phase.word());
    let counts: Vec<&&Running> = here.iter().filter(|one| one.site == site).collect();
    let ready = if counts.is_empty() {
        "N/A".to_owned()
    } else {
        let sum = |pick: fn(&Running) -> i64| counts.iter().map(|one| pick(one)).sum::<i64>();
        format!("{}/{}", sum(|one| one.ready), sum(|one| one.desired))
    };
    vec![
        row.environment.to_string(),
        site.to_owned(),
        row.release.sequence.to_string(),
        row.release.artifact_id.to_string(),
        health.to_owned(),
        ready,
        format!(
            "{} ago by {}",
            age(row.release.at, now),
            row.release.actor.name
        ),
    ]
}

/// What stands in the way, waits, or is older than it looks; one line each.
fn reasons(status: &Status, running: &[Running], now: Timestamp) -> Vec<String> {
    let mut lines = Vec::new();
    for row in &status.services {
        let current = row
            .outcomes
            .iter()
            .filter(|outcome| outcome.sequence == row.release.sequence);
        for outcome in current {
            let place = format!("{} {}", row.environment, outcome.site);
            let causes = outcome.causes.iter();
            lines.extend(causes.map(|cause| format!("{place}: {}", wait::cause_text(cause))));
        }
        if let Some(hold) = &row.hold {
            lines.push(format!(
                "{}: held by {}: {}",
                row.environment, hold.actor.name, hold.reason
            ));
        }
        if row.is_operation_pending() {
            lines.push(format!(
                "{}: what was set by hand is not carried out yet",
                row.environment
            ));
        }
    }
    for one in running {
        let place = format!("{} {}", one.environment, one.site);
        lines.extend(one.why.iter().map(|why| format!("{place}: {why}")));
        let more = one.failing.saturating_sub(one.why.len());
        if more > 0 {
            lines.push(format!("{place}: {more} more pods fail"));
        }
        if let Some(since) = one.stale_since {
            lines.push(format!(
                "{place}: the cluster does not answer; its counts are {} old",
                age(since, now)
            ));
        }
    }
    lines.extend(status.requests.iter().map(|request| {
        format!(
            "{}: request {} of {} waits for approval: {}",
            request.environment, request.id, request.requested_by.name, request.artifact_id
        )
    }));
    let services: Vec<&ServiceName> = status.services.iter().map(|row| &row.service).collect();
    let builds = status.builds.iter();
    lines.extend(
        builds
            .filter(|build| services.contains(&&build.service))
            .map(super::build_line),
    );
    lines
}

/// One unit is enough to see whether something is new.
fn age(at: Timestamp, now: Timestamp) -> String {
    let seconds = now.duration_since(at).as_secs().max(0);
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m", seconds / 60),
        3_600..86_400 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(phase: &str) -> Status {
        let digest = format!("sha256:{}", "a".repeat(64));
        let causes = json!([{"object": "Pod/web-1", "container": "web", "reason": "CrashLoopBackOff", "message": "exits with code 1", "log": []}]);
        let outcome = |site: &str, phase: &str| {
            json!({
                "environment": "prod", "site": site, "service": "web", "sequence": 3, "artifact": digest, "commit": "c", "phase": phase,
                "causes": if phase == "failed" { causes.clone() } else { json!([]) }, "at": "2026-01-01T10:00:00Z",
            })
        };
        serde_json::from_value(json!({
            "version": "1", "commit": "c", "agents": [], "requests": [], "services": [{
                "service": "web", "environment": "prod", "sites": ["dc1", "dc2"],
                "release": {"service": "web", "environment": "prod", "sequence": 3, "artifact": digest, "artifact_id": "main-0123456789-plan",
                    "intent": {"kind": "promote", "from": "dev"}, "actor": {"name": "ada", "email": "a@b"}, "reason": "", "at": "2026-01-01T10:00:00Z"},
                "outcomes": [outcome("dc1", "healthy"), outcome("dc2", phase)],
            }],
        }))
        .unwrap()
    }

    fn running(failing: usize) -> Vec<Running> {
        vec![Running {
            environment: "prod".to_owned(),
            site: "dc1".to_owned(),
            kind: "Deployment".to_owned(),
            workload: "web".to_owned(),
            ready: 1,
            desired: 2,
            failing,
            why: (0..failing.min(1))
                .map(|_| "Pod/web-9: OOMKilled".to_owned())
                .collect(),
            stale_since: None,
        }]
    }

    fn now() -> Timestamp {
        "2026-01-01T12:30:00Z".parse().unwrap()
    }

    #[test]
    fn each_site_has_its_line_and_what_is_broken_its_reason() {
        let text = text(&status("failed"), &running(3), now());
        let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
        assert!(
            lines[1].contains("dc1") && lines[1].contains("healthy") && lines[1].contains("1/2"),
            "{text}"
        );
        assert!(
            lines[2].contains("dc2") && lines[2].contains("failed") && lines[2].contains("N/A"),
            "{text}"
        );
        assert!(lines[2].ends_with("2h ago by ada"), "{text}");
        assert!(
            text.contains("prod dc2: ") && text.contains("exits with code 1"),
            "{text}"
        );
        assert!(
            text.contains("prod dc1: Pod/web-9: OOMKilled") && text.contains("2 more pods fail"),
            "{text}"
        );
    }

    #[test]
    fn only_what_somebody_must_look_at_fails() {
        assert!(!is_broken(&status("healthy"), &running(0)));
        assert!(!is_broken(&status("progressing"), &running(0)));
        assert!(is_broken(&status("failed"), &running(0)));
        assert!(is_broken(&status("healthy"), &running(1)));
    }
}
