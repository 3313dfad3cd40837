//! The environment variables testkit reads, and its one way to speak.
//!
//! Names in use: `FORESHORE_CACHE`, `FORESHORE_ORACLE`, `FORESHORE_BIN`,
//! `FORESHORE_KEEP`, `FORESHORE_SEED`, `FORESHORE_REAL_KUBECONFIG`.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

/// Value of an environment variable, if it is set and not empty.
#[expect(
    clippy::disallowed_methods,
    reason = "tests are configured by the run that starts them"
)]
pub fn value(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

pub(crate) fn is_set(name: &str) -> bool {
    value(name).is_some()
}

/// Says something to whoever reads the test's output.
#[expect(clippy::print_stderr, reason = "a test's reader looks at stderr")]
pub fn say(message: &str) {
    eprintln!("testkit: {message}");
}

/// Says that a test shows nothing here, and why.
///
/// A test program cannot take back that it was started, so the line goes past
/// its captured output, and `cargo xtask test` counts the test as not run.
pub fn not_run(test: &str, reason: &str) {
    use std::io::Write as _;
    // Without a standard error there is nobody to tell.
    writeln!(std::io::stderr(), "testkit: not run: {test}: {reason}").ok();
}

/// The cache outside the clone: `$FORESHORE_CACHE` or `~/.cache/foreshore`.
pub fn cache() -> Result<PathBuf> {
    if let Some(path) = value("FORESHORE_CACHE") {
        return Ok(path.into());
    }
    let home = value("HOME").context("neither FORESHORE_CACHE nor HOME is set")?;
    Ok(Path::new(&home).join(".cache/foreshore"))
}

/// Path of one program of the real control plane, such as `kubectl`.
pub fn oracle(program: &str) -> Result<PathBuf> {
    let folder = match value("FORESHORE_ORACLE") {
        Some(folder) => folder.into(),
        None => cache()?.join("tools/bin"),
    };
    let path = folder.join(program);
    if !path.exists() {
        bail!(
            "`{}` does not exist; build it with `cargo xtask tools`",
            path.display()
        );
    }
    Ok(path)
}

/// Path of the built `foreshore` program.
///
/// `FORESHORE_BIN`, else the one beside the running test in the target folder.
pub fn foreshore() -> Result<PathBuf> {
    let path = match value("FORESHORE_BIN") {
        Some(path) => path.into(),
        None => beside_this_program("foreshore")?,
    };
    if !path.exists() {
        bail!(
            "`{}` does not exist; build it with `cargo build --bin foreshore`",
            path.display()
        );
    }
    Ok(path)
}

/// Test programs live in `target/debug/deps`, ordinary ones a folder above.
fn beside_this_program(name: &str) -> Result<PathBuf> {
    let this = std::env::current_exe().context("cannot tell which program is running")?;
    let mut folder = this.parent().context("a program lies in a folder")?;
    if folder.ends_with("deps") {
        folder = folder.parent().context("`deps` lies in a folder")?;
    }
    Ok(folder.join(name))
}
