//! What a build starts from: service file, plan, and where the source is.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use etcetera::BaseStrategy as _;
use foreshore_git::{Credential as GitCredential, FetchError, SourceError, SourceFacts};
use foreshore_image::{ClientOptions, Credentials};
use foreshore_model::artifact::Source;
use foreshore_model::service::FILE_NAME;
use foreshore_model::{Check, ExitCode, Plan, ServiceFile, yaml};
use foreshore_plan::{Cache, Content, GitPlanError, LockError, PlanError, ResolveError, Resolver};
use foreshore_render::{Host, RenderError};

use super::changes::Rendered;
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
    pub(crate) async fn read(directory: &Path) -> Result<Self, Failure> {
        Self::overloaded(directory, None).await
    }

    /// The same with another plan, or another branch of it, for this once.
    pub(crate) async fn overloaded(
        directory: &Path,
        overload: Option<&str>,
    ) -> Result<Self, Failure> {
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
        let mut service: ServiceFile = yaml::read_strict(&path.display().to_string(), &text)
            .map_err(|error| Failure::from_error(ExitCode::Usage, &error))?;
        let (mut plan, folder) = match overload {
            None => plan_of(&service, directory).await?,
            Some(overload) => {
                service.plan = foreshore_plan::overloaded(&service.plan, overload)
                    .map_err(|error| resolve_failure(&error))?;
                plan_for_once(&service.plan, &path).await?
            }
        };
        foreshore_plan::apply_overrides(&mut plan, &service.overrides, directory)
            .map_err(|error| plan_failure(&error, &path))?;
        let mut host = host()?;
        host.plan = folder.map_or_else(String::new, |folder| folder.display().to_string());
        Ok(Self {
            directory: directory.to_owned(),
            text,
            service,
            plan,
            host,
        })
    }

    /// Says what is wrong with the service file at the place where it is wrong.
    pub(crate) fn explain(&self, error: &RenderError) -> Failure {
        let Some(path) = error.path() else {
            return Failure::from_error(ExitCode::Usage, error);
        };
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        let origin = self.directory.join(FILE_NAME).display().to_string();
        let mistake = yaml::mistake(&origin, &self.text, &path, &error.to_string());
        let failure = Failure::from_error(ExitCode::Usage, &mistake);
        match error {
            RenderError::Secret { name, .. } => failure.hint(format!(
                "name it under `secrets` and store its value: `foreshore secret set {name} -e ENV`"
            )),
            _ => failure,
        }
    }

    /// The repository that the service is in, which its build may need as a whole.
    pub(crate) fn workspace(&self) -> PathBuf {
        let above = self.directory.ancestors();
        above
            .into_iter()
            .find(|folder| folder.join(".git").exists())
            .unwrap_or(&self.directory)
            .to_owned()
    }

    /// What is measured after a release: the plan's checks and the service's, each with its scenario's text.
    pub(crate) fn checks(&self) -> Result<Vec<Check>, Failure> {
        super::checks::gather(self)
    }

    /// Renders a service with the given files as its plan; the image is left open.
    pub(crate) fn manifests(
        service: &ServiceFile,
        directory: &Path,
        content: &Content,
    ) -> Result<Rendered, Failure> {
        let path = directory.join(FILE_NAME);
        let failed = |error: &PlanError| plan_failure(error, &path);
        let mut plan =
            foreshore_plan::assemble(&service.plan, content).map_err(|error| failed(&error))?;
        foreshore_plan::apply_overrides(&mut plan, &service.overrides, directory)
            .map_err(|error| failed(&error))?;
        foreshore_render::environments(&plan, service, "the-image", "the-version")
            .map_err(|error| Failure::from_error(ExitCode::Usage, &error))
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

/// Finds the plan of a service: shipped, a directory, or what foreshore.lock pins.
async fn plan_of(
    service: &ServiceFile,
    directory: &Path,
) -> Result<(Plan, Option<PathBuf>), Failure> {
    let path = directory.join(FILE_NAME);
    let found = foreshore_plan::find(&service.plan, directory)
        .map_err(|error| plan_failure(&error, &path))?;
    if let Some(plan) = found {
        let folder = directory.join(&service.plan);
        return Ok((plan, folder.is_dir().then_some(folder)));
    }
    let lock = foreshore_plan::read_lock(directory, &service.plan)
        .map_err(|error| lock_failure(&error))?
        .ok_or_else(|| {
            Failure::usage(format!("plan `{}` is not pinned", service.plan))
                .hint("`foreshore plan update` writes foreshore.lock; commit it with the source")
        })?;
    let fetched = resolver()?
        .pinned(&lock)
        .await
        .map_err(|error| resolve_failure(&error))?;
    let mut plan = foreshore_plan::assemble(&service.plan, &fetched.content)
        .map_err(|error| plan_failure(&error, &path))?;
    plan.commit = lock.commit;
    Ok((plan, Some(fetched.directory)))
}

/// Finds a plan that no lock is about; a directory is seen from where the person is.
async fn plan_for_once(named: &str, path: &Path) -> Result<(Plan, Option<PathBuf>), Failure> {
    let here = Path::new(".");
    let found = foreshore_plan::find(named, here).map_err(|error| plan_failure(&error, path))?;
    if let Some(plan) = found {
        let folder = std::path::absolute(here.join(named)).ok();
        return Ok((plan, folder.filter(|folder| folder.is_dir())));
    }
    let fetched = resolver()?
        .unpinned(named)
        .await
        .map_err(|error| resolve_failure(&error))?;
    let mut plan = foreshore_plan::assemble(named, &fetched.content)
        .map_err(|error| plan_failure(&error, path))?;
    plan.commit = fetched.lock.commit;
    Ok((plan, Some(fetched.directory)))
}

/// What fetching a plan needs to know of this machine.
#[expect(
    clippy::disallowed_methods,
    reason = "only `cli` and `server` read the environment"
)]
pub(crate) fn resolver() -> Result<Resolver, Failure> {
    let token = env::var("FORESHORE_GIT_TOKEN").or_else(|_| env::var("SHUTTLE_GIT_TOKEN"));
    let credential = match token {
        Ok(token) if !token.is_empty() => GitCredential::Basic {
            user: "x-access-token".to_owned(),
            password: token.into(),
        },
        _ => GitCredential::None,
    };
    let registry = match env::var("FORESHORE_TOKEN") {
        Ok(token) if !token.is_empty() => ClientOptions {
            credentials: Credentials::Bearer(token),
            ..ClientOptions::default()
        },
        _ => ClientOptions::default(),
    };
    Ok(Resolver {
        cache: Cache::new(cache()?.join("plans")),
        credential,
        registry,
        offline: env::var("FORESHORE_OFFLINE")
            .is_ok_and(|value| !matches!(value.as_str(), "" | "0" | "false")),
    })
}

