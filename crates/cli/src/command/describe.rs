//! `foreshore describe` and `history`: one release, artifact or service with all that is known of it.

use clap::{Args, Subcommand};
use foreshore_model::api::{ArtifactSummary, HistoryEntry, ReleaseDetail, ServiceStatus, Status};
use foreshore_model::{
    ArtifactId, ArtifactRecord, EnvironmentName, ExitCode, ServiceName, nearest,
};

use super::service_arg::ServiceArg;
use crate::context::Context;
use crate::failure::Failure;
use crate::terminal::{Outcome, table};
use crate::wait::{cause_text, verdict_text};

/// Show all that is known of a release, an artifact or a service
#[derive(Debug, Subcommand)]
pub(crate) enum DescribeCommand {
    Release(ReleaseArgs),
    Artifact(ArtifactArgs),
    Service(ServiceArgs),
}

/// Show the newest releases of a service in an environment
#[derive(Debug, Args)]
pub(crate) struct ReleaseArgs {
    #[command(flatten)]
    service: ServiceArg,

    /// Environment
    #[arg(short, long, env = "FORESHORE_ENVIRONMENT", value_name = "NAME")]
    env: EnvironmentName,

    /// How many
    #[arg(short, long, default_value_t = 1)]
    count: usize,
}

/// Show one artifact, or the newest ones of a service
#[derive(Debug, Args)]
pub(crate) struct ArtifactArgs {
    /// Service that it is of
    service: ServiceName,

    /// Artifact, instead of the newest ones
    artifact: Option<ArtifactId>,

    /// How many of the newest
    #[arg(long, default_value_t = 5)]
    count: usize,

    /// Only those of this branch
    #[arg(short, long, value_name = "NAME")]
    branch: Option<String>,
}

/// Show a service in every environment
#[derive(Debug, Args)]
pub(crate) struct ServiceArgs {
    #[command(flatten)]
    service: ServiceArg,
}

pub(crate) async fn run(command: DescribeCommand, context: &Context) -> Result<Outcome, Failure> {
    match command {
        DescribeCommand::Release(args) => release(args, context).await,
        DescribeCommand::Artifact(args) => artifact(args, context).await,
        DescribeCommand::Service(args) => service(args, context).await,
    }
}

async fn release(args: ReleaseArgs, context: &Context) -> Result<Outcome, Failure> {
    let service = args.service.resolve()?;
    let path = format!(
        "/describe/release/{}/{service}?count={}",
        args.env, args.count
    );
    let details: Vec<ReleaseDetail> = context.client()?.get(&path).await?;
    let texts: Vec<String> = details.iter().map(release_text).collect();
    Outcome::answer(&details, texts.join("\n\n"))
}

fn release_text(detail: &ReleaseDetail) -> String {
    let release = &detail.release;
    let mut lines = vec![
        format!(
            "{} in {} number {}",
            release.service, release.environment, release.sequence
        ),
        format!(
            "  artifact   {} ({})",
            release.artifact_id, release.artifact
        ),
        format!("  intent     {}", release.intent.word()),
        format!("  by         {}", release.actor),
        format!("  at         {}", release.at),
        format!("  commit     {}", detail.commit),
    ];
    if !release.reason.is_empty() {
        lines.push(format!("  reason     {}", release.reason));
    }
    let approved = release.approved_by.iter();
    lines.extend(approved.map(|actor| format!("  approved   {actor}")));
    if let Some(previous) = &release.previous {
        lines.push(format!("  replaced   {previous}"));
    }
    if let Some(signed) = detail.signed {
        let word = if signed { "good" } else { "BAD" };
        lines.push(format!("  signature  {word}"));
    }
    for outcome in &detail.outcomes {
        lines.push(format!("  {:<10} {}", outcome.site, outcome.phase.word()));
        let causes = outcome.causes.iter();
        lines.extend(causes.map(|cause| format!("             {}", cause_text(cause))));
    }
    for verdict in &detail.verdicts {
        let gate = if verdict.gate { " (gate)" } else { "" };
        lines.push(format!("  check      {}{gate}", verdict_text(verdict)));
    }
    lines.join("\n")
}

async fn artifact(args: ArtifactArgs, context: &Context) -> Result<Outcome, Failure> {
    let client = context.client()?;
    if let Some(id) = args.artifact {
        let record: ArtifactRecord = client
            .get(&format!("/artifacts/{}/{id}", args.service))
            .await?;
        return Outcome::answer(&record, artifact_text(&record));
    }
    let mut rows: Vec<ArtifactSummary> = client
        .get(&format!("/artifacts?service={}", args.service))
        .await?;
    rows.retain(|row| {
        args.branch
            .as_ref()
            .is_none_or(|branch| row.branch == *branch)
    });
    rows.truncate(args.count);
    let text = if rows.is_empty() {
        format!("{} has no artifact", args.service)
    } else {
        table(
            &["DATE", "ARTIFACT", "BRANCH", "AUTHOR", "MESSAGE"],
            rows.iter().map(|row| {
                vec![
                    row.committed_at.to_string(),
                    row.id.to_string(),
                    row.branch.clone(),
                    row.author.clone(),
                    row.message.lines().next().unwrap_or_default().to_owned(),
                ]
            }),
        )
    };
    Outcome::answer(&rows, text)
}

