//! `foreshore load`: put load on a service and say whether it holds.

use std::path::PathBuf;

use clap::Args;
use foreshore_load::TargetSource;
use foreshore_scenario::Agreed;

use crate::context::Context;
use crate::failure::Failure;
use crate::measure::usage::{self, TargetService};
use crate::measure::{self, LoadOptions, MeasureArgs, Script};
use crate::terminal::Outcome;

/// Put load on a service and say whether it holds
///
/// Three verdicts: pass (exit 0), fail (1: a gate was breached), invalid (7:
/// the generator limited the run, so it says nothing about the service).
/// 2 is usage, 3 refused, 4 nobody answers. Ctrl-C ends the run; the report
/// is still written.
#[derive(Debug, Args)]
pub(crate) struct LoadArgs {
    /// Scenario
    file: PathBuf,

    /// Profile to run
    #[arg(long, value_name = "NAME")]
    profile: String,

    #[command(flatten)]
    measure: MeasureArgs,

    /// Threads, instead of what the profile says
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    workers: Option<u16>,

    /// Agreed time for load on production, as FROM..TO in UTC
    #[arg(long, value_name = "FROM..TO", value_parser = Agreed::parse)]
    production_window: Option<Agreed>,

    /// Do not tell the server of the run, which shows it on its page while it goes on
    #[arg(long)]
    private: bool,

    /// The report.json of an earlier run, for gates against a baseline
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,

    /// Pods of the target as NAMESPACE/NAME, to show how many are ready and what they use
    #[arg(long, value_name = "NAMESPACE/NAME", group = "target_use", value_parser = TargetService::parse)]
    target_service: Option<TargetService>,

    /// Kubeconfig of the cluster that runs them, instead of the platform's own
    #[arg(long, value_name = "FILE", requires = "target_service")]
    target_kubeconfig: Option<PathBuf>,

    /// Process of the target, to show what it uses
    #[arg(long, value_name = "PID", group = "target_use")]
    target_pid: Option<u32>,

    /// Cgroup folder of the target, to show what it uses
    #[arg(long, value_name = "DIR", group = "target_use")]
    target_cgroup: Option<PathBuf>,

    /// Metrics of the target (http://…/metrics), to show what it uses
    #[arg(long, value_name = "URL", group = "target_use")]
    target_metrics: Option<String>,
}

pub(crate) async fn run(args: LoadArgs, context: &Context) -> Result<Outcome, Failure> {
    let script = Script::read(&args.file)?;
    let program = script.compile()?;
    let profile = measure::profile(&program, &args.profile)?;
    let target = match (args.target_pid, args.target_cgroup, args.target_metrics) {
        (Some(pid), _, _) => TargetSource::Process(pid),
        (_, Some(folder), _) => TargetSource::Cgroup(folder),
        (_, _, Some(url)) => TargetSource::Metrics(url),
        _ => match args.target_service {
            Some(service) => usage::source(service, args.target_kubeconfig, context).await?,
            None => TargetSource::None,
        },
    };
    let load = LoadOptions {
        workers: args.workers.map(usize::from),
        agreed: args.production_window,
        baseline: args.baseline,
        target,
        shared: !args.private,
    };
    let report = measure::measure(&script, &program, profile, &args.measure, load, context).await?;
    measure::outcome(&[report], context)
}
