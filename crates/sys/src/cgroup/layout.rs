//! Which controllers the kernel has, and where they are mounted.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// What can be limited or counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Controller {
    /// Share and quota of processor time.
    Cpu,
    /// Used processor time; in version 2 part of the former.
    CpuAccounting,
    Memory,
    /// Number of processes.
    Processes,
}

impl Controller {
    const ALL: [Self; 4] = [
        Self::Cpu,
        Self::CpuAccounting,
        Self::Memory,
        Self::Processes,
    ];

    /// The kernel's name in version 1.
    fn name_in_one(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::CpuAccounting => "cpuacct",
            Self::Memory => "memory",
            Self::Processes => "pids",
        }
    }

    /// The kernel's name in version 2.
    pub(super) fn name_in_two(self) -> &'static str {
        match self {
            Self::Cpu | Self::CpuAccounting => "cpu",
            Self::Memory => "memory",
            Self::Processes => "pids",
        }
    }
}

impl std::fmt::Display for Controller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Cpu => "CPU limits",
            Self::CpuAccounting => "CPU usage",
            Self::Memory => "memory limits and usage",
            Self::Processes => "process limits",
        })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    One,
    Two,
}

/// One mounted tree of groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hierarchy {
    pub mount: PathBuf,
    pub version: Version,
    pub controllers: BTreeSet<Controller>,
}

/// All trees with a controller we use; each controller is in one of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Layout {
    hierarchies: Vec<Hierarchy>,
}

impl Layout {
    /// What is mounted in this process's view.
    pub fn of_this_machine() -> io::Result<Self> {
        let mounts = fs::read_to_string("/proc/self/mounts")?;
        Ok(Self::of_mounts(&mounts, |mount| {
            // Without the file there are no controllers either.
            fs::read_to_string(mount.join("cgroup.controllers")).unwrap_or_default()
        }))
    }

    /// A machine without control groups.
    pub fn none() -> Self {
        Self::default()
    }

    fn of_mounts(mounts: &str, controllers_of_two: impl Fn(&Path) -> String) -> Self {
        let mut found: BTreeMap<PathBuf, Hierarchy> = BTreeMap::new();
        let mut taken = BTreeSet::new();
        let mut lines: Vec<Vec<&str>> = mounts
            .lines()
            .map(|line| line.split(' ').collect())
            .collect();
        // A controller bound to version 1 is not offered by version 2 anyway.
        lines.sort_by_key(|fields| fields.get(2) == Some(&"cgroup2"));
        for fields in &lines {
            let [_, mount, kind @ ("cgroup" | "cgroup2"), options, ..] = fields.as_slice() else {
                continue;
            };
            let mount = PathBuf::from(mount.replace("\\040", " "));
            let (version, offered) = if *kind == "cgroup" {
                let named: BTreeSet<&str> = options.split(',').collect();
                let has = |controller: &Controller| named.contains(controller.name_in_one());
                (
                    Version::One,
                    Controller::ALL.into_iter().filter(has).collect(),
                )
            } else {
                let text = controllers_of_two(&mount);
                let named: BTreeSet<&str> = text.split_whitespace().collect();
                let has = |controller: &Controller| named.contains(controller.name_in_two());
                (
                    Version::Two,
                    Controller::ALL
                        .into_iter()
                        .filter(has)
                        .collect::<BTreeSet<_>>(),
                )
            };
            let controllers: BTreeSet<Controller> = offered
                .into_iter()
                .filter(|controller| taken.insert(*controller))
                .collect();
            if !controllers.is_empty() {
                found.insert(
                    mount.clone(),
                    Hierarchy {
                        mount,
                        version,
                        controllers,
                    },
                );
            }
        }
        Self {
            hierarchies: found.into_values().collect(),
        }
    }

    pub(super) fn hierarchies(&self) -> &[Hierarchy] {
        &self.hierarchies
    }

    /// Controllers the kernel offers at all.
    pub fn controllers(&self) -> BTreeSet<Controller> {
        self.hierarchies
            .iter()
            .flat_map(|hierarchy| hierarchy.controllers.iter().copied())
            .collect()
    }

    /// `version 1`, `version 2`, or both, for people.
    pub fn describe(&self) -> &'static str {
        let has = |version| {
            self.hierarchies
                .iter()
                .any(|hierarchy| hierarchy.version == version)
        };
        match (has(Version::One), has(Version::Two)) {
            (true, true) => "control groups version 1 and 2",
            (true, false) => "control groups version 1",
            (false, true) => "control groups version 2",
            (false, false) => "no control groups",
        }
    }

    /// A layout of one version 2 tree, to see in a plain folder what would be written.
    #[cfg(test)]
    pub(super) fn two_at(mount: &Path) -> Self {
        Self {
            hierarchies: vec![Hierarchy {
                mount: mount.to_path_buf(),
                version: Version::Two,
                controllers: Controller::ALL.into(),
            }],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The one place that reads a mount table: mount, version, controllers.
    #[track_caller]
    fn check(mounts: &str, controllers_of_two: &str, expected: &[&str]) {
        let layout = Layout::of_mounts(mounts, |_| controllers_of_two.to_owned());
        let lines: Vec<String> = layout
            .hierarchies
            .iter()
            .map(|one| {
                format!(
                    "{} {:?} {:?}",
                    one.mount.display(),
                    one.version,
                    one.controllers
                )
            })
            .collect();
        assert_eq!(lines, expected);
    }

    #[test]
    fn version_two_offers_its_controllers_in_one_tree() {
        check(
            "cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n",
            "cpuset cpu io memory pids",
            &["/sys/fs/cgroup Two {Cpu, CpuAccounting, Memory, Processes}"],
        );
    }

    #[test]
    fn version_one_may_have_two_controllers_in_one_tree() {
        check(
            "c /c/cpu,cpuacct cgroup rw,cpu,cpuacct 0 0\nc /c/memory cgroup rw,memory 0 0\nc /c/systemd cgroup rw,name=systemd 0 0\n",
            "",
            &[
                "/c/cpu,cpuacct One {Cpu, CpuAccounting}",
                "/c/memory One {Memory}",
            ],
        );
    }

    #[test]
    fn in_a_hybrid_each_controller_is_taken_where_it_is() {
        check(
            "c /c/unified cgroup2 rw 0 0\nc /c/memory cgroup rw,memory 0 0\n",
            "pids",
            &["/c/memory One {Memory}", "/c/unified Two {Processes}"],
        );
        check("c /c/unified cgroup2 rw 0 0\n", "", &[]);
    }

    #[test]
    fn a_machine_without_any_says_so() {
        assert_eq!(
            Layout::of_mounts("proc /proc proc rw 0 0\n", |_| String::new()).describe(),
            "no control groups"
        );
    }
}
