//! Runs an action of a plan with all it needs, and says how it went.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use foreshore_action::{
    Finished, Input, Inputs, Jail, Memory, Options, Output, State, Step, Stop, run_steps,
};
use foreshore_model::plan::Action;
use foreshore_model::{ExitCode, Plan, clock};
use foreshore_render::{GraphError, RenderError};

use super::annotations::System;
use super::pipeline::{action_failure, seconds};
use super::sources::{Sources, cache};
use crate::failure::Failure;
use crate::terminal::Terminal;

/// Every action of a run, and what the one that was asked for leaves behind.
#[derive(Debug)]
pub(crate) struct Performed {
    pub(crate) steps: Vec<Finished>,
    pub(crate) output: Option<String>,
}

/// For whom actions run.
#[derive(Debug, Clone)]
pub(crate) struct Surroundings {
    /// The environment of whoever started it.
    pub(crate) environment: BTreeMap<String, String>,
    pub(crate) output: Output,
    pub(crate) input: Input,
    pub(crate) jail: Jailed,
}

/// Whether actions are confined to what a build needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Jailed {
    No,
    /// As far as the kernel can.
    WherePossible,
    /// Or they do not run.
    Always,
}

impl Performed {
    /// Nothing had to be done.
    pub(crate) fn nothing() -> Self {
        Self {
            steps: Vec::new(),
            output: None,
        }
    }

    /// The exit code of the action that failed, or 0.
    pub(crate) fn code(&self) -> u8 {
        let failed = self.steps.iter().find_map(|step| match step.state {
            State::Failed(code) => Some(code),
            _ => None,
        });
        failed.unwrap_or(0)
    }
}

/// Runs `action` with `words` as its arguments; what it needs runs before, with default arguments.
pub(crate) async fn perform(
    sources: &Sources,
    action: &str,
    words: &[String],
    surroundings: Surroundings,
    terminal: &Terminal,
    stop: Stop,
) -> Result<Performed, Failure> {
    let (steps, output) = prepare(sources, action, words)?;
    for step in &steps {
        if let Some(advice) = sources
            .plan
            .file
            .actions
            .get(&step.name)
            .and_then(|action| action.deprecated.as_ref())
        {
            terminal.warn(&format!("action `{}` is deprecated: {advice}", step.name));
        }
    }
    for (name, advice) in foreshore_render::deprecated(&sources.plan.file, &sources.service) {
        terminal.warn(&format!("variable `{name}` is deprecated: {advice}"));
    }
    let several = steps.len() > 1;
    let system = System::of(&surroundings.environment);
    let options = Options {
        jail: jail(sources, &steps, &surroundings)?,
        directory: sources.directory.clone(),
        environment: surroundings.environment,
        whole_environment: false,
        output: surroundings.output,
        input: surroundings.input,
        timeout: None,
    };
    let memory = Memory::new(cache()?.join("actions"));
    let steps = run_steps(steps, &options, Some(&memory), &stop, |step| {
        match system {
            _ if step.output.is_empty() => {}
            Some(system) => terminal.mark(&system.folded(step, clock::now().as_second())),
            None => terminal.say(step.output.trim_end()),
        }
        if several || system.is_some() || step.state == State::Unchanged {
            terminal.say(&words_of(step));
        }
        if let Some(text) = system.and_then(|system| system.failure(step)) {
            terminal.mark(&text);
        }
    })
    .await
    .map_err(|error| action_failure(&error))?;
    Ok(Performed { steps, output })
}

