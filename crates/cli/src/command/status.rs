//! `foreshore status`: what runs where, since when, and who put it there.

mod service;

use std::path::Path;
use std::time::Duration;

use clap::Args;
use foreshore_model::api::{BuildRow, ServiceStatus, Status};
use foreshore_model::service::FILE_NAME;
use foreshore_model::{EnvironmentName, ExitCode, ServiceName, clock, nearest};
use foreshore_server::Running;

use super::service_arg;
use crate::context::Context;
use crate::failure::Failure;
use crate::terminal::{Outcome, table};
use crate::wait::{self, Awaited};

/// Show what runs where
///
/// In the directory of a service this is about that service: version, pods and
/// health of each site, who released it, and what is broken. It then ends with
/// 1 if something is.
#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// Service; without it the one whose foreshore.yaml is in this directory, or else all
    service: Option<ServiceName>,

    /// Show all services, wherever this is
    #[arg(long, conflicts_with = "service")]
    all: bool,

    /// Show this environment only
    #[arg(short, long, env = "FORESHORE_ENVIRONMENT", value_name = "NAME")]
    env: Option<EnvironmentName>,

    /// Wait until every release shown is healthy or has failed
    #[arg(long)]
    wait: bool,

    /// How long to wait
    #[arg(long, default_value = "5m", value_parser = wait::duration, value_name = "DURATION")]
    timeout: Duration,
}

pub(crate) async fn run(args: StatusArgs, context: &Context) -> Result<Outcome, Failure> {
    let client = context.client()?;
    let status: Status = client.get("/status").await?;
    let service = match args.service {
        Some(service) => Some(service),
        None if args.all || args.wait || !Path::new(FILE_NAME).exists() => None,
        None => Some(service_arg::named_or_here(None)?),
    };
    let status = select(status, service.as_ref(), args.env.as_ref())?;
    if !args.wait {
        let Some(service) = service else {
            return Outcome::answer(&status, text(&status));
        };
        let mut running: Vec<Running> = client.get(&format!("/running/{service}")).await?;
        if let Some(environment) = &args.env {
            running.retain(|one| one.environment == environment.as_str());
        }
        return service::answer(&status, &running, clock::now());
    }
    let awaited: Vec<Awaited> = status
        .services
        .iter()
        .map(|row| Awaited {
            service: row.service.clone(),
            environment: row.environment.clone(),
            sequence: None,
        })
        .collect();
    wait::until_settled(&client, &awaited, args.timeout, context).await
}

fn select(
    mut status: Status,
    service: Option<&ServiceName>,
    environment: Option<&EnvironmentName>,
) -> Result<Status, Failure> {
    let known: Vec<String> = status
        .services
        .iter()
        .map(|row| row.service.to_string())
        .collect();
    status.services.retain(|row| {
        service.is_none_or(|service| row.service == *service)
            && environment.is_none_or(|environment| row.environment == *environment)
    });
    status.requests.retain(|request| {
        service.is_none_or(|service| request.service == *service)
            && environment.is_none_or(|environment| request.environment == *environment)
    });
    if let Some(service) = service
        && status.services.is_empty()
        && status.requests.is_empty()
    {
        let place =
            environment.map_or_else(String::new, |environment| format!(" in {environment}"));
        let failure = Failure::new(
            ExitCode::NotFound,
            format!("service `{service}` has no release{place}"),
        );
        return Err(
            match nearest(service.as_str(), known.iter().map(String::as_str)) {
                Some(near) if near != service.as_str() => {
                    failure.hint(format!("did you mean `{near}`?"))
                }
                _ => failure.hint("build one with `foreshore run build` in its repository"),
            },
        );
    }
    Ok(status)
}

/// Lays the status out for people.
pub(crate) fn text(status: &Status) -> String {
    let mut text = if status.services.is_empty() {
        "nothing is released yet\n".to_owned()
    } else {
        table(
            &[
                "SERVICE",
                "ENVIRONMENT",
                "NUMBER",
                "ARTIFACT",
                "HEALTH",
                "BY",
                "HOLD",
            ],
            status.services.iter().map(row),
        )
    };
    let requests = status.requests.iter().map(|request| {
        format!(
            "request {}: {} to {} waits for approval, asked by {}",
            request.id, request.artifact_id, request.environment, request.requested_by.name
        )
    });
    let causes = status.services.iter().flat_map(|row| {
        let causes = row.outcomes.iter().flat_map(|outcome| &outcome.causes);
        causes.map(move |cause| {
            format!(
                "{} in {}: {}",
                row.service,
                row.environment,
                wait::cause_text(cause)
            )
        })
    });
    let builds = status.builds.iter().map(build_line);
    let webhook = status.webhook.iter().filter_map(|webhook| {
        let problem = webhook.problem.as_ref()?;
        Some(format!(
            "webhook: {problem} ({} given up)",
            webhook.given_up
        ))
    });
    for line in requests.chain(causes).chain(builds).chain(webhook) {
        text.push_str(&line);
        text.push('\n');
    }
    text
}

fn build_line(build: &BuildRow) -> String {
    let source = build.reference.trim_start_matches("refs/");
    let mut line = format!(
        "build {} of {} ({source}): {}",
        build.id,
        build.service,
        build.state.word()
    );
    if !build.problem.is_empty() {
        line = format!("{line}: {}", build.problem);
    }
    line
}

fn row(status: &ServiceStatus) -> Vec<String> {
    vec![
        status.service.to_string(),
        status.environment.to_string(),
        status.release.sequence.to_string(),
        status.release.artifact_id.to_string(),
        status.health().to_owned(),
        status.release.actor.name.clone(),
        status
            .hold
            .as_ref()
            .map_or_else(String::new, |hold| hold.reason.clone()),
    ]
}
