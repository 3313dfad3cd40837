//! What a build starts from: service file, plan, and where the source is.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use etcetera::BaseStrategy as _;
use foreshore_git::{SourceError, SourceFacts};
use foreshore_model::artifact::Source;
use foreshore_model::service::FILE_NAME;
use foreshore_model::{ExitCode, Plan, ServiceFile, yaml};
use foreshore_plan::PlanError;
use foreshore_render::Host;

use crate::failure::Failure;

/// A service's repository, read.
#[derive(Debug)]
pub(crate) struct Sources {
    /// Where the service file is.
    pub(crate) directory: PathBuf,
    /// The service file's text.
    pub(crate) text: String,
    pub(crate) service: ServiceFile,
    pub(crate) plan: Plan,
    pub(crate) host: Host,
}

impl Sources {
    /// Reads the service file of `directory`, or of the nearest directory above that has one.
    pub(crate) fn read(directory: &Path) -> Result<Self, Failure> {
        let start = std::path::absolute(directory).map_err(|error| {
            Failure::usage(format!(
                "`{}` is not a directory name: {error}",
                directory.display()
            ))
        })?;
        let directory = start
            .ancestors()
            .find(|directory| directory.join(FILE_NAME).is_file())
            .ok_or_else(|| {
                Failure::usage(format!(
                    "there is no {FILE_NAME} in `{}` or above it",
                    start.display()
                ))
                .hint("write one with `foreshore init`")
            })?;
        let path = directory.join(FILE_NAME);
        let text = fs::read_to_string(&path).map_err(|error| {
            Failure::usage(format!("cannot read `{}`: {error}", path.display()))
        })?;
        let service: ServiceFile = yaml::read(&path.display().to_string(), &text)
            .map_err(|error| Failure::from_error(ExitCode::Usage, &error))?;
        let plan = foreshore_plan::find(&service.plan, directory)
            .map_err(|error| plan_failure(&error, &path))?;
        Ok(Self {
            directory: directory.to_owned(),
            text,
            service,
            plan,
            host: host()?,
        })
    }

    /// Asks git where the source is.
    pub(crate) fn source(&self, branch: Option<&str>) -> Result<Source, Failure> {
        let facts = SourceFacts::of(&self.directory).map_err(|error| source_failure(&error))?;
        let branch = branch.map(str::to_owned).or(facts.branch).ok_or_else(|| {
            Failure::usage("the checkout is on no branch, so it is not known which policy applies")
                .hint("say it with --branch NAME")
        })?;
        Ok(Source {
            commit: facts.commit,
            branch,
            tag: facts.tag,
            author: facts.author,
            message: facts.message,
            committed_at: facts.committed_at,
            modified: facts.modified,
        })
    }
}

fn plan_failure(error: &PlanError, path: &Path) -> Failure {
    let failure = Failure::from_error(ExitCode::Usage, error);
    match error {
        PlanError::Unknown { .. } => {
            let names: Vec<&str> = foreshore_plan::names().collect();
            failure.hint(format!(
                "`plan` in {} is a directory or one of: {}",
                path.display(),
                names.join(", ")
            ))
        }
        _ => failure,
    }
}

fn source_failure(error: &SourceError) -> Failure {
    let failure = Failure::from_error(ExitCode::Usage, error);
    match error {
        SourceError::NotARepository { .. } => {
            failure.hint("an artifact names its commit: `git init && git add . && git commit`")
        }
        SourceError::NoCommit { .. } => {
            failure.hint("an artifact names its commit: `git add . && git commit`")
        }
        _ => failure,
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "only `cli` and `server` read the environment"
)]
fn host() -> Result<Host, Failure> {
    let cache = match env::var("FORESHORE_CACHE") {
        Ok(cache) => PathBuf::from(cache),
        Err(_) => etcetera::choose_base_strategy()
            .map_err(|error| {
                Failure::usage(format!("cannot find the home directory: {error}"))
                    .hint("set FORESHORE_CACHE")
            })?
            .cache_dir()
            .join("foreshore"),
    };
    Ok(Host {
        target: format!("{}-unknown-linux-gnu", env::consts::ARCH),
        cache: cache.join("build").display().to_string(),
    })
}
