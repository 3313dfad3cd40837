//! Runs the built `foreshore` program as a user would.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use tokio::process::Command;

use crate::{environment, redact::Redaction};

/// Longer than any command that is not stuck.
const LIMIT: Duration = Duration::from_mins(2);

/// A user's shell: a folder, variables, and what has been redacted so far.
#[derive(Debug)]
pub struct Shell {
    program: PathBuf,
    folder: PathBuf,
    variables: Vec<(String, String)>,
    redaction: Redaction,
}

/// What a command answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Answer {
    /// Code, stdout and stderr as one text, for a snapshot.
    pub fn transcript(&self) -> String {
        let mut text = format!("exit code {}\n", self.code);
        for (name, output) in [("stdout", &self.stdout), ("stderr", &self.stderr)] {
            if !output.is_empty() {
                text.extend(["--- ", name, "\n", output]);
                if !output.ends_with('\n') {
                    text.push('\n');
                }
            }
        }
        text
    }
}

impl Shell {
    /// A shell in `folder` with `HOME` there and nothing of the tester's own
    /// environment but `PATH`.
    pub fn new(folder: &Path) -> Result<Self> {
        Self::of(environment::foreshore()?, folder)
    }

    /// The same for another program than `foreshore`.
    pub fn of(program: PathBuf, folder: &Path) -> Result<Self> {
        let home = folder
            .to_str()
            .context("a test's folder has a plain name")?;
        let path = environment::value("PATH").context("PATH is not set")?;
        let variables = [
            ("HOME", home),
            ("PATH", &path),
            ("NO_COLOR", "1"),
            ("LANG", "C.UTF-8"),
        ];
        Ok(Self {
            program,
            folder: folder.to_owned(),
            variables: variables
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .to_vec(),
            redaction: Redaction::new().path(folder, "folder").temporary_paths(),
        })
    }

    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Works in `folder` below the first one from now on.
    #[must_use]
    pub fn within(mut self, folder: &str) -> Self {
        self.folder = self.folder.join(folder);
        self
    }

    /// Hides more than it does by itself.
    #[must_use]
    pub fn redact(mut self, change: impl FnOnce(Redaction) -> Redaction) -> Self {
        self.redaction = change(self.redaction);
        self
    }

    /// Runs it and returns exactly what it printed.
    pub async fn raw<A: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = A>,
    ) -> Result<Answer> {
        let running = Command::new(&self.program)
            .args(arguments)
            .current_dir(&self.folder)
            .env_clear()
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        let Ok(output) = tokio::time::timeout(LIMIT, running).await else {
            bail!("`{}` did not end within {LIMIT:?}", self.program.display());
        };
        let output = output.with_context(|| format!("cannot run `{}`", self.program.display()))?;
        let code = output
            .status
            .code()
            .with_context(|| format!("it ended with {}", output.status))?;
        Ok(Answer {
            code,
            stdout: String::from_utf8(output.stdout).context("stdout is not text")?,
            stderr: String::from_utf8(output.stderr).context("stderr is not text")?,
        })
    }

    /// Runs it and returns what it printed, redacted.
    pub async fn run<A: AsRef<OsStr>>(
        &mut self,
        arguments: impl IntoIterator<Item = A>,
    ) -> Result<Answer> {
        let answer = self.raw(arguments).await?;
        Ok(Answer {
            code: answer.code,
            stdout: self.redaction.apply(&answer.stdout),
            stderr: self.redaction.apply(&answer.stderr),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TempDir;

    #[tokio::test]
    async fn code_and_both_outputs_are_captured_and_redacted() {
        let folder = TempDir::new("cli").unwrap();
        let mut shell = Shell::of("/bin/sh".into(), folder.path())
            .unwrap()
            .env("WORD", "said");
        let answer = shell
            .run([
                "-c",
                "echo $WORD in $PWD; echo at 127.0.0.1:4711 >&2; exit 3",
            ])
            .await
            .unwrap();
        assert_eq!(
            answer.transcript(),
            "exit code 3\n--- stdout\nsaid in [folder]\n--- stderr\nat [port 1]\n",
        );
    }

    #[tokio::test]
    async fn the_testers_own_environment_stays_outside() {
        let folder = TempDir::new("cli").unwrap();
        let shell = Shell::of("/bin/sh".into(), folder.path()).unwrap();
        let answer = shell
            .raw(["-c", "echo ${CARGO_MANIFEST_DIR-unset}"])
            .await
            .unwrap();
        assert_eq!(answer.stdout, "unset\n");
    }
}
