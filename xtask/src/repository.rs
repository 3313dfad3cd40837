//! Where the repository is, and which files it holds.

use std::{path::Path, process::Command};

use anyhow::{Context as _, Result};

use crate::shell;

/// Root of the clone this program was built from.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("xtask is a folder of the repository")
}

/// Files git knows, as paths from the root, in order.
#[cfg(test)]
pub(crate) fn tracked() -> Result<Vec<std::path::PathBuf>> {
    let listed = shell::answer(
        Command::new("git")
            .current_dir(root())
            .args(["ls-files", "-z"]),
    )?;
    let files = listed
        .split('\0')
        .filter(|name| !name.is_empty())
        .map(std::path::PathBuf::from);
    // A file deleted but not yet committed is still listed.
    Ok(files.filter(|path| root().join(path).exists()).collect())
}

/// Short name of the commit, with a mark if files differ from it.
pub(crate) fn commit() -> Result<String> {
    let described = shell::answer(
        Command::new("git")
            .current_dir(root())
            .args(["describe", "--always", "--dirty"]),
    )
    .context("cannot name the commit")?;
    Ok(described.trim().to_owned())
}
