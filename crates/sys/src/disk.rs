//! Waiting until what was written cannot be lost.

use std::fs::File;
use std::io;
use std::path::Path;

/// Waits until everything written to the file system of `file` is on disk.
pub fn sync_filesystem(file: &File) -> io::Result<()> {
    Ok(rustix::fs::syncfs(file)?)
}

/// Waits until the entries of a directory (new names, renames) are on disk.
pub fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}
