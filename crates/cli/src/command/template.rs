//! `foreshore template`, `ls`, `prepare` and `docs`: shuttle's other verbs.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use foreshore_go_template::{Options, Value as TemplateValue};
use foreshore_model::{ExitCode, schema};
use serde_json::json;

use super::get::ProjectArgs;
use super::run::environment;
use crate::build::Sources;
use crate::context::Context;
use crate::failure::Failure;
use crate::project::{Kind, Project, ProjectFiles, ShuttlePlan, render_flag};
use crate::terminal::{Outcome, table};

/// Render a Go template of the project or its plan
///
/// Looks in the project's `templates`, the project, the plan's `templates` and
/// the plan. In the template, .Vars are the variables, .Args what is given as
/// KEY=VALUE.
#[derive(Debug, Args)]
pub(crate) struct TemplateArgs {
    /// Name of the template
    template: String,

    /// Arguments for the template, KEY=VALUE
    #[arg(value_name = "KEY=VALUE")]
    arguments: Vec<String>,

    /// File to write, inside the project's temporary directory
    #[arg(long, value_name = "FILE")]
    output_file: Option<String>,

    /// Delimiters, two texts with a comma between
    #[arg(long, value_name = "LEFT,RIGHT", conflicts_with_all = ["left_delim", "right_delim"])]
    delims: Option<String>,

    /// Left delimiter
    #[arg(long, value_name = "TEXT", requires = "right_delim")]
    left_delim: Option<String>,

    /// Right delimiter
    #[arg(long, value_name = "TEXT", requires = "left_delim")]
    right_delim: Option<String>,

    /// Look in the plan alone
    #[arg(long)]
    ignore_project_overrides: bool,

    #[command(flatten)]
    project: ProjectArgs,
}

pub(crate) async fn run(args: &TemplateArgs, context: &Context) -> Result<Outcome, Failure> {
    let project = Project::read(args.project.directory.as_deref())?;
    let plan = match project.kind {
        Kind::Shuttle(_) => {
            project
                .shuttle_plan(args.project.plan.as_deref(), false)
                .await?
        }
        Kind::Foreshore(_) => ShuttlePlan::default(),
    };
    let path = find(args, &project, &plan)?;
    let text = fs::read_to_string(&path)
        .map_err(|error| Failure::usage(format!("cannot read `{}`: {error}", path.display())))?;
    let rendered = render(args, &project, &plan, &path, &text)?;
    let Some(name) = &args.output_file else {
        return context.terminal.exactly(&rendered, &json!(rendered));
    };
    let inside = !name.is_empty()
        && Path::new(name)
            .components()
            .all(|part| matches!(part, std::path::Component::Normal(_)));
    if !inside {
        return Err(Failure::usage(format!(
            "`{name}` is not a file inside the temporary directory"
        )));
    }
    let target = project.temporary().join(name);
    let written = fs::create_dir_all(target.parent().unwrap_or_else(|| Path::new(".")))
        .and_then(|()| fs::write(&target, rendered));
    written.map_err(|error| {
        Failure::new(
            ExitCode::Failed,
            format!("cannot write `{}`: {error}", target.display()),
        )
    })?;
    Ok(Outcome::done())
}

fn find(args: &TemplateArgs, project: &Project, plan: &ShuttlePlan) -> Result<PathBuf, Failure> {
    let mut places = Vec::new();
    if !args.ignore_project_overrides {
        places.extend([
            project.directory.join("templates"),
            project.directory.clone(),
        ]);
    }
    if let Some(directory) = &plan.directory {
        places.extend([directory.join("templates"), directory.clone()]);
    }
    let found = places
        .iter()
        .map(|place| place.join(&args.template))
        .find(|path| path.is_file());
    found.ok_or_else(|| {
        let looked: Vec<String> = places
            .iter()
            .map(|place| place.display().to_string())
            .collect();
        Failure::usage(format!("template `{}` is not found", args.template))
            .hint(format!("looked in {}", looked.join(", ")))
    })
}

fn render(
    args: &TemplateArgs,
    project: &Project,
    plan: &ShuttlePlan,
    path: &Path,
    text: &str,
) -> Result<String, Failure> {
    let mut arguments = BTreeMap::new();
    for word in &args.arguments {
        let (key, value) = word
            .split_once('=')
            .ok_or_else(|| Failure::usage(format!("`{word}` is not KEY=VALUE")))?;
        arguments.insert(key.to_owned(), value.to_owned());
    }
    let (left, right) = match (&args.delims, &args.left_delim, &args.right_delim) {
        (Some(delims), _, _) => {
            let parts: Vec<&str> = delims.split(',').collect();
            let [left, right] = parts[..] else {
                return Err(Failure::usage(format!(
                    "`{delims}` is not two delimiters with a comma between"
                ))
                .hint("with a comma in one of them, give --left-delim and --right-delim"));
            };
            (left, right)
        }
        (None, Some(left), Some(right)) => (left.as_str(), right.as_str()),
        _ => ("{{", "}}"),
    };
    if left.is_empty() || right.is_empty() {
        return Err(Failure::usage("a delimiter is empty"));
    }
    let shown = |path: &Path| TemplateValue::text(path.display().to_string());
    let data = TemplateValue::fields([
        ("Vars", TemplateValue::from(&project.variables())),
        ("Args", TemplateValue::texts(arguments)),
        (
            "PlanPath",
            plan.directory
                .as_deref()
                .map_or_else(|| TemplateValue::text(""), shown),
        ),
        ("ProjectPath", shown(&project.directory)),
    ]);
    let files = ProjectFiles::below(
        [project.directory.as_path()]
            .into_iter()
            .chain(plan.directory.as_deref()),
    );
    let seen = foreshore_action::whole(environment(), &BTreeMap::new());
    let options = Options {
        left,
        right,
        files: &files,
        now: Some(foreshore_model::clock::now()),
        environment: &seen,
    };
    foreshore_go_template::render(&path.display().to_string(), text, &data, &options)
        .map_err(|error| Failure::from_error(ExitCode::Failed, &error))
}

