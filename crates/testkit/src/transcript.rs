//! Transcripts: commands of a story with what they answered, recorded on one
//! ground and replayed on another.
//!
//! A line `$ COMMAND` is run by a shell and followed by its output; a line
//! `: COMMAND` only has to succeed, and is there to wait for what a controller
//! does a moment later. What differs between runs is redacted.

mod normal;

use std::path::Path;

use anyhow::{Context as _, Result, ensure};

use crate::cli::Shell;
pub use normal::Normal;

/// One command of a story.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Its output belongs to the transcript.
    Shown { command: String, output: String },
    /// It has to succeed.
    Silent { command: String },
}

/// A story: what it is about, and its steps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transcript {
    /// Comment lines before the first command.
    pub preface: String,
    pub steps: Vec<Step>,
}

impl Transcript {
    /// Reads what [`Self::write`] wrote, or a person: outputs may be missing.
    pub fn read(text: &str) -> Result<Self> {
        let mut preface = String::new();
        let mut steps: Vec<Step> = Vec::new();
        for line in text.lines() {
            if let Some(command) = line.strip_prefix("$ ") {
                steps.push(Step::Shown {
                    command: command.to_owned(),
                    output: String::new(),
                });
            } else if let Some(command) = line.strip_prefix(": ") {
                steps.push(Step::Silent {
                    command: command.to_owned(),
                });
            } else if let Some(Step::Shown { output, .. }) = steps.last_mut() {
                output.push_str(line);
                output.push('\n');
            } else {
                ensure!(
                    steps.is_empty(),
                    "`{line}` follows a command that shows nothing"
                );
                preface.push_str(line);
                preface.push('\n');
            }
        }
        Ok(Self { preface, steps })
    }

    pub fn write(&self) -> String {
        let mut text = self.preface.clone();
        for step in &self.steps {
            match step {
                Step::Shown { command, output } => {
                    text.extend(["$ ", command, "\n", output]);
                }
                Step::Silent { command } => text.extend([": ", command, "\n"]),
            }
        }
        text
    }

    /// Runs the commands with `shell` and returns what they answer.
    pub async fn play(&self, shell: &Shell, normal: &mut Normal) -> Result<Self> {
        let mut steps = Vec::new();
        for step in &self.steps {
            steps.push(match step {
                Step::Shown { command, .. } => {
                    let answer = run(shell, command).await?;
                    let mut output = normal.apply(&answer.stdout);
                    if answer.code != 0 {
                        output.extend(["[exit code ", &answer.code.to_string(), "]\n"]);
                    }
                    Step::Shown {
                        command: command.clone(),
                        output,
                    }
                }
                Step::Silent { command } => {
                    let answer = run(shell, command).await?;
                    ensure!(answer.code == 0, "`{command}`: {}", answer.transcript());
                    step.clone()
                }
            });
        }
        Ok(Self {
            preface: self.preface.clone(),
            steps,
        })
    }
}

async fn run(shell: &Shell, command: &str) -> Result<crate::cli::Answer> {
    // Both outputs in the order in which they were written, as on a terminal.
    let script = format!("exec 2>&1\n{command}");
    shell
        .raw(["-c", &script])
        .await
        .with_context(|| format!("cannot run `{command}`"))
}

/// A shell in `folder` whose `kubectl` talks to the cluster of `kubeconfig`.
pub fn shell(folder: &Path, kubeconfig: &Path) -> Result<Shell> {
    let programs = crate::environment::oracle("kubectl")?;
    let programs = programs.parent().context("a program lies in a folder")?;
    let path = crate::environment::value("PATH").context("PATH is not set")?;
    let plain = |path: &Path| path.to_str().map(str::to_owned).context("a plain path");
    Ok(Shell::of("/bin/sh".into(), folder)?
        .env("PATH", &format!("{}:{path}", plain(programs)?))
        .env("KUBECONFIG", &plain(kubeconfig)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TempDir;

    const STORY: &str = "# Why.\n$ echo one; echo two >&2\n: true\n$ exit 3\n";

    #[tokio::test]
    async fn a_story_is_played_and_read_again() {
        let folder = TempDir::new("transcript").unwrap();
        let shell = Shell::of("/bin/sh".into(), folder.path()).unwrap();
        let story = Transcript::read(STORY).unwrap();
        let played = story.play(&shell, &mut Normal::new()).await.unwrap();
        let text = played.write();
        assert_eq!(
            text,
            "# Why.\n$ echo one; echo two >&2\none\ntwo\n: true\n$ exit 3\n[exit code 3]\n"
        );
        assert_eq!(Transcript::read(&text).unwrap(), played);
    }

    #[tokio::test]
    async fn a_silent_step_has_to_succeed() {
        let folder = TempDir::new("transcript").unwrap();
        let shell = Shell::of("/bin/sh".into(), folder.path()).unwrap();
        let story = Transcript::read(": false\n").unwrap();
        assert!(story.play(&shell, &mut Normal::new()).await.is_err());
    }
}
