//! `foreshore run`: run an action of the service's plan.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use foreshore_model::ExitCode;
use foreshore_model::api::Info;
use tokio_util::sync::CancellationToken;

use super::roles::stopped_by_signal;
use crate::build::{self, Built, Sources};
use crate::context::Context;
use crate::failure::Failure;
use crate::terminal::{Outcome, table};
use crate::wait::{self, Awaited};

/// Run an action of the service's plan
///
/// `build` builds the service, packs it into an image, renders its manifests
/// for every environment, and pushes image and artifact. Other actions are run
/// as the plan says; their exit code is passed through. Without an action,
/// lists what there is.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// Action to run
    action: Option<String>,

    /// Directory of the service
    #[arg(short = 'C', long, default_value = ".", value_name = "DIR")]
    directory: PathBuf,

    /// Branch the source is on, where git cannot tell
    #[arg(long, value_name = "NAME")]
    branch: Option<String>,

    /// Follow the releases that policies make of it
    #[arg(long)]
    wait: bool,

    /// How long to follow them
    #[arg(long, default_value = "5m", value_parser = wait::duration, value_name = "DURATION")]
    timeout: Duration,
}

pub(crate) async fn run(args: RunArgs, context: &Context) -> Result<Outcome, Failure> {
    let sources = Sources::read(&args.directory)?;
    match args.action.as_deref() {
        None => list(&sources),
        Some("build") => run_build(&sources, &args, context).await,
        Some(action) => run_other(&sources, action).await,
    }
}

fn list(sources: &Sources) -> Result<Outcome, Failure> {
    let actions = &sources.plan.file.actions;
    let rows = actions
        .iter()
        .map(|(name, action)| vec![name.clone(), action.description.clone()]);
    Outcome::answer(actions, table(&["ACTION", "DESCRIPTION"], rows))
}

async fn run_build(
    sources: &Sources,
    args: &RunArgs,
    context: &Context,
) -> Result<Outcome, Failure> {
    let source = sources.source(args.branch.as_deref())?;
    let client = context.client()?;
    // Asked first: a build is long, and pointless without a registry.
    let info: Info = client.get("/info").await?;
    let (program, ended) =
        interruptible(|cancelled| build::build(sources, environment(), cancelled)).await?;
    if ended.code != 0 {
        return Ok(Outcome::with_status(ended.code));
    }
    context.terminal.say(&format!(
        "built {} in {}",
        sources.service.name,
        build::seconds(ended.elapsed)
    ));
    let built = build::pack_and_push(
        sources,
        source,
        &program,
        &client,
        &info.registry,
        &context.terminal,
    )
    .await?;
    context.terminal.say(&words(&built));
    if args.wait {
        let awaited: Vec<Awaited> = built
            .arrival
            .released
            .iter()
            .map(|release| Awaited {
                service: release.service.clone(),
                environment: release.environment.clone(),
                sequence: Some(release.sequence),
            })
            .collect();
        return wait::until_settled(&client, &awaited, args.timeout, context).await;
    }
    Outcome::answer(&built, built.id.to_string())
}

async fn run_other(sources: &Sources, action: &str) -> Result<Outcome, Failure> {
    let command = foreshore_render::command(&sources.plan, action, &sources.service, &sources.host)
        .map_err(|error| {
            let names: Vec<&str> = sources
                .plan
                .file
                .actions
                .keys()
                .map(String::as_str)
                .collect();
            Failure::from_error(ExitCode::Usage, &error)
                .hint(format!("actions of this plan: {}", names.join(", ")))
        })?;
    let options = foreshore_action::Options {
        directory: sources.directory.clone(),
        environment: environment(),
        output_to_stderr: false,
    };
    let ended = interruptible(|cancelled| async move {
        foreshore_action::run(&command, &options, cancelled)
            .await
            .map_err(|error| build::action_failure(&error))
    })
    .await?;
    Ok(Outcome::with_status(ended.code))
}

/// Runs something that is to end cleanly when the person presses Ctrl-C.
async fn interruptible<T, F: Future<Output = Result<T, Failure>>>(
    work: impl FnOnce(CancellationToken) -> F,
) -> Result<T, Failure> {
    let cancelled = CancellationToken::new();
    let signals = tokio::spawn(stopped_by_signal(cancelled.clone()));
    let result = work(cancelled).await;
    signals.abort();
    result
}

pub(crate) fn environment() -> BTreeMap<String, String> {
    std::env::vars().collect()
}

fn words(built: &Built) -> String {
    let mut lines = vec![if built.reused {
        format!("artifact {} is in the registry already", built.id)
    } else {
        format!("artifact {} ({})", built.id, built.digest.short())
    }];
    for release in &built.arrival.released {
        lines.push(format!(
            "released to {} as number {}",
            release.environment, release.sequence
        ));
    }
    for withheld in &built.arrival.withheld {
        lines.push(format!(
            "not released to {}: {}",
            withheld.environment, withheld.reason
        ));
    }
    lines.join("\n")
}
