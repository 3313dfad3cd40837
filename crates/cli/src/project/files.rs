//! What a template of shuttle's may read: the project and the plan, nothing else.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use foreshore_go_template::Files;

/// One file that a template reads.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Files below some directories.
#[derive(Debug)]
pub(crate) struct ProjectFiles {
    roots: Vec<PathBuf>,
}

impl ProjectFiles {
    pub(crate) fn below<'a>(roots: impl IntoIterator<Item = &'a Path>) -> Self {
        let roots = roots
            .into_iter()
            .filter_map(|root| root.canonicalize().ok());
        Self {
            roots: roots.collect(),
        }
    }

    /// The real path, links followed, if it is below one of the directories.
    fn allowed(&self, path: &str) -> Result<PathBuf, String> {
        let real = Path::new(path)
            .canonicalize()
            .map_err(|_| format!("open {path}: no such file or directory"))?;
        if self.roots.iter().any(|root| real.starts_with(root)) {
            return Ok(real);
        }
        Err(format!("`{path}` is outside of the project and its plan"))
    }
}

impl Files for ProjectFiles {
    fn read(&self, path: &str) -> Result<String, String> {
        let real = self.allowed(path)?;
        let failed = |error: std::io::Error| format!("open {path}: {error}");
        let mut bytes = Vec::new();
        fs::File::open(real)
            .map_err(failed)?
            .take(FILE_BYTES_MAX + 1)
            .read_to_end(&mut bytes)
            .map_err(failed)?;
        if bytes.len() as u64 > FILE_BYTES_MAX {
            return Err(format!("`{path}` has more than {FILE_BYTES_MAX} bytes"));
        }
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn exists(&self, path: &str) -> bool {
        self.allowed(path).is_ok()
    }

    fn list(&self, path: &str) -> Vec<(String, bool)> {
        let Ok(real) = self.allowed(path) else {
            return Vec::new();
        };
        let entries = fs::read_dir(real).into_iter().flatten().flatten();
        entries
            .filter_map(|entry| {
                Some((
                    entry.file_name().into_string().ok()?,
                    entry.file_type().ok()?.is_dir(),
                ))
            })
            .take(10_000)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_outside_can_be_read_not_even_through_a_link() {
        let directory = tempfile::tempdir().unwrap();
        let inside = directory.path().join("project");
        fs::create_dir(&inside).unwrap();
        fs::write(inside.join("a"), "text").unwrap();
        fs::write(directory.path().join("secret"), "x").unwrap();
        std::os::unix::fs::symlink(directory.path().join("secret"), inside.join("link")).unwrap();
        let files = ProjectFiles::below([inside.as_path()]);
        let path = |name: &str| inside.join(name).display().to_string();
        assert_eq!(files.read(&path("a")).unwrap(), "text");
        assert!(files.read(&path("link")).unwrap_err().contains("outside"));
        assert!(
            files
                .read(&path("../secret"))
                .unwrap_err()
                .contains("outside")
        );
        assert!(
            files
                .read(&path("nope"))
                .unwrap_err()
                .contains("no such file")
        );
        assert!(!files.exists("/etc/passwd"));
        assert_eq!(files.list("/etc"), []);
    }
}
