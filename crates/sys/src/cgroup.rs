//! Control groups: limits and counters of a set of processes.
//!
//! The kernel has two interfaces. In version 1 each controller is a tree of
//! its own, in version 2 all share one; a machine may have some of both. A
//! [`Tree`] is one name of ours in all trees that let us in, so that its users
//! need not know which version does the work.

mod layout;
mod limits;
mod usage;

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

pub use layout::{Controller, Layout};
pub use limits::Limits;
pub use usage::Usage;

use layout::{Hierarchy, Version};

/// The list of processes of a group; writing `0` moves the writer in.
const PROCESSES: &str = "cgroup.procs";

/// Why something about a control group failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} `{path}`")]
pub struct CgroupError {
    action: &'static str,
    path: PathBuf,
    #[source]
    source: io::Error,
}

impl CgroupError {
    /// What the kernel said.
    pub fn kind(&self) -> io::ErrorKind {
        self.source.kind()
    }
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> CgroupError {
    let path = path.to_path_buf();
    move |source| CgroupError {
        action,
        path,
        source,
    }
}

/// Our own part of every hierarchy that lets us have one.
#[derive(Debug, Clone)]
pub struct Tree {
    /// Where it is in each hierarchy.
    name: PathBuf,
    hierarchies: Vec<Hierarchy>,
}

impl Tree {
    /// Makes `name`, such as `foreshore/1234`, in each hierarchy, and tells
    /// for which controllers that was refused.
    pub fn open(layout: &Layout, name: &Path) -> (Self, Vec<(Controller, CgroupError)>) {
        let mut tree = Self {
            name: name.to_path_buf(),
            hierarchies: Vec::new(),
        };
        let mut refused = Vec::new();
        for hierarchy in layout.hierarchies() {
            let mut made = make(hierarchy, name);
            // Somebody may remove the shared folder just before we use it.
            for _ in 0..10 {
                match &made {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {
                        made = make(hierarchy, name);
                    }
                    _ => break,
                }
            }
            match made {
                Ok(()) => tree.hierarchies.push(hierarchy.clone()),
                // One error serves all controllers of the hierarchy: it is told of the first.
                Err(error) => {
                    if let Some(first) = hierarchy.controllers.first() {
                        refused.push((*first, error));
                    }
                }
            }
        }
        (tree, refused)
    }

    /// The same without making anything: what may be there from an earlier run.
    pub fn existing(layout: &Layout, name: &Path) -> Self {
        Self {
            name: name.to_path_buf(),
            hierarchies: layout.hierarchies().to_vec(),
        }
    }

    /// The controllers that work in this tree.
    pub fn controllers(&self) -> BTreeSet<Controller> {
        self.hierarchies
            .iter()
            .flat_map(|hierarchy| hierarchy.controllers.iter().copied())
            .collect()
    }

    /// A group of the tree, whether it is there or not.
    pub fn group(&self, path: &Path) -> Group {
        let folder = |hierarchy: &Hierarchy| Folder {
            path: hierarchy.mount.join(&self.name).join(path),
            hierarchy: hierarchy.clone(),
        };
        Group {
            folders: self.hierarchies.iter().map(folder).collect(),
        }
    }

    /// Makes a group; it may be there already.
    pub fn create(&self, path: &Path) -> Result<Group, CgroupError> {
        for hierarchy in &self.hierarchies {
            make(hierarchy, &self.name.join(path))?;
        }
        Ok(self.group(path))
    }

    /// Removes the folder the tree shares with others of its kind, if none is left.
    pub fn remove_if_unused(&self) {
        for hierarchy in &self.hierarchies {
            if let Some(shared) = self.name.parent().filter(|path| path.iter().count() > 0) {
                // Others still use it, most likely.
                let _kept = fs::remove_dir(hierarchy.mount.join(shared));
            }
        }
    }

