//! The rules of the house that no compiler checks.
//!
//! Each rule is a function from what the repository holds to the list of what
//! breaks it, so each can be shown to fail. They run as a test: `cargo test -p
//! xtask`.

#![cfg(test)]

mod files;
mod hosts;
mod rings;
mod sizes;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::repository;

/// A text file of the repository.
#[derive(Debug)]
struct Text {
    path: PathBuf,
    content: String,
}

impl Text {
    fn is_rust(&self) -> bool {
        self.path
            .extension()
            .is_some_and(|extension| extension == "rs")
    }
}

/// Every tracked file that is text.
fn texts() -> Result<Vec<Text>> {
    let mut texts = Vec::new();
    for path in repository::tracked()? {
        let full = repository::root().join(&path);
        if full.is_symlink() || full.is_dir() {
            continue;
        }
        let bytes =
            std::fs::read(&full).with_context(|| format!("cannot read `{}`", path.display()))?;
        if let Ok(content) = String::from_utf8(bytes) {
            texts.push(Text { path, content });
        }
    }
    Ok(texts)
}

/// Fails with one line per offence.
#[track_caller]
fn none(offences: &[String]) {
    assert!(
        offences.is_empty(),
        "{} offences:\n{}",
        offences.len(),
        offences.join("\n")
    );
}

fn text(path: &str, content: &str) -> Text {
    Text {
        path: Path::new(path).to_owned(),
        content: content.to_owned(),
    }
}
