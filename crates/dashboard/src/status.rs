//! The status page: what runs where, whether it is healthy, and who released it.

use askama::Template;
use axum::response::Response;
use foreshore_model::api::{ServiceStatus, Status};
use jiff::Timestamp;

use crate::page::page;

#[derive(Debug, Template)]
#[template(path = "status.html")]
struct StatusPage<'a> {
    commit: &'a str,
    ground: &'a str,
    rows: Vec<Row>,
    requests: Vec<RequestRow>,
}

#[derive(Debug)]
struct Row {
    service: String,
    environment: String,
    health: &'static str,
    artifact: String,
    sequence: u64,
    intent: &'static str,
    actor: String,
    age: String,
    reason: String,
    hold: Option<String>,
    causes: Vec<CauseText>,
}

#[derive(Debug)]
struct CauseText {
    text: String,
    log: String,
}

#[derive(Debug)]
struct RequestRow {
    id: String,
    service: String,
    environment: String,
    artifact: String,
    by: String,
}

/// Shows the status as a page; `ground` says in words where things run.
pub fn status(status: &Status, ground: &str, now: Timestamp) -> Response {
    page(&StatusPage {
        commit: status.commit.get(..10).unwrap_or(&status.commit),
        ground,
        rows: status
            .services
            .iter()
            .map(|service| row(service, now))
            .collect(),
        requests: status
            .requests
            .iter()
            .map(|request| RequestRow {
                id: request.id.clone(),
                service: request.service.to_string(),
                environment: request.environment.to_string(),
                artifact: request.artifact_id.to_string(),
                by: request.requested_by.name.clone(),
            })
            .collect(),
    })
}

fn row(status: &ServiceStatus, now: Timestamp) -> Row {
    let release = &status.release;
    let causes = status
        .outcomes
        .iter()
        .flat_map(|outcome| &outcome.causes)
        .map(|cause| CauseText {
            text: [
                Some(cause.object.as_str()),
                cause.container.as_deref(),
                Some(&cause.reason),
                Some(&cause.message),
            ]
            .into_iter()
            .flatten()
            .filter(|part| !part.is_empty())
            .collect::<Vec<_>>()
            .join(": "),
            log: cause.log.join("\n"),
        });
    Row {
        service: release.service.to_string(),
        environment: release.environment.to_string(),
        health: status.health(),
        artifact: release.artifact_id.to_string(),
        sequence: release.sequence,
        intent: release.intent.word(),
        actor: release.actor.name.clone(),
        age: age(release.at, now),
        reason: release.reason.clone(),
        hold: status.hold.as_ref().map(|hold| hold.reason.clone()),
        causes: causes.collect(),
    }
}

/// Says how long ago something was in its largest unit.
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
    use askama::Template as _;

    use super::*;

    #[test]
    fn a_hostile_reason_cannot_become_markup() {
        let page = StatusPage {
            commit: "c",
            ground: "engine",
            rows: vec![Row {
                service: "web".into(),
                environment: "dev".into(),
                health: "failed",
                artifact: "main-1-2".into(),
                sequence: 1,
                intent: "release",
                actor: "<b>".into(),
                age: "1s".into(),
                reason: "<script>alert(1)</script>".into(),
                hold: Some("\"><img src=x>".into()),
                causes: vec![CauseText {
                    text: "<i>".into(),
                    log: "</pre><script>".into(),
                }],
            }],
            requests: vec![],
        };
        let html = page.render().unwrap();
        for hostile in ["<script>", "<img", "<b>", "<i>"] {
            assert!(!html.contains(hostile), "{hostile}");
        }
    }

    #[test]
    fn an_age_has_one_unit() {
        let at = |seconds| Timestamp::from_second(seconds).unwrap();
        assert_eq!(age(at(0), at(59)), "59s");
        assert_eq!(age(at(0), at(3_599)), "59m");
        assert_eq!(age(at(0), at(90_000)), "1d");
        assert_eq!(age(at(10), at(0)), "0s");
    }
}
