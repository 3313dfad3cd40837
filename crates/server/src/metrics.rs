//! `GET /metrics`: what the server knows, as numbers in the Prometheus exposition format.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use axum::extract::State as Extract;
use axum::response::{IntoResponse, Response};
use foreshore_model::api::Status;
use foreshore_model::clock;
use http::header;

use crate::api;
use crate::state::State;

/// One family of numbers.
struct Family {
    name: &'static str,
    help: &'static str,
    kind: &'static str,
    /// Labels in braces, or nothing, and the number.
    samples: Vec<(String, f64)>,
}

pub(crate) async fn get(Extract(state): Extract<Arc<State>>) -> Response {
    let text = families(&state)
        .iter()
        .fold(String::new(), |mut text, family| {
            let Family {
                name, help, kind, ..
            } = family;
            writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}")
                .expect("writing to a string cannot fail");
            for (labels, number) in &family.samples {
                writeln!(text, "{name}{labels} {number}").expect("writing to a string cannot fail");
            }
            text
        });
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], text).into_response()
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts stay far below what a float holds exactly"
)]
fn families(state: &State) -> Vec<Family> {
    let status = api::status(state);
    let world = state.writer.world();
    let now = clock::now();
    let mut by_health: BTreeMap<(String, &str), usize> = BTreeMap::new();
    for row in &status.services {
        *by_health
            .entry((row.environment.to_string(), row.health()))
            .or_default() += 1;
    }
    let pending = status
        .services
        .iter()
        .filter(|row| row.is_operation_pending())
        .count();
    let gauge = |name, help, samples| Family {
        name,
        help,
        kind: "gauge",
        samples,
    };
    let one = |number: usize| vec![(String::new(), number as f64)];
    let mut families = vec![
        gauge(
            "foreshore_services",
            "Released services by environment and health.",
            by_health
                .into_iter()
                .map(|((environment, health), count)| {
                    let labels = format!("{{environment=\"{environment}\",health=\"{health}\"}}");
                    (labels, count as f64)
                })
                .collect(),
        ),
        gauge(
            "foreshore_requests_open",
            "Releases that wait for approval.",
            one(world.requests.len()),
        ),
        gauge(
            "foreshore_holds",
            "Services that automation leaves alone.",
            one(world.holds.len()),
        ),
        gauge(
            "foreshore_operations_pending",
            "Services whose operations no agent has carried out yet.",
            one(pending),
        ),
        gauge(
            "foreshore_config_problems",
            "Files of the config repository that cannot be read.",
            one(state.writer.current().problems.len()),
        ),
        gauge(
            "foreshore_agent_age_seconds",
            "Time since an agent of the environment last spoke.",
            status
                .agents
                .iter()
                .map(|agent| {
                    let age = now.duration_since(agent.at).as_secs_f64();
                    (format!("{{environment=\"{}\"}}", agent.environment), age)
                })
                .collect(),
        ),
    ];
    families.extend(webhook(&status));
    families
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts stay far below what a float holds exactly"
)]
fn webhook(status: &Status) -> Vec<Family> {
    let Some(webhook) = &status.webhook else {
        return Vec::new();
    };
    let family = |name, help, kind, number| Family {
        name,
        help,
        kind,
        samples: vec![(String::new(), number)],
    };
    vec![
        family(
            "foreshore_webhook_told_total",
            "Changes that the webhook took.",
            "counter",
            webhook.told as f64,
        ),
        family(
            "foreshore_webhook_given_up_total",
            "Changes that the webhook refused for good.",
            "counter",
            webhook.given_up as f64,
        ),
        family(
            "foreshore_webhook_failing",
            "Whether the newest attempt to tell the webhook failed.",
            "gauge",
            f64::from(u8::from(webhook.problem.is_some())),
        ),
    ]
}
