//! `foreshore up`: start the platform.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use clap::Args;
use foreshore_model::ExitCode;
use foreshore_server::platform::{
    self, GroundChoice, Platform, PlatformError, Record, State, WantedPorts,
};

use super::roles::{RuntimeArg, stop_on_signal};
use super::samples;
use crate::context::Context;
use crate::doctor;
use crate::failure::Failure;
use crate::terminal::Outcome;
use crate::wait;

/// A start takes about a second; a machine under load gets time.
const START_LIMIT: Duration = Duration::from_secs(90);
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Start the platform
///
/// Starts an embedded Kubernetes API with a node, config repository, registry,
/// server, agent and dashboard, with the environments dev and prod. In a
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

    /// Port of dashboard, API and registry; 0 for any
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,

    /// Port where users reach services; 0 for any
    #[arg(long, value_name = "PORT")]
    ingress_port: Option<u16>,

    /// Port of the embedded Kubernetes API; 0 for any
    #[arg(long, value_name = "PORT")]
    api_port: Option<u16>,

    /// How many sites production has: 2 starts a second embedded engine for it [default: as before, at first 1]
    #[arg(long, value_name = "COUNT", conflicts_with = "context", value_parser = clap::value_parser!(u8).range(1..=2))]
    sites: Option<u8>,

    /// Do not build the sample services
    #[arg(long)]
    no_samples: bool,

    /// With --detach: build and release the samples first, and return when they are healthy
    #[arg(long, requires = "detach", conflicts_with = "no_samples")]
    wait: bool,
}

pub(crate) async fn run(args: UpArgs, context: &Context) -> Result<Outcome, Failure> {
    let data = context.data()?;
    if let Some(record) = running(&data)? {
        context.terminal.say("the platform runs already");
        return answer(&record);
    }
    fits(&data)?;
    if args.detach {
        let record = detach(&data, args.wait, context).await?;
        if args.wait {
            release_samples(&data, &record, context).await?;
        }
        return answer(&record);
    }
    // Heard from here on: a signal that comes while it starts is not lost.
    let (shutdown, stopped) = stop_on_signal()?;
    let no_samples = args.no_samples;
    let options = options(args, data.clone())?;
    let terminal = context.terminal.clone();
    let platform = Platform::start(options, shutdown, move |line| terminal.say(line))
        .await
        .map_err(|error| explain(&error))?;
    let record = platform.record().clone();
    context.terminal.say(&welcome(&record));
    let building = match (no_samples, samples::checkout()) {
        (false, Some(root)) => Some(tokio::spawn(samples::release(
            root,
            data,
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

fn options(args: UpArgs, data: PathBuf) -> Result<platform::Options, Failure> {
    let program = std::env::current_exe().map_err(|error| {
        Failure::new(
            ExitCode::Failed,
            format!("cannot find this program: {error}"),
        )
    })?;
    Ok(platform::Options {
        data,
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
        sites: args.sites,
        program,
    })
}

/// Refuses a directory that a platform could not work from, before anything is written there.
fn fits(data: &Path) -> Result<(), Failure> {
    State::check(data)
        .map_err(PlatformError::State)
        .map_err(|error| explain(&error))?;
    if let Some(room) = doctor::too_little_room(data) {
        return Err(Failure::new(ExitCode::Failed, room)
            .hint("free some, or choose another disk with `--data DIR`"));
    }
    Ok(())
}

/// Builds the samples and returns when they are healthy in dev.
async fn release_samples(data: &Path, record: &Record, context: &Context) -> Result<(), Failure> {
    let Some(root) = samples::checkout() else {
        context
            .terminal
            .say("no samples are released: this is no checkout of Foreshore");
        return Ok(());
    };
    let released = samples::release_all(&root, data, &record.url, &context.terminal).await?;
    let client = context.client()?;
    wait::until_settled(&client, &released, START_LIMIT * 2, context).await?;
    Ok(())
}

fn running(data: &Path) -> Result<Option<Record>, Failure> {
    let failed = |error: platform::RecordError| Failure::from_error(ExitCode::Failed, &error);
    let Some(record) = Record::read(data).map_err(failed)? else {
        return Ok(None);
    };
    Ok(record.process().map_err(failed)?.map(|_| record))
}

/// Starts this program again, without its terminal, and waits until it answers.
async fn detach(data: &Path, without_samples: bool, context: &Context) -> Result<Record, Failure> {
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
                .filter(|argument| argument != "--detach" && argument != "--wait"),
        )
        .args(without_samples.then_some("--no-samples"))
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
            return Ok(record);
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
    lines.push("try:".to_owned());
    lines.push("  foreshore status --wait".to_owned());
    lines.push("  foreshore promote web -e prod --reason \"ready\"".to_owned());
    lines.push(
        if record.is_embedded() {
            "  foreshore demo break crash"
        } else {
            "  foreshore doctor"
        }
        .to_owned(),
    );
    if let Some(kubeconfig) = &record.kubeconfig {
        lines.push(format!("export KUBECONFIG={}", kubeconfig.display()));
    }
    lines.push(format!("dashboard: {}", record.url));
    lines.join("\n")
}

fn answer(record: &Record) -> Result<Outcome, Failure> {
    Outcome::answer(record, record.url.clone())
}

fn explain(error: &PlatformError) -> Failure {
    let failure = Failure::from_error(error.exit_code(), error);
    error.hints().into_iter().fold(failure, Failure::hint)
}
