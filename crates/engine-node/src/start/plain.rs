//! The files of a plain process: a copy of its image, which it could otherwise
//! change for everybody, with links to its volumes.
//!
//! It sees them where they are on the host. Its working folder lies among them,
//! so that paths relative to it mean what they mean elsewhere; for all others
//! there is a variable.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Component, Path, PathBuf};

use super::user;
use crate::shim::MountSpec;

#[derive(Debug, thiserror::Error)]
#[error("cannot place a volume at `{target}`")]
pub(crate) struct PlainError {
    target: PathBuf,
    #[source]
    source: io::Error,
}

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

/// Makes a link at the mount's target, in place of whatever the image has there.
pub(super) fn place(root: &Path, mount: &MountSpec) -> Result<(), PlainError> {
    link(root, mount).map_err(|source| PlainError {
        target: mount.target.clone(),
        source,
    })
}

fn link(root: &Path, mount: &MountSpec) -> io::Result<()> {
    let mut names = Vec::new();
    for part in mount.target.components() {
        match part {
            Component::Normal(name) => names.push(name),
            Component::RootDir | Component::CurDir => {}
            Component::ParentDir | Component::Prefix(_) => {
                return Err(io::Error::other("it leads up"));
            }
        }
    }
    let last = names
        .pop()
        .ok_or_else(|| io::Error::other("it is the root"))?;
    let mut folder = PathBuf::from("/");
    for name in names {
        // Links of the image lead to other places of it, and nowhere else.
        let parent = inside(root, &folder)?;
        folder.push(name);
        if user::locate(root, &folder).is_none() {
            fs::create_dir(parent.join(name))?;
        }
    }
    let path = inside(root, &folder)?.join(last);
    match fs::symlink_metadata(&path) {
        Ok(there) if there.is_dir() => fs::remove_dir_all(&path)?,
        Ok(_) => fs::remove_file(&path)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    symlink(&mount.source, &path)
}

/// Where a folder of the image is on the host.
fn inside(root: &Path, folder: &Path) -> io::Result<PathBuf> {
    user::locate(root, folder).ok_or_else(|| io::ErrorKind::NotFound.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mount(source: &Path, target: &str) -> MountSpec {
        MountSpec {
            source: source.to_path_buf(),
            target: PathBuf::from(target),
            writable: true,
        }
    }

    #[test]
    fn a_volume_takes_the_place_of_what_the_image_has_there() {
        let folder = tempfile::tempdir().unwrap();
        let (root, volume) = (folder.path().join("root"), folder.path().join("volume"));
        fs::create_dir_all(root.join("etc/shop/deep")).unwrap();
        fs::create_dir(&volume).unwrap();
        fs::write(volume.join("colour"), "blue").unwrap();
        for target in ["/etc/shop", "/new/folder/shop", "/etc/../etc2/."] {
            let placed = place(&root, &mount(&volume, target));
            assert_eq!(placed.is_ok(), !target.contains(".."), "{target}");
        }
        for path in ["etc/shop/colour", "new/folder/shop/colour"] {
            assert_eq!(fs::read_to_string(root.join(path)).unwrap(), "blue");
        }
        assert!(place(&root, &mount(&volume, "/")).is_err());
    }

    #[test]
    fn links_of_an_image_do_not_lead_a_volume_out_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let (root, outside) = (folder.path().join("root"), folder.path().join("outside"));
        fs::create_dir_all(&outside).unwrap();
        fs::create_dir_all(root.join("real")).unwrap();
        symlink(&outside, root.join("absolute")).unwrap();
        symlink("../../outside", root.join("up")).unwrap();
        symlink("real", root.join("good")).unwrap();
        let volume = mount(folder.path(), "/good/data");
        place(&root, &volume).unwrap();
        assert!(root.join("real/data").is_symlink());
        for target in ["/absolute/data", "/up/data"] {
            place(&root, &mount(folder.path(), target)).unwrap_err();
        }
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
    }
}
