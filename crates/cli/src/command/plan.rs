//! `foreshore plan`: which plan, how to take a newer one, and who lags behind.

mod rollout;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use foreshore_go_template::Value as TemplateValue;
use foreshore_model::lock;
use foreshore_model::service::FILE_NAME;
use foreshore_model::shuttle::FILE_NAME as SHUTTLE_FILE_NAME;
use foreshore_model::{ExitCode, Lock};
use foreshore_plan::{Content, Fetched, ResolveError};
use serde::Serialize;
use serde_json::json;

use super::get::ProjectArgs;
use crate::build::{Sources, changes, lock_failure, resolve_failure, resolver};
use crate::context::Context;
use crate::failure::Failure;
use crate::project::{Kind, Project, render_flag};
use crate::terminal::{Outcome, table};

/// Print the plan of this project, or take a newer one
#[derive(Debug, Args)]
pub(crate) struct PlanArgs {
    #[command(subcommand)]
    command: Option<PlanCommand>,

    /// Go template to print it with: `.Plan .PlanRaw .LocalPlanPath .ProjectPath .TempDirectoryPath`
    #[arg(long, value_name = "TEXT")]
    template: Option<String>,

    #[command(flatten)]
    project: ProjectArgs,
}

#[derive(Debug, Subcommand)]
enum PlanCommand {
    /// Pin the newest commit of the plan in foreshore.lock, and show what that changes
    Update(UpdateArgs),
    /// Carry the newest plan to every service below the given directories
    Rollout(rollout::RolloutArgs),
    /// Show which plan each service below the given directories is pinned to
    Status {
        /// Directories to look in
        #[arg(default_value = ".", value_name = "DIR")]
        directories: Vec<PathBuf>,
    },
}

#[derive(Debug, Args)]
struct UpdateArgs {
    /// Directory of the service
    #[arg(short = 'C', long, default_value = ".", value_name = "DIR")]
    directory: PathBuf,

    /// Show what would change and stop
    #[arg(long)]
    dry_run: bool,

    /// Take the new commit of a tag that moved
    #[arg(long)]
    accept_moved_tag: bool,
}

pub(crate) async fn run(args: PlanArgs, context: &Context) -> Result<Outcome, Failure> {
    match args.command {
        None => print(args.template.as_deref(), &args.project, context).await,
        Some(PlanCommand::Update(args)) => update(&args, context).await,
        Some(PlanCommand::Rollout(args)) => rollout::rollout(&args, context).await,
        Some(PlanCommand::Status { directories }) => status(&directories).await,
    }
}

async fn print(
    template: Option<&str>,
    args: &ProjectArgs,
    context: &Context,
) -> Result<Outcome, Failure> {
    let project = Project::read(args.directory.as_deref())?;
    let named = match &args.plan {
        Some(overload) => foreshore_plan::overloaded(project.plan(), overload)
            .map_err(|error| resolve_failure(&error))?,
        None => project.plan().to_owned(),
    };
    let Some(template) = template else {
        return context.terminal.exactly(&named, &json!(named));
    };
    let local = match project.kind {
        Kind::Shuttle(_) => {
            project
                .shuttle_plan(args.plan.as_deref(), false)
                .await?
                .directory
        }
        Kind::Foreshore(_) => Sources::overloaded(&project.directory, args.plan.as_deref())
            .await
            .map(|sources| Some(sources.host.plan.into()))?,
    };
    let path = |path: &Path| TemplateValue::text(path.display().to_string());
    let data = TemplateValue::fields([
        (
            "LocalPlanPath",
            local
                .as_deref()
                .map_or_else(|| TemplateValue::text(""), path),
        ),
        ("Plan", TemplateValue::text(named.as_str())),
        (
            "PlanRaw",
            if named.is_empty() {
                TemplateValue::Bool(false)
            } else {
                TemplateValue::text(named.as_str())
            },
        ),
        ("ProjectPath", path(&project.directory)),
        ("TempDirectoryPath", path(&project.temporary())),
    ]);
    let text = render_flag(template, &data)?;
    context.terminal.exactly(&text, &json!(text))
}

