//! A secret on its way to a pod, and everywhere it must not be.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::{expect, page_says};
use crate::stage::{Stage, text};

const FIRST: &str = "correct horse battery staple";
const SECOND: &str = "tr0ub4dor and three more";
/// What the values look like in base64, as a Kubernetes Secret writes them.
pub(super) const ENCODED: [&str; 2] = [
    "Y29ycmVjdCBob3JzZSBiYXR0ZXJ5IHN0YXBsZQ",
    "dHIwdWI0ZG9yIGFuZCB0aHJlZSBtb3Jl",
];
const PLACE: [&str; 4] = ["-s", "shop-web", "-e", "dev"];

/// Runs a command about the secret with its value in a file.
async fn store(stage: &Stage, verb: &str, value: &str) -> Result<()> {
    let path = stage.folder.path().join("value");
    std::fs::write(&path, format!("{value}\n"))?;
    let words = ["secret", verb, "DB_PASSWORD", "--from-file", "value"];
    let answer = stage.foreshore(&[&words[..], &PLACE].concat()).await?;
    // The test's own copy would be found by the search below.
    std::fs::remove_file(path)?;
    expect(0, answer).map(|_| ())
}

pub(super) async fn a_value_is_stored_before_the_first_release(stage: &Stage) -> Result<()> {
    let path = stage.folder.path().join("value");
    std::fs::write(&path, "x")?;
    let words = ["secret", "rotate", "DB_PASSWORD", "--from-file", "value"];
    let unknown = expect(6, stage.foreshore(&[&words[..], &PLACE].concat()).await?)?;
    ensure!(
        unknown.stderr.contains("has no secret `DB_PASSWORD`"),
        "{}",
        unknown.transcript()
    );
    let nobody = [
        "secret",
        "set",
        "DB_PASSWORD",
        "-s",
        "shop-web",
        "-e",
        "nowhere",
        "--from-file",
        "value",
    ];
    expect(6, stage.foreshore(&nobody).await?)?;
    store(stage, "set", FIRST).await?;
    let list = expect(
        0,
        stage
            .foreshore(&[&["secret", "list"][..], &PLACE].concat())
            .await?,
    )?;
    ensure!(list.stdout.contains("DB_PASSWORD"), "{}", list.transcript());
    Ok(())
}

pub(super) async fn a_new_value_restarts_the_pods_and_is_nowhere_in_plain(
    stage: &Stage,
    ingress: &str,
) -> Result<()> {
    let shown = |value: &str| format!("it is {}.", value.chars().rev().collect::<String>());
    page_says(ingress, "shop-web.localhost", &shown(FIRST)).await?;
    store(stage, "rotate", SECOND).await?;
    page_says(ingress, "shop-web.localhost", &shown(SECOND)).await?;
    let action = expect(
        0,
        stage
            .foreshore(&["run", "-C", "checkout/shop-web", "show"])
            .await?,
    )?;
    let mut said = action.stdout;
    for words in [
        &["status", "-o", "json"][..],
        &["describe", "release", "shop-web", "-e", "dev"],
        &["history", "shop-web", "-e", "dev"],
        &["audit"],
        &["artifact", "list", "shop-web", "-o", "json"],
    ] {
        let answer = stage.foreshore(words).await?;
        ensure!(answer.code == 0, "{}", answer.transcript());
        said.push_str(&answer.transcript());
    }
    said.push_str(&history(stage)?);
    said.push_str(&arguments_of_all_processes());
    is_plain_nowhere("what was said", said.as_bytes())?;
    // The cluster's own store has to know the value, as etcd does, and the pods get it from there.
    let data = stage.data();
    for folder in ["server", "agent", "credentials"] {
        search(&data.join(folder))?;
    }
    search(&stage.checkout())?;
    for entry in std::fs::read_dir(&data)? {
        let path = entry?.path();
        if path.is_file() {
            search(&path)?;
        }
    }
    Ok(())
}

/// Every commit with every byte that it changed.
fn history(stage: &Stage) -> Result<String> {
    let repository = stage.data().join("server/config.git");
    let output = Command::new("git")
        .arg("-C")
        .arg(repository)
        .args(["log", "--all", "--patch", "--format=fuller"])
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(
        text.contains("BEGIN AGE ENCRYPTED FILE") && text.contains("store secret DB_PASSWORD"),
        "the sealed value is in git:\n{text}"
    );
    Ok(text)
}

fn arguments_of_all_processes() -> String {
    let mut all = String::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        // A process may end while it is looked at.
        if let Ok(words) = std::fs::read(entry.path().join("cmdline")) {
            all.push_str(&String::from_utf8_lossy(&words));
        }
    }
    all
}

fn search(path: &Path) -> Result<()> {
    if path.is_dir() {
        for entry in std::fs::read_dir(path)? {
            search(&entry?.path())?;
        }
        return Ok(());
    }
    // A file may go away while a platform runs.
    let Ok(content) = std::fs::read(path) else {
        return Ok(());
    };
    is_plain_nowhere(&path.display().to_string(), &content)
}

fn is_plain_nowhere(place: &str, content: &[u8]) -> Result<()> {
    for value in [FIRST, SECOND, ENCODED[0], ENCODED[1]] {
        let found = content
            .windows(value.len())
            .any(|window| window == value.as_bytes());
        ensure!(!found, "`{value}` is in {place}");
    }
    Ok(())
}

/// What the server says about where it is and who may speak.
pub(super) fn owner(stage: &Stage) -> Result<(String, String)> {
    let kept = std::fs::read_to_string(stage.data().join("credentials/owner.json"))?;
    let kept: Value = serde_json::from_str(&kept).context("the owner's credential is JSON")?;
    Ok((text(&kept, "/server")?, text(&kept, "/token")?))
}
