//! `foreshore demo`: break the sample in ways that happen in life, look, and mend it.

use std::time::Duration;

use clap::{Args, Subcommand};
use foreshore_cluster::{Client as Cluster, connect};
use foreshore_model::api::{
    ArrivalAnswer, ArrivalRequest, Info, ReleaseAnswer, ReleaseRequest, Selection, ServiceStatus,
    Status,
};
use foreshore_model::{
    ArtifactRecord, EnvironmentName, ExitCode, ReleaseFile, ServiceName, clock, nearest,
};
use foreshore_server::platform::Record;
use serde::Serialize;

use crate::build::{fetch_failure, registry_client};
use crate::client::Client;
use crate::context::Context;
use crate::demo::{ChangeError, Damage, Fault, MARK, MachineError, Road, broken};
use crate::failure::Failure;
use crate::terminal::{Outcome, table};
use crate::wait::{self, Awaited};

/// Break the sample in ways that happen in life, and mend it
#[derive(Debug, Subcommand)]
pub(crate) enum DemoCommand {
    /// List what can be broken
    List,
    Break(BreakArgs),
    Mend(MendArgs),
}

/// Break the sample, and say where to look and what mends it
///
/// A mistake of a team is released as one: pushed, released by policy, applied
/// by the agent. What happens to machines is done to this one.
#[derive(Debug, Args)]
pub(crate) struct BreakArgs {
    /// What to break; `foreshore demo list` shows what there is
    fault: String,

    #[command(flatten)]
    place: Place,
}

/// Undo what `demo break` did, and wait until the sample is healthy
#[derive(Debug, Args)]
pub(crate) struct MendArgs {
    #[command(flatten)]
    place: Place,

    /// How long to wait
    #[arg(long, default_value = "2m", value_parser = wait::duration, value_name = "DURATION")]
    timeout: Duration,
}

#[derive(Debug, Args)]
struct Place {
    /// Service to break
    #[arg(long, default_value = "api", value_name = "NAME")]
    service: ServiceName,

    /// Environment to break it in
    #[arg(
        short,
        long,
        env = "FORESHORE_ENVIRONMENT",
        default_value = "dev",
        value_name = "NAME"
    )]
    env: EnvironmentName,
}

/// What was broken.
#[derive(Debug, Serialize)]
struct Broken {
    fault: Fault,
    service: ServiceName,
    environment: EnvironmentName,
    /// The release that carries it; none for what happened to the machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    release: Option<ReleaseFile>,
    /// The reason by which it is known.
    shows: &'static str,
    look: Vec<String>,
    mend: Vec<String>,
}

pub(crate) async fn run(command: DemoCommand, context: &Context) -> Result<Outcome, Failure> {
    match command {
        DemoCommand::List => list(),
        DemoCommand::Break(args) => break_it(args, context).await,
        DemoCommand::Mend(args) => mend(args, context).await,
    }
}

fn list() -> Result<Outcome, Failure> {
    #[derive(Serialize)]
    struct Row {
        name: &'static str,
        deed: &'static str,
        shows: &'static str,
    }
    let rows = Fault::ALL.map(|fault| Row {
        name: fault.name(),
        deed: fault.deed(),
        shows: fault.shows(),
    });
    let text = table(
        &["NAME", "WHAT HAPPENS", "KNOWN BY"],
        rows.iter()
            .map(|row| [row.name, row.deed, row.shows].map(str::to_owned).to_vec()),
    );
    Outcome::answer(&rows, text)
}

async fn break_it(args: BreakArgs, context: &Context) -> Result<Outcome, Failure> {
    let fault = find(&args.fault)?;
    let Place { service, env } = args.place;
    let client = context.client()?;
    let release = match fault.road() {
        Road::Release => Some(release(fault, &service, &env, &client).await?),
        Road::Machine => {
            accident(fault, &service, &env, &client, context).await?;
            None
        }
    };
    let broken = Broken {
        look: fault.look(service.as_str(), env.as_str()),
        mend: fault.mend(service.as_str(), env.as_str()),
        shows: fault.shows(),
        fault,
        service,
        environment: env,
        release,
    };
    Outcome::answer(&broken, text(&broken))
}

