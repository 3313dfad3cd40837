//! Runs an action with all it needs: what can be done at the same time is.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use foreshore_render::Command;
use tokio::task::JoinSet;

use crate::memory::{Memory, MemoryError};
use crate::run::{ActionError, Ended, Input, Options, Output, run};
use crate::stop::Stop;

/// Actions that run at the same time.
const PARALLEL_MAX: usize = 8;

/// What a result depends on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inputs {
    pub inputs: Vec<String>,
    pub outputs: Vec<String>,
}

/// One action of a run.
#[derive(Debug, Clone)]
pub struct Step {
    pub name: String,
    pub needs: BTreeSet<String>,
    /// None for one that only needs others.
    pub command: Option<Command>,
    /// Without declared inputs it is done every time.
    pub inputs: Inputs,
    /// How long it may take.
    pub timeout: Option<Duration>,
}

/// How one action went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    Done,
    /// Nothing it depends on changed since it was done.
    Unchanged,
    Failed(u8),
    /// What it needs failed.
    Left,
}

/// One action of a run, at its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    pub name: String,
    pub state: State,
    pub elapsed: Duration,
    /// What it printed, unless that went to the terminal directly.
    pub output: String,
}

/// Runs steps, which are in an order where each comes after what it needs; the last has the terminal.
///
/// `seen` hears of each as it ends. After a failure nothing new is started.
pub async fn run_steps(
    steps: Vec<Step>,
    options: &Options,
    memory: Option<&Memory>,
    asked: &Stop,
    mut seen: impl FnMut(&Finished),
) -> Result<Vec<Finished>, ActionError> {
    let last = steps
        .last()
        .map(|step| step.name.clone())
        .unwrap_or_default();
    let mut waiting: Vec<Step> = steps;
    let mut running = JoinSet::new();
    let mut finished: Vec<Finished> = Vec::new();
    let mut keys: BTreeMap<String, String> = BTreeMap::new();
    loop {
        let failed = finished
            .iter()
            .any(|finished| matches!(finished.state, State::Failed(_)));
        while !failed && running.len() < PARALLEL_MAX {
            let done = |name: &String| finished.iter().any(|finished| finished.name == *name);
            let ready = waiting.iter().position(|step| step.needs.iter().all(done));
            let Some(index) = ready else { break };
            let step = waiting.remove(index);
            let key = memory_key(&step, options, memory, &keys)?;
            if let Some(key) = &key {
                keys.insert(step.name.clone(), key.clone());
            }
            let alone = step.name == last;
            let work = Work {
                options: Options {
                    output: if alone {
                        options.output
                    } else {
                        Output::Capture
                    },
                    input: if alone { options.input } else { Input::None },
                    timeout: step.timeout,
                    ..options.clone()
                },
                memory: memory.cloned().zip(key),
                stop: asked.clone(),
                step,
            };
            running.spawn(work.run());
        }
        let Some(joined) = running.join_next().await else {
            break;
        };
        let step = joined.expect("running an action does not panic")?;
        seen(&step);
        finished.push(step);
    }
    finished.extend(waiting.into_iter().map(|step| Finished {
        name: step.name,
        state: State::Left,
        elapsed: Duration::ZERO,
        output: String::new(),
    }));
    Ok(finished)
}

fn memory_key(
    step: &Step,
    options: &Options,
    memory: Option<&Memory>,
    keys: &BTreeMap<String, String>,
) -> Result<Option<String>, ActionError> {
    let (Some(memory), Some(command)) = (memory, &step.command) else {
        return Ok(None);
    };
    if step.inputs.inputs.is_empty() {
        return Ok(None);
    }
    // What is needed and has no key of its own may have done anything.
    let Some(needed) = step
        .needs
        .iter()
        .map(|name| keys.get(name).map(String::as_str))
        .collect::<Option<Vec<_>>>()
    else {
        return Ok(None);
    };
    Ok(Some(memory.key(
        command,
        &options.directory,
        &step.inputs.inputs,
        &needed,
    )?))
}

/// One action with its surroundings.
struct Work {
    step: Step,
    options: Options,
    memory: Option<(Memory, String)>,
    stop: Stop,
}

