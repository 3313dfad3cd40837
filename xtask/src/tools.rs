//! What the project needs and the machine may lack: found, built, installed.
//!
//! Everything is kept outside the clone, in `$FORESHORE_CACHE` or
//! `~/.cache/foreshore`, under a name made of what it was built from.

mod cargo_deny;
mod go;
mod packages;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

use crate::repository;

pub(crate) use cargo_deny::cargo_deny;
pub(crate) use packages::{
    ensure as ensure_packages, ensure_companions, ensure_for_benches, ensure_for_browser,
    ensure_for_kubelet,
};

/// The folder outside the clone.
#[derive(Debug, Clone)]
pub(crate) struct Cache {
    folder: PathBuf,
}

impl Cache {
    pub(crate) fn locate() -> Result<Self> {
        let folder = if let Some(folder) = variable("FORESHORE_CACHE") {
            folder.into()
        } else {
            let home = variable("HOME").context("neither FORESHORE_CACHE nor HOME is set")?;
            Path::new(&home).join(".cache/foreshore")
        };
        fs::create_dir_all(folder.join("tools/bin"))
            .with_context(|| format!("cannot make the cache folder `{}`", folder.display()))?;
        Ok(Self { folder })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.folder
    }

    /// Folder of one tool, named after the content it was made from.
    pub(crate) fn tool(&self, name: &str, content: &str) -> PathBuf {
        self.folder.join("tools").join(format!("{name}-{content}"))
    }

    /// Folder of links to the tools in use.
    pub(crate) fn programs(&self) -> PathBuf {
        self.folder.join("tools/bin")
    }

    /// Where Go keeps modules.
    fn go_modules(&self) -> PathBuf {
        variable("GOMODCACHE").map_or_else(|| self.folder.join("gomodcache"), PathBuf::from)
    }

    fn go_builds(&self) -> PathBuf {
        variable("GOCACHE").map_or_else(|| self.folder.join("gocache"), PathBuf::from)
    }
}

/// Value of an environment variable, if it is set and not empty.
#[expect(
    clippy::disallowed_methods,
    reason = "xtask is configured by the shell it is run from"
)]
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Where cargo puts what it builds.
pub(crate) fn target() -> PathBuf {
    variable("CARGO_TARGET_DIR").map_or_else(|| repository::root().join("target"), PathBuf::from)
}

/// Builds the real control plane and helm unless they are there.
pub(crate) fn oracle(cache: &Cache) -> Result<()> {
    go::MODULES
        .iter()
        .try_for_each(|module| go::build(cache, module))
}

/// Folder of the sources of the Kubernetes API types, for generators.
pub(crate) fn go_sources(cache: &Cache) -> Result<PathBuf> {
    go::sources(cache)
}

/// Points `link` at `target`, replacing what was there in one step.
fn link(target: &Path, link: &Path) -> Result<()> {
    if fs::read_link(link).is_ok_and(|current| current == target) {
        return Ok(());
    }
    let beside = link.with_extension(format!("{}", std::process::id()));
    std::os::unix::fs::symlink(target, &beside)
        .and_then(|()| fs::rename(&beside, link))
        .with_context(|| format!("cannot link `{}`", link.display()))
}
