//! Where a node keeps what: the layout of its state on disk.
//!
//! ```text
//! ROOT/addresses.json                        who has which pod address
//! ROOT/images.json                           when each image was last used
//! ROOT/pods/UID/pod.json                     namespace, name and what is known of the pod
//! ROOT/pods/UID/volumes/NAME/                volumes made by the node
//! ROOT/pods/UID/etc/{hosts,hostname,resolv.conf}
//! ROOT/pods/UID/containers/NAME/ATTEMPT/     one start of a container, see the shim
//! ```

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::pod::state::PodState;
use crate::shim::{FilesError, read_document, write_document};

/// What is kept of a pod, to find it again.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PodRecord {
    pub namespace: String,
    pub name: String,
    pub uid: String,
    /// How long its containers may take to end by themselves.
    #[serde(default)]
    pub grace_seconds: i64,
    pub state: PodState,
}

/// The folder of one pod.
#[derive(Debug, Clone)]
pub(crate) struct PodFolder {
    path: PathBuf,
}

impl PodFolder {
    pub(crate) fn new(root: &Path, uid: &str) -> Self {
        Self {
            path: root.join("pods").join(uid),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn create(&self) -> io::Result<()> {
        fs::create_dir_all(self.path.join("containers"))
    }

    pub(crate) fn attempt(&self, container: &str, attempt: u32) -> PathBuf {
        self.path
            .join("containers")
            .join(container)
            .join(attempt.to_string())
    }

    pub(crate) fn volume(&self, name: &str) -> PathBuf {
        self.path.join("volumes").join(name)
    }

    pub(crate) fn etc(&self, name: &str) -> PathBuf {
        self.path.join("etc").join(name)
    }

    pub(crate) fn record(&self) -> Result<Option<PodRecord>, FilesError> {
        read_document(&self.path.join("pod.json"))
    }

    pub(crate) fn write_record(&self, record: &PodRecord) -> Result<(), FilesError> {
        write_document(&self.path.join("pod.json"), record)
    }

    /// Every start of every container there is still a folder of.
    pub(crate) fn attempts(&self) -> Vec<PathBuf> {
        entries(&self.path.join("containers"))
            .iter()
            .flat_map(|container| entries(container))
            .collect()
    }

    /// Makes the folder of a start, and room: of the starts before it only
    /// the last one is kept, for its log.
    pub(crate) fn begin_attempt(&self, container: &str, attempt: u32) -> io::Result<PathBuf> {
        let path = self.attempt(container, attempt);
        for old in entries(&self.path.join("containers").join(container)) {
            let number = old
                .file_name()
                .and_then(|name| name.to_str())
                .and_then(|name| name.parse::<u32>().ok());
            if number.is_some_and(|number| number + 1 < attempt || number == attempt) {
                remove_tree(&old)?;
            } else {
                // What the former start wrote outside volumes goes with it.
                for part in ["upper", "work", "root"] {
                    remove_tree(&old.join(part))?;
                }
            }
        }
        fs::create_dir_all(&path)?;
        Ok(path)
    }

    /// Takes away what is mounted in the pod's volumes.
    pub(crate) fn unmount(&self) -> io::Result<()> {
        for volume in entries(&self.path.join("volumes")) {
            if is_mount_point(&volume) {
                foreshore_sys::mount::detach(&volume)?;
            }
        }
        Ok(())
    }

    pub(crate) fn remove(&self) -> io::Result<()> {
        self.unmount()?;
        remove_tree(&self.path)
    }
}

/// The pods there are folders of.
pub(crate) fn known_pods(root: &Path) -> Vec<PodFolder> {
    entries(&root.join("pods"))
        .into_iter()
        .map(|path| PodFolder { path })
        .collect()
}

/// Whether another file system begins at `path`; a link is none itself.
pub(crate) fn is_mount_point(path: &Path) -> bool {
    let device = |path: &Path| fs::symlink_metadata(path).map(|about| about.dev()).ok();
    match (device(path), path.parent().and_then(device)) {
        (Some(own), Some(around)) => own != around,
        _ => false,
    }
}

fn entries(path: &Path) -> Vec<PathBuf> {
    fs::read_dir(path)
        .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
        .unwrap_or_default()
}

fn remove_tree(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