impl Work {
    async fn run(self) -> Result<Finished, ActionError> {
        let finished = |state, ended: Option<Ended>| {
            let (elapsed, output) = ended
                .map(|ended| (ended.elapsed, ended.output))
                .unwrap_or_default();
            Ok(Finished {
                name: self.step.name.clone(),
                state,
                elapsed,
                output,
            })
        };
        let outputs = &self.step.inputs.outputs;
        if let Some((memory, key)) = &self.memory
            && memory.knows(key, &self.options.directory, outputs)?
        {
            return finished(State::Unchanged, None);
        }
        let Some(command) = &self.step.command else {
            return finished(State::Done, None);
        };
        let ended = run(command, &self.options, self.stop.clone()).await?;
        if ended.code != 0 {
            return finished(State::Failed(ended.code), Some(ended));
        }
        if let Some((memory, key)) = &self.memory {
            memory.remember(key, &self.options.directory, outputs)?;
        }
        finished(State::Done, Some(ended))
    }
}

impl From<MemoryError> for ActionError {
    fn from(error: MemoryError) -> Self {
        Self::Memory(error)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn step(name: &str, needs: &[&str], script: &str) -> Step {
        Step {
            name: name.to_owned(),
            needs: needs.iter().map(|need| (*need).to_owned()).collect(),
            command: Some(Command {
                program: "/bin/sh".into(),
                arguments: vec!["-c".into(), script.into()],
                environment: BTreeMap::new(),
                output: None,
            }),
            inputs: Inputs::default(),
            timeout: None,
        }
    }

    fn options(directory: &tempfile::TempDir) -> Options {
        Options {
            directory: directory.path().to_owned(),
            environment: BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin".to_owned())]),
            whole_environment: false,
            output: Output::Capture,
            input: Input::None,
            jail: None,
            timeout: None,
        }
    }

    async fn states(
        steps: Vec<Step>,
        directory: &tempfile::TempDir,
        memory: Option<&Memory>,
    ) -> BTreeMap<String, State> {
        let finished = run_steps(steps, &options(directory), memory, &Stop::default(), |_| {})
            .await
            .unwrap();
        finished
            .into_iter()
            .map(|step| (step.name, step.state))
            .collect()
    }

    #[tokio::test]
    async fn what_does_not_need_each_other_runs_at_the_same_time() {
        let directory = tempfile::tempdir().unwrap();
        // Each waits for the other, so one after the other would never end.
        let meet = |own: &str, other: &str| {
            format!(
                "touch {own}; n=0; while [ ! -e {other} ]; do n=$((n+1)); [ $n -gt 3000 ] && exit 9; sleep 0.01; done"
            )
        };
        let steps = vec![
            step("a", &[], &meet("a", "b")),
            step("b", &[], &meet("b", "a")),
            step("all", &["a", "b"], "[ -e a ] && [ -e b ]"),
        ];
        let states = states(steps, &directory, None).await;
        assert!(
            states.values().all(|state| *state == State::Done),
            "{states:?}"
        );
    }

    #[tokio::test]
    async fn after_a_failure_nothing_that_needs_it_is_started() {
        let directory = tempfile::tempdir().unwrap();
        let steps = vec![
            step("build", &[], "echo broken; exit 7"),
            step("test", &["build"], "touch ran"),
        ];
        let states = states(steps, &directory, None).await;
        assert_eq!(states["build"], State::Failed(7));
        assert_eq!(states["test"], State::Left);
        assert!(!directory.path().join("ran").exists());
    }

    #[tokio::test]
    async fn an_action_whose_inputs_did_not_change_is_not_repeated() {
        let directory = tempfile::tempdir().unwrap();
        let memory = Memory::new(directory.path().join("memory"));
        fs::write(directory.path().join("in"), "1").unwrap();
        let steps = || {
            let mut build = step("build", &[], "echo x >> runs; cp in out");
            build.inputs = Inputs {
                inputs: vec!["in".into()],
                outputs: vec!["out".into()],
            };
            vec![build]
        };
        assert_eq!(
            states(steps(), &directory, Some(&memory)).await["build"],
            State::Done
        );
        assert_eq!(
            states(steps(), &directory, Some(&memory)).await["build"],
            State::Unchanged
        );
        fs::remove_file(directory.path().join("out")).unwrap();
        assert_eq!(
            states(steps(), &directory, Some(&memory)).await["build"],
            State::Done
        );
        fs::write(directory.path().join("in"), "2").unwrap();
        assert_eq!(
            states(steps(), &directory, Some(&memory)).await["build"],
            State::Done
        );
        assert_eq!(
            fs::read_to_string(directory.path().join("runs")).unwrap(),
            "x\nx\nx\n"
        );
    }
}