fn text(broken: &Broken) -> String {
    let mut lines = vec![match &broken.release {
        Some(release) => format!(
            "{}: {} is release number {} of {} in {}",
            broken.fault.name(),
            release.artifact_id,
            release.sequence,
            broken.service,
            broken.environment
        ),
        None => format!(
            "{}: {}, under {} in {}",
            broken.fault.name(),
            broken.fault.deed(),
            broken.service,
            broken.environment
        ),
    }];
    lines.push(format!(
        "in a moment it is known by {}; look:",
        broken.shows
    ));
    lines.extend(broken.look.iter().map(|line| format!("  {line}")));
    lines.push("mend it by hand, or with `foreshore demo mend`:".to_owned());
    lines.extend(broken.mend.iter().map(|line| format!("  {line}")));
    lines.join("\n")
}

fn find(name: &str) -> Result<Fault, Failure> {
    Fault::find(name).ok_or_else(|| {
        let failure = Failure::new(ExitCode::NotFound, format!("there is no fault `{name}`"));
        match nearest(name, Fault::ALL.into_iter().map(Fault::name)) {
            Some(near) => failure.hint(format!("did you mean `foreshore demo break {near}`?")),
            None => failure.hint("`foreshore demo list` shows what there is"),
        }
    })
}

/// Pushes the mistake; the policy of the environment releases it.
async fn release(
    fault: Fault,
    service: &ServiceName,
    environment: &EnvironmentName,
    client: &Client,
) -> Result<ReleaseFile, Failure> {
    let row = row(service, environment, client).await?;
    let path = format!("/artifacts/{service}/{}", row.release.artifact_id);
    let good: ArtifactRecord = client.get(&path).await?;
    if good.source.message.starts_with(MARK) {
        return Err(Failure::new(
            ExitCode::Conflict,
            format!(
                "{service} in {environment} is broken already: {}",
                good.source.message
            ),
        )
        .hint("`foreshore demo mend` undoes it"));
    }
    let unique = ulid::Ulid::generate().to_string();
    // The end of it is drawn by chance; the start is the time.
    let unique = &unique[unique.len() - 10..];
    let record = broken(&good, environment, fault, unique, clock::now())
        .map_err(|error| explain_change(&error))?;
    let info: Info = client.get("/info").await?;
    let registry = registry_client(&info.registry, client)?;
    let pushed = foreshore_artifact::push(&registry, &record)
        .await
        .map_err(|error| Failure::from_error(ExitCode::Failed, &error))?;
    let request = ArrivalRequest {
        service: service.clone(),
        digest: pushed.digest().clone(),
    };
    let arrival: ArrivalAnswer = client.post("/arrivals", &request).await?;
    let mut released = arrival.released.into_iter();
    if let Some(release) = released.find(|release| release.environment == *environment) {
        return Ok(release);
    }
    let withheld = arrival
        .withheld
        .into_iter()
        .find(|withheld| withheld.environment == *environment);
    Err(match withheld {
        Some(withheld) => Failure::new(
            ExitCode::Refused,
            format!("{environment} did not take it: {}", withheld.reason),
        )
        .hint(format!(
            "`foreshore hold {service} -e {environment} --lift` lets releases in again"
        )),
        None => Failure::new(
            ExitCode::Refused,
            format!("no policy releases {service} to {environment} by itself"),
        )
        .hint("break it in dev, which follows its branch"),
    })
}

fn explain_change(error: &ChangeError) -> Failure {
    let failure = Failure::from_error(ExitCode::Refused, error);
    match error {
        ChangeError::NoContainer { .. } => {
            failure.hint("only services that run as a Deployment can be broken so")
        }
        ChangeError::NoEnvironment { .. }
        | ChangeError::Read { .. }
        | ChangeError::Write { .. } => failure,
    }
}

async fn row(
    service: &ServiceName,
    environment: &EnvironmentName,
    client: &Client,
) -> Result<ServiceStatus, Failure> {
    let status: Status = client.get("/status").await?;
    let row = status
        .services
        .into_iter()
        .find(|row| row.service == *service && row.environment == *environment);
    row.ok_or_else(|| {
        Failure::new(
            ExitCode::NotFound,
            format!("service `{service}` has no release in {environment} that could be broken"),
        )
        .hint("in a checkout of Foreshore: `foreshore run build -C apps/api`")
    })
}

