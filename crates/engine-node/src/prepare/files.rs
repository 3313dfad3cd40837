//! Files of a volume that changes as a whole, in the layout every Kubernetes
//! user knows.
//!
//! ```text
//! VOLUME/..42/colour          the files as they are now
//! VOLUME/..data -> ..42       replaced in one step when they change
//! VOLUME/colour -> ..data/colour
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::Path;

use super::{PrepareError, disk};
use crate::pod::volumes::Files;

const CURRENT: &str = "..data";

/// Brings the volume up to date; answers whether anything changed.
pub(super) fn write(
    files: &Files,
    folder: &Path,
    group: Option<u32>,
) -> Result<bool, PrepareError> {
    if is_current(files, folder) {
        return Ok(false);
    }
    let version = next_version(folder).map_err(disk(folder))?;
    let fresh = folder.join(&version);
    fs::create_dir_all(&fresh).map_err(disk(&fresh))?;
    let open = fs::Permissions::from_mode(0o755);
    fs::set_permissions(&fresh, open).map_err(disk(&fresh))?;
    for (name, content) in files {
        let path = fresh.join(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(disk(parent))?;
        }
        fs::write(&path, &content.bytes).map_err(disk(&path))?;
        let for_group = if group.is_some() { 0o040 } else { 0 };
        let mode = fs::Permissions::from_mode(content.mode | for_group);
        fs::set_permissions(&path, mode).map_err(disk(&path))?;
        chown(&path, None, group).map_err(disk(&path))?;
    }
    point(folder, CURRENT, Path::new(&version))?;
    for name in tops(files) {
        point(folder, name, &Path::new(CURRENT).join(name))?;
    }
    remove_old(files, folder, &version)?;
    Ok(true)
}

/// First parts of the files' paths: what stands at the top of the volume.
fn tops(files: &Files) -> BTreeSet<&str> {
    files
        .keys()
        .map(|name| name.split('/').next().unwrap_or(name))
        .collect()
}

fn is_current(files: &Files, folder: &Path) -> bool {
    let Ok(there) = read(&folder.join(CURRENT)) else {
        return false;
    };
    there.len() == files.len()
        && files
            .iter()
            .all(|(name, content)| there.get(name) == Some(&content.bytes))
        && tops(files)
            .iter()
            .all(|name| fs::read_link(folder.join(name)).is_ok())
}

/// All files below `folder` by their path in it.
fn read(folder: &Path) -> io::Result<BTreeMap<String, Vec<u8>>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![(folder.to_path_buf(), String::new())];
    while let Some((path, prefix)) = folders.pop() {
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
            if entry.file_type()?.is_dir() {
                folders.push((entry.path(), format!("{name}/")));
            } else {
                found.insert(name, fs::read(entry.path())?);
            }
        }
    }
    Ok(found)
}

/// A name no version there has.
fn next_version(folder: &Path) -> io::Result<String> {
    fs::create_dir_all(folder)?;
    let mut highest = 0_u64;
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix(".."));
        highest = highest.max(number.and_then(|text| text.parse().ok()).unwrap_or(0));
    }
    Ok(format!("..{}", highest + 1))
}

/// Makes `name` a link to `target` in one step, whatever it was before.
fn point(folder: &Path, name: &str, target: &Path) -> Result<(), PrepareError> {
    let link = folder.join(name);
    if fs::read_link(&link).is_ok_and(|now| now == target) {
        return Ok(());
    }
    let unfinished = folder.join("..new-link");
    match fs::remove_file(&unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(disk(&unfinished)(error));
        }
        _ => {}
    }
    symlink(target, &unfinished).map_err(disk(&unfinished))?;
    if link.is_dir() && fs::read_link(&link).is_err() {
        fs::remove_dir_all(&link).map_err(disk(&link))?;
    }
    fs::rename(&unfinished, &link).map_err(disk(&link))
}

/// Takes away former versions, and links to files that are gone.
fn remove_old(files: &Files, folder: &Path, version: &str) -> Result<(), PrepareError> {
    let kept: BTreeSet<&str> = tops(files).into_iter().chain([CURRENT, version]).collect();
    for entry in fs::read_dir(folder).map_err(disk(folder))?.flatten() {
        if entry
            .file_name()
            .to_str()
            .is_some_and(|name| kept.contains(name))
        {
            continue;
        }
        let path = entry.path();
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        let removed = if is_folder {
            fs::remove_dir_all(&path)
        } else {
            fs::remove_file(&path)
        };
        removed.map_err(disk(&path))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pod::volumes::FileContent;

    fn files(list: &[(&str, &str)]) -> Files {
        let content = |text: &str| FileContent {
            bytes: text.as_bytes().to_vec(),
            mode: 0o644,
        };
        list.iter()
            .map(|(name, text)| ((*name).to_owned(), content(text)))
            .collect()
    }

    #[test]
    fn all_files_change_in_one_step_and_nothing_old_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        let read = |name: &str| fs::read_to_string(path.join(name)).unwrap();
        assert!(write(&files(&[("a", "1"), ("deep/b", "1")]), path, None).unwrap());
        assert_eq!(
            (read("a"), read("deep/b")),
            ("1".to_owned(), "1".to_owned())
        );
        let opened = fs::canonicalize(path.join("..data")).unwrap();
        assert!(!write(&files(&[("a", "1"), ("deep/b", "1")]), path, None).unwrap());
        assert_eq!(fs::canonicalize(path.join("..data")).unwrap(), opened);

        assert!(write(&files(&[("a", "2"), ("c", "2")]), path, None).unwrap());
        assert_eq!((read("a"), read("c")), ("2".to_owned(), "2".to_owned()));
        assert!(!path.join("deep").exists() && !opened.exists());
        assert_eq!(
            fs::read_link(path.join("a")).unwrap(),
            Path::new("..data/a")
        );
    }

    #[test]
    fn files_of_the_former_layout_give_way() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        fs::write(path.join("a"), "old").unwrap();
        fs::create_dir(path.join("deep")).unwrap();
        fs::write(path.join("deep/b"), "old").unwrap();
        assert!(write(&files(&[("a", "1"), ("deep/b", "1")]), path, None).unwrap());
        assert_eq!(fs::read_to_string(path.join("deep/b")).unwrap(), "1");
        assert!(write(&files(&[]), path, None).unwrap());
        assert!(!path.join("a").exists());
    }
}
