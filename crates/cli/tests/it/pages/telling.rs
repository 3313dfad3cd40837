//! Types a page into one shell and compares what it says.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use foreshore_sys::Ground;
use foreshore_testkit::{TempDir, environment};

use super::block::{Block, Step, blocks, matches};
use crate::stage::Stage;

/// A page builds services and waits for pods, on a machine that does other things.
const PATIENCE: Duration = Duration::from_mins(8);
/// What no command says by itself.
const MARK: &str = "@@page-step";
/// How the shell ends after a command that did not end as written.
const STOPPED: i32 = 199;

/// Tells a page in a fresh checkout, with nothing else on the machine.
pub(super) async fn tell(name: &str, text: &str) -> Result<()> {
    let mut steps = Vec::new();
    for block in blocks(name, text)? {
        match block {
            Block::Run { steps: more, .. } => steps.extend(more),
            Block::NotRun { place, reason } => environment::not_run(&place, &reason),
        }
    }
    ensure!(!steps.is_empty(), "{name} has nothing to type");
    let mut stage = Stage::new("page")?;
    stage.check_out()?;
    stage.will_be_up();
    // The ports that a page names are free in a network of its own.
    let place = TempDir::new("network")?;
    let network = Ground::create(&place.join("pin"))?;
    let said = type_in(&stage, &network, &steps).await;
    // The platform lives in this network, so it goes first.
    drop(stage);
    network.remove()?;
    let said = said?;
    compare(&steps, &said)
}

fn script(steps: &[Step]) -> String {
    let mut script = "exec 2>&1\n".to_owned();
    for (number, step) in steps.iter().enumerate() {
        let (command, code) = (&step.command, step.code);
        write!(
            script,
            "printf '{MARK} %s\\n' {number}\n{command}\ncode=$?\n[ $code = {code} ] || {{ printf '{MARK} code %s\\n' $code; exit {STOPPED}; }}\n"
        )
        .expect("writing to a string cannot fail");
    }
    script
}

async fn type_in(stage: &Stage, network: &Ground, steps: &[Step]) -> Result<String> {
    let tools = stage.folder.join("bin");
    std::fs::create_dir_all(&tools)?;
    std::os::unix::fs::symlink(environment::foreshore()?, tools.join("foreshore"))?;
    let kubectl = environment::oracle("kubectl")?;
    std::os::unix::fs::symlink(kubectl, tools.join("kubectl"))?;
    let file = stage.folder.join("page.sh");
    std::fs::write(&file, script(steps))?;
    let mut command = std::process::Command::new("bash");
    let path = environment::value("PATH").context("PATH is not set")?;
    command
        .arg("--norc")
        .arg(&file)
        .current_dir(stage.checkout())
        .env_clear()
        .envs(stage.variables()?)
        .env("HOME", stage.folder.path())
        .env("PATH", format!("{}:{path}", text(&tools)?))
        .env("NO_COLOR", "1")
        .env("LANG", "C.UTF-8")
        .env("CARGO_NET_OFFLINE", "true")
        .env("GIT_AUTHOR_NAME", "Ada")
        .env("GIT_AUTHOR_EMAIL", "ada@example.org")
        .env("GIT_COMMITTER_NAME", "Ada")
        .env("GIT_COMMITTER_EMAIL", "ada@example.org")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    network.prepare(&mut command);
    let mut command = tokio::process::Command::from(command);
    let running = command.kill_on_drop(true).output();
    let Ok(output) = tokio::time::timeout(PATIENCE, running).await else {
        bail!("the page is not told after {PATIENCE:?}");
    };
    Ok(String::from_utf8_lossy(&output?.stdout).into_owned())
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().context("a test's folder has a plain name")
}

fn compare(steps: &[Step], said: &str) -> Result<()> {
    let mut answers: Vec<(&Step, Vec<&str>)> = Vec::new();
    for line in said.lines() {
        let Some((before, mark)) = line.split_once(MARK) else {
            if let Some((_, lines)) = answers.last_mut() {
                lines.push(line);
            }
            continue;
        };
        if let Some((_, lines)) = answers.last_mut().filter(|_| !before.is_empty()) {
            lines.push(before);
        }
        if let Some(code) = mark.strip_prefix(" code ") {
            let (step, lines) = answers.last().context("a command was typed")?;
            bail!(
                "{}: `{}` ended with {code}, written is {}:\n{}",
                step.place,
                step.command,
                step.code,
                lines.join("\n")
            );
        }
        let number: usize = mark.trim().parse()?;
        answers.push((steps.get(number).context("no such step")?, Vec::new()));
    }
    for (step, lines) in &answers {
        ensure!(
            step.expected.is_empty() || matches(&step.expected, lines),
            "{}: `{}` does not say what is written, but:\n{}",
            step.place,
            step.command,
            lines.join("\n")
        );
    }
    ensure!(
        answers.len() == steps.len(),
        "the page ended after {} of {} commands:\n{said}",
        answers.len(),
        steps.len()
    );
    Ok(())
}

#[test]
fn a_wrong_answer_and_a_wrong_code_are_told_with_their_line() {
    let step = |expected: &[&str]| Step {
        place: "p.md:3".into(),
        command: "say".into(),
        code: 0,
        expected: expected.iter().map(|line| (*line).to_owned()).collect(),
    };
    let right = format!("{MARK} 0\nhello\n");
    assert!(compare(&[step(&["hello"])], &right).is_ok());
    let wrong = compare(&[step(&["goodbye"])], &right)
        .unwrap_err()
        .to_string();
    assert!(
        wrong.contains("p.md:3") && wrong.contains("hello"),
        "{wrong}"
    );
    let code = format!("{MARK} 0\nno\n{MARK} code 4\n");
    let wrong = compare(&[step(&[])], &code).unwrap_err().to_string();
    assert!(wrong.contains("ended with 4"), "{wrong}");
    assert!(compare(&[step(&[]), step(&[])], &right).is_err());
}