/// List what the project can run
#[derive(Debug, Args)]
pub(crate) struct LsArgs {
    /// Go template to print the list with; .Scripts and .Max
    #[arg(long, value_name = "TEXT")]
    template: Option<String>,

    #[command(flatten)]
    project: ProjectArgs,
}

/// As shuttle prints its list.
const LIST: &str = "{{- $max := .Max -}}\nAvailable Scripts:\n{{- range $name, $script := .Scripts }}\n  {{ rightPad $name $max }} {{ upperFirst $script.Description }}\n{{- end }}\n";

pub(crate) async fn ls(args: &LsArgs, context: &Context) -> Result<Outcome, Failure> {
    let project = Project::read(args.project.directory.as_deref())?;
    let scripts: BTreeMap<String, String> = match project.kind {
        Kind::Shuttle(_) => {
            let plan = project
                .shuttle_plan(args.project.plan.as_deref(), false)
                .await?;
            project
                .scripts(&plan)
                .into_iter()
                .map(|(name, script)| (name, script.description))
                .collect()
        }
        Kind::Foreshore(_) => {
            let overload = args.project.plan.as_deref();
            let sources = Sources::overloaded(&project.directory, overload).await?;
            sources
                .plan
                .file
                .actions
                .into_iter()
                .map(|(name, action)| (name, action.description))
                .collect()
        }
    };
    let longest = scripts.keys().map(String::len).max().unwrap_or(0).max(10) + 2;
    let value = json!(scripts);
    let rows = scripts.into_iter().map(|(name, description)| {
        (
            name,
            TemplateValue::fields([("Description", TemplateValue::text(description))]),
        )
    });
    let data = TemplateValue::fields([
        ("Scripts", TemplateValue::map(rows)),
        (
            "Max",
            TemplateValue::Int(i64::try_from(longest).unwrap_or(0)),
        ),
    ]);
    let text = render_flag(args.template.as_deref().unwrap_or(LIST), &data)?;
    context.terminal.exactly(&text, &value)
}

/// Fetch the plan, so that all else works without the network
#[derive(Debug, Args)]
pub(crate) struct PrepareArgs {
    #[command(flatten)]
    project: ProjectArgs,
}

pub(crate) async fn prepare(args: &PrepareArgs) -> Result<Outcome, Failure> {
    let project = Project::read(args.project.directory.as_deref())?;
    match project.kind {
        Kind::Shuttle(_) => drop(
            project
                .shuttle_plan(args.project.plan.as_deref(), true)
                .await?,
        ),
        Kind::Foreshore(_) => {
            let overload = args.project.plan.as_deref();
            drop(Sources::overloaded(&project.directory, overload).await?);
        }
    }
    Ok(Outcome::done())
}

/// Show where the plan is documented, or the schema of a file
#[derive(Debug, Args)]
pub(crate) struct DocsArgs {
    #[command(subcommand)]
    command: Option<DocsCommand>,

    #[command(flatten)]
    project: ProjectArgs,
}

#[derive(Debug, Subcommand)]
enum DocsCommand {
    /// Print the JSON Schema (draft 7) of a file that people write
    Schema {
        /// Which file
        #[arg(value_enum, default_value = "service")]
        file: SchemaOf,
    },
    /// List the plan's variables, with their types and defaults
    Variables,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum SchemaOf {
    /// foreshore.yaml
    Service,
    /// plan.yaml
    Plan,
}

pub(crate) async fn docs(args: &DocsArgs) -> Result<Outcome, Failure> {
    match args.command {
        Some(DocsCommand::Schema { file }) => {
            let schema = match file {
                SchemaOf::Service => schema::service_file(),
                SchemaOf::Plan => schema::plan_file(),
            };
            let text = format!("{schema:#}\n");
            Outcome::answer(&schema, text)
        }
        Some(DocsCommand::Variables) => {
            let sources = Sources::read(
                args.project
                    .directory
                    .as_deref()
                    .unwrap_or_else(|| Path::new(".")),
            )
            .await?;
            let variables = &sources.plan.file.variables;
            let rows = variables.iter().map(|(name, variable)| {
                let default = variable
                    .default
                    .as_ref()
                    .map_or_else(|| "required".to_owned(), ToString::to_string);
                let description = match &variable.deprecated {
                    Some(advice) => format!("{} (deprecated: {advice})", variable.description),
                    None => variable.description.clone(),
                };
                vec![
                    name.clone(),
                    variable.kind.word().to_owned(),
                    default,
                    description,
                ]
            });
            Outcome::answer(
                variables,
                table(&["VARIABLE", "TYPE", "DEFAULT", "DESCRIPTION"], rows),
            )
        }
        None => {
            let project = Project::read(args.project.directory.as_deref())?;
            let address = match project.kind {
                Kind::Shuttle(_) => {
                    project
                        .shuttle_plan(args.project.plan.as_deref(), false)
                        .await?
                        .file
                        .documentation
                }
                Kind::Foreshore(_) => {
                    Sources::read(&project.directory)
                        .await?
                        .plan
                        .file
                        .documentation
                }
            };
            match address {
                Some(address) => Outcome::answer(&address, address.clone()),
                None => Err(Failure::new(
                    ExitCode::NotFound,
                    "the plan does not say where it is documented",
                )),
            }
        }
    }
}
