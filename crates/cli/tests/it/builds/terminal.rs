//! Actions and scripts with a terminal: they see it whole, Ctrl-C is theirs, and without one they read what is piped in.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use foreshore_sys::{Terminal, take_terminal};
use foreshore_testkit::environment;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Child;

use super::write;
use crate::stage::{PATIENCE, Stage};

const SERVICE: &str = "name: shop
owner: team
plan: ./plan
ports: {http: 8080}
environments: {dev: {}}
";

/// What each says is said by the script itself, so that a test sees who answered.
const PLAN: &str = "name: own
description: d
actions:
  before: {description: d, command: [sh, -c, 'if test -t 0; then echo seen; else echo blind; fi']}
  looks:
    description: d
    needs: [before]
    command: [sh, -c, 'test -t 0 && test -t 1 && test -t 2 && stty size; exit 5']
  asks: {description: d, command: [sh, -c, 'echo ready; read line; echo \"got $line\"; exit 6']}
  traps: {description: d, command: [sh, -c, 'trap \"echo caught; exit 7\" INT; echo ready; while :; do sleep 1; done']}
  waits: {description: d, command: [sh, -c, 'echo ready; exec sleep 600']}
  counts: {description: d, command: [sh, -c, 'wc -c; exit 3']}
";

const SHUTTLE: &str = "plan: false
scripts:
  looks:
    actions:
    - shell: test -t 0 && test -t 1 && stty size; exit 5
  traps:
    actions:
    - shell: trap 'echo caught; exit 7' INT; echo ready; while :; do sleep 1; done
  counts:
    actions:
    - shell: wc -c; exit 3
";

/// Somebody at a terminal in which one command runs.
struct Person {
    terminal: Terminal,
    child: Child,
    seen: String,
}

fn stage(name: &str) -> Result<Stage> {
    let stage = Stage::new(name)?;
    let root = stage.folder.path();
    write(&root.join("shop/foreshore.yaml"), SERVICE)?;
    write(&root.join("shop/plan/plan.yaml"), PLAN)?;
    write(
        &root.join("shop/plan/templates/config.yaml"),
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: shop}\n",
    )?;
    write(&root.join("old/shuttle.yaml"), SHUTTLE)?;
    Ok(stage)
}

fn command(root: &Path, directory: &str, action: &str) -> Result<Command> {
    let mut command = Command::new(environment::foreshore()?);
    command
        .args(["run", "-C", directory, action])
        .current_dir(root)
        .env("HOME", root)
        .env("FORESHORE_CACHE", root.join("cache"))
        .env("FORESHORE_DATA", root.join("data"))
        .env_remove("CI");
    Ok(command)
}

impl Person {
    /// Sits down at a terminal of a size that nothing has by default.
    fn runs(root: &Path, directory: &str, action: &str) -> Result<Self> {
        let (terminal, end) = Terminal::open()?;
        terminal.resize(97, 41)?;
        let mut command = command(root, directory, action)?;
        let stream = || -> Result<Stdio> { Ok(Stdio::from(OwnedFd::try_clone(&end)?)) };
        command.stdin(stream()?).stdout(stream()?).stderr(stream()?);
        take_terminal(&mut command);
        let child = tokio::process::Command::from(command)
            .kill_on_drop(true)
            .spawn()?;
        drop(end);
        Ok(Self {
            terminal,
            child,
            seen: String::new(),
        })
    }

    /// Reads until `part` is there.
    async fn sees(&mut self, part: &str) -> Result<()> {
        let reading = async {
            let mut buffer = [0; 4096];
            while !self.seen.contains(part) {
                let count = self.terminal.read(&mut buffer).await?;
                ensure!(count > 0, "it ended: {}", self.seen);
                self.seen
                    .push_str(&String::from_utf8_lossy(&buffer[..count]));
            }
            Ok(())
        };
        let waited = tokio::time::timeout(PATIENCE, reading).await;
        waited.with_context(|| format!("`{part}` was not seen"))?
    }

    async fn types(&self, text: &str) -> Result<()> {
        Ok(self.terminal.write_all(text.as_bytes()).await?)
    }

    /// Waits for the end; returns the exit code and everything that was on the screen.
    async fn stays(mut self) -> Result<(i32, String)> {
        let reading = async {
            let mut buffer = [0; 4096];
            loop {
                let count = self.terminal.read(&mut buffer).await?;
                if count == 0 {
                    return Ok::<_, anyhow::Error>(());
                }
                self.seen
                    .push_str(&String::from_utf8_lossy(&buffer[..count]));
            }
        };
        tokio::time::timeout(PATIENCE, reading)
            .await
            .context("it ends")??;
        let status = tokio::time::timeout(PATIENCE, self.child.wait()).await??;
        Ok((status.code().unwrap_or(-1), self.seen))
    }
}

#[tokio::test]
async fn an_action_sees_the_terminal_whole_and_what_it_needs_does_not() -> Result<()> {
    let stage = stage("tty")?;
    let root = stage.folder.path();
    for directory in ["shop", "old"] {
        let (code, seen) = Person::runs(root, directory, "looks")?.stays().await?;
        ensure!(
            code == 5 && seen.contains("41 97"),
            "{directory}: {code} {seen}"
        );
        ensure!((directory == "old") != seen.contains("blind"), "{seen}");
    }
    Ok(())
}

#[tokio::test]
async fn what_is_typed_reaches_the_script_and_so_does_ctrl_c() -> Result<()> {
    let stage = stage("typed")?;
    let root = stage.folder.path();
    let mut person = Person::runs(root, "shop", "asks")?;
    person.sees("ready").await?;
    person.types("some words\n").await?;
    let (code, seen) = person.stays().await?;
    ensure!(
        code == 6 && seen.contains("got some words"),
        "{code} {seen}"
    );
    for directory in ["shop", "old"] {
        let mut person = Person::runs(root, directory, "traps")?;
        person.sees("ready").await?;
        person.types("\u{3}").await?;
        let (code, seen) = person.stays().await?;
        // The script's own answer to Ctrl-C, and its own exit code.
        ensure!(
            code == 7 && seen.contains("caught"),
            "{directory}: {code} {seen}"
        );
    }
    let mut person = Person::runs(root, "shop", "waits")?;
    person.sees("ready").await?;
    person.types("\u{3}").await?;
    let (code, seen) = person.stays().await?;
    ensure!(code == 130, "{code} {seen}");
    Ok(())
}

#[tokio::test]
async fn what_is_piped_in_reaches_the_script_to_its_last_byte() -> Result<()> {
    let stage = stage("piped")?;
    let root = stage.folder.path();
    for directory in ["shop", "old"] {
        let mut child = tokio::process::Command::from(command(root, directory, "counts")?)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let mut input = child.stdin.take().context("it has an input")?;
        // More than a pipe holds.
        let text = vec![b'x'; 300_001];
        let typing = async {
            input.write_all(&text).await?;
            drop(input);
            Ok::<_, std::io::Error>(())
        };
        let (typed, output) = tokio::time::timeout(Duration::from_mins(1), async {
            tokio::join!(typing, child.wait_with_output())
        })
        .await?;
        typed?;
        let output = output?;
        let said = String::from_utf8_lossy(&output.stdout);
        ensure!(
            output.status.code() == Some(3) && said.trim() == "300001",
            "{directory}: {said} {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(())
}
