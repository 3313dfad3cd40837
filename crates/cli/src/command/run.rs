//! `foreshore run`: run an action of the service's plan.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use foreshore_action::{Finished, Input, Output, Stop};
use foreshore_model::api::Info;
use foreshore_model::{EnvironmentName, ExitCode, ServiceName};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::build_args::{BuildArgs, prepare, run_actions};
use super::get::ProjectArgs;
use crate::build::{self, Built, Jailed, Sources, Surroundings, Target, perform};
use crate::client::Client;
use crate::context::Context;
use crate::failure::Failure;
use crate::project::{Kind, Project, run_script};
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

    /// Arguments of the action, `--name value`
    #[arg(
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "ARGUMENT"
    )]
    words: Vec<String>,

    /// List the actions and stop
    #[arg(long)]
    list: bool,

    /// Write how each action went, as `JUnit` does
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,

    #[command(flatten)]
    project: ProjectArgs,

    #[command(flatten)]
    build: BuildArgs,

    /// Follow the releases that policies make of it
    #[arg(long)]
    wait: bool,

    /// How long to follow them
    #[arg(long, default_value = "5m", value_parser = wait::duration, value_name = "DURATION")]
    timeout: Duration,
}

pub(crate) async fn run(args: RunArgs, context: &Context) -> Result<Outcome, Failure> {
    let project = Project::read(args.project.directory.as_deref())?;
    if matches!(project.kind, Kind::Shuttle(_)) {
        return run_shuttle(&project, &args).await;
    }
    let sources = Sources::overloaded(&project.directory, args.project.plan.as_deref()).await?;
    match args.action.as_deref().filter(|_| !args.list) {
        None => list(&sources),
        Some("build") => run_build(&sources, &args, context).await,
        Some(action) => run_other(&sources, action, &args, context).await,
    }
}

fn list(sources: &Sources) -> Result<Outcome, Failure> {
    let actions = &sources.plan.file.actions;
    let rows = actions
        .iter()
        .map(|(name, action)| vec![name.clone(), action.description.clone()]);
    Outcome::answer(actions, table(&["ACTION", "DESCRIPTION"], rows))
}

/// Runs a script of a project that shuttle describes.
async fn run_shuttle(project: &Project, args: &RunArgs) -> Result<Outcome, Failure> {
    let plan = project
        .shuttle_plan(args.project.plan.as_deref(), false)
        .await?;
    let Some(script) = args.action.as_deref().filter(|_| !args.list) else {
        let scripts = project.scripts(&plan);
        let rows = scripts
            .iter()
            .map(|(name, script)| vec![name.clone(), script.description.clone()]);
        return Outcome::answer(&scripts, table(&["SCRIPT", "DESCRIPTION"], rows));
    };
    if args.build.jail.chosen(&environment()) == Jailed::Always {
        return Err(Failure::usage("scripts of shuttle cannot be jailed").hint(
            "they may reach what their user may; actions of `foreshore.yaml` can be jailed",
        ));
    }
    let code = interruptible(|stop| {
        run_script(
            project,
            &plan,
            script,
            &args.words,
            environment(),
            input(),
            stop,
        )
    })
    .await?;
    Ok(Outcome::with_status(code))
}

/// What an action may read: the terminal, if there is one, or what is piped in.
fn input() -> Input {
    if std::io::stdin().is_terminal() {
        Input::Terminal
    } else {
        Input::Inherit
    }
}

/// Explain what one replica of a service may use
#[derive(Debug, Args)]
pub(crate) struct ResourcesArgs {
    /// Directory of the service
    #[arg(short = 'C', long, default_value = ".", value_name = "DIR")]
    directory: PathBuf,

    /// Environment; all of them, if none is named
    #[arg(short, long, env = "FORESHORE_ENVIRONMENT", value_name = "NAME")]
    env: Option<EnvironmentName>,
}

pub(crate) async fn explain_resources(args: &ResourcesArgs) -> Result<Outcome, Failure> {
    let sources = Sources::read(&args.directory).await?;
    // What could not be rendered is told here too, with its place.
    foreshore_render::environments(&sources.plan, &sources.service, "the-image", "the-version")
        .map_err(|error| sources.explain(&error))?;
    let known = &sources.service.environments;
    if let Some(environment) = args
        .env
        .as_ref()
        .filter(|environment| !known.contains_key(environment))
    {
        let near = foreshore_model::nearest(
            environment.as_str(),
            known.keys().map(EnvironmentName::as_str),
        );
        let near = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
        return Err(Failure::new(
            ExitCode::NotFound,
            format!(
                "{} has no environment `{environment}`{near}",
                sources.service.name
            ),
        ));
    }
    let mut chosen = BTreeMap::new();
    let mut rows = Vec::new();
    for environment in known
        .keys()
        .filter(|name| args.env.as_ref().is_none_or(|env| env == *name))
    {
        let choices =
            foreshore_render::resources(&sources.service, &sources.plan.file, environment)
                .map_err(|error| sources.explain(&error))?;
        rows.extend(choices.iter().map(|choice| {
            vec![
                environment.to_string(),
                choice.name.to_owned(),
                choice.value.clone(),
                choice.origin.clone(),
                choice.meaning.to_owned(),
            ]
        }));
        chosen.insert(environment.clone(), choices);
    }
    let text = table(&["ENVIRONMENT", "WHAT", "VALUE", "FROM", "MEANING"], rows);
    Outcome::answer(&chosen, text)
}

