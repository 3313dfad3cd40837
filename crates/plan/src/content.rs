//! The files of a plan, whole: read from a directory, bounded, hashed.
//!
//! Whatever a plan comes from, it becomes this value first. Links, odd files
//! and names that lead elsewhere are refused, not followed.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use foreshore_model::Digest;

/// Files of one plan.
pub(crate) const FILES_MAX: usize = 2000;
/// One file of a plan.
pub(crate) const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// All files of a plan.
pub(crate) const BYTES_MAX: u64 = 32 * 1024 * 1024;
/// Directories inside directories.
const DEPTH_MAX: usize = 16;

/// Why files cannot be a plan.
#[derive(Debug, thiserror::Error)]
pub enum ContentError {
    #[error("cannot read the plan's file `{path}`")]
    Read {
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    #[error("cannot write the plan's file `{path}`")]
    Write {
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    #[error("plan file `{path}` is refused: {why}")]
    Refused { path: String, why: &'static str },
    #[error("the plan has more than {FILES_MAX} files")]
    TooMany,
    #[error("plan file `{path}` has more than {FILE_BYTES_MAX} bytes")]
    FileTooLarge { path: String },
    #[error("the plan has more than {BYTES_MAX} bytes")]
    TooLarge,
}

/// One file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    pub bytes: Vec<u8>,
    pub executable: bool,
}

/// The files of a plan by path, `templates/deployment.yaml`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Content {
    files: BTreeMap<String, File>,
    bytes: u64,
}

impl Content {
    /// Adds a file, if its name is harmless and the plan is not too large with it.
    pub fn add(&mut self, path: &str, file: File) -> Result<(), ContentError> {
        check_path(path)?;
        let length = u64::try_from(file.bytes.len()).unwrap_or(u64::MAX);
        if length > FILE_BYTES_MAX {
            return Err(ContentError::FileTooLarge {
                path: path.to_owned(),
            });
        }
        self.bytes += length;
        if self.bytes > BYTES_MAX {
            return Err(ContentError::TooLarge);
        }
        if self.files.insert(path.to_owned(), file).is_some() {
            return Err(refused(path, "it is there twice"));
        }
        if self.files.len() > FILES_MAX {
            return Err(ContentError::TooMany);
        }
        Ok(())
    }

    pub fn files(&self) -> &BTreeMap<String, File> {
        &self.files
    }

    /// Returns a file as text; none if there is no such file.
    pub fn text(&self, path: &str) -> Result<Option<&str>, ContentError> {
        let Some(file) = self.files.get(path) else {
            return Ok(None);
        };
        std::str::from_utf8(&file.bytes)
            .map(Some)
            .map_err(|_| refused(path, "it is no UTF-8 text"))
    }

    /// Hashes name, mode, length and bytes of each file, so that no two plans run together.
    pub fn hash(&self) -> Digest {
        let mut content =
            Vec::with_capacity(usize::try_from(self.bytes).unwrap_or(0) + self.files.len() * 64);
        for (path, file) in &self.files {
            let mode = if file.executable { 'x' } else { '-' };
            content.extend_from_slice(format!("{path} {mode} {}\n", file.bytes.len()).as_bytes());
            content.extend_from_slice(&file.bytes);
        }
        Digest::of(&content)
    }

    /// Reads a directory; git's and shuttle's own folders are no part of a plan.
    pub fn of_directory(directory: &Path) -> Result<Self, ContentError> {
        let mut content = Self::default();
        content.read_into(directory, "", 0)?;
        Ok(content)
    }

    fn read_into(
        &mut self,
        directory: &Path,
        prefix: &str,
        depth: usize,
    ) -> Result<(), ContentError> {
        let failed = |path: &Path, cause| ContentError::Read {
            path: path.to_owned(),
            cause,
        };
        if depth > DEPTH_MAX {
            return Err(refused(prefix, "it is nested too deeply"));
        }
        let entries = fs::read_dir(directory).map_err(|cause| failed(directory, cause))?;
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|cause| failed(directory, cause))?;
            names.push(
                entry.file_name().into_string().map_err(|name| {
                    refused(&name.to_string_lossy(), "its name is no UTF-8 text")
                })?,
            );
            if names.len() > FILES_MAX {
                return Err(ContentError::TooMany);
            }
        }
        names.sort();
        for name in names {
            if prefix.is_empty() && matches!(name.as_str(), ".git" | ".shuttle") {
                continue;
            }
            let path = directory.join(&name);
            let shown = if prefix.is_empty() {
                name
            } else {
                format!("{prefix}/{name}")
            };
            let metadata = fs::symlink_metadata(&path).map_err(|cause| failed(&path, cause))?;
            if metadata.is_dir() {
                self.read_into(&path, &shown, depth + 1)?;
            } else if metadata.is_file() {
                let file = read_file(&path, &shown, &metadata)?;
                self.add(&shown, file)?;
            } else if metadata.is_symlink() {
                return Err(refused(&shown, "it is a link; links are not followed"));
            } else {
                return Err(refused(&shown, "it is neither a file nor a directory"));
            }
        }
        Ok(())
    }

    /// Writes all files below an empty directory.
    pub fn write_to(&self, directory: &Path) -> Result<(), ContentError> {
        for (path, file) in &self.files {
            let target = directory.join(path);
            let failed = |cause| ContentError::Write {
                path: target.clone(),
                cause,
            };
            if let Some(parent) = target.parent() {
                fs::create_dir_all(parent).map_err(failed)?;
            }
            fs::write(&target, &file.bytes).map_err(failed)?;
            let mode = if file.executable { 0o755 } else { 0o644 };
            fs::set_permissions(&target, fs::Permissions::from_mode(mode)).map_err(failed)?;
        }
        Ok(())
    }
}