fn artifact_text(record: &ArtifactRecord) -> String {
    let source = &record.source;
    let mut lines = vec![
        format!("{} of {}", record.id, record.service),
        format!("  owner      {}", record.owner),
        format!("  branch     {}", source.branch),
        format!("  commit     {}", source.commit),
        format!("  author     {}", source.author),
        format!(
            "  message    {}",
            source.message.lines().next().unwrap_or_default()
        ),
        format!("  plan       {} {}", record.plan.name, record.plan.hash),
    ];
    let images = record.images.iter();
    lines.extend(images.map(|(container, image)| {
        format!(
            "  image      {container}: {}@{}",
            image.repository, image.digest
        )
    }));
    let stages = record.stages.iter();
    lines.extend(stages.map(|stage| {
        let word = if stage.passed { "passed" } else { "failed" };
        format!("  {:<10} {word} {}", stage.name, stage.summary)
    }));
    let environments: Vec<String> = record.manifests.keys().map(ToString::to_string).collect();
    lines.push(format!("  for        {}", environments.join(", ")));
    lines.join("\n")
}

async fn service(args: ServiceArgs, context: &Context) -> Result<Outcome, Failure> {
    let service = args.service.resolve()?;
    let mut status: Status = context.client()?.get("/status").await?;
    let known: Vec<String> = status
        .services
        .iter()
        .map(|row| row.service.to_string())
        .collect();
    status.services.retain(|row| row.service == service);
    if status.services.is_empty() {
        let failure = Failure::new(
            ExitCode::NotFound,
            format!("service `{service}` has no release"),
        );
        return Err(
            match nearest(service.as_str(), known.iter().map(String::as_str)) {
                Some(near) => failure.hint(format!("did you mean `{near}`?")),
                None => failure.hint("build one with `foreshore run build` in its repository"),
            },
        );
    }
    let texts: Vec<String> = status.services.iter().map(service_text).collect();
    Outcome::answer(&status.services, texts.join("\n\n"))
}

fn service_text(row: &ServiceStatus) -> String {
    let release = &row.release;
    let mut lines = vec![
        format!("{} in {}: {}", row.service, row.environment, row.health()),
        format!(
            "  release    number {} {} by {} at {}",
            release.sequence, release.artifact_id, release.actor.name, release.at
        ),
    ];
    if let Some(hold) = &row.hold {
        lines.push(format!(
            "  hold       {} by {}",
            hold.reason, hold.actor.name
        ));
    }
    let operations = &row.operations;
    for (workload, replicas) in &operations.replicas {
        lines.push(format!("  replicas   {workload} {replicas}"));
    }
    for (workload, bounds) in &operations.bounds {
        lines.push(format!(
            "  bounds     {workload} {}..{}",
            bounds.min, bounds.max
        ));
    }
    for floor in &operations.floors {
        lines.push(format!(
            "  floor      {} at {} from {} until {}",
            floor.workload, floor.replicas, floor.from, floor.until
        ));
    }
    if operations.paused {
        lines.push("  paused".to_owned());
    }
    if row.is_operation_pending() {
        lines.push(format!(
            "  pending    operations number {} are not carried out yet",
            operations.number
        ));
    }
    for outcome in &row.outcomes {
        lines.push(format!(
            "  {:<10} number {} {}",
            outcome.site,
            outcome.sequence,
            outcome.phase.word()
        ));
        let causes = outcome.causes.iter();
        lines.extend(causes.map(|cause| format!("             {}", cause_text(cause))));
    }
    lines.join("\n")
}

/// Show the releases of a service in an environment, newest first
#[derive(Debug, Args)]
pub(crate) struct HistoryArgs {
    #[command(flatten)]
    service: ServiceArg,

    /// Environment
    #[arg(short, long, env = "FORESHORE_ENVIRONMENT", value_name = "NAME")]
    env: EnvironmentName,

    /// How many at most
    #[arg(short, long, default_value_t = 20)]
    count: usize,
}

pub(crate) async fn history(args: HistoryArgs, context: &Context) -> Result<Outcome, Failure> {
    let service = args.service.resolve()?;
    let path = format!("/history/{}/{service}?count={}", args.env, args.count);
    let entries: Vec<HistoryEntry> = context.client()?.get(&path).await?;
    let text = table(
        &["NUMBER", "DATE", "ARTIFACT", "BY", "REASON"],
        entries.iter().map(|entry| {
            vec![
                entry.sequence.to_string(),
                entry.at.to_string(),
                entry.artifact_id.to_string(),
                entry.actor.clone(),
                entry.reason.clone(),
            ]
        }),
    );
    Outcome::answer(&entries, text)
}