    /// Names of the groups directly below the tree's root.
    pub fn children(&self) -> BTreeSet<String> {
        let root = self.group(Path::new(""));
        root.folders
            .iter()
            .flat_map(|folder| subfolders(&folder.path))
            .filter_map(|path| Some(path.file_name()?.to_str()?.to_owned()))
            .collect()
    }
}

/// Makes all folders of `name`, and in version 2 hands the controllers down.
fn make(hierarchy: &Hierarchy, name: &Path) -> Result<(), CgroupError> {
    let mut path = hierarchy.mount.clone();
    for part in name.components() {
        if hierarchy.version == Version::Two {
            delegate(hierarchy, &path)?;
        }
        path.push(part);
        match fs::create_dir(&path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(failed("create", &path)(error));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Lets groups below `parent` use the controllers.
fn delegate(hierarchy: &Hierarchy, parent: &Path) -> Result<(), CgroupError> {
    let path = parent.join("cgroup.subtree_control");
    let present = fs::read_to_string(&path).map_err(failed("read", &path))?;
    let present: BTreeSet<&str> = present.split_whitespace().collect();
    let names: BTreeSet<&str> = hierarchy
        .controllers
        .iter()
        .map(|controller| controller.name_in_two())
        .collect();
    let wanted: Vec<String> = names
        .difference(&present)
        .map(|name| format!("+{name}"))
        .collect();
    if wanted.is_empty() {
        return Ok(());
    }
    fs::write(&path, wanted.join(" ")).map_err(failed("hand controllers down in", &path))
}

/// One group in all hierarchies.
#[derive(Debug, Clone)]
pub struct Group {
    folders: Vec<Folder>,
}

#[derive(Debug, Clone)]
struct Folder {
    path: PathBuf,
    hierarchy: Hierarchy,
}

impl Group {
    /// Sets what the controllers of the tree can; limits of others are not
    /// set, which [`Tree::controllers`] tells beforehand.
    pub fn limit(&self, limits: &Limits) -> Result<(), CgroupError> {
        for folder in &self.folders {
            let version = folder.hierarchy.version;
            for setting in limits::settings(version, &folder.hierarchy.controllers, limits) {
                let path = folder.path.join(setting.file);
                // Some settings belong to parts of a kernel that may not be built in.
                if setting.only_if_there && !path.exists() {
                    continue;
                }
                fs::write(&path, setting.value).map_err(failed("set", &path))?;
            }
        }
        Ok(())
    }

    /// The files to which a process writes `0` to become part of the group.
    pub fn doors(&self) -> Vec<PathBuf> {
        self.folders
            .iter()
            .map(|folder| folder.path.join(PROCESSES))
            .collect()
    }

    /// The file that counts processes killed for want of memory, see
    /// [`out_of_memory_kills`].
    pub fn memory_events(&self) -> Option<PathBuf> {
        let folder = self.folder_of(Controller::Memory)?;
        Some(folder.path.join(match folder.hierarchy.version {
            Version::One => "memory.oom_control",
            Version::Two => "memory.events",
        }))
    }

    /// What the group has used; `None` if nobody counts.
    pub fn usage(&self) -> Option<Usage> {
        let cpu = self.folder_of(Controller::CpuAccounting)?;
        let memory = self.folder_of(Controller::Memory)?;
        usage::read(
            &cpu.path,
            cpu.hierarchy.version,
            &memory.path,
            memory.hierarchy.version,
        )
    }

    /// Whether the group is there in any hierarchy.
    pub fn exists(&self) -> bool {
        self.folders.iter().any(|folder| folder.path.exists())
    }

    /// Processes in the group and the groups below it.
    pub fn processes(&self) -> BTreeSet<u32> {
        let mut found = BTreeSet::new();
        for folder in &self.folders {
            for path in with_subfolders(&folder.path) {
                // A group that vanished has no processes.
                let list = fs::read_to_string(path.join(PROCESSES)).unwrap_or_default();
                found.extend(list.lines().filter_map(|line| line.parse::<u32>().ok()));
            }
        }
        found
    }

    /// Kills every process in the group and below once. New ones may have
    /// appeared meanwhile: repeat until [`Group::processes`] is empty.
    pub fn kill(&self) -> io::Result<()> {
        for pid in self.processes() {
            // A process may end, but its id is not used again within the group
            // between reading and signalling unless the group itself forks.
            crate::process::signal_by_id(pid, crate::Signal::KILL)?;
        }
        Ok(())
    }

    /// Removes the group and those below it, which must have no processes;
    /// one that is not there is fine.
    pub fn remove(&self) -> Result<(), CgroupError> {
        for folder in &self.folders {
            let mut all = with_subfolders(&folder.path);
            all.reverse();
            for path in all {
                match fs::remove_dir(&path) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => {
                        return Err(failed("remove", &path)(error));
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }

    fn folder_of(&self, controller: Controller) -> Option<&Folder> {
        self.folders
            .iter()
            .find(|folder| folder.hierarchy.controllers.contains(&controller))
    }
}

/// How many processes were killed for want of memory, as [`Group::memory_events`]
/// counts them; 0 if the file is gone.
pub fn out_of_memory_kills(memory_events: &Path) -> u64 {
    let text = fs::read_to_string(memory_events).unwrap_or_default();
    usage::field(&text, "oom_kill").unwrap_or(0)
}

fn subfolders(path: &Path) -> Vec<PathBuf> {
    // No folder, no folders in it.
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect()
}

/// The folder and all below it, each before what it holds.
fn with_subfolders(path: &Path) -> Vec<PathBuf> {
    let mut all = vec![path.to_path_buf()];
    let mut next = 0;
    while next < all.len() {
        let below = subfolders(&all[next]);
        all.extend(below);
        next += 1;
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_two_hands_controllers_down_and_takes_limits_in_one_folder() {
        let mount = tempfile::tempdir().unwrap();
        let control = mount.path().join("cgroup.subtree_control");
        fs::write(&control, "cpu\n").unwrap();
        let (tree, refused) = Tree::open(&Layout::two_at(mount.path()), Path::new("foreshore"));
        assert!(refused.is_empty(), "{refused:?}");
        assert_eq!(fs::read_to_string(&control).unwrap(), "+memory +pids");
        let group = tree.group(Path::new(""));
        group
            .limit(&Limits {
                processes_max: Some(7),
                ..Limits::default()
            })
            .unwrap();
        let folder = mount.path().join("foreshore");
        assert_eq!(fs::read_to_string(folder.join("pids.max")).unwrap(), "7");
        assert_eq!(group.doors(), [folder.join("cgroup.procs")]);
        assert_eq!(group.memory_events(), Some(folder.join("memory.events")));
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let layout = Layout::two_at(Path::new("/proc/no-such-mount"));
        let (tree, refused) = Tree::open(&layout, Path::new("foreshore"));
        assert!(tree.controllers().is_empty());
        assert!(refused[0].1.to_string().contains("/proc/no-such-mount"));
    }
}
