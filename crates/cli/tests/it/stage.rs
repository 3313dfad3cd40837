//! Where a story is played: a checkout with the samples, a data directory, a platform.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use foreshore_testkit::cli::{Answer, Shell};
use foreshore_testkit::cluster::install_crypto;
use foreshore_testkit::{TempDir, environment, wait};
use serde_json::Value;

/// Long enough for a loaded machine; what a story takes is measured elsewhere.
pub(crate) const PATIENCE: Duration = Duration::from_mins(3);

/// A person's machine for the length of one test.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) folder: TempDir,
    server: Option<String>,
    /// Whether a platform was ever asked for: it is detached, and outlives a
    /// test that fails before its `down`.
    was_up: bool,
}

impl Drop for Stage {
    fn drop(&mut self) {
        if !self.was_up {
            return;
        }
        let down = environment::foreshore().and_then(|program| {
            Ok(Command::new(program)
                .args(["down", "--now"])
                .env("FORESHORE_DATA", self.data())
                .stdin(Stdio::null())
                .output()?)
        });
        match down {
            Ok(output) if output.status.success() => {}
            Ok(output) => {
                environment::say(&format!(
                    "the platform of a test is not down: {}",
                    String::from_utf8_lossy(&output.stderr)
                ));
            }
            Err(error) => environment::say(&format!("cannot take the platform down: {error:#}")),
        }
    }
}

