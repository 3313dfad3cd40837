//! The crate against real git: writing, reading, sharing, and what must be refused.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on says so by panicking"
)]

mod damage;
mod http;
mod repository;
mod signed;
mod source;

use foreshore_git::{Change, NewCommit, ObjectId, Repository};
use foreshore_model::Actor;
use jiff::Timestamp;

const MAIN: &str = "refs/heads/main";

fn anna() -> Actor {
    Actor::new("Anna Nyborg", "anna@example.com")
}

fn commit(message: &str, changes: Vec<Change>) -> NewCommit {
    let at = Timestamp::from_second(1_790_000_000).unwrap();
    NewCommit {
        changes,
        message: message.to_owned(),
        author: anna(),
        committer: Actor::automation(),
        at,
    }
}

/// A folder in memory where there is one: what syncing costs is not what is tested here.
fn tempdir() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").unwrap_or_else(|_| tempfile::tempdir().unwrap())
}

fn repository() -> (tempfile::TempDir, Repository) {
    let folder = tempdir();
    let repository = Repository::init_bare(folder.path().join("config.git")).unwrap();
    (folder, repository)
}

/// Commits one file on top of what `main` is.
fn write_file(repository: &Repository, path: &str, content: &str) -> ObjectId {
    let tip = repository.resolve(MAIN).unwrap();
    let commit = commit(&format!("write {path}"), vec![Change::write(path, content)]);
    repository
        .commit(MAIN, tip.as_ref(), vec![commit])
        .unwrap()
        .remove(0)
}

/// Runs plain git, as a stranger would.
#[track_caller]
fn git(folder: &std::path::Path, arguments: &[&str]) -> String {
    let output = std::process::Command::new("git")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("LC_ALL", "C")
        .args([
            "-c",
            "user.name=Bo",
            "-c",
            "user.email=bo@example.com",
            "-c",
            "safe.directory=*",
        ])
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "git {arguments:?}: {stderr}");
    String::from_utf8(output.stdout).unwrap()
}
