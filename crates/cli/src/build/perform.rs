//! Runs an action of a plan with all it needs, and says how it went.

use std::collections::BTreeMap;

use foreshore_action::{Finished, Input, Inputs, Memory, Options, Output, State, Step, run_steps};
use foreshore_model::{ExitCode, Plan};
use foreshore_render::{GraphError, RenderError};
use tokio_util::sync::CancellationToken;

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

impl Performed {
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
    surroundings: (BTreeMap<String, String>, Output, Input),
    terminal: &Terminal,
    cancelled: CancellationToken,
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
    let (environment, where_to, input) = surroundings;
    let options = Options {
        directory: sources.directory.clone(),
        environment,
        whole_environment: false,
        output: where_to,
        input,
    };
    let memory = Memory::new(cache()?.join("actions"));
    let steps = run_steps(steps, &options, Some(&memory), &cancelled, |step| {
        if !step.output.is_empty() {
            terminal.say(step.output.trim_end());
        }
        if several || step.state == State::Unchanged {
            terminal.say(&words_of(step));
        }
    })
    .await
    .map_err(|error| action_failure(&error))?;
    Ok(Performed { steps, output })
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
        steps.push(Step {
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
