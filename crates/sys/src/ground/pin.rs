//! The pin: a file a network namespace is bind-mounted on, so that it outlives
//! the processes in it.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::io::Errno;
use rustix::mount::{UnmountFlags, mount_bind, unmount};
use rustix::thread::Pid;

use super::GroundError;

/// What the kernel's filesystem of namespaces calls itself in `statfs`.
const NSFS_MAGIC: i64 = 0x6e73_6673;

/// Mounts the network namespace of thread `thread` of this process on `pin`.
pub(super) fn attach(pin: &Path, thread: Pid) -> Result<(), GroundError> {
    let failed = |action, source| GroundError::Pin {
        action,
        path: pin.to_path_buf(),
        source,
    };
    if let Some(folder) = pin.parent() {
        fs::create_dir_all(folder).map_err(|source| failed("make the folder of", source))?;
    }
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(pin)
        .map_err(|source| failed("create", source))?;
    let namespace = format!("/proc/self/task/{}/ns/net", thread.as_raw_nonzero());
    mount_bind(namespace.as_str(), pin).map_err(|source| failed("mount", source.into()))
}

/// Opens the namespace mounted on `pin`.
pub(super) fn open(pin: &Path) -> Result<OwnedFd, GroundError> {
    let file = match File::open(pin) {
        Ok(file) => file,
        Err(source) if source.kind() == io::ErrorKind::NotFound => {
            return Err(GroundError::NotPinned(pin.to_path_buf()));
        }
        Err(source) => {
            return Err(GroundError::Pin {
                action: "open",
                path: pin.to_path_buf(),
                source,
            });
        }
    };
    let kind = rustix::fs::fstatfs(&file).map_err(|source| GroundError::Pin {
        action: "examine",
        path: pin.to_path_buf(),
        source: source.into(),
    })?;
    if kind.f_type != NSFS_MAGIC {
        return Err(GroundError::NotPinned(pin.to_path_buf()));
    }
    Ok(OwnedFd::from(file))
}

/// Unmounts everything on `pin` and deletes the file; nothing there is fine.
pub(super) fn release(pin: &Path) -> Result<(), GroundError> {
    let failed = |action, source| GroundError::Pin {
        action,
        path: pin.to_path_buf(),
        source,
    };
    loop {
        match unmount(pin, UnmountFlags::DETACH) {
            Ok(()) => {}
            // Not a mount point (any more), or no such file.
            Err(Errno::INVAL | Errno::NOENT) => break,
            // Without privilege nothing can have been mounted by us either.
            Err(Errno::PERM) if !is_pinned(pin) => break,
            Err(source) => return Err(failed("unmount", source.into())),
        }
    }
    match fs::remove_file(pin) {
        Ok(()) => Ok(()),
        Err(source) if source.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(failed("delete", source)),
    }
}

fn is_pinned(pin: &Path) -> bool {
    open(pin).is_ok()
}
