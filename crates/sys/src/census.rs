//! What processes use, read from `/proc`: for where no control group counts.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::time::Duration;

use crate::cgroup::Usage;

/// Processor time and memory of every process at one moment.
#[derive(Debug, Clone, Default)]
pub struct Census {
    processes: BTreeMap<u32, Counted>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Counted {
    parent: u32,
    ticks: u64,
    pages: u64,
}

impl Census {
    pub fn take() -> io::Result<Self> {
        let mut processes = BTreeMap::new();
        for entry in fs::read_dir("/proc")?.flatten() {
            let name = entry.file_name();
            let Some(pid) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else {
                continue;
            };
            // One that has just ended uses nothing.
            if let Ok(stat) = fs::read_to_string(entry.path().join("stat"))
                && let Some(counted) = parse(&stat)
            {
                processes.insert(pid, counted);
            }
        }
        Ok(Self { processes })
    }

    /// Use of `pid` and all that descend from it; zero if it is not there.
    pub fn usage_of(&self, pid: u32) -> Usage {
        let mut family = BTreeSet::from([pid]);
        loop {
            let before = family.len();
            let children = self
                .processes
                .iter()
                .filter(|(_, counted)| family.contains(&counted.parent))
                .map(|(pid, _)| *pid)
                .collect::<Vec<_>>();
            family.extend(children);
            if family.len() == before {
                break;
            }
        }
        let members = family.iter().filter_map(|pid| self.processes.get(pid));
        members.fold(Usage::default(), |sum, one| Usage {
            cpu: sum.cpu + of_ticks(one.ticks),
            memory_bytes: sum.memory_bytes + one.pages * system_number(libc::_SC_PAGESIZE),
        })
    }
}

/// What all processes of this machine use together.
pub fn usage_of_machine() -> io::Result<Usage> {
    let strange = |what| io::Error::new(io::ErrorKind::InvalidData, what);
    let stat = fs::read_to_string("/proc/stat")?;
    let memory = fs::read_to_string("/proc/meminfo")?;
    let kilobytes = |name: &str| {
        let line = memory.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().trim_end_matches(" kB").parse::<u64>().ok()
    };
    let all = kilobytes("MemTotal:").ok_or_else(|| strange("`/proc/meminfo` has no total"))?;
    let free = kilobytes("MemAvailable:").unwrap_or(0);
    Ok(Usage {
        cpu: of_ticks(busy(&stat).ok_or_else(|| strange("`/proc/stat` has no processor time"))?),
        memory_bytes: all.saturating_sub(free) * 1024,
    })
}

/// Time of all processors that was not idle or waiting for a disk.
fn busy(stat: &str) -> Option<u64> {
    let line = stat.lines().next()?.strip_prefix("cpu ")?;
    let numbers: Vec<u64> = line
        .split_whitespace()
        .filter_map(|number| number.parse().ok())
        .collect();
    // User, nice, system; then idle and waiting; then interrupts and stolen time.
    Some(numbers.iter().take(3).chain(numbers.get(5..8)?).sum())
}

fn parse(stat: &str) -> Option<Counted> {
    // The name in parentheses may itself hold spaces and parentheses.
    let (_, after_name) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = after_name.split_ascii_whitespace().collect();
    let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
    Some(Counted {
        parent: u32::try_from(number(1)?).ok()?,
        // Its own, and of children that ended and were waited for.
        ticks: number(11)? + number(12)? + number(13)? + number(14)?,
        pages: number(21)?,
    })
}

fn of_ticks(ticks: u64) -> Duration {
    let per_second = system_number(libc::_SC_CLK_TCK);
    Duration::from_millis(ticks.saturating_mul(1000) / per_second)
}

/// A number of the system that does not change; never zero.
fn system_number(name: libc::c_int) -> u64 {
    // SAFETY: a plain question with a number as its answer.
    let number = unsafe { libc::sysconf(name) };
    u64::try_from(number).unwrap_or(1).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(parent: u32, ticks: u64) -> Counted {
        Counted {
            parent,
            ticks,
            pages: 1,
        }
    }

    #[test]
    fn a_process_counts_with_all_that_descend_from_it() {
        let census = Census {
            processes: BTreeMap::from([
                (2, counted(9, 4)),
                (7, counted(1, 100)),
                (8, counted(7, 10)),
                (9, counted(8, 1)),
                (10, counted(1, 1000)),
            ]),
        };
        let hundred = of_ticks(100);
        assert!(hundred > Duration::ZERO);
        assert_eq!(
            census.usage_of(7).cpu,
            hundred + of_ticks(10) + of_ticks(1) + of_ticks(4)
        );
        assert_eq!(census.usage_of(77), Usage::default());
    }

    #[test]
    fn fields_are_counted_from_behind_the_name() {
        let stat = "7 (a) b) S 3 7 7 0 -1 4194560 1 0 0 0 5 6 7 8 20 0 1 0 4242 0 99 0";
        assert_eq!(
            parse(stat),
            Some(Counted {
                parent: 3,
                ticks: 26,
                pages: 99
            })
        );
        assert_eq!(busy("cpu  1 2 4 800 800 8 16 32 0 0\n"), Some(63));
    }

    #[test]
    fn this_machine_is_in_use() {
        let own = Census::take().unwrap().usage_of(std::process::id());
        assert!(own.memory_bytes > 0);
        let all = usage_of_machine().unwrap();
        assert!(all.memory_bytes > 0 && all.cpu > Duration::ZERO);
    }
}
