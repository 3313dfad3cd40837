//! `foreshore get` and `has`: variables of a project, for scripts.

use std::path::PathBuf;

use clap::Args;
use foreshore_go_template::Value as TemplateValue;
use foreshore_model::ExitCode;
use serde_json::{Value, json};

use crate::build::Sources;
use crate::context::Context;
use crate::failure::Failure;
use crate::project::{Kind, Project, get, render_flag};
use crate::terminal::Outcome;

/// Which project is meant.
#[derive(Debug, Clone, Args)]
pub(crate) struct ProjectArgs {
    /// Directory of the project, instead of this one or the nearest above
    #[arg(short = 'C', long, value_name = "DIR")]
    pub(crate) directory: Option<PathBuf>,

    /// Another plan, or #branch of the same, for this once
    #[arg(long, env = "SHUTTLE_PLAN_OVERLOAD", value_name = "PLAN")]
    pub(crate) plan: Option<String>,
}

/// Print a variable of the project
///
/// The path has dots. A variable that is not there prints nothing and is no
/// error; what is no text is printed as YAML.
#[derive(Debug, Args)]
pub(crate) struct GetArgs {
    /// Variable, as a dotted path
    variable: String,

    /// Go template to print it with
    #[arg(long, value_name = "TEXT")]
    template: Option<String>,

    #[command(flatten)]
    project: ProjectArgs,
}

pub(crate) fn run(args: &GetArgs, context: &Context) -> Result<Outcome, Failure> {
    let project = Project::read(args.project.directory.as_deref())?;
    let variables = project.variables();
    let value = get(&variables, &args.variable);
    let text = match (&args.template, value) {
        (Some(template), value) => render_flag(template, &TemplateValue::from(value))?,
        (None, Value::Null) => String::new(),
        (None, value) => render_flag("{{ toYaml . }}", &TemplateValue::from(value))?,
    };
    context.terminal.exactly(text.trim_end_matches('\n'), value)
}

/// Tell by the exit code whether a variable or a script is there
#[derive(Debug, Args)]
pub(crate) struct HasArgs {
    /// Variable as a dotted path, or script
    name: String,

    /// Look among the scripts instead of the variables
    #[arg(long)]
    script: bool,

    /// Print true or false instead
    #[arg(long)]
    stdout: bool,

    #[command(flatten)]
    project: ProjectArgs,
}

pub(crate) async fn has(args: &HasArgs, context: &Context) -> Result<Outcome, Failure> {
    let project = Project::read(args.project.directory.as_deref())?;
    let found = if args.script {
        let overload = args.project.plan.as_deref();
        match project.kind {
            Kind::Shuttle(_) => {
                let plan = project.shuttle_plan(overload, false).await?;
                project.scripts(&plan).contains_key(&args.name)
            }
            Kind::Foreshore(_) => {
                let sources = Sources::overloaded(&project.directory, overload).await?;
                sources.plan.file.actions.contains_key(&args.name)
            }
        }
    } else {
        !get(&project.variables(), &args.name).is_null()
    };
    if args.stdout {
        let word = if found { "true" } else { "false" };
        return context.terminal.exactly(word, &json!(found));
    }
    let code = if found {
        ExitCode::Done
    } else {
        ExitCode::Failed
    };
    Ok(Outcome::done().with_code(code))
}
