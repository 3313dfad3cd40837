//! Brings folders to the disk.
//!
//! With `core.fsync=all` git syncs the contents of packs and references, but
//! not the renames that put them in place: after a power cut the last
//! reference, or the pack it points at, may be gone. Syncing the folders closes
//! that gap, in the order objects before references.

use std::fs::File;
use std::path::Path;

use crate::error::GitError;

fn sync_folder(path: &Path) -> Result<(), GitError> {
    let folder = match File::open(path) {
        Ok(folder) => folder,
        // Git removes a folder of references with its last one.
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(cause) => {
            return Err(GitError::Sync {
                path: path.to_owned(),
                cause,
            });
        }
    };
    folder.sync_all().map_err(|cause| GitError::Sync {
        path: path.to_owned(),
        cause,
    })
}

/// Syncs the folder of packs: what was just written can be found after a power cut.
pub(crate) fn sync_packs(repository: &Path) -> Result<(), GitError> {
    sync_folder(&repository.join("objects/pack"))
}

/// Syncs the folders of the references, from each up to the repository itself.
pub(crate) fn sync_refs<'a>(
    repository: &Path,
    names: impl Iterator<Item = &'a str>,
) -> Result<(), GitError> {
    let mut folders = std::collections::BTreeSet::new();
    for name in names {
        let mut part = name;
        while let Some((parent, _)) = part.rsplit_once('/') {
            folders.insert(parent);
            part = parent;
        }
    }
    // The deepest first: a folder's own entry is in its parent.
    for folder in folders.iter().rev() {
        sync_folder(&repository.join(folder))?;
    }
    sync_folder(repository)
}

/// Syncs every file and folder below `path`, and the folders above it up to `top`.
///
/// For a handful of files; the whole file system may have gigabytes of others' to write.
pub(crate) fn sync_all_of(path: &Path, top: &Path) -> Result<(), GitError> {
    sync_below(path)?;
    let above = path.ancestors().skip(1);
    for folder in above.take_while(|folder| folder.starts_with(top)) {
        sync_folder(folder)?;
    }
    Ok(())
}

fn sync_below(path: &Path) -> Result<(), GitError> {
    let error = |cause| GitError::Sync {
        path: path.to_owned(),
        cause,
    };
    if path.is_dir() {
        for entry in std::fs::read_dir(path).map_err(error)? {
            sync_below(&entry.map_err(error)?.path())?;
        }
    }
    let file = File::open(path).map_err(error)?;
    file.sync_all().map_err(error)
}
