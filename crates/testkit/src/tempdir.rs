//! Temporary folders that stay when the test that made them fails.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

/// A folder that is removed when dropped, unless the thread is panicking or
/// `FORESHORE_KEEP` is set; then its path is printed.
#[derive(Debug)]
pub struct TempDir {
    path: PathBuf,
    keep: bool,
}

impl TempDir {
    /// Makes a folder whose name starts with `name`.
    pub fn new(name: &str) -> Result<Self> {
        Self::within(&std::env::temp_dir(), name)
    }

    /// Makes the folder inside `parent`.
    pub fn within(parent: &Path, name: &str) -> Result<Self> {
        let path = tempfile::Builder::new()
            .prefix(&format!("foreshore-{name}-"))
            .tempdir_in(parent)
            .with_context(|| format!("cannot make a temporary folder in `{}`", parent.display()))?
            .keep();
        let keep = crate::environment::is_set("FORESHORE_KEEP");
        Ok(Self { path, keep })
    }

    /// Path of the folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Path of `name` inside the folder.
    pub fn join(&self, name: impl AsRef<Path>) -> PathBuf {
        self.path.join(name)
    }

    /// Keeps the folder whatever happens.
    pub fn keep(&mut self) {
        self.keep = true;
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        if self.keep || std::thread::panicking() {
            crate::environment::say(&format!("kept `{}`", self.path.display()));
            return;
        }
        match fs::remove_dir_all(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                crate::environment::say(&format!(
                    "cannot remove `{}`: {error}",
                    self.path.display()
                ));
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_passing_test_leaves_nothing_behind() {
        let folder = TempDir::new("gone").unwrap();
        fs::write(folder.join("file"), "content").unwrap();
        let path = folder.path().to_owned();
        drop(folder);
        assert!(!path.exists());
    }

    #[test]
    fn a_failing_test_keeps_its_folder() {
        let outcome = std::thread::spawn(|| {
            let folder = TempDir::new("kept").unwrap();
            let path = folder.path().to_owned();
            std::panic::resume_unwind(Box::new(path));
        })
        .join();
        let path = *outcome.unwrap_err().downcast::<PathBuf>().unwrap();
        assert!(path.exists());
        fs::remove_dir_all(path).unwrap();
    }
}