async fn run_build(
    sources: &Sources,
    args: &RunArgs,
    context: &Context,
) -> Result<Outcome, Failure> {
    let source = sources.source(args.build.branch.as_deref())?;
    let client = context.client()?;
    // Asked first: a build is long, and pointless without a registry.
    let info: Info = client.get("/info").await?;
    let before = build::built_before(sources, &source, &client, &info.registry).await?;
    let built = if let Some(built) = before {
        report(args, &sources.service.name, &[])?;
        built
    } else {
        let ran = run_actions(sources, &args.build, context).await?;
        report(args, &sources.service.name, &ran.steps)?;
        let Some(made) = ran.made else {
            return Ok(Outcome::with_status(ran.code));
        };
        let target = Target {
            registry: &info.registry,
            token: client.token(),
        };
        let prepared = prepare(sources, source, made, target, context).await?;
        build::push(prepared, &client, &info.registry, &context.terminal).await?
    };
    context.terminal.say(&words(&built));
    if args.wait {
        return follow(&built, args.timeout, &client, context).await;
    }
    Outcome::answer(&built, built.id.to_string())
}

async fn follow(
    built: &Built,
    timeout: Duration,
    client: &Client,
    context: &Context,
) -> Result<Outcome, Failure> {
    let released = built.arrival.released.iter();
    let awaited: Vec<Awaited> = released
        .map(|release| Awaited {
            service: release.service.clone(),
            environment: release.environment.clone(),
            sequence: Some(release.sequence),
        })
        .collect();
    wait::until_settled(client, &awaited, timeout, context).await
}

async fn run_other(
    sources: &Sources,
    action: &str,
    args: &RunArgs,
    context: &Context,
) -> Result<Outcome, Failure> {
    let environment = environment();
    let surroundings = Surroundings {
        jail: args.build.jail.chosen(&environment),
        environment,
        output: Output::Inherit,
        input: input(),
    };
    let performed = interruptible(|stop| {
        perform(
            sources,
            action,
            &args.words,
            surroundings,
            &context.terminal,
            stop,
        )
    })
    .await?;
    report(args, &sources.service.name, &performed.steps)?;
    Ok(Outcome::with_status(performed.code()))
}

/// Writes what CI systems read.
fn report(args: &RunArgs, service: &ServiceName, steps: &[Finished]) -> Result<(), Failure> {
    let Some(path) = &args.junit else {
        return Ok(());
    };
    let text = foreshore_action::junit(service.as_str(), steps);
    std::fs::write(path, text).map_err(|error| {
        Failure::new(
            ExitCode::Failed,
            format!("cannot write `{}`: {error}", path.display()),
        )
    })
}

/// Runs something that is to end cleanly when the person presses Ctrl-C or the system ends this process.
pub(crate) async fn interruptible<T, F: Future<Output = Result<T, Failure>>>(
    work: impl FnOnce(Stop) -> F,
) -> Result<T, Failure> {
    // Before anything is started, so that no signal ends this process alone.
    let (interrupt, terminate) = (
        listen(SignalKind::interrupt())?,
        listen(SignalKind::terminate())?,
    );
    let stop = Stop::default();
    let heard = tokio::spawn(hear(interrupt, terminate, stop.clone()));
    let result = work(stop).await;
    heard.abort();
    result
}

fn listen(kind: SignalKind) -> Result<Signal, Failure> {
    signal(kind).map_err(|error| {
        Failure::new(
            ExitCode::Failed,
            format!("cannot wait for signals: {error}"),
        )
    })
}

async fn hear(mut interrupt: Signal, mut terminate: Signal, stop: Stop) {
    loop {
        tokio::select! {
            _ = interrupt.recv() => stop.interrupted.cancel(),
            _ = terminate.recv() => stop.terminated.cancel(),
        }
    }
}

pub(crate) fn environment() -> BTreeMap<String, String> {
    std::env::vars().collect()
}

pub(crate) fn words(built: &Built) -> String {
    let mut lines = vec![if built.reused {
        format!(
            "artifact {} is in the registry already, nothing is built twice",
            built.id
        )
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
