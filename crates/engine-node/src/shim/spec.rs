//! The documents between node and shim.

use std::path::PathBuf;

use foreshore_sys::Identity;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Everything needed to start one container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ContainerSpec {
    /// Program and arguments, as the container sees them.
    pub arguments: Vec<String>,
    /// The whole environment, nothing is inherited.
    pub environment: Vec<(String, String)>,
    /// Where it starts: inside the root for a sandbox, on the host otherwise.
    pub directory: PathBuf,
    /// Pin of the ground; the current network if absent.
    pub network: Option<PathBuf>,
    pub isolation: Isolation,
    pub user: Option<User>,
    /// Capabilities to keep by name; all that the shim has if absent.
    pub capabilities: Option<Vec<String>>,
    pub no_new_privileges: bool,
    pub log: LogLimits,
    /// Files through which a process becomes part of its control groups.
    #[serde(default)]
    pub groups: Vec<PathBuf>,
    /// Where the kernel counts processes killed for want of memory.
    #[serde(default)]
    pub memory_events: Option<PathBuf>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) enum Isolation {
    /// A plain process; `program` is where its file is on the host, `root`
    /// where the other files of its image are.
    None {
        program: PathBuf,
        root: PathBuf,
    },
    Sandbox(SandboxSpec),
}

/// The file system a sandboxed container sees.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct SandboxSpec {
    /// The unpacked image, shared by all its containers and never written.
    pub image_root: PathBuf,
    pub host_name: String,
    pub mounts: Vec<MountSpec>,
    pub read_only_root: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct MountSpec {
    /// On the host; a directory or a file.
    pub source: PathBuf,
    /// In the container.
    pub target: PathBuf,
    pub writable: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct User {
    pub id: u32,
    pub group: u32,
    pub further_groups: Vec<u32>,
}

/// How much log is kept per container start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct LogLimits {
    /// Size at which a new file is begun.
    pub file_bytes_max: u64,
    /// Files kept, the current one included.
    pub files_max: u32,
}

impl Default for LogLimits {
    /// What kubelet keeps.
    fn default() -> Self {
        Self {
            file_bytes_max: 10 * 1024 * 1024,
            files_max: 5,
        }
    }
}

/// Names a process in a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct IdentityShape {
    pid: u32,
    start_time: u64,
}

/// Who runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RunningState {
    #[serde(with = "identity")]
    pub shim: Identity,
    #[serde(with = "identity")]
    pub container: Identity,
    pub started_at: Timestamp,
}

/// How a container ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Exit {
    pub ending: Ending,
    /// The kernel killed a process of the container for want of memory.
    #[serde(default)]
    pub out_of_memory: bool,
    pub started_at: Timestamp,
    pub finished_at: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Ending {
    Exited {
        code: i32,
    },
    Signalled {
        signal: i32,
    },
    /// The program could not be started at all.
    NotStarted {
        message: String,
    },
}

mod identity {
    use foreshore_sys::Identity;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::IdentityShape;

    pub(super) fn serialize<S: Serializer>(
        identity: &Identity,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        IdentityShape {
            pid: identity.pid,
            start_time: identity.start_time,
        }
        .serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Identity, D::Error> {
        let shape = IdentityShape::deserialize(deserializer)?;
        Ok(Identity {
            pid: shape.pid,
            start_time: shape.start_time,
        })
    }
}
