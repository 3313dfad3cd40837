//! `foreshore up`: start the platform.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use clap::Args;
use foreshore_model::ExitCode;
use foreshore_server::platform::{self, GroundChoice, Platform, Record, WantedPorts};
use tokio_util::sync::CancellationToken;

use super::roles::{RuntimeArg, stopped_by_signal};
use super::samples;
use crate::context::Context;
use crate::failure::Failure;
use crate::terminal::Outcome;

/// A start takes about a second; a machine under load gets time.
const START_LIMIT: Duration = Duration::from_secs(90);
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Start the platform
///
/// Starts an embedded Kubernetes API with a node, config repository, registry,
/// server, agent and status page, with the environments dev and prod. In a
/// checkout of Foreshore it also builds and releases the sample services.
/// With `--context` the same runs on a cluster you have.
#[derive(Debug, Args)]
pub(crate) struct UpArgs {
    /// Return as soon as the platform answers, and leave it running
    #[arg(long)]
    detach: bool,

    /// Use the cluster of this kubeconfig context instead of the embedded one
    #[arg(long, value_name = "NAME")]
    context: Option<String>,

    /// Kubeconfig that holds the context, instead of the usual one
    #[arg(long, value_name = "FILE", requires = "context")]
    kubeconfig: Option<PathBuf>,

    /// Network in which services of that cluster answer, to check releases from: a pinned network namespace, or `host`
    #[arg(long, value_name = "FILE", requires = "context")]
    cluster_network: Option<PathBuf>,

    /// How pods are run, instead of the best this machine can do
    #[arg(long, value_enum, conflicts_with = "context")]
    runtime: Option<RuntimeArg>,

    /// Port of status page, API and registry; 0 for any
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,

    /// Port where users reach services; 0 for any
    #[arg(long, value_name = "PORT")]
    ingress_port: Option<u16>,

    /// Port of the embedded Kubernetes API; 0 for any
    #[arg(long, value_name = "PORT")]
    api_port: Option<u16>,

    /// Do not build the sample services
    #[arg(long)]
    no_samples: bool,
}

pub(crate) async fn run(args: UpArgs, context: &Context) -> Result<Outcome, Failure> {
    let data = context.data()?;
    if let Some(record) = running(&data)? {
        context.terminal.say("the platform runs already");
        return answer(&record);
    }
    if args.detach {
        return detach(&data, context).await;
    }
    let shutdown = CancellationToken::new();
    let options = platform::Options {
        data: data.clone(),
        ports: WantedPorts {
            server: args.port,
            ingress: args.ingress_port,
            api: args.api_port,
        },
        ground: match args.context {
            Some(name) => GroundChoice::Cluster {
                kubeconfig: args.kubeconfig,
                network: args.cluster_network,
                context: name,
            },
            None => GroundChoice::Embedded {
                runtime: args.runtime.map(RuntimeArg::kind),
            },
        },
        program: std::env::current_exe().map_err(|error| {
            Failure::new(
                ExitCode::Failed,
                format!("cannot find this program: {error}"),
            )
        })?,
    };
    let stopped = tokio::spawn(stopped_by_signal(shutdown.clone()));
    let terminal = context.terminal.clone();
    let platform = Platform::start(options, shutdown.clone(), move |line| terminal.say(line))
        .await
        .map_err(|error| explain(&error))?;
    let record = platform.record().clone();
    context.terminal.say(&welcome(&record));
    let building = match (args.no_samples, samples::checkout()) {
        (false, Some(root)) => Some(tokio::spawn(samples::release(
            root,
            data.clone(),
            record.url.clone(),
            context.terminal.clone(),
        ))),
        _ => None,
    };
    let ended = platform.wait().await;
    stopped.abort();
    if let Some(building) = building {
        building.abort();
    }
    ended.map_err(|error| explain(&error))?;
    Ok(Outcome::done())
}

fn running(data: &Path) -> Result<Option<Record>, Failure> {
    let failed = |error: platform::RecordError| Failure::from_error(ExitCode::Failed, &error);
    let Some(record) = Record::read(data).map_err(failed)? else {
        return Ok(None);
    };
    Ok(record.process().map_err(failed)?.map(|_| record))
}

/// Starts this program again, without its terminal, and waits until it answers.
async fn detach(data: &Path, context: &Context) -> Result<Outcome, Failure> {
    let failed = |what: String| Failure::new(ExitCode::Failed, what);
    std::fs::create_dir_all(data)
        .map_err(|error| failed(format!("cannot make `{}`: {error}", data.display())))?;
    let log = data.join("platform.log");
    let file = File::create(&log)
        .map_err(|error| failed(format!("cannot write `{}`: {error}", log.display())))?;
    let copy = file
        .try_clone()
        .map_err(|error| failed(format!("cannot write `{}`: {error}", log.display())))?;
    let program = std::env::current_exe()
        .map_err(|error| failed(format!("cannot find this program: {error}")))?;
    let mut command = Command::new(program);
    command
        .args(
            std::env::args_os()
                .skip(1)
                .filter(|argument| argument != "--detach"),
        )
        .stdin(Stdio::null())
        .stdout(file)
        .stderr(copy);
    foreshore_sys::detach(&mut command);
    let mut child = command
        .spawn()
        .map_err(|error| failed(format!("cannot start the platform: {error}")))?;
    let deadline = Instant::now() + START_LIMIT;
    loop {
        let record =
            Record::read(data).map_err(|error| Failure::from_error(ExitCode::Failed, &error))?;
        if let Some(record) = record.filter(|record| record.pid == child.id()) {
            context.terminal.say(&welcome(&record));
            return answer(&record);
        }
        let ended = child
            .try_wait()
            .map_err(|error| failed(format!("cannot watch the platform start: {error}")))?;
        if let Some(status) = ended {
            return Err(ended_early(&log, status.code()));
        }
        if Instant::now() > deadline {
            return Err(
                Failure::new(ExitCode::TimedOut, "the platform does not answer yet")
                    .hint(format!("look at {}", log.display())),
            );
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// Passes on what the platform itself said, and its exit code.
fn ended_early(log: &Path, code: Option<i32>) -> Failure {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let said = |prefix: &str| {
        text.lines()
            .filter_map(|line| line.strip_prefix(prefix))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let message = said("error: ")
        .pop()
        .unwrap_or_else(|| "the platform ended while it started".to_owned());
    let code = ExitCode::ALL
        .into_iter()
        .find(|known| Some(i32::from(known.code())) == code && *known != ExitCode::Done);
    let mut failure = Failure::new(code.unwrap_or(ExitCode::Failed), message);
    failure.hints = said("hint: ");
    if failure.hints.is_empty() {
        failure.hints.push(format!("look at {}", log.display()));
    }
    failure
}

fn welcome(record: &Record) -> String {
    let mut lines = vec![format!("platform runs on {}", record.ground)];
    if let Some(ingress) = &record.ingress {
        lines.push(format!("services answer at {ingress} by host name"));
    }
    if let Some(kubeconfig) = &record.kubeconfig {
        lines.push(format!("export KUBECONFIG={}", kubeconfig.display()));
    }
    lines.push(
        "try: foreshore status --wait | foreshore promote web -e prod | foreshore down".to_owned(),
    );
    lines.push(format!("status page: {}", record.url));
    lines.join("\n")
}

fn answer(record: &Record) -> Result<Outcome, Failure> {
    Outcome::answer(record, record.url.clone())
}

fn explain(error: &platform::PlatformError) -> Failure {
    let failure = Failure::from_error(error.exit_code(), error);
    error.hints().into_iter().fold(failure, Failure::hint)
}
