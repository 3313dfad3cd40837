//! A container's folder: the only thing node and shim have in common.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::spec::{ContainerSpec, Exit, RunningState};

/// Why a document in a container's folder cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FilesError {
    #[error("cannot {action} `{path}`")]
    Disk {
        action: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("`{path}` is damaged")]
    Damaged {
        path: PathBuf,
        #[source]
        source: serde_json::Error,
    },
}

/// The folder of one start of one container.
#[derive(Debug, Clone)]
pub(crate) struct Files {
    folder: PathBuf,
}

/// Held while a shim lives; the kernel lets go of it when the shim dies.
#[derive(Debug)]
pub(crate) struct Lock(#[expect(dead_code, reason = "held, never read")] File);

impl Files {
    pub(crate) fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_path_buf(),
        }
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.folder.join("log")
    }

    /// The shim's own words, empty unless something went wrong.
    pub(crate) fn complaints(&self) -> PathBuf {
        self.folder.join("shim.log")
    }

    /// Takes the lock; `None` if a living shim has it.
    pub(crate) fn lock(&self) -> Result<Option<Lock>, FilesError> {
        let path = self.folder.join("lock");
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(|source| disk("open", &path, source))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Lock(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(source)) => Err(disk("lock", &path, source)),
        }
    }

    pub(crate) fn write_spec(&self, spec: &ContainerSpec) -> Result<(), FilesError> {
        self.write("spec.json", spec)
    }

    pub(crate) fn spec(&self) -> Result<Option<ContainerSpec>, FilesError> {
        self.read("spec.json")
    }

    pub(crate) fn write_state(&self, state: &RunningState) -> Result<(), FilesError> {
        self.write("state.json", state)
    }

    pub(crate) fn state(&self) -> Result<Option<RunningState>, FilesError> {
        self.read("state.json")
    }

    pub(crate) fn write_exit(&self, exit: &Exit) -> Result<(), FilesError> {
        self.write("exit.json", exit)
    }

    pub(crate) fn exit(&self) -> Result<Option<Exit>, FilesError> {
        self.read("exit.json")
    }

    fn read<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, FilesError> {
        read_document(&self.folder.join(name))
    }

    fn write<T: Serialize>(&self, name: &str, value: &T) -> Result<(), FilesError> {
        write_document(&self.folder.join(name), value)
    }
}

/// Reads a JSON document; `None` if there is no such file.
pub(crate) fn read_document<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, FilesError> {
    match fs::read(path) {
        Ok(content) => serde_json::from_slice(&content)
            .map(Some)
            .map_err(|source| FilesError::Damaged {
                path: path.to_path_buf(),
                source,
            }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(disk("read", path, source)),
    }
}

/// Writes a JSON document so that readers see the old one or the new one.
///
/// It is not synced: these documents tell of processes, and those do not
/// survive what would lose them.
pub(crate) fn write_document<T: Serialize>(path: &Path, value: &T) -> Result<(), FilesError> {
    let content = serde_json::to_vec(value).expect("documents of strings and numbers are JSON");
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(".new");
    let unfinished = PathBuf::from(unfinished);
    let mut file = OpenOptions::new();
    file.write(true).create(true).truncate(true);
    // Environments may hold secrets.
    std::os::unix::fs::OpenOptionsExt::mode(&mut file, 0o600);
    file.open(&unfinished)
        .and_then(|mut file| file.write_all(&content))
        .map_err(|source| disk("write", &unfinished, source))?;
    fs::rename(&unfinished, path).map_err(|source| disk("replace", path, source))
}

fn disk(action: &'static str, path: &Path, source: io::Error) -> FilesError {
    FilesError::Disk {
        action,
        path: path.to_path_buf(),
        source,
    }
}
