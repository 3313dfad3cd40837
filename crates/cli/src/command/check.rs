//! `foreshore check`: hold a service against its scenarios.

use std::path::{Path, PathBuf};

use clap::Args;
use foreshore_load::contract;
use foreshore_model::service::FILE_NAME;
use foreshore_model::{ServiceFile, yaml};
use foreshore_scenario::{Program, SMOKE, compile_with_smoke};

use crate::context::Context;
use crate::failure::Failure;
use crate::measure::{self, LoadOptions, MeasureArgs, Script};
use crate::terminal::Outcome;

/// Hold a service against its scenarios
///
/// Sends the flow of a scenario as one user would and looks at every answer.
/// Exit codes: 0 pass, 1 fail, 2 usage, 4 nobody answers.
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// Scenario; those named in `checks` of foreshore.yaml by default
    file: Option<PathBuf>,

    /// Profile to run, one that counts passes or rows
    #[arg(long, default_value = SMOKE, value_name = "NAME")]
    profile: String,

    /// Print the compiled program and send nothing
    #[arg(long)]
    explain: bool,

    /// Check `/health`, `/metrics` and `/info` instead of a scenario
    #[arg(long, conflicts_with_all = ["file", "profile"])]
    contract: bool,

    /// Version that `/info` must say, with --contract
    #[arg(long, value_name = "VERSION", requires = "contract")]
    expect_version: Option<String>,

    #[command(flatten)]
    measure: MeasureArgs,
}

pub(crate) async fn run(args: CheckArgs, context: &Context) -> Result<Outcome, Failure> {
    if args.contract {
        return check_contract(args, context).await;
    }
    let scripts = match &args.file {
        Some(file) => vec![Script::read(file)?],
        None => checks(Path::new("."))?,
    };
    let mut programs = Vec::new();
    for script in &scripts {
        let program = compile_with_smoke(&script.name, &script.text)
            .map_err(|problems| Failure::usage(problems.to_string()))?;
        programs.push(program);
    }
    if args.explain {
        let text: String = programs.iter().map(Program::explain).collect();
        return Outcome::answer(&text, text.clone());
    }
    let mut reports = Vec::new();
    for (script, program) in scripts.iter().zip(&programs) {
        let profile = measure::profile(program, &args.profile)?;
        if !profile.load.is_functional() {
            return Err(Failure::usage(format!(
                "profile `{}` of {} is a load",
                profile.name, script.name
            ))
            .hint(format!(
                "run it with `foreshore load {} --profile {}`",
                script.name, profile.name
            )));
        }
        let load = LoadOptions::default();
        reports
            .push(measure::measure(script, program, profile, &args.measure, load, context).await?);
    }
    measure::outcome(&reports, context)
}

async fn check_contract(args: CheckArgs, context: &Context) -> Result<Outcome, Failure> {
    let program = contract(args.expect_version.is_some());
    let script = Script {
        name: "contract".to_owned(),
        text: String::new(),
        folder: PathBuf::from("."),
    };
    let mut measure_args = args.measure;
    if let Some(version) = args.expect_version {
        measure_args.set("version", version);
    }
    if args.explain {
        let text = program.explain();
        return Outcome::answer(&text, text.clone());
    }
    let profile = measure::profile(&program, "contract")?;
    let load = LoadOptions::default();
    let report = measure::measure(&script, &program, profile, &measure_args, load, context).await?;
    measure::outcome(&[report], context)
}

/// Scenarios that the service's own file names.
fn checks(directory: &Path) -> Result<Vec<Script>, Failure> {
    let path = directory.join(FILE_NAME);
    let text = std::fs::read_to_string(&path).map_err(|error| {
        Failure::usage(format!("cannot read `{FILE_NAME}`: {error}"))
            .hint("give a scenario: `foreshore check FILE`")
    })?;
    let file: ServiceFile =
        yaml::read(FILE_NAME, &text).map_err(|error| Failure::usage(error.to_string()))?;
    if file.checks.is_empty() {
        return Err(Failure::usage(format!("`{FILE_NAME}` names no `checks`"))
            .hint("add `checks: [checks.scn]`, or give a scenario: `foreshore check FILE`"));
    }
    file.checks
        .into_iter()
        .map(|check| match check.scenario {
            foreshore_model::Scenario::File(file) => Script::read(Path::new(&file)),
            foreshore_model::Scenario::Text(text) => Ok(Script {
                name: format!("{FILE_NAME} ({})", check.name),
                text,
                folder: directory.to_owned(),
            }),
        })
        .collect()
}
