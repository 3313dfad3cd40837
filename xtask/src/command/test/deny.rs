//! Licences, bans, sources and, where reachable, advisories of dependencies.

use std::process::{Command, Stdio};

use anyhow::Result;

use crate::{
    repository, shell, terminal,
    tools::{self, Cache},
};

const ADVISORIES: &str = "https://github.com/RustSec/advisory-db";

/// Runs `cargo-deny` and says which of its checks it ran.
pub(super) fn run(cache: &Cache) -> Result<()> {
    let program = tools::cargo_deny(cache)?;
    let mut checks = vec!["bans", "licenses", "sources"];
    if advisories_reachable() {
        checks.push("advisories");
    } else {
        terminal::note("the advisory database cannot be reached; advisories were not checked");
    }
    shell::run(
        Command::new(program)
            .current_dir(repository::root())
            .args([
                "--all-features",
                "--log-level",
                "error",
                "check",
                "--hide-inclusion-graph",
            ])
            .args(&checks),
    )?;
    terminal::note(&format!("checked {}", checks.join(", ")));
    Ok(())
}

fn advisories_reachable() -> bool {
    Command::new("git")
        .args([
            "-c",
            "http.lowSpeedLimit=1",
            "-c",
            "http.lowSpeedTime=5",
            "ls-remote",
            "--exit-code",
            ADVISORIES,
            "HEAD",
        ])
        .env("GIT_TERMINAL_PROMPT", "0")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}
