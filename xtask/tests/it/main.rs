//! What `cargo xtask` says on a machine that lacks something it needs.

#![expect(
    clippy::unwrap_used,
    reason = "all of it is tests, also where it is not marked as such"
)]

use std::{
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use tempfile::TempDir;

/// `cargo xtask tools` with a cache of its own and `programs` in its `PATH`.
fn tools(folder: &Path, programs: &[&str], variables: &[(&str, &str)]) -> Output {
    let path = folder.join("path");
    std::fs::create_dir_all(&path).unwrap();
    for program in programs {
        symlink(find(program), path.join(program)).unwrap();
    }
    Command::new(env!("CARGO_BIN_EXE_xtask"))
        .arg("tools")
        .env_clear()
        .env("PATH", &path)
        .env("HOME", folder)
        .env("FORESHORE_CACHE", folder.join("cache"))
        .envs(variables.iter().copied())
        .output()
        .unwrap()
}

fn find(program: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap();
    let found = std::env::split_paths(&path).map(|folder| folder.join(program));
    found.into_iter().find(|path| path.is_file()).unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn without_go_the_line_that_installs_it_is_said() {
    let folder = TempDir::new().unwrap();
    let output = tools(folder.path(), &["git", "cc"], &[]);
    assert!(!output.status.success());
    let said = said(&output);
    assert!(
        said.contains("apt-get install --yes --no-install-recommends golang-go"),
        "{said}"
    );
}

#[test]
fn without_network_the_first_build_says_what_it_needs() {
    let folder = TempDir::new().unwrap();
    // Port 9 of loopback discards: nobody listens there.
    let away = ("GOPROXY", "http://127.0.0.1:9");
    let output = tools(folder.path(), &["git", "cc", "go"], &[away]);
    assert!(!output.status.success());
    let said = said(&output);
    assert!(said.contains("oracle/control-plane"), "{said}");
    assert!(
        said.contains("the Go module proxy, which must be reachable the first time"),
        "{said}"
    );
}
