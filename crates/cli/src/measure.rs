//! Runs scenarios for `check` and `load`: reads what they need, watches them, writes reports.

mod share;
pub(crate) mod usage;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::Args;
use foreshore_load::{Brake, Live, LiveView, Options, RunError, TargetSource, progress};
use foreshore_model::ExitCode;
use foreshore_scenario::{
    Agreed, Baseline, Inputs, Profile, Program, Report, Setup, Source, Verdict, baseline, bind,
    compile, fence,
};

use self::share::{Draft, Shared};
use crate::context::Context;
use crate::failure::Failure;
use crate::terminal::Outcome;

/// Exit code of a second Ctrl-C, when the first did not end the run.
const INTERRUPTED: i32 = ExitCode::Interrupted as i32;

/// What `check` and `load` have in common.
#[derive(Debug, Args)]
pub(crate) struct MeasureArgs {
    /// Address of a target, instead of the one the environment names (can be repeated)
    #[arg(long = "target", value_name = "NAME=URL", value_parser = pair)]
    targets: Vec<(String, String)>,

    /// Value that the scenario declares, instead of the environment's (can be repeated)
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = pair)]
    values: Vec<(String, String)>,

    /// Directory for the report: report.html, report.json, junit.xml, metrics.prom
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,

    /// Number that makes arrivals and random values repeat
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
}

impl MeasureArgs {
    /// Gives a value as if it had been typed.
    pub(crate) fn set(&mut self, name: &str, value: String) {
        self.values.push((name.to_owned(), value));
    }
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(format!("`{text}` is not NAME=VALUE")),
    }
}

/// What only `load` knows of.
#[derive(Debug, Default)]
pub(crate) struct LoadOptions {
    pub(crate) workers: Option<usize>,
    pub(crate) agreed: Option<Agreed>,
    pub(crate) baseline: Option<PathBuf>,
    pub(crate) target: TargetSource,
    /// Whether the server is told of the run.
    pub(crate) shared: bool,
}

/// A scenario's text, and where the files it names lie.
#[derive(Debug)]
pub(crate) struct Script {
    pub(crate) name: String,
    pub(crate) text: String,
    pub(crate) folder: PathBuf,
}

impl Script {
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        let text = fs::read_to_string(path).map_err(|error| {
            Failure::usage(format!("cannot read `{}`: {error}", path.display()))
                .hint("give a scenario: `foreshore check FILE`")
        })?;
        let folder = path.parent().filter(|it| !it.as_os_str().is_empty());
        Ok(Self {
            name: path.display().to_string(),
            text,
            folder: folder.unwrap_or_else(|| Path::new(".")).to_owned(),
        })
    }

    pub(crate) fn compile(&self) -> Result<Program, Failure> {
        compile(&self.name, &self.text).map_err(|problems| Failure::usage(problems.to_string()))
    }
}

/// Finds a profile by name.
pub(crate) fn profile<'a>(program: &'a Program, name: &str) -> Result<&'a Profile, Failure> {
    if let Some(profile) = program.profile(name) {
        return Ok(profile);
    }
    let known: Vec<&str> = program
        .profiles
        .iter()
        .map(|profile| profile.name.as_str())
        .collect();
    let failure = Failure::usage(format!("the scenario has no profile `{name}`"));
    Err(
        match foreshore_model::nearest(name, known.iter().copied()) {
            Some(near) => failure.hint(format!("did you mean `{near}`?")),
            None if known.is_empty() => {
                failure.hint(format!("add one: `profile {name} iterations 1`"))
            }
            None => failure.hint(format!("it has: {}", known.join(", "))),
        },
    )
}

/// Runs one profile of a program and judges it; reports are written even when it is interrupted.
pub(crate) async fn measure(
    script: &Script,
    program: &Program,
    profile: &Profile,
    args: &MeasureArgs,
    load: LoadOptions,
    context: &Context,
) -> Result<Report, Failure> {
    let setup = bound(script, program, profile, args)?;
    let now = foreshore_model::clock::now();
    fence(&setup, load.agreed, now).map_err(|refusal| {
        Failure::from_error(ExitCode::Refused, &refusal)
            .hint("agree on a time and give it: --production-window FROM..TO")
    })?;
    let before = load.baseline.as_deref().map(read_baseline).transpose()?;
    if let Some(directory) = &args.report {
        // Said before the run, not after it.
        fs::create_dir_all(directory).map_err(|error| unwritable(directory, &error))?;
    }
    let brake = Brake::default();
    let options = Options {
        workers: load.workers,
        seed: args.seed,
        target: load.target,
        brake: brake.clone(),
        ..Options::default()
    };
    let title = format!("{} · {}", program.name, profile.name);
    let shared = if load.shared {
        Shared::start(&setup, context).await
    } else {
        None
    };
    let draft = shared.as_ref().map(Shared::draft);
    let watcher = Watcher::new(title, &setup, draft, context);
    let stopping = tokio::spawn(pull_when_interrupted(brake));
    let running = {
        let (setup, folder) = (setup.clone(), script.folder.clone());
        let mut watcher = watcher;
        tokio::task::spawn_blocking(move || {
            foreshore_load::run(&setup, &folder, &options, |live| watcher.look(live))
        })
    };
    let result = running.await;
    stopping.abort();
    let outcome = result
        .map_err(|error| Failure::new(ExitCode::Bug, format!("the run broke: {error}")))?
        .map_err(|error| run_failure(&error))?;
    let report = Report::new(&setup, outcome, before.as_ref());
    if let Some(shared) = shared {
        shared.finish(&report, context).await;
    }
    if let Some(directory) = &args.report {
        write(&report, directory)?;
        context.terminal.say(&format!(
            "report: {}",
            directory.join("report.html").display()
        ));
    }
    Ok(report)
}

