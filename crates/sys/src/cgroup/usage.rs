//! What a group has used so far.

use std::fs;
use std::path::Path;
use std::time::Duration;

use super::layout::Version;

/// Counters of a set of processes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Processor time since the beginning.
    pub cpu: Duration,
    /// Memory that cannot be taken back at once: all but unused file pages.
    pub memory_bytes: u64,
}

/// `None` if a file is missing or says something else than it should.
pub(super) fn read(
    cpu: &Path,
    cpu_version: Version,
    memory: &Path,
    memory_version: Version,
) -> Option<Usage> {
    let text = |folder: &Path, name: &str| fs::read_to_string(folder.join(name)).ok();
    let number = |folder: &Path, name: &str| text(folder, name)?.trim().parse::<u64>().ok();
    let cpu = match cpu_version {
        Version::One => Duration::from_nanos(number(cpu, "cpuacct.usage")?),
        Version::Two => Duration::from_micros(field(&text(cpu, "cpu.stat")?, "usage_usec")?),
    };
    let (all, idle_pages) = match memory_version {
        Version::One => ("memory.usage_in_bytes", "total_inactive_file"),
        Version::Two => ("memory.current", "inactive_file"),
    };
    let all = number(memory, all)?;
    let idle_pages = field(&text(memory, "memory.stat")?, idle_pages).unwrap_or(0);
    Some(Usage {
        cpu,
        memory_bytes: all.saturating_sub(idle_pages),
    })
}

/// The number after `name` in a file of lines `name number`.
pub(super) fn field(text: &str, name: &str) -> Option<u64> {
    text.lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))
        .and_then(|number| number.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_give_the_same_numbers() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        write("cpuacct.usage", "2500000000\n");
        write("memory.usage_in_bytes", "3000\n");
        write("memory.current", "3000\n");
        write("cpu.stat", "usage_usec 2500000\nuser_usec 1\n");
        write(
            "memory.stat",
            "inactive_file 1000\ntotal_inactive_file 1000\n",
        );
        let expected = Some(Usage {
            cpu: Duration::from_millis(2500),
            memory_bytes: 2000,
        });
        for version in [Version::One, Version::Two] {
            let path = folder.path();
            assert_eq!(read(path, version, path, version), expected);
        }
        let gone = Path::new("/no/such/group");
        assert_eq!(read(gone, Version::One, gone, Version::One), None);
    }

    #[test]
    fn a_field_is_found_by_its_whole_name() {
        assert_eq!(field("oom 3\noom_kill 2\n", "oom_kill"), Some(2));
        assert_eq!(field("oom_kill_disable 0\n", "oom_kill"), None);
    }
}
