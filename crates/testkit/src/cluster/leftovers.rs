//! What a running cluster holds, written down, so that the next start can
//! clear away what a killed run could not.
//!
//! A record names its owner by process id and start time, because ids return.

use std::{
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

use anyhow::{Context as _, Result};
use foreshore_sys::{self as sys, Ground, Identity, Signal};
use serde::{Deserialize, Serialize};

use super::cgroups;
use crate::{environment, process::Process};

/// A process, as the record spells it.
#[derive(Debug, Serialize, Deserialize)]
struct Owned {
    pid: u32,
    start_time: u64,
}

impl Owned {
    fn of(pid: u32) -> Option<Self> {
        let Identity { pid, start_time } = Identity::of(pid).ok()?;
        Some(Self { pid, start_time })
    }

    /// A handle on it, unless it has ended.
    fn running(&self) -> io::Result<Option<sys::Process>> {
        let Self { pid, start_time } = *self;
        match sys::Process::open(Identity { pid, start_time })? {
            Some(process) if process.is_running()? => Ok(Some(process)),
            _ => Ok(None),
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Content {
    owner: Owned,
    children: Vec<Owned>,
    pin: PathBuf,
    folder: PathBuf,
    /// Name of the cgroup of its node, if that is the real kubelet.
    #[serde(default)]
    cgroup: Option<String>,
}

/// The record of one cluster of this process, and the ground it names.
#[derive(Debug)]
pub(super) struct Record {
    path: PathBuf,
    content: Content,
    ground: Ground,
}

impl Record {
    /// Makes a ground, and a record of it before it exists.
    pub(super) fn new(name: &str, folder: &Path) -> Result<Self> {
        Self::with(name, folder, Ground::create)
    }

    /// The same, with a ground of another kind.
    pub(super) fn with(
        name: &str,
        folder: &Path,
        make: impl FnOnce(&Path) -> Result<Ground, foreshore_sys::GroundError>,
    ) -> Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let owner = Owned::of(std::process::id()).context("this process is in `/proc`")?;
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let stem = format!("{name}-{}-{}-{number}", owner.pid, owner.start_time);
        let records = records()?;
        let pin = records.join(format!("{stem}.ground"));
        let path = records.join(format!("{stem}.json"));
        let content = Content {
            owner,
            children: Vec::new(),
            pin,
            folder: folder.to_owned(),
            cgroup: None,
        };
        write(&path, &content)?;
        let ground =
            make(&content.pin).context("cannot make a network namespace for the cluster")?;
        Ok(Self {
            path,
            content,
            ground,
        })
    }

    pub(super) fn ground(&self) -> &Ground {
        &self.ground
    }

    /// Adds `programs` to what is cleared away.
    pub(super) fn watch_over(&mut self, programs: &[Process]) -> Result<()> {
        self.content.children = programs
            .iter()
            .filter_map(|program| Owned::of(program.id()))
            .collect();
        write(&self.path, &self.content)
    }

    /// Makes a cgroup of the cluster's own, and returns its name.
    pub(super) fn own_cgroup(&mut self) -> Result<String> {
        let stem = self.path.file_stem().context("a record has a name")?;
        let name = format!("foreshore-{}", stem.to_string_lossy());
        // Written down first: whatever is made is removed.
        self.content.cgroup = Some(name.clone());
        write(&self.path, &self.content)?;
        cgroups::create(&name)?;
        Ok(name)
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let cgroup = self.content.cgroup.as_deref();
        let gone = evict(&self.content.pin)
            .and_then(|()| cgroup.map_or(Ok(()), cgroups::remove))
            .and_then(|()| {
                Ground::remove_pin(&self.content.pin).context("cannot remove the ground")
            })
            .and_then(|()| {
                fs::remove_file(&self.path).context("cannot remove the record of the cluster")
            });
        if let Err(error) = gone {
            environment::say(&format!("{error:#}"));
        }
    }
}

fn records() -> Result<PathBuf> {
    let folder = environment::cache()?.join("run");
    fs::create_dir_all(&folder)
        .with_context(|| format!("cannot make folder `{}`", folder.display()))?;
    Ok(folder)
}

fn write(path: &Path, content: &Content) -> Result<()> {
    let text = serde_json::to_vec(content).context("a record is plain data")?;
    let beside = path.with_extension("partial");
    fs::write(&beside, text)
        .and_then(|()| fs::rename(&beside, path))
        .with_context(|| format!("cannot write `{}`", path.display()))
}

/// Clears away what killed runs left: processes, namespaces, folders.
pub(super) fn collect() -> Result<()> {
    collect_in(&records()?)
}

fn collect_in(records: &Path) -> Result<()> {
    for entry in fs::read_dir(records).context("cannot list the records of clusters")? {
        let path = entry.context("cannot list the records of clusters")?.path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        // Another test may be clearing away the same record.
        let Ok(text) = fs::read(&path) else { continue };
        let content: Content = serde_json::from_slice(&text).with_context(|| {
            format!(
                "`{}` is not a record of a cluster; delete it",
                path.display()
            )
        })?;
        if content
            .owner
            .running()
            .context("cannot look for the owner of a record")?
            .is_none()
        {
            clear(&content)?;
            removed(fs::remove_file(&path))
                .with_context(|| format!("cannot delete `{}`", path.display()))?;
        }
    }
    Ok(())
}

fn clear(content: &Content) -> Result<()> {
    for child in &content.children {
        if let Some(process) = child
            .running()
            .context("cannot look for a program of a killed run")?
        {
            process
                .signal(Signal::KILL)
                .context("cannot end a program of a killed run")?;
        }
    }
    evict(&content.pin)?;
    if let Some(cgroup) = &content.cgroup {
        cgroups::remove(cgroup)?;
    }
    Ground::remove_pin(&content.pin).context("cannot remove the ground of a killed run")?;
    let ours = content.folder.starts_with(std::env::temp_dir());
    if ours {
        removed(fs::remove_dir_all(&content.folder)).with_context(|| {
            format!(
                "cannot remove `{}` of a killed run",
                content.folder.display()
            )
        })?;
    }
    Ok(())
}

/// Kills every process inside the ground pinned on `pin`: pods outlive the
/// node that started them, but not their cluster.
fn evict(pin: &Path) -> Result<()> {
    let namespace = |path: &Path| fs::metadata(path).map(|found| (found.dev(), found.ino()));
    // No pin, no ground, nobody inside.
    let Ok(ground) = namespace(pin) else {
        return Ok(());
    };
    for entry in fs::read_dir("/proc").context("cannot list the processes")? {
        let path = entry.context("cannot list the processes")?.path();
        let Some(pid) = path
            .file_name()
            .and_then(|name| name.to_str()?.parse().ok())
        else {
            continue;
        };
        // One that is ending right now has no namespace to read any more.
        if !namespace(&path.join("ns/net")).is_ok_and(|found| found == ground) {
            continue;
        }
        if let Some(process) = Owned::of(pid)
            .map(|owned| owned.running())
            .transpose()
            .context("cannot look for pods")?
            .flatten()
        {
            process.signal(Signal::KILL).context("cannot end a pod")?;
        }
    }
    Ok(())
}

/// Being gone already is as good as being removed.
fn removed(outcome: io::Result<()>) -> io::Result<()> {
    match outcome {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{TempDir, process::Spec};

    #[tokio::test]
    async fn what_a_killed_run_left_is_cleared_away() {
        let folder = TempDir::new("leftovers").unwrap();
        let mut sleeper = Spec::new("/bin/sh", folder.join("log"))
            .args(["-c", "exec sleep 600"])
            .start()
            .unwrap();
        let left = TempDir::new("left").unwrap();
        let own = Owned::of(std::process::id()).unwrap();
        let content = Content {
            owner: Owned {
                start_time: own.start_time - 1,
                ..own
            },
            children: vec![Owned::of(sleeper.id()).unwrap()],
            pin: folder.join("pin"),
            folder: left.path().to_owned(),
            cgroup: None,
        };
        write(&folder.join("record.json"), &content).unwrap();
        collect_in(folder.path()).unwrap();
        sleeper.wait(Duration::from_secs(5)).await.unwrap();
        assert!(!left.path().exists());
        assert!(!folder.join("record.json").exists());
    }

    #[tokio::test]
    async fn pods_do_not_outlive_their_cluster() {
        let folder = TempDir::new("pods").unwrap();
        let record = Record::new("test", folder.path()).unwrap();
        let mut pod = Spec::new("/bin/sh", folder.join("log"))
            .args(["-c", "exec sleep 600"])
            .inside(record.ground())
            .start()
            .unwrap();
        let mut neighbour = Spec::new("/bin/sh", folder.join("log"))
            .args(["-c", "exec sleep 600"])
            .start()
            .unwrap();
        drop(record);
        pod.wait(Duration::from_secs(5)).await.unwrap();
        assert!(neighbour.ended().unwrap().is_none());
    }

    #[test]
    fn what_a_living_run_holds_is_left_alone() {
        let folder = TempDir::new("leftovers").unwrap();
        let content = Content {
            owner: Owned::of(std::process::id()).unwrap(),
            children: Vec::new(),
            pin: folder.join("pin"),
            folder: folder.path().to_owned(),
            cgroup: None,
        };
        write(&folder.join("record.json"), &content).unwrap();
        collect_in(folder.path()).unwrap();
        assert!(folder.join("record.json").exists());
    }
}