/// The answer of the command, and its exit code.
pub(crate) fn outcome(reports: &[Report], context: &Context) -> Result<Outcome, Failure> {
    let verdict = reports
        .iter()
        .map(|report| report.verdict)
        .max_by_key(|verdict| severity(*verdict))
        .unwrap_or(Verdict::Pass);
    for report in reports {
        if report.verdict != Verdict::Pass {
            for reason in report.reasons() {
                context.terminal.warn(&reason);
            }
        }
    }
    let text: String = reports.iter().map(Report::text).collect();
    let outcome = match reports {
        [one] => Outcome::answer(&one.json(), text)?,
        many => {
            let all: Vec<_> = many.iter().map(Report::json).collect();
            Outcome::answer(&all, text)?
        }
    };
    Ok(outcome.with_code(verdict.exit_code()))
}

fn severity(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Pass => 0,
        Verdict::Invalid => 1,
        Verdict::Fail => 2,
        Verdict::Unreachable => 3,
        Verdict::Interrupted => 4,
    }
}

fn bound(
    script: &Script,
    program: &Program,
    profile: &Profile,
    args: &MeasureArgs,
) -> Result<Setup, Failure> {
    let mut files = BTreeMap::new();
    for data in &program.data {
        let path = script.folder.join(&data.file);
        let text = fs::read_to_string(&path).map_err(|error| {
            Failure::usage(format!("cannot read `{}`: {error}", path.display())).hint(format!(
                "data `{}` of {} names it, relative to the scenario",
                data.name, script.name
            ))
        })?;
        files.insert(data.file.clone(), text);
    }
    let inputs = Inputs {
        environment: environment(program),
        targets: args.targets.iter().cloned().collect(),
        values: args.values.iter().cloned().collect(),
        files,
    };
    bind(program, profile, &inputs).map_err(|error| {
        let failure = Failure::from_error(ExitCode::Usage, &error);
        match error.hint() {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    })
}

/// Reads only the variables the scenario names.
#[expect(
    clippy::disallowed_methods,
    reason = "the command line is where the environment is read"
)]
fn environment(program: &Program) -> BTreeMap<String, String> {
    let settings = program.values.iter().chain(&program.secrets);
    program
        .targets
        .iter()
        .map(|target| &target.source)
        .chain(settings.map(|setting| &setting.source))
        .filter_map(|source| match source {
            Source::Environment { variable, .. } => Some(variable),
            Source::Literal(_) => None,
        })
        .filter_map(|variable| Some((variable.clone(), std::env::var(variable).ok()?)))
        .collect()
}

fn read_baseline(path: &Path) -> Result<Baseline, Failure> {
    let shown = path.display();
    let text = fs::read_to_string(path)
        .map_err(|error| Failure::usage(format!("cannot read the baseline `{shown}`: {error}")))?;
    baseline(&text).map_err(|error| Failure::usage(format!("`{shown}` is no baseline: {error}")))
}

fn run_failure(error: &RunError) -> Failure {
    let code = if error.is_unreachable() {
        ExitCode::Unreachable
    } else {
        ExitCode::Usage
    };
    let failure = Failure::from_error(code, error);
    match error.hint() {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

fn unwritable(path: &Path, error: &io::Error) -> Failure {
    Failure::usage(format!("cannot write `{}`: {error}", path.display()))
}

fn write(report: &Report, directory: &Path) -> Result<(), Failure> {
    let files = [
        ("report.html", report.html()),
        ("report.json", format!("{:#}\n", report.json())),
        ("junit.xml", report.junit()),
        ("metrics.prom", report.prometheus()),
    ];
    for (name, text) in files {
        let path = directory.join(name);
        fs::write(&path, text).map_err(|error| unwritable(&path, &error))?;
    }
    Ok(())
}

/// The first Ctrl-C ends the run and keeps what was measured; the second ends the program.
async fn pull_when_interrupted(brake: Brake) {
    if tokio::signal::ctrl_c().await.is_err() {
        return;
    }
    brake.pull();
    if tokio::signal::ctrl_c().await.is_ok() {
        #[expect(clippy::exit, reason = "the person asked twice")]
        std::process::exit(INTERRUPTED);
    }
}

/// Shows a load run: full screen on a terminal, a line now and then elsewhere.
struct Watcher {
    view: Option<LiveView>,
    terminal: crate::terminal::Terminal,
    /// Functional runs are over soon and say how each step went.
    silent: bool,
    said: u64,
    draft: Option<Draft>,
}

/// Seconds between two lines.
const LINE_EVERY: u64 = 5;

impl Watcher {
    fn new(title: String, setup: &Setup, draft: Option<Draft>, context: &Context) -> Self {
        let silent = setup.profile.load.is_functional();
        let screen = !silent && context.terminal.draws();
        let view = screen.then(|| LiveView::open(title)).and_then(Result::ok);
        Self {
            view,
            terminal: context.terminal.clone(),
            silent,
            said: 0,
            draft,
        }
    }

    fn look(&mut self, live: &Live<'_>) {
        if self.silent {
            return;
        }
        if let Some(draft) = &mut self.draft {
            draft.look(live);
        }
        if let Some(view) = &mut self.view {
            if view.draw(live).is_err() {
                // The terminal is gone; the run goes on without it.
                self.view = None;
            }
            return;
        }
        let now = live.elapsed.as_secs() / LINE_EVERY;
        if now > self.said {
            self.said = now;
            self.terminal.say(&progress(live));
        }
    }
}