/// One service, or project of shuttle's, and what a newer plan would mean for it.
struct Candidate {
    directory: PathBuf,
    name: String,
    /// The plan as its file names it.
    plan: String,
    before: Option<Lock>,
    newest: Fetched,
    /// How its manifests would differ; for a project of shuttle's, how the plan's files do.
    changes: String,
}

impl Candidate {
    fn is_current(&self) -> bool {
        self.before.as_ref() == Some(&self.newest.lock)
    }

    fn words(&self) -> String {
        let short = |lock: &Lock| {
            lock.commit.as_ref().map_or_else(
                || lock.hash.short().to_owned(),
                |commit| commit[..10].to_owned(),
            )
        };
        let before = self
            .before
            .as_ref()
            .map_or_else(|| "nothing".to_owned(), short);
        let now = short(&self.newest.lock);
        let (name, plan) = (&self.name, &self.plan);
        match (self.is_current(), self.changes.is_empty()) {
            _ if self.before.is_none() => {
                format!("{name}: plan {plan} is pinned for the first time, to {now}")
            }
            (true, _) => format!("{name}: plan {plan} is pinned to the newest, {now}"),
            (false, true) => {
                format!("{name}: plan {plan} from {before} to {now}; manifests stay the same")
            }
            (false, false) => {
                format!(
                    "{name}: plan {plan} from {before} to {now}\n{}",
                    self.changes
                )
            }
        }
    }
}

#[derive(Serialize)]
struct Updated {
    service: String,
    plan: String,
    before: Option<Lock>,
    now: Lock,
    changes: String,
    written: bool,
}

async fn candidate(directory: &Path, accept_moved_tag: bool) -> Result<Candidate, Failure> {
    let project = Project::read(Some(directory))?;
    let plan = project.plan().to_owned();
    // A lock for another plan is about to be replaced, so it says nothing.
    let before = foreshore_plan::read_lock(directory, &plan).ok().flatten();
    let resolver = resolver()?;
    let known = before.as_ref().filter(|_| !accept_moved_tag);
    let newest = resolver
        .newest(&plan, known)
        .await
        .map_err(|error| match &error {
            ResolveError::NotPinned { plan } => Failure::usage(format!(
                "plan `{plan}` is part of the program or a directory, so there is nothing to pin"
            )),
            _ => resolve_failure(&error),
        })?;
    let earlier = match &before {
        None => None,
        Some(lock) => Some(
            resolver
                .pinned(lock)
                .await
                .map_err(|error| resolve_failure(&error))?,
        ),
    };
    let changes = what_changes(
        &project,
        earlier.as_ref().map(|earlier| &earlier.content),
        &newest.content,
    )?;
    Ok(Candidate {
        directory: directory.to_owned(),
        name: project.name(),
        plan,
        before,
        newest,
        changes,
    })
}

/// What another plan changes; nothing is compared with a plan that was not pinned.
fn what_changes(
    project: &Project,
    earlier: Option<&Content>,
    newest: &Content,
) -> Result<String, Failure> {
    let Kind::Foreshore(service) = &project.kind else {
        return Ok(earlier.map_or_else(String::new, |earlier| {
            changes::of_files("plan", &changes::texts(earlier), &changes::texts(newest))
        }));
    };
    // A plan that cannot be rendered is told before it is pinned, the first one too.
    let now = Sources::manifests(service, &project.directory, newest)?;
    let Some(earlier) = earlier else {
        return Ok(String::new());
    };
    let before = Sources::manifests(service, &project.directory, earlier)?;
    Ok(changes::between(&before, &now))
}

async fn update(args: &UpdateArgs, context: &Context) -> Result<Outcome, Failure> {
    let candidate = candidate(&args.directory, args.accept_moved_tag).await?;
    let write = !args.dry_run && !candidate.is_current();
    if write {
        foreshore_plan::write_lock(&candidate.directory, &candidate.newest.lock)
            .map_err(|error| lock_failure(&error))?;
        context.terminal.say(&format!(
            "wrote {}; commit it with the source",
            candidate.directory.join(lock::FILE_NAME).display()
        ));
    }
    let words = candidate.words();
    let updated = Updated {
        service: candidate.name,
        plan: candidate.plan,
        before: candidate.before,
        now: candidate.newest.lock,
        changes: candidate.changes,
        written: write,
    };
    Outcome::answer(&updated, words)
}

