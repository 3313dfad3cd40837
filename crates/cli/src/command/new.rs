//! `foreshore new`: a service from nothing but a name and a plan.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;
use foreshore_model::plan::VariableKind;
use foreshore_model::service::{EnvironmentOverride, FILE_NAME};
use foreshore_model::{
    EnvironmentName, ExitCode, PlanFile, ServiceFile, ServiceName, nearest, yaml,
};
use serde_json::{Value, json};

use crate::build::plan_failure;
use crate::context::Context;
use crate::failure::Failure;
use crate::terminal::Outcome;

/// The port that a new service listens at.
const PORT: u16 = 8080;

/// Start a service from a plan
///
/// Makes a directory with foreshore.yaml and the files that the plan has for a
/// start. Variables that the plan asks for are given with `--set`.
#[derive(Debug, Args)]
pub(crate) struct NewArgs {
    /// Name of the service
    name: ServiceName,

    /// Plan: the name of one that is shipped, a directory, a git repository, or an artifact in a registry
    #[arg(long, default_value = "rust-service", value_name = "PLAN")]
    plan: String,

    /// Team that answers for it
    #[arg(long, default_value = "team", value_name = "TEAM")]
    owner: String,

    /// Directory to make, instead of one called like the service
    #[arg(long, value_name = "DIR")]
    directory: Option<PathBuf>,

    /// Variable of the plan, `name=value` (can be repeated)
    #[arg(long = "set", value_name = "NAME=VALUE")]
    variables: Vec<String>,

    /// Environments it may run in
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "dev,prod",
        value_name = "NAMES"
    )]
    environments: Vec<EnvironmentName>,
}

pub(crate) fn run(args: &NewArgs, context: &Context) -> Result<Outcome, Failure> {
    let directory = match &args.directory {
        Some(directory) => directory.clone(),
        None => PathBuf::from(args.name.as_str()),
    };
    let path = directory.join(FILE_NAME);
    let plan = foreshore_plan::find(&args.plan, Path::new("."))
        .map_err(|error| plan_failure(&error, &path))?;
    let file = service_file(args, plan.as_ref().map(|plan| &plan.file), &directory)?;
    let text = yaml::write(&file).map_err(|error| Failure::from_error(ExitCode::Bug, &error))?;
    let files = foreshore_plan::starter(&args.plan, &args.name)
        .map_err(|error| Failure::from_error(ExitCode::Usage, &error))?;
    let wanted: Vec<(PathBuf, String)> = files
        .into_iter()
        .map(|(path, text)| (directory.join(path), text))
        .chain([(path, text.clone())])
        .collect();
    // All or nothing: nobody's file is replaced.
    if let Some((taken, _)) = wanted.iter().find(|(path, _)| path.exists()) {
        return Err(
            Failure::usage(format!("`{}` is there already", taken.display()))
                .hint("`foreshore init` writes foreshore.yaml for a service that exists"),
        );
    }
    for (path, text) in &wanted {
        write(path, text)?;
        context.terminal.say(&format!("wrote {}", path.display()));
    }
    let mut next = vec![format!("cd {}", directory.display())];
    if plan.is_none() {
        next.push("foreshore plan update".to_owned());
    }
    next.push("git init && git add . && git commit -m start".to_owned());
    next.push("foreshore run build".to_owned());
    context.terminal.say(&format!("next: {}", next.join("; ")));
    Outcome::answer(&file, text)
}

fn service_file(
    args: &NewArgs,
    plan: Option<&PlanFile>,
    directory: &Path,
) -> Result<ServiceFile, Failure> {
    let ports = plan.map_or_else(Vec::new, |plan| plan.required_ports.clone());
    let file = json!({
        "name": args.name,
        "owner": args.owner,
        "plan": plan_reference(&args.plan, directory),
        "ports": ports.into_iter().map(|port| (port, json!(PORT))).collect::<serde_json::Map<_, _>>(),
        "variables": variables(args, plan)?,
        "environments": args.environments.iter()
            .map(|name| (name.clone(), EnvironmentOverride::default()))
            .collect::<BTreeMap<_, _>>(),
    });
    serde_json::from_value(file).map_err(|error| Failure::from_error(ExitCode::Bug, &error))
}

/// A directory is named from where the service is.
fn plan_reference(plan: &str, directory: &Path) -> String {
    let is_folder = Path::new(plan).is_dir() && !foreshore_plan::names().any(|name| name == plan);
    if !is_folder || Path::new(plan).is_absolute() {
        return plan.to_owned();
    }
    let up = directory.components().count();
    if directory.is_absolute() {
        return std::path::absolute(plan)
            .map_or_else(|_| plan.to_owned(), |plan| plan.display().to_string());
    }
    format!("{}{plan}", "../".repeat(up))
}

fn variables(
    args: &NewArgs,
    plan: Option<&PlanFile>,
) -> Result<serde_json::Map<String, Value>, Failure> {
    let mut set = serde_json::Map::new();
    for word in &args.variables {
        let (name, value) = word.split_once('=').ok_or_else(|| {
            Failure::usage(format!("`{word}` sets nothing")).hint("--set NAME=VALUE")
        })?;
        let declared = plan.map(|plan| &plan.variables);
        let kind = match declared {
            Some(declared) => Some(
                declared
                    .get(name)
                    .ok_or_else(|| {
                        let near = nearest(name, declared.keys().map(String::as_str));
                        let near = near
                            .map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
                        Failure::usage(format!(
                            "plan `{}` has no variable `{name}`{near}",
                            args.plan
                        ))
                    })?
                    .kind,
            ),
            None => None,
        };
        let value = match kind {
            Some(
                VariableKind::Int | VariableKind::Bool | VariableKind::List | VariableKind::Map,
            ) => yaml::read("--set", value).map_err(|error| Failure::usage(error.to_string()))?,
            _ => json!(value),
        };
        set.insert(name.to_owned(), value);
    }
    let missing: Vec<&str> = plan
        .into_iter()
        .flat_map(|plan| &plan.variables)
        .filter(|(name, variable)| variable.default.is_none() && !set.contains_key(*name))
        .map(|(name, _)| name.as_str())
        .collect();
    if let Some(first) = missing.first() {
        return Err(Failure::usage(format!(
            "plan `{}` needs a value for {}",
            args.plan,
            missing.join(", ")
        ))
        .hint(format!("--set {first}=VALUE")));
    }
    Ok(set)
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let failed = |error: std::io::Error| {
        Failure::new(
            ExitCode::Failed,
            format!("cannot write `{}`: {error}", path.display()),
        )
    };
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(failed)?;
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(path)
        .map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)
}
