//! Programs of the operating system, installed with apt where that is allowed.

use std::{
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail};

use super::variable;
use crate::{shell, terminal};

/// A program, and the Debian package that brings it.
struct Program {
    name: &'static str,
    package: &'static str,
}

const NEEDED: [Program; 3] = [
    Program {
        name: "git",
        package: "git",
    },
    // For the C parts of dependencies: SQLite and the cryptography.
    Program {
        name: "cc",
        package: "build-essential",
    },
    Program {
        name: "go",
        package: "golang-go",
    },
];

/// Finds what is needed, and installs what is missing when run by root.
pub(crate) fn ensure() -> Result<()> {
    let missing: Vec<&Program> = NEEDED
        .iter()
        .filter(|program| find(program.name).is_none())
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let packages: Vec<&str> = missing.iter().map(|program| program.package).collect();
    let line = format!(
        "apt-get install --yes --no-install-recommends {}",
        packages.join(" ")
    );
    if !is_root() || find("apt-get").is_none() {
        bail!("these packages are missing; install them with: {line}");
    }
    terminal::note(&format!("installing: {line}"));
    let apt = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        command
            .env("DEBIAN_FRONTEND", "noninteractive")
            .stdin(Stdio::null())
            .args(arguments);
        shell::run(&mut command)
    };
    apt(&["update", "--quiet"])?;
    apt(&[
        &["install", "--yes", "--no-install-recommends", "--quiet"],
        packages.as_slice(),
    ]
    .concat())
    .with_context(|| format!("cannot install {}", packages.join(", ")))
}

fn find(program: &str) -> Option<PathBuf> {
    let path = variable("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(program))
        .find(|path| path.is_file())
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}
