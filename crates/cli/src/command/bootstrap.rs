//! `foreshore bootstrap`: brings everything back on an empty cluster, from git.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use foreshore_git::Signer;
use foreshore_model::api::Status;
use foreshore_model::{EnvironmentName, ExitCode, Outcome as Told, Phase, ServiceName, SiteName};
use foreshore_server::{credentials, roles};
use serde::Serialize;
use tokio::sync::broadcast::{self, error::RecvError};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::supply_args::SupplyArgs;
use crate::context::Context;
use crate::failure::Failure;
use crate::terminal::Outcome;
use crate::wait;

/// The most services that are named when not all are back.
const NAMED_MAX: usize = 5;

/// Bring every service of an environment back on an empty cluster
///
/// Runs an agent until everything that git says is healthy in this cluster,
/// and ends. Nothing of the old cluster is needed.
#[derive(Debug, Args)]
pub(crate) struct BootstrapArgs {
    /// Kubeconfig of the cluster
    #[arg(long, value_name = "FILE")]
    kubeconfig: PathBuf,

    /// Context of the kubeconfig, instead of its current one
    #[arg(long, value_name = "NAME")]
    context: Option<String>,

    /// Address of the config repository, instead of the server's own
    #[arg(long, value_name = "URL")]
    config_repo: Option<String>,

    /// Environment to bring back (can be repeated)
    #[arg(
        long = "environment",
        env = "FORESHORE_ENVIRONMENT",
        required = true,
        value_name = "NAME"
    )]
    environments: Vec<EnvironmentName>,

    /// Key that opens sealed secrets (age), instead of that of the agent in the data directory
    #[arg(long, value_name = "FILE")]
    secret_key: Option<PathBuf>,

    #[command(flatten)]
    supply: SupplyArgs,

    /// Key that signs commits of the config repository, as the server names it (can be repeated); commits of others are not taken
    #[arg(long = "trusted-signer", value_name = "KEY")]
    signers: Vec<Signer>,

    /// Which cluster of its environments this is
    #[arg(long, default_value = "local", value_name = "NAME")]
    site: SiteName,

    /// How long it may take
    #[arg(long, default_value = "15m", value_parser = wait::duration, value_name = "DURATION")]
    timeout: Duration,
}

/// What was brought back.
#[derive(Debug, Serialize)]
struct Rebuilt {
    services: Vec<String>,
    seconds: f64,
}

pub(crate) async fn run(args: BootstrapArgs, context: &Context) -> Result<Outcome, Failure> {
    let client = context.client()?;
    // The agent's own token reports; a person's may not.
    let agent = credentials::read(&context.data()?, credentials::AGENT);
    let credential = match agent {
        Some(credential) => credential,
        None => context.credential()?,
    };
    let started = Instant::now();
    let before: Status = client.get("/status").await?;
    let wanted = wanted(&before, &args.environments);
    if wanted.is_empty() {
        return Err(Failure::new(
            ExitCode::NotFound,
            "no service is released in these environments",
        )
        .hint("`foreshore status` shows what is released where"));
    }
    let shutdown = CancellationToken::new();
    // What was sealed for the old cluster's agent has to be opened for the new cluster.
    let secret_key = if let Some(path) = args.secret_key {
        path
    } else {
        let data = context.data()?;
        credentials::agent_key(&data)
            .map_err(|error| Failure::from_error(ExitCode::Failed, &error))?;
        credentials::directory(&data).join("agent.agekey")
    };
    let options = roles::AgentOptions {
        data: context.data()?.join("bootstrap"),
        kubeconfig: Some(args.kubeconfig),
        context: args.context,
        in_cluster: false,
        config_repository: args
            .config_repo
            .unwrap_or_else(|| format!("{}/git/config.git", credential.server)),
        server: credential.server,
        token: credential.token,
        environments: args.environments.clone(),
        site: args.site.clone(),
        // Verdicts on these bytes are known to the server; the agent that stays makes new ones.
        checks: roles::CheckPlace::outside(),
        secret_key: Some(secret_key),
        supply: args.supply.into(),
        signers: args.signers,
    };
    let (agent, handle) = roles::prepare_agent(options)
        .await
        .map_err(|error| Failure::from_error(error.exit_code(), &error))?;
    let heard = handle.outcomes();
    let mut agent = tokio::spawn(agent.run(shutdown.clone()));
    let mut missing = missing(&before, &args.environments);
    let limit = tokio::time::timeout(args.timeout, all_back(heard, &mut missing));
    let ended = tokio::select! {
        back = limit => back.is_ok(),
        ended = &mut agent => {
            ended.map_err(|error| Failure::new(ExitCode::Bug, error.to_string()))?;
            false
        }
    };
    if !ended {
        return Err(not_back(&missing, args.timeout));
    }
    shutdown.cancel();
    // It has told all it had to tell; how it ends changes nothing.
    drop(agent.await);
    let rebuilt = Rebuilt {
        services: wanted,
        seconds: started.elapsed().as_secs_f64(),
    };
    let text = format!(
        "{} services are back and healthy after {:.1} s",
        rebuilt.services.len(),
        rebuilt.seconds
    );
    Outcome::answer(&rebuilt, text)
}

fn wanted(status: &Status, environments: &[EnvironmentName]) -> Vec<String> {
    let rows = status.services.iter();
    rows.filter(|row| environments.contains(&row.environment))
        .map(|row| format!("{}/{}", row.environment, row.service))
        .collect()
}

/// A service that is not back yet: the release it is to have, and why it has not.
#[derive(Debug)]
struct Missing {
    sequence: u64,
    why: Option<String>,
}

type Waiting = BTreeMap<(EnvironmentName, ServiceName), Missing>;

fn missing(status: &Status, environments: &[EnvironmentName]) -> Waiting {
    let rows = status.services.iter();
    rows.filter(|row| environments.contains(&row.environment))
        .map(|row| {
            let key = (row.environment.clone(), row.service.clone());
            let missing = Missing {
                sequence: row.release.sequence,
                why: None,
            };
            (key, missing)
        })
        .collect()
}

/// Waits for the agent's own word that every service is well.
async fn all_back(mut heard: broadcast::Receiver<Told>, missing: &mut Waiting) {
    while !missing.is_empty() {
        match heard.recv().await {
            Ok(told) => hear(&told, missing),
            // More was said than could be kept: what is well says so again when it changes.
            Err(RecvError::Lagged(count)) => warn!(count, "outcomes missed"),
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
}

fn hear(told: &Told, missing: &mut Waiting) {
    let key = (told.environment.clone(), told.service.clone());
    let Some(known) = missing.get_mut(&key) else {
        return;
    };
    if told.sequence >= known.sequence && told.phase == Phase::Healthy {
        missing.remove(&key);
        return;
    }
    let cause = told.causes.first();
    known.why = cause.map(|cause| format!("{}: {}", cause.object, cause.message));
}

fn not_back(missing: &Waiting, timeout: Duration) -> Failure {
    let named = missing.iter().take(NAMED_MAX);
    let named: Vec<String> = named
        .map(|((environment, service), known)| {
            let why = known.why.as_deref().unwrap_or("nothing was heard of it");
            format!("{environment}/{service} ({why})")
        })
        .collect();
    Failure::new(
        ExitCode::TimedOut,
        format!(
            "{} services are not back after {timeout:?}: {}",
            missing.len(),
            named.join(", ")
        ),
    )
    .hint("run it again: it goes on where it was; while another agent leads there, this one only stands by")
}