/// How deep below a directory services are looked for.
const DEPTH_MAX: usize = 4;

/// Finds the directories of services, in order of their names.
fn services(directories: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let mut found = Vec::new();
    let mut open: Vec<(PathBuf, usize)> = directories
        .iter()
        .map(|directory| (directory.clone(), 0))
        .collect();
    while let Some((directory, depth)) = open.pop() {
        let files = [FILE_NAME, SHUTTLE_FILE_NAME];
        if files.iter().any(|name| directory.join(name).is_file()) {
            found.push(directory);
            continue;
        }
        let entries = std::fs::read_dir(&directory).map_err(|error| {
            Failure::usage(format!("cannot read `{}`: {error}", directory.display()))
        })?;
        for entry in entries.flatten() {
            let hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
            if depth < DEPTH_MAX && !hidden && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                open.push((entry.path(), depth + 1));
            }
        }
    }
    found.sort();
    if found.is_empty() {
        return Err(Failure::new(
            ExitCode::NotFound,
            format!(
                "there is no {FILE_NAME} and no {SHUTTLE_FILE_NAME} below the given directories"
            ),
        ));
    }
    Ok(found)
}

fn at(directory: &Path, mut failure: Failure) -> Failure {
    failure.message = format!("{}: {}", directory.display(), failure.message);
    failure
}

#[derive(Serialize)]
struct Standing {
    service: String,
    plan: String,
    pinned: Option<String>,
    newest: Option<String>,
    state: &'static str,
}

async fn status(directories: &[PathBuf]) -> Result<Outcome, Failure> {
    let resolver = resolver()?;
    let mut found = Vec::new();
    for directory in services(directories)? {
        let project = Project::read(Some(&directory))?;
        let lock = foreshore_plan::read_lock(&directory, project.plan())
            .ok()
            .flatten();
        found.push((project.name(), project.plan().to_owned(), lock));
    }
    // Each plan is asked once, however many services use it.
    let plans: BTreeSet<&str> = found.iter().map(|(_, plan, _)| plan.as_str()).collect();
    let mut newest: BTreeMap<String, Result<Lock, bool>> = BTreeMap::new();
    for plan in plans {
        let asked = resolver.newest(plan, None).await;
        let asked = asked
            .map(|fetched| fetched.lock)
            .map_err(|error| matches!(error, ResolveError::NotPinned { .. }));
        newest.insert(plan.to_owned(), asked);
    }
    let mut rows = Vec::new();
    for (service, plan, lock) in found {
        let name = |lock: &Lock| lock.commit.clone().unwrap_or_else(|| lock.hash.to_string());
        let state = match (&newest[&plan], &lock) {
            (Err(true), _) => "not pinned: part of the program or a directory",
            (Err(false), _) => "unknown: the plan cannot be asked",
            (Ok(_), None) => "not pinned",
            (Ok(newest), Some(lock)) if newest.hash == lock.hash => "newest",
            (Ok(_), Some(_)) => "behind",
        };
        rows.push(Standing {
            service,
            pinned: lock.as_ref().map(name),
            newest: newest[&plan].as_ref().ok().map(name),
            plan,
            state,
        });
    }
    // Those behind first: they are what people look for.
    rows.sort_by_key(|row| (row.state != "behind", row.service.clone()));
    let short = |text: &Option<String>| {
        text.as_deref()
            .map_or("-", |text| &text[..text.len().min(10)])
            .to_owned()
    };
    let text = table(
        &["SERVICE", "PLAN", "PINNED", "NEWEST", "STATE"],
        rows.iter().map(|row| {
            vec![
                row.service.clone(),
                row.plan.clone(),
                short(&row.pinned),
                short(&row.newest),
                row.state.to_owned(),
            ]
        }),
    );
    Outcome::answer(&rows, text)
}
