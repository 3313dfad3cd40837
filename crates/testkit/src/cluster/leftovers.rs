//! What a running cluster holds, written down, so that the next start can
//! clear away what a killed run could not.
//!
//! A record names its owner by process id and start time, because ids return.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

use anyhow::{Context as _, Result};
use foreshore_sys::Ground;
use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};

use crate::{environment, process::Process};

/// A process, beyond the reuse of its number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Identity {
    id: u32,
    /// Field 22 of `/proc/ID/stat`: clock ticks since boot.
    started: u64,
}

impl Identity {
    /// The process that has this id now; `None` if there is none.
    fn of(id: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        // The second field is a name in parentheses that may hold anything.
        let (_, after_name) = stat.rsplit_once(") ")?;
        let mut fields = after_name.split(' ');
        if matches!(fields.next(), Some("Z" | "X")) {
            return None;
        }
        let started = fields.nth(18)?.parse().ok()?;
        Some(Self { id, started })
    }

    fn lives(&self) -> bool {
        Self::of(self.id).as_ref() == Some(self)
    }

    fn kill(&self) {
        let id = i32::try_from(self.id).ok().and_then(Pid::from_raw);
        if let Some(id) = id
            && self.lives()
        {
            // It may end by itself between the look and the signal.
            kill_process(id, Signal::KILL).ok();
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Content {
    owner: Identity,
    children: Vec<Identity>,
    pin: PathBuf,
    folder: PathBuf,
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
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let owner = Identity::of(std::process::id()).context("this process is in `/proc`")?;
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let stem = format!("{name}-{}-{}-{number}", owner.id, owner.started);
        let records = records()?;
        let pin = records.join(format!("{stem}.ground"));
        let path = records.join(format!("{stem}.json"));
        let content = Content {
            owner,
            children: Vec::new(),
            pin,
            folder: folder.to_owned(),
        };
        write(&path, &content)?;
        let ground = Ground::create(&content.pin)
            .context("cannot make a network namespace for the cluster")?;
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
            .filter_map(|program| Identity::of(program.id()))
            .collect();
        write(&self.path, &self.content)
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let gone = Ground::remove_pin(&self.content.pin)
            .context("cannot remove the ground")
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
        if !content.owner.lives() {
            clear(&content)?;
            removed(fs::remove_file(&path))
                .with_context(|| format!("cannot delete `{}`", path.display()))?;
        }
    }
    Ok(())
}

fn clear(content: &Content) -> Result<()> {
    content.children.iter().for_each(Identity::kill);
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

    #[test]
    fn a_process_is_told_from_a_later_one_with_its_number() {
        let own = Identity::of(std::process::id()).unwrap();
        assert!(own.lives());
        let earlier = Identity {
            started: own.started - 1,
            ..own
        };
        assert!(!earlier.lives());
    }

    #[tokio::test]
    async fn what_a_killed_run_left_is_cleared_away() {
        let folder = TempDir::new("leftovers").unwrap();
        let mut sleeper = Spec::new("/bin/sh", folder.join("log"))
            .args(["-c", "exec sleep 600"])
            .start()
            .unwrap();
        let left = TempDir::new("left").unwrap();
        let own = Identity::of(std::process::id()).unwrap();
        let content = Content {
            owner: Identity {
                started: own.started - 1,
                ..own
            },
            children: vec![Identity::of(sleeper.id()).unwrap()],
            pin: folder.join("pin"),
            folder: left.path().to_owned(),
        };
        write(&folder.join("record.json"), &content).unwrap();
        collect_in(folder.path()).unwrap();
        sleeper.wait(Duration::from_secs(5)).await.unwrap();
        assert!(!left.path().exists());
        assert!(!folder.join("record.json").exists());
    }

    #[test]
    fn what_a_living_run_holds_is_left_alone() {
        let folder = TempDir::new("leftovers").unwrap();
        let content = Content {
            owner: Identity::of(std::process::id()).unwrap(),
            children: Vec::new(),
            pin: folder.join("pin"),
            folder: folder.path().to_owned(),
        };
        write(&folder.join("record.json"), &content).unwrap();
        collect_in(folder.path()).unwrap();
        assert!(folder.join("record.json").exists());
    }
}