impl Stage {
    pub(crate) fn new(name: &str) -> Result<Self> {
        Ok(Self {
            folder: TempDir::new(name)?,
            server: None,
            was_up: false,
        })
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    pub(crate) fn checkout(&self) -> PathBuf {
        self.folder.join("checkout")
    }

    /// Runs the program as its owner and returns what it said.
    pub(crate) async fn foreshore(&self, arguments: &[&str]) -> Result<Answer> {
        self.shell()?.raw(arguments).await
    }

    /// The same with one variable set as given.
    pub(crate) async fn with_variable(
        &self,
        name: &str,
        value: &str,
        arguments: &[&str],
    ) -> Result<Answer> {
        self.shell()?.env(name, value).raw(arguments).await
    }

    /// The same with a token instead of the owner's credential.
    pub(crate) async fn with_token(&self, token: &str, arguments: &[&str]) -> Result<Answer> {
        let server = self.server.as_deref().context("the platform is not up")?;
        self.shell()?
            .env("FORESHORE_SERVER", server)
            .env("FORESHORE_TOKEN", token)
            .raw(arguments)
            .await
    }

    /// Promises a platform that somebody else starts here: it is taken down in the end.
    pub(crate) fn will_be_up(&mut self) {
        self.was_up = true;
    }

    /// The variables of a person on this machine, beside `HOME` and `PATH`.
    pub(crate) fn variables(&self) -> Result<Vec<(String, String)>> {
        let home = |variable: &str, folder: &str| {
            environment::value(variable)
                .or_else(|| Some(format!("{}/{folder}", environment::value("HOME")?)))
        };
        let cache = environment::cache()?;
        let mut variables = vec![
            ("FORESHORE_DATA".to_owned(), path(&self.data())?.to_owned()),
            ("FORESHORE_CACHE".to_owned(), path(&cache)?.to_owned()),
        ];
        // The person's own home is elsewhere; their toolchain is not.
        for (variable, folder) in [("CARGO_HOME", ".cargo"), ("RUSTUP_HOME", ".rustup")] {
            if let Some(value) = home(variable, folder).filter(|value| Path::new(value).is_dir()) {
                variables.push((variable.to_owned(), value));
            }
        }
        Ok(variables)
    }

    fn shell(&self) -> Result<Shell> {
        let shell = Shell::new(self.folder.path())?;
        Ok(self
            .variables()?
            .iter()
            .fold(shell, |shell, (name, value)| shell.env(name, value)))
    }

    /// Starts a platform with free ports and returns what `up` answered.
    pub(crate) async fn up(&mut self, more: &[&str]) -> Result<Value> {
        self.was_up = true;
        let usual = ["up", "--detach", "--no-samples", "-o", "json"];
        let answer = self.foreshore(&[&usual[..], more].concat()).await?;
        let value = json(&answer)?;
        self.server = Some(text(&value, "/url")?);
        Ok(value)
    }

    /// Copies this repository, so that samples can be changed and committed.
    pub(crate) fn check_out(&self) -> Result<()> {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let listed = Command::new("git")
            .args(["ls-files", "-z", "--cached"])
            .current_dir(&source)
            .output()?;
        ensure!(
            listed.status.success(),
            "git cannot list the repository's files"
        );
        for file in String::from_utf8(listed.stdout)?.split_terminator('\0') {
            let (from, to) = (source.join(file), self.checkout().join(file));
            std::fs::create_dir_all(to.parent().context("a file has a parent")?)?;
            // A file that is deleted and not yet committed is no part of the copy.
            if from.is_file() {
                std::fs::copy(&from, &to).with_context(|| format!("cannot copy {file}"))?;
            }
        }
        self.git(&["init", "--quiet", "--initial-branch=main", "."])?;
        self.commit("samples as they come")
    }

    /// Commits everything in the checkout, as the developer Ada.
    pub(crate) fn commit(&self, message: &str) -> Result<()> {
        self.git(&["add", "--all"])?;
        self.git(&["commit", "--quiet", "--message", message])
            .map(|_| ())
    }

    pub(crate) fn git(&self, arguments: &[&str]) -> Result<String> {
        let folder = self.checkout();
        std::fs::create_dir_all(&folder)?;
        let output = Command::new("git")
            .args([
                "-c",
                "user.name=Ada",
                "-c",
                "user.email=ada@example.org",
                "-c",
                "commit.gpgsign=false",
            ])
            .args(arguments)
            .current_dir(folder)
            .output()?;
        ensure!(
            output.status.success(),
            "git {arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(String::from_utf8(output.stdout)?)
    }

    /// Replaces text in a file of the checkout.
    pub(crate) fn edit(&self, file: &str, old: &str, new: &str) -> Result<()> {
        let path = self.checkout().join(file);
        let text = std::fs::read_to_string(&path)?;
        ensure!(text.contains(old), "`{old}` is not in {file}");
        Ok(std::fs::write(path, text.replace(old, new))?)
    }
}

/// Asks the ingress for a host's page until it answers well.
pub(crate) async fn page(ingress: &str, host: &str) -> Result<String> {
    install_crypto();
    let client = reqwest::Client::builder()
        .timeout(Duration::from_secs(5))
        .build()?;
    wait::for_some(&format!("a page of {host}"), PATIENCE, || async {
        let answer = client.get(ingress).header("host", host).send().await.ok()?;
        if !answer.status().is_success() {
            return None;
        }
        answer.text().await.ok()
    })
    .await
}

pub(crate) fn json(answer: &Answer) -> Result<Value> {
    ensure!(answer.code == 0, "{}", answer.transcript());
    Ok(serde_json::from_str(&answer.stdout)?)
}

pub(crate) fn text(value: &Value, pointer: &str) -> Result<String> {
    let found = value.pointer(pointer).and_then(Value::as_str);
    Ok(found
        .with_context(|| format!("no {pointer} in {value}"))?
        .to_owned())
}

fn path(path: &Path) -> Result<&str> {
    path.to_str().context("a test's folder has a plain name")
}

/// What a platform left behind: processes and mounts that know its directory.
pub(crate) fn leftovers(data: &Path) -> Vec<String> {
    let data = data.to_string_lossy();
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let mut found: Vec<String> = mounts
        .lines()
        .filter(|line| line.contains(&*data))
        .map(|line| format!("mount {line}"))
        .collect();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        // A process may end while it is looked at; then it is not left behind.
        let Ok(command) = std::fs::read(entry.path().join("cmdline")) else {
            continue;
        };
        let command = String::from_utf8_lossy(&command).replace('\0', " ");
        if command.contains(&*data) {
            found.push(format!("process {command}"));
        }
    }
    found
}

/// The answer, if its code is this one.
pub(crate) fn expect(code: i32, answer: Answer) -> Result<Answer> {
    ensure!(
        answer.code == code,
        "expected code {code}: {}",
        answer.transcript()
    );
    Ok(answer)
}

/// The answer must have this code and say these parts.
pub(crate) fn said(answer: &Answer, code: i32, parts: &[&str]) -> Result<()> {
    ensure!(
        answer.code == code,
        "expected code {code}: {}",
        answer.transcript()
    );
    for part in parts {
        ensure!(
            answer.stderr.contains(part) || answer.stdout.contains(part),
            "`{part}` was not said: {}",
            answer.transcript()
        );
    }
    Ok(())
}
