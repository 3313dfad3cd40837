//! Which file of a group says what; pure.

use std::collections::BTreeSet;

use super::layout::{Controller, Version};

/// How often a quota is refilled.
const PERIOD_MICROS: u64 = 100_000;
/// The smallest quota the kernel takes.
const QUOTA_MICROS_MIN: u64 = 1000;
/// What one processor is worth in version 1, and the bounds of a share.
const SHARES_OF_PROCESSOR: u64 = 1024;
const SHARES_MIN: u64 = 2;
const SHARES_MAX: u64 = 262_144;

/// What a group may use; nothing is set where nothing is said.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// Thousandths of a processor at most.
    pub cpu_millis_max: Option<u64>,
    /// Thousandths of a processor it is worth when processors are short.
    pub cpu_millis_share: Option<u64>,
    pub memory_bytes_max: Option<u64>,
    pub processes_max: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Setting {
    pub file: &'static str,
    pub value: String,
    pub only_if_there: bool,
}

/// A number, or several, as the kernel reads them.
struct Value(String);

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self(number.to_string())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self(text)
    }
}

fn setting(file: &'static str, value: impl Into<Value>) -> Setting {
    Setting {
        file,
        value: value.into().0,
        only_if_there: false,
    }
}

fn optional(file: &'static str, value: impl Into<Value>) -> Setting {
    Setting {
        only_if_there: true,
        ..setting(file, value)
    }
}

/// What to write, in this order.
pub(super) fn settings(
    version: Version,
    controllers: &BTreeSet<Controller>,
    limits: &Limits,
) -> Vec<Setting> {
    let mut all = Vec::new();
    if controllers.contains(&Controller::Cpu) {
        if let Some(millis) = limits.cpu_millis_share {
            let shares = shares(millis);
            all.push(match version {
                Version::One => setting("cpu.shares", shares),
                Version::Two => setting("cpu.weight", weight(shares)),
            });
        }
        if let Some(millis) = limits.cpu_millis_max {
            let quota = (millis.saturating_mul(PERIOD_MICROS) / 1000).max(QUOTA_MICROS_MIN);
            all.extend(match version {
                Version::One => vec![
                    setting("cpu.cfs_period_us", PERIOD_MICROS),
                    setting("cpu.cfs_quota_us", quota),
                ],
                Version::Two => vec![setting("cpu.max", format!("{quota} {PERIOD_MICROS}"))],
            });
        }
    }
    if controllers.contains(&Controller::Memory)
        && let Some(bytes) = limits.memory_bytes_max
    {
        // Swap would only put the limit off, so none is granted.
        all.extend(match version {
            Version::One => vec![
                setting("memory.limit_in_bytes", bytes),
                optional("memory.memsw.limit_in_bytes", bytes),
            ],
            Version::Two => vec![
                setting("memory.max", bytes),
                optional("memory.swap.max", 0_u64),
                optional("memory.oom.group", 1_u64),
            ],
        });
    }
    if controllers.contains(&Controller::Processes)
        && let Some(count) = limits.processes_max
    {
        all.push(setting("pids.max", count));
    }
    all
}

fn shares(millis: u64) -> u64 {
    (millis.saturating_mul(SHARES_OF_PROCESSOR) / 1000).clamp(SHARES_MIN, SHARES_MAX)
}

/// The range 2 to 262144 of version 1 in the range 1 to 10000 of version 2.
fn weight(shares: u64) -> u64 {
    1 + (shares - SHARES_MIN) * 9999 / (SHARES_MAX - SHARES_MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(version: Version, limits: Limits, expected: &[&str]) {
        let all = [
            Controller::Cpu,
            Controller::CpuAccounting,
            Controller::Memory,
            Controller::Processes,
        ];
        let lines: Vec<String> = settings(version, &all.into(), &limits)
            .into_iter()
            .map(|one| format!("{}={}", one.file, one.value))
            .collect();
        assert_eq!(lines, expected);
    }

    fn all() -> Limits {
        Limits {
            cpu_millis_max: Some(1500),
            cpu_millis_share: Some(500),
            memory_bytes_max: Some(64 << 20),
            processes_max: Some(100),
        }
    }

    #[test]
    fn version_one_has_a_file_per_number() {
        check(
            Version::One,
            all(),
            &[
                "cpu.shares=512",
                "cpu.cfs_period_us=100000",
                "cpu.cfs_quota_us=150000",
                "memory.limit_in_bytes=67108864",
                "memory.memsw.limit_in_bytes=67108864",
                "pids.max=100",
            ],
        );
    }

    #[test]
    fn version_two_has_weights_instead_of_shares() {
        check(
            Version::Two,
            all(),
            &[
                "cpu.weight=20",
                "cpu.max=150000 100000",
                "memory.max=67108864",
                "memory.swap.max=0",
                "memory.oom.group=1",
                "pids.max=100",
            ],
        );
    }

    #[test]
    fn numbers_the_kernel_would_refuse_are_brought_into_its_range() {
        let tiny = Limits {
            cpu_millis_max: Some(1),
            cpu_millis_share: Some(0),
            ..Limits::default()
        };
        check(Version::Two, tiny, &["cpu.weight=1", "cpu.max=1000 100000"]);
        let huge = Limits {
            cpu_millis_share: Some(u64::MAX),
            ..Limits::default()
        };
        check(Version::Two, huge, &["cpu.weight=10000"]);
    }

    #[test]
    fn what_is_not_asked_for_or_not_there_is_not_set() {
        check(Version::One, Limits::default(), &[]);
        assert_eq!(settings(Version::One, &BTreeSet::new(), &all()), []);
    }
}
