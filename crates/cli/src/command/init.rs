//! `foreshore init`: a first service file for a repository.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;
use foreshore_model::api::Info;
use foreshore_model::service::FILE_NAME;
use foreshore_model::{EnvironmentName, ExitCode, ServiceName, yaml};
use foreshore_plan::{Proposal, ProposeError, Wishes, propose};

use crate::context::Context;
use crate::failure::Failure;
use crate::terminal::{Outcome, table};

/// Propose foreshore.yaml for the service in this directory
///
/// Reads what the repository says of itself (Cargo.toml, package.json, go.mod,
/// Dockerfile, compose.yaml, shuttle.yaml, a chart, Kubernetes manifests, a
/// Makefile), prints each value with where it came from, and writes one small
/// file.
#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    /// Directory of the service
    #[arg(default_value = ".", value_name = "DIR")]
    directory: PathBuf,

    /// Name of the service, instead of the one found
    #[arg(long, value_name = "NAME")]
    name: Option<ServiceName>,

    /// Team that answers for it
    #[arg(long, value_name = "TEAM")]
    owner: Option<String>,

    /// Host name under which users reach it
    #[arg(long, value_name = "HOST")]
    host: Option<String>,

    /// Plan, instead of the one that fits what is found
    #[arg(long, value_name = "PLAN")]
    plan: Option<String>,

    /// Show the file and stop
    #[arg(long)]
    dry_run: bool,

    /// Replace a file that is there
    #[arg(long)]
    force: bool,
}

pub(crate) async fn run(args: &InitArgs, context: &Context) -> Result<Outcome, Failure> {
    let wishes = Wishes {
        name: args.name.clone(),
        owner: args.owner.clone(),
        host: args.host.clone(),
        plan: args.plan.clone(),
    };
    let proposal = propose(&args.directory, &wishes, &environments(context).await)
        .map_err(|error| explain(&error))?;
    let text =
        yaml::write(&proposal.file).map_err(|error| Failure::from_error(ExitCode::Bug, &error))?;
    let path = args.directory.join(FILE_NAME);
    context.terminal.say(&origins(&proposal));
    if !args.dry_run {
        write(&path, &text, args.force)?;
        context.terminal.say(&format!(
            "wrote {}; next: `foreshore run build`",
            path.display()
        ));
    }
    Outcome::answer(&proposal.file, text)
}

/// The environments of the platform at hand; without one, the two that `up` makes.
async fn environments(context: &Context) -> Vec<EnvironmentName> {
    let known = match context.client() {
        Ok(client) => client
            .get::<Info>("/info")
            .await
            .map(|info| info.environments)
            .unwrap_or_default(),
        Err(_) => Vec::new(),
    };
    if known.is_empty() {
        ["dev", "prod"]
            .into_iter()
            .filter_map(|name| name.parse().ok())
            .collect()
    } else {
        known
    }
}

fn origins(proposal: &Proposal) -> String {
    let rows = proposal.values.iter().map(|value| {
        vec![
            value.field.clone(),
            value.value.clone(),
            value.origin.clone(),
        ]
    });
    table(&["FIELD", "VALUE", "FROM"], rows)
}

fn write(path: &Path, text: &str, force: bool) -> Result<(), Failure> {
    let mut options = OpenOptions::new();
    options.write(true);
    if force {
        options.create(true).truncate(true)
    } else {
        options.create_new(true)
    };
    let mut file = options.open(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => {
            Failure::usage(format!("`{}` is there already", path.display()))
                .hint("`--force` replaces it, `--dry-run` only shows what would be written")
        }
        _ => Failure::usage(format!("cannot write `{}`: {error}", path.display())),
    })?;
    file.write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .map_err(|error| {
            Failure::new(
                ExitCode::Failed,
                format!("cannot write `{}`: {error}", path.display()),
            )
        })
}

fn explain(error: &ProposeError) -> Failure {
    let failure = Failure::from_error(ExitCode::Usage, error);
    match error {
        ProposeError::Nothing { .. } => {
            failure.hint("give the service's directory: `foreshore init DIR`")
        }
        ProposeError::Name { .. } => failure.hint("give a name: `foreshore init --name NAME`"),
        _ => failure,
    }
}
