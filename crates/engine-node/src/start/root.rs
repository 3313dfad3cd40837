//! A copy of an image's files for a plain process, which could otherwise
//! change them for everybody.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// Copies the tree; links are copied as links, special files are left out.
pub(super) async fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let (from, to) = (from.to_path_buf(), to.to_path_buf());
    tokio::task::spawn_blocking(move || copy_tree(from, to))
        .await
        .map_err(io::Error::other)?
}

fn copy_tree(from: PathBuf, to: PathBuf) -> io::Result<()> {
    let mut folders = vec![(from, to)];
    while let Some((from, to)) = folders.pop() {
        fs::create_dir_all(&to)?;
        fs::set_permissions(&to, fs::metadata(&from)?.permissions())?;
        for entry in fs::read_dir(&from)? {
            let entry = entry?;
            let (kind, target) = (entry.file_type()?, to.join(entry.file_name()));
            if kind.is_dir() {
                folders.push((entry.path(), target));
            } else if kind.is_symlink() {
                symlink(fs::read_link(entry.path())?, &target)?;
            } else if kind.is_file() {
                fs::copy(entry.path(), &target)?;
            }
        }
    }
    Ok(())
}