/// The embedded engine of the platform that runs from the data directory.
async fn embedded(context: &Context, what: &str) -> Result<Cluster, Failure> {
    let failed = |error: &dyn std::error::Error| Failure::from_error(ExitCode::Failed, error);
    let record = Record::read(&context.data()?).map_err(|error| failed(&error))?;
    let kubeconfig = record
        .filter(Record::is_embedded)
        .and_then(|record| record.kubeconfig);
    let Some(kubeconfig) = kubeconfig else {
        return Err(Failure::new(
            ExitCode::Refused,
            format!("{what} only on the embedded engine: this is not done to a cluster of yours"),
        )
        .hint("start one with `foreshore up`"));
    };
    connect(&kubeconfig, None)
        .await
        .map_err(|error| Failure::from_error(ExitCode::Unreachable, &error))
}

async fn accident(
    fault: Fault,
    service: &ServiceName,
    environment: &EnvironmentName,
    client: &Client,
    context: &Context,
) -> Result<(), Failure> {
    row(service, environment, client).await?;
    let data = context.data()?;
    let cluster = embedded(context, "machines are broken").await?;
    let mut damage = Damage::read(&data).map_err(|error| explain_machine(&error))?;
    let place = (environment.as_str(), service.as_str());
    let done = if fault == Fault::Node {
        damage.lose_node(&cluster, &data, place).await
    } else {
        damage.lose_database(&cluster, &data, place).await
    };
    done.map_err(|error| explain_machine(&error))
}

fn explain_machine(error: &MachineError) -> Failure {
    match error {
        MachineError::NoPod { .. } | MachineError::NoDatabase { .. } => {
            Failure::from_error(ExitCode::NotFound, error)
                .hint("`foreshore status --wait` shows whether it runs")
        }
        MachineError::Format { path, .. } => Failure::from_error(ExitCode::Failed, error)
            .hint(format!("remove `{}` and look with kubectl", path.display())),
        MachineError::File { .. } | MachineError::Cluster { .. } => {
            Failure::from_error(ExitCode::Failed, error)
        }
    }
}

async fn mend(args: MendArgs, context: &Context) -> Result<Outcome, Failure> {
    let Place { service, env } = args.place;
    let client = context.client()?;
    let data = context.data()?;
    let mut damage = Damage::read(&data).map_err(|error| explain_machine(&error))?;
    let mut done = Vec::new();
    if damage != Damage::default() {
        let cluster = embedded(context, "machines are mended").await?;
        let undone = damage.mend(&cluster, &data).await;
        done.extend(undone.map_err(|error| explain_machine(&error))?);
    }
    done.extend(bring_back(&service, &env, &client).await?);
    if done.is_empty() {
        context
            .terminal
            .say(&format!("nothing was broken in {service} in {env}"));
    }
    for line in done {
        context.terminal.say(&line);
    }
    let awaited = Awaited {
        service,
        environment: env,
        sequence: None,
    };
    wait::until_settled(&client, &[awaited], args.timeout, context).await
}

/// Rolls back a release that was made here, and lifts the hold which that sets.
async fn bring_back(
    service: &ServiceName,
    environment: &EnvironmentName,
    client: &Client,
) -> Result<Option<String>, Failure> {
    let row = row(service, environment, client).await?;
    let info: Info = client.get("/info").await?;
    let registry = registry_client(&info.registry, client)?;
    let id = row.release.artifact_id.as_str();
    let fetched = foreshore_artifact::fetch(&registry, service, id)
        .await
        .map_err(|error| fetch_failure(&error, service))?;
    if !fetched.record.source.message.starts_with(MARK) {
        return Ok(None);
    }
    let request = ReleaseRequest {
        service: service.clone(),
        environment: environment.clone(),
        selection: Selection::LastVerified,
        reason: "demo: mended".to_owned(),
        idempotency_key: ulid::Ulid::generate().to_string(),
        expected: Some(row.release.artifact),
        hold: false,
        dry_run: false,
    };
    let answer: ReleaseAnswer = client.post("/releases", &request).await?;
    match answer {
        ReleaseAnswer::Committed { release, .. } => Ok(Some(format!(
            "{} is release number {} of {service} in {environment}",
            release.artifact_id, release.sequence
        ))),
        ReleaseAnswer::Requested { request, needed } => Err(Failure::new(
            ExitCode::Refused,
            format!(
                "the rollback waits for {needed} approvals as request {}",
                request.id
            ),
        )
        .hint(format!("`foreshore --as reviewer approve {}`", request.id))),
        ReleaseAnswer::Unchanged { .. } | ReleaseAnswer::Steps { .. } => Ok(None),
    }
}
