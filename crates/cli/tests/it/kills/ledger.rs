//! What the platform has acknowledged, to be held against the config repository and the cluster.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use foreshore_testkit::cli::Answer;
use serde_json::Value;

use crate::stage::text;

/// One release as the config repository is to tell it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// `environment/service/sequence`, the whole of the trailer.
    pub(super) release: String,
    pub(super) artifact: String,
    pub(super) key: String,
}

/// Everything that was acknowledged, in its order.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    entries: Vec<Entry>,
    /// Commit of each release that named one.
    commits: BTreeMap<String, String>,
}

impl Ledger {
    /// How many releases were acknowledged.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The artifact that an environment is to run.
    pub(super) fn current(&self, environment: &str) -> Option<&str> {
        let here = format!("{environment}/");
        let last = self
            .entries
            .iter()
            .rev()
            .find(|entry| entry.release.starts_with(&here));
        last.map(|entry| entry.artifact.as_str())
    }

    fn number(&self, environment: &str) -> usize {
        let here = format!("{environment}/");
        let entries = self.entries.iter();
        entries
            .filter(|entry| entry.release.starts_with(&here))
            .count()
    }

    /// Notes the answer to `release`, `rollback`, `promote` or `approve`.
    pub(super) fn note(&mut self, answer: &Value, key: &str) -> Result<()> {
        let release = &answer["release"];
        let environment = text(release, "/environment")?;
        if answer["result"] == "unchanged" {
            let artifact = text(release, "/artifact_id")?;
            ensure!(
                self.current(&environment) == Some(artifact.as_str()),
                "unchanged, but from another artifact: {answer}"
            );
            return Ok(());
        }
        ensure!(answer["result"] == "committed", "{answer}");
        self.note_release(release, key)?;
        let last = self.entries.last().context("it was just noted")?;
        self.commits
            .insert(last.release.clone(), text(answer, "/commit")?);
        Ok(())
    }

    /// Notes a release that must be the next one of its environment.
    pub(super) fn note_release(&mut self, release: &Value, key: &str) -> Result<()> {
        let environment = text(release, "/environment")?;
        let next = self.number(&environment) + 1;
        ensure!(
            release["sequence"] == next,
            "release {next} of {environment} was to be next, not {release}"
        );
        self.entries.push(Entry {
            release: format!("{environment}/{}/{next}", text(release, "/service")?),
            artifact: text(release, "/artifact_id")?,
            key: key.to_owned(),
        });
        Ok(())
    }

    /// Holds the config repository's history against what was acknowledged.
    pub(super) fn is_what_the_repository_tells(&self, repository: &Path) -> Result<()> {
        let told = history(repository)?;
        let found: Vec<&Entry> = told.iter().map(|(_, entry)| entry).collect();
        let acknowledged: Vec<&Entry> = self.entries.iter().collect();
        ensure!(
            found == acknowledged,
            "acknowledged were:\n{acknowledged:#?}\nbut the repository tells:\n{found:#?}"
        );
        for (commit, entry) in &told {
            if let Some(named) = self.commits.get(&entry.release) {
                ensure!(named == commit, "{entry:?} is {commit}, not {named}");
            }
        }
        git(repository, &["fsck", "--strict", "--full"])?;
        Ok(())
    }
}

/// Every release on the main branch with its commit, the first one first.
fn history(repository: &Path) -> Result<Vec<(String, Entry)>> {
    let trailer = |name| format!("%(trailers:key={name},valueonly,separator=%x2C)");
    let format = ["Release", "Artifact-Id", "Idempotency-Key"]
        .map(trailer)
        .join("%x09");
    let format = format!("--format=%H%x09{format}");
    let log = git(repository, &["log", "--reverse", &format, "main"])?;
    let mut told = Vec::new();
    for line in log.lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        let [commit, release, artifact, key] = fields[..] else {
            anyhow::bail!("`{line}` is not what was asked for");
        };
        if release.is_empty() {
            continue;
        }
        let entry = Entry {
            release: release.to_owned(),
            artifact: artifact.to_owned(),
            key: key.to_owned(),
        };
        told.push((commit.to_owned(), entry));
    }
    Ok(told)
}

fn git(repository: &Path, arguments: &[&str]) -> Result<String> {
    let output = std::process::Command::new("git")
        .arg("--git-dir")
        .arg(repository)
        .args(arguments)
        .output()?;
    ensure!(
        output.status.success(),
        "git {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8(output.stdout)?)
}

/// What a command said as a program reads it.
pub(super) fn said(answer: &Answer) -> Result<Value> {
    serde_json::from_str(&answer.stdout).with_context(|| answer.transcript())
}
