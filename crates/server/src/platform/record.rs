//! What a running platform leaves on disk, so that other commands find it.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use foreshore_sys::{Identity, Process};
use serde::{Deserialize, Serialize};

/// A platform that was started from a data directory, and where it answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    pub version: String,
    pub pid: u32,
    /// With the process id, names one process for good.
    pub start_time: u64,
    /// Status page, API, registry and config repository.
    pub url: String,
    /// Where users of the services go, if this platform runs pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingress: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubeconfig: Option<PathBuf>,
    /// Where things run, in words.
    pub ground: String,
}

/// Why the record could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    #[error("cannot read `{path}`")]
    Read {
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    #[error("`{path}` is damaged")]
    Format {
        path: PathBuf,
        #[source]
        cause: serde_json::Error,
    },
    #[error("cannot write `{path}`")]
    Write {
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    #[error("cannot look for the platform's process")]
    Process(#[source] io::Error),
}

impl Record {
    /// Whether the platform brought its own cluster, which nobody else uses.
    pub fn is_embedded(&self) -> bool {
        self.ingress.is_some()
    }

    fn path(data: &Path) -> PathBuf {
        data.join("platform.json")
    }

    /// Reads the record of a data directory; nothing if no platform was started from it.
    pub fn read(data: &Path) -> Result<Option<Self>, RecordError> {
        let path = Self::path(data);
        match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map(Some)
                .map_err(|cause| RecordError::Format { path, cause }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(cause) => Err(RecordError::Read { path, cause }),
        }
    }

    /// Writes the record so that a reader sees all of it or nothing.
    pub fn write(&self, data: &Path) -> Result<(), RecordError> {
        let text =
            serde_json::to_vec_pretty(self).expect("a record of strings and numbers is JSON");
        write_private(&Self::path(data), &text)
    }

    pub fn remove(data: &Path) -> Result<(), RecordError> {
        let path = Self::path(data);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(RecordError::Write { path, cause: error })
            }
            _ => Ok(()),
        }
    }

    /// Takes hold of the process, if it still runs.
    pub fn process(&self) -> Result<Option<Process>, RecordError> {
        let identity = Identity {
            pid: self.pid,
            start_time: self.start_time,
        };
        let process = Process::open(identity).map_err(RecordError::Process)?;
        match process {
            Some(process) if process.is_running().map_err(RecordError::Process)? => {
                Ok(Some(process))
            }
            _ => Ok(None),
        }
    }
}

/// Writes a file that only its owner can read, all of it or nothing.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> Result<(), RecordError> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let failed = |cause| RecordError::Write {
        path: path.to_owned(),
        cause,
    };
    let parent = path
        .parent()
        .expect("a file in the data directory has a parent");
    fs::create_dir_all(parent).map_err(failed)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let draft = parent.join(format!(".{name}.{}", std::process::id()));
    let write = || {
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&draft)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&draft, path)
    };
    write().map_err(failed)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn record(start_time: u64) -> Record {
        Record {
            version: "0.1.0".into(),
            pid: std::process::id(),
            start_time,
            url: "http://127.0.0.1:1".into(),
            ingress: None,
            kubeconfig: None,
            ground: "the embedded engine".into(),
        }
    }

    #[test]
    fn a_record_reads_back_and_is_private() {
        let data = tempfile::tempdir().unwrap();
        assert_eq!(Record::read(data.path()).unwrap(), None);
        record(1).write(data.path()).unwrap();
        assert_eq!(Record::read(data.path()).unwrap(), Some(record(1)));
        let mode = fs::metadata(data.path().join("platform.json"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        Record::remove(data.path()).unwrap();
        Record::remove(data.path()).unwrap();
        assert_eq!(Record::read(data.path()).unwrap(), None);
    }

    #[test]
    fn a_reused_process_id_is_not_the_platform() {
        let own = Identity::own().unwrap();
        assert!(record(own.start_time).process().unwrap().is_some());
        assert!(record(own.start_time + 1).process().unwrap().is_none());
    }

    #[test]
    fn a_damaged_record_is_told_by_name() {
        let data = tempfile::tempdir().unwrap();
        fs::write(data.path().join("platform.json"), "{").unwrap();
        assert!(matches!(
            Record::read(data.path()),
            Err(RecordError::Format { .. })
        ));
    }
}
