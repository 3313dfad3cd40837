//! Plans that were fetched, by the hash of their content; one cache for each user.
//!
//! ```text
//! sha256/<hash>/…       the files of a plan
//! git/<hash of url>     bare repository of the plans at one address
//! heads/<hash>.yaml     what a reference without a lock was resolved to last
//! ```
//!
//! Everything here can be deleted at any time.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use foreshore_model::{Digest, Lock, yaml};

use crate::content::{Content, ContentError};

/// Why the cache could not be used.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    #[error("cannot use the cache of plans at `{path}`")]
    Io {
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    #[error(transparent)]
    Content(#[from] ContentError),
}

/// The cache of one user.
#[derive(Debug, Clone)]
pub struct Cache {
    root: PathBuf,
}

impl Cache {
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Where the files with that hash are, if they are there.
    pub fn directory(&self, hash: &Digest) -> PathBuf {
        self.root.join("sha256").join(hash.hex())
    }

    pub(crate) fn repository(&self, url: &str) -> PathBuf {
        self.root
            .join("git")
            .join(Digest::of(url.as_bytes()).short())
    }

    fn head_file(&self, reference: &str) -> PathBuf {
        let name = Digest::of(reference.as_bytes());
        self.root
            .join("heads")
            .join(format!("{}.yaml", name.short()))
    }

    /// Reads a plan; what was changed since is not what was asked for, and put aside.
    pub fn load(&self, hash: &Digest) -> Result<Option<Content>, CacheError> {
        let directory = self.directory(hash);
        if !directory.is_dir() {
            return Ok(None);
        }
        match Content::of_directory(&directory) {
            Ok(content) if content.hash() == *hash => Ok(Some(content)),
            Ok(_)
            | Err(
                ContentError::Refused { .. }
                | ContentError::TooMany
                | ContentError::TooLarge
                | ContentError::FileTooLarge { .. },
            ) => {
                tracing::warn!(directory = %directory.display(), "cached plan was changed; it is fetched again");
                let aside = tempfile::Builder::new()
                    .prefix("changed-")
                    .tempdir_in(&self.root)
                    .map_err(|cause| self.failed(cause))?;
                // Somebody else may have been faster, which is as good.
                match fs::rename(&directory, aside.path().join("plan")) {
                    Ok(()) => Ok(None),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                    Err(cause) => Err(self.failed(cause)),
                }
            }
            Err(ContentError::Read { cause, .. }) if cause.kind() == io::ErrorKind::NotFound => {
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Keeps a plan; nobody ever sees half of it.
    pub fn store(&self, content: &Content) -> Result<PathBuf, CacheError> {
        let hash = content.hash();
        let directory = self.directory(&hash);
        if self.load(&hash)?.is_some() {
            return Ok(directory);
        }
        let parent = self.root.join("sha256");
        fs::create_dir_all(&parent).map_err(|cause| self.failed(cause))?;
        let fresh = tempfile::Builder::new()
            .prefix("new-")
            .tempdir_in(&parent)
            .map_err(|cause| self.failed(cause))?;
        content.write_to(fresh.path())?;
        let fresh = fresh.keep();
        match fs::rename(&fresh, &directory) {
            Ok(()) => Ok(directory),
            // Another process stored the same in the meantime.
            Err(_) if directory.is_dir() => {
                drop(fs::remove_dir_all(&fresh));
                Ok(directory)
            }
            Err(cause) => Err(self.failed(cause)),
        }
    }

    /// What a reference was resolved to last.
    pub fn head(&self, reference: &str) -> Option<Lock> {
        let path = self.head_file(reference);
        let text = fs::read_to_string(&path).ok()?;
        let lock: Lock = yaml::read(&path.display().to_string(), &text).ok()?;
        (lock.plan == reference).then_some(lock)
    }

    /// Remembers what a reference was resolved to.
    pub fn remember(&self, lock: &Lock) -> Result<(), CacheError> {
        let path = self.head_file(&lock.plan);
        let text = lock
            .text()
            .map_err(|error| self.failed(io::Error::other(error)))?;
        write_atomically(&path, &text).map_err(|cause| self.failed(cause))
    }

    fn failed(&self, cause: io::Error) -> CacheError {
        CacheError::Io {
            path: self.root.clone(),
            cause,
        }
    }
}

/// Replaces a file as a whole.
pub(crate) fn write_atomically(path: &Path, text: &str) -> io::Result<()> {
    let parent = path.parent().unwrap_or_else(|| Path::new("."));
    fs::create_dir_all(parent)?;
    let file = tempfile::NamedTempFile::new_in(parent)?;
    fs::write(file.path(), text)?;
    file.as_file().sync_all()?;
    let mode = <fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o644);
    fs::set_permissions(file.path(), mode)?;
    file.persist(path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::File;

    fn content(text: &str) -> Content {
        let mut content = Content::default();
        let file = File {
            bytes: text.as_bytes().to_vec(),
            executable: false,
        };
        content.add("plan.yaml", file).unwrap();
        content
    }

    #[test]
    fn a_plan_is_found_by_its_hash_and_a_changed_one_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache::new(directory.path());
        let content = content("a");
        assert_eq!(cache.load(&content.hash()).unwrap(), None);
        let path = cache.store(&content).unwrap();
        assert_eq!(
            cache.store(&content).unwrap(),
            path,
            "a second time is no work"
        );
        assert_eq!(
            cache.load(&content.hash()).unwrap().as_ref(),
            Some(&content)
        );
        fs::write(path.join("plan.yaml"), "b").unwrap();
        assert_eq!(cache.load(&content.hash()).unwrap(), None);
        fs::create_dir_all(&path).unwrap();
        std::os::unix::fs::symlink("/etc", path.join("x")).unwrap();
        assert_eq!(cache.load(&content.hash()).unwrap(), None);
        assert_eq!(cache.store(&content).unwrap(), path);
    }

    #[test]
    fn many_may_store_the_same_at_once() {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache::new(directory.path());
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| cache.store(&content("a")).unwrap());
            }
        });
        assert!(cache.load(&content("a").hash()).unwrap().is_some());
        let left = fs::read_dir(directory.path().join("sha256"))
            .unwrap()
            .count();
        assert_eq!(left, 1, "nothing half-written stays");
    }

    #[test]
    fn a_head_is_remembered_for_its_own_reference() {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache::new(directory.path());
        let lock = Lock {
            plan: "https://h/p.git#main".into(),
            commit: None,
            manifest: None,
            hash: Digest::of(b"x"),
        };
        assert_eq!(cache.head(&lock.plan), None);
        cache.remember(&lock).unwrap();
        assert_eq!(cache.head(&lock.plan), Some(lock));
        assert_eq!(cache.head("https://h/p.git#other"), None);
    }
}
