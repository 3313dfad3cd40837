//! Cgroups of a node: made in every hierarchy, and removed from all of them.
//!
//! Only for the machine's cgroups of version 1, beside which version 2 may be
//! mounted; that is what the recipe of the real kubelet was found for.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

const ROOT: &str = "/sys/fs/cgroup";
/// Controllers without which kubelet does not start.
const NEEDED: [&str; 5] = ["cpu", "cpuacct", "cpuset", "memory", "pids"];
/// A killed process leaves its cgroup a moment after it was killed.
const EMPTY: Duration = Duration::from_secs(20);
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Fails with the reason if kubelet could not use this machine's cgroups.
pub(super) fn usable() -> Result<()> {
    for controller in NEEDED {
        let processes = Path::new(ROOT).join(controller).join("cgroup.procs");
        fs::OpenOptions::new()
            .write(true)
            .open(&processes)
            .with_context(|| {
                format!(
                    "no usable cgroup controller `{controller}` of version 1 in `{ROOT}`; \
                     kubelet is only run on machines with those"
                )
            })?;
    }
    Ok(())
}

/// Makes the cgroup `name` in every hierarchy.
pub(super) fn create(name: &str) -> Result<()> {
    for hierarchy in hierarchies()? {
        let path = hierarchy.join(name);
        fs::create_dir_all(&path)
            .with_context(|| format!("cannot make cgroup `{}`", path.display()))?;
        // A new group of this controller is empty-handed and takes no process.
        for file in ["cpuset.cpus", "cpuset.mems"] {
            if path.join(file).exists() {
                fs::read(hierarchy.join(file))
                    .and_then(|all| fs::write(path.join(file), all))
                    .with_context(|| format!("cannot fill `{file}` of `{}`", path.display()))?;
            }
        }
    }
    Ok(())
}

/// Removes the cgroup `name` and all within it from every hierarchy, and waits
/// until their processes have ended.
pub(super) fn remove(name: &str) -> Result<()> {
    let deadline = Instant::now() + EMPTY;
    for hierarchy in hierarchies()? {
        let path = hierarchy.join(name);
        while let Err(error) = remove_tree(&path) {
            if error.kind() != io::ErrorKind::ResourceBusy || Instant::now() >= deadline {
                return Err(error)
                    .with_context(|| format!("cannot remove cgroup `{}`", path.display()));
            }
            std::thread::sleep(LOOK_AGAIN);
        }
    }
    Ok(())
}

/// Being gone is as good as being removed.
fn remove_tree(path: &Path) -> io::Result<()> {
    let gone = |outcome: io::Result<()>| match outcome {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    };
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) => return gone(Err(error)),
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_tree(&entry.path())?;
        }
    }
    gone(fs::remove_dir(path))
}

fn hierarchies() -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let entries = fs::read_dir(ROOT).with_context(|| format!("cannot list `{ROOT}`"))?;
    for entry in entries {
        let path = entry
            .with_context(|| format!("cannot list `{ROOT}`"))?
            .path();
        // Links are other names of a hierarchy that is there itself.
        let is_link = fs::symlink_metadata(&path).is_ok_and(|found| found.is_symlink());
        if !is_link && path.join("cgroup.procs").is_file() {
            found.push(path);
        }
    }
    if found.is_empty() {
        bail!("no cgroup hierarchies in `{ROOT}`");
    }
    Ok(found)
}