pub(crate) fn lock_failure(error: &LockError) -> Failure {
    let failure = Failure::from_error(ExitCode::Usage, error);
    match error {
        LockError::OtherPlan { .. } => {
            failure.hint("`foreshore plan update` pins the plan that the service names")
        }
        _ => failure,
    }
}

/// Sorts what went wrong on the way to a plan into the product's exit codes.
pub(crate) fn resolve_failure(error: &ResolveError) -> Failure {
    let code = match error {
        ResolveError::Git {
            cause:
                GitPlanError::Fetch(FetchError::Unreachable { .. } | FetchError::Unauthorized { .. }),
            ..
        }
        | ResolveError::Offline { .. } => ExitCode::Unreachable,
        ResolveError::Git {
            cause:
                GitPlanError::Fetch(FetchError::NoRef { .. } | FetchError::NoRepository { .. })
                | GitPlanError::NoCommit { .. },
            ..
        } => ExitCode::NotFound,
        ResolveError::Registry {
            cause: foreshore_plan::OciPlanError::Client(cause),
            ..
        } if cause.is_unreachable() => ExitCode::Unreachable,
        ResolveError::Registry {
            cause: foreshore_plan::OciPlanError::Client(cause),
            ..
        } if cause.is_not_found() => ExitCode::NotFound,
        ResolveError::MovedTag { .. } | ResolveError::WrongHash { .. } => ExitCode::Refused,
        _ => ExitCode::Usage,
    };
    let failure = Failure::from_error(code, error);
    match error {
        ResolveError::Offline { .. } => failure.hint("run it once without FORESHORE_OFFLINE"),
        ResolveError::MovedTag { .. } => failure.hint(
            "ask who moved it; `foreshore plan update --accept-moved-tag` takes the new commit",
        ),
        ResolveError::WrongHash { .. } => failure
            .hint("the plan's history was rewritten; `foreshore plan update` shows what it is now"),
        ResolveError::Git {
            cause: GitPlanError::Fetch(FetchError::Unauthorized { .. }),
            ..
        } => failure.hint("set FORESHORE_GIT_TOKEN for https, or add your key to the ssh agent"),
        _ => failure,
    }
}

pub(crate) fn plan_failure(error: &PlanError, path: &Path) -> Failure {
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

/// The user's cache.
#[expect(
    clippy::disallowed_methods,
    reason = "only `cli` and `server` read the environment"
)]
pub(crate) fn cache() -> Result<PathBuf, Failure> {
    if let Ok(cache) = env::var("FORESHORE_CACHE") {
        return Ok(PathBuf::from(cache));
    }
    let base = etcetera::choose_base_strategy().map_err(|error| {
        Failure::usage(format!("cannot find the home directory: {error}"))
            .hint("set FORESHORE_CACHE")
    })?;
    Ok(base.cache_dir().join("foreshore"))
}

fn host() -> Result<Host, Failure> {
    Ok(Host {
        target: format!("{}-unknown-linux-gnu", env::consts::ARCH),
        cache: cache()?.join("build").display().to_string(),
        plan: String::new(),
    })
}