/// What the steps may reach when they are confined.
fn jail(
    sources: &Sources,
    steps: &[Step],
    surroundings: &Surroundings,
) -> Result<Option<Jail>, Failure> {
    if surroundings.jail == Jailed::No {
        return Ok(None);
    }
    let program = std::env::current_exe().map_err(|error| {
        Failure::new(
            ExitCode::Failed,
            format!("cannot find this program to jail actions with: {error}"),
        )
    })?;
    let toolchain = ["CARGO_HOME", "RUSTUP_HOME", "GOCACHE", "GOMODCACHE"];
    let own = toolchain
        .iter()
        .filter_map(|name| surroundings.environment.get(*name));
    let writes = steps
        .iter()
        .filter_map(|step| sources.plan.file.actions.get(&step.name))
        .flat_map(|action| &action.writes)
        .map(|path| sources.directory.join(path));
    let workspace = sources.workspace();
    Ok(Some(Jail {
        program,
        writes: own
            .map(PathBuf::from)
            .chain([workspace, PathBuf::from(&sources.host.cache)])
            .chain(writes)
            .collect(),
        reads: vec![PathBuf::from(&sources.host.plan)],
        required: surroundings.jail == Jailed::Always,
    }))
}

fn words_of(step: &Finished) -> String {
    let name = &step.name;
    match step.state {
        State::Done => format!("{name}: done in {}", seconds(step.elapsed)),
        State::Unchanged => format!("{name}: nothing it depends on changed, not repeated"),
        State::Failed(code) => format!(
            "{name}: failed with exit code {code} after {}",
            seconds(step.elapsed)
        ),
        State::Left => format!("{name}: left out"),
    }
}

fn prepare(
    sources: &Sources,
    action: &str,
    words: &[String],
) -> Result<(Vec<Step>, Option<String>), Failure> {
    let actions = &sources.plan.file.actions;
    let order =
        foreshore_render::order(actions, action).map_err(|error| unknown(&sources.plan, &error))?;
    let mut output = None;
    let mut steps = Vec::with_capacity(order.len());
    for (name, needs) in order {
        let Some(declared) = actions.get(&name) else {
            continue;
        };
        let given = if name == action {
            foreshore_render::parse_words(&name, declared, words)
        } else {
            Ok(BTreeMap::new())
        };
        let arguments = given
            .and_then(|given| foreshore_render::arguments(&name, declared, &given))
            .map_err(|error| {
                let known: Vec<String> = declared
                    .arguments
                    .keys()
                    .map(|name| format!("--{name}"))
                    .collect();
                let failure = Failure::from_error(ExitCode::Usage, &error);
                if known.is_empty() {
                    failure.hint(format!("action `{name}` takes no arguments"))
                } else {
                    failure.hint(format!("arguments of `{name}`: {}", known.join(", ")))
                }
            })?;
        let command = foreshore_render::command(
            &sources.plan,
            &name,
            &sources.service,
            &sources.host,
            &arguments,
        )
        .map_err(|error: RenderError| sources.explain(&error))?;
        if name == action {
            output = command.as_ref().and_then(|command| command.output.clone());
        }
        let timeout = timeout(&name, declared)?;
        steps.push(Step {
            timeout,
            name,
            needs,
            command,
            inputs: Inputs {
                inputs: declared.inputs.clone(),
                outputs: declared.outputs.clone(),
            },
        });
    }
    Ok((steps, output))
}

fn timeout(name: &str, declared: &Action) -> Result<Option<Duration>, Failure> {
    let Some(text) = &declared.timeout else {
        return Ok(None);
    };
    foreshore_render::duration(text).map(Some).ok_or_else(|| {
        Failure::usage(format!(
            "`timeout` of action `{name}` is `{text}`, which is no duration such as 90s, 5m or 2h"
        ))
    })
}

fn unknown(plan: &Plan, error: &GraphError) -> Failure {
    let failure = match error {
        GraphError::Unknown { action, near } => {
            let near = near
                .as_ref()
                .map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
            Failure::usage(format!(
                "plan `{}` has no action `{action}`{near}",
                plan.file.name
            ))
        }
        _ => Failure::from_error(ExitCode::Usage, error),
    };
    let names: Vec<&str> = plan.file.actions.keys().map(String::as_str).collect();
    failure.hint(format!("actions of this plan: {}", names.join(", ")))
}