fn read_file(path: &Path, shown: &str, metadata: &fs::Metadata) -> Result<File, ContentError> {
    let failed = |cause| ContentError::Read {
        path: path.to_owned(),
        cause,
    };
    let mut bytes = Vec::new();
    // Bounded whatever its size was a moment ago.
    fs::File::open(path)
        .map_err(failed)?
        .take(FILE_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(ContentError::FileTooLarge {
            path: shown.to_owned(),
        });
    }
    Ok(File {
        bytes,
        executable: metadata.permissions().mode() & 0o111 != 0,
    })
}

/// Reads one plain file by its name.
pub(crate) fn read_plain(path: &Path, shown: &str) -> Result<Vec<u8>, ContentError> {
    let metadata = fs::symlink_metadata(path).map_err(|cause| ContentError::Read {
        path: path.to_owned(),
        cause,
    })?;
    if !metadata.is_file() {
        return Err(refused(
            shown,
            "it is no plain file; links are not followed",
        ));
    }
    Ok(read_file(path, shown, &metadata)?.bytes)
}

fn refused(path: &str, why: &'static str) -> ContentError {
    ContentError::Refused {
        path: path.chars().take(200).collect(),
        why,
    }
}

fn check_path(path: &str) -> Result<(), ContentError> {
    if path.len() > 1000 || path.split('/').count() > DEPTH_MAX + 1 {
        return Err(refused(
            path,
            "it is nested too deeply or its name is too long",
        ));
    }
    foreshore_git::check_path(path)
        .map_err(|_| refused(path, "its name leads elsewhere or cannot be shown"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> File {
        File {
            bytes: text.as_bytes().to_vec(),
            executable: false,
        }
    }

    #[test]
    fn a_directory_reads_back_as_it_was_written() {
        let directory = tempfile::tempdir().unwrap();
        let mut content = Content::default();
        content.add("plan.yaml", file("a")).unwrap();
        content
            .add(
                "scripts/build.sh",
                File {
                    bytes: b"#!/bin/sh\n".to_vec(),
                    executable: true,
                },
            )
            .unwrap();
        content.write_to(directory.path()).unwrap();
        fs::create_dir(directory.path().join(".git")).unwrap();
        let read = Content::of_directory(directory.path()).unwrap();
        assert_eq!(read, content);
        assert_eq!(read.hash(), content.hash());
    }

    #[test]
    fn the_hash_tells_apart_what_runs_together() {
        let hash = |files: &[(&str, &str)]| {
            let mut content = Content::default();
            for (path, text) in files {
                content.add(path, file(text)).unwrap();
            }
            content.hash()
        };
        assert_ne!(hash(&[("a", "b - 1\nx")]), hash(&[("a", ""), ("b", "x")]));
        assert_ne!(hash(&[("a", "x")]), hash(&[("a", "y")]));
    }

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        for path in [
            "../x",
            "/etc/passwd",
            "a/../../b",
            "a//b",
            ".git/config",
            "a\\b",
            "",
            "a/.git/hooks/x",
        ] {
            let error = Content::default().add(path, file("x")).unwrap_err();
            assert!(
                matches!(error, ContentError::Refused { .. }),
                "{path}: {error}"
            );
        }
    }

    #[test]
    fn links_and_devices_are_refused_not_followed() {
        let directory = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/etc/passwd", directory.path().join("x")).unwrap();
        let error = Content::of_directory(directory.path())
            .unwrap_err()
            .to_string();
        assert_eq!(
            error,
            "plan file `x` is refused: it is a link; links are not followed"
        );
        let directory = tempfile::tempdir().unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(directory.path().join("s")).unwrap();
        assert!(Content::of_directory(directory.path()).is_err());
    }

    #[test]
    fn a_plan_that_is_too_large_is_refused_early() {
        let directory = tempfile::tempdir().unwrap();
        // Sparse: it takes no space, and reading it whole would take an hour.
        let large = fs::File::create(directory.path().join("large")).unwrap();
        large.set_len(10 * 1024 * 1024 * 1024).unwrap();
        assert!(matches!(
            Content::of_directory(directory.path()),
            Err(ContentError::FileTooLarge { .. })
        ));
        let mut content = Content::default();
        let many =
            (0..=FILES_MAX).try_for_each(|index| content.add(&format!("f{index}"), file("")));
        assert!(matches!(many, Err(ContentError::TooMany)));
        let mut content = Content::default();
        let megabytes = || File {
            bytes: vec![0; 4 * 1024 * 1024],
            executable: false,
        };
        let much = (0..9).try_for_each(|index| content.add(&format!("f{index}"), megabytes()));
        assert!(matches!(much, Err(ContentError::TooLarge)));
    }
}
