//! What the kernel and the clock of this machine allow.

use std::path::Path;

use foreshore_engine_node::{RuntimeKind, RuntimeReport};
use foreshore_model::clock;
use jiff::Timestamp;

use super::Finding;

const MINIMUM_OPEN_FILES: u64 = 4_096;

pub(super) fn examine(data: &Path) -> Vec<Finding> {
    let root = rustix::process::geteuid().is_root();
    let name = rustix::system::uname();
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum;
    let made = std::env::current_exe()
        .and_then(std::fs::metadata)
        .and_then(|program| program.modified())
        .ok()
        .and_then(|made| Timestamp::try_from(made).ok());
    let mut findings = vec![
        Finding::fine(
            "version",
            format!(
                "foreshore {}, {} {}, {}",
                env!("CARGO_PKG_VERSION"),
                name.sysname().to_string_lossy(),
                name.release().to_string_lossy(),
                if root { "root" } else { "not root" },
            ),
        ),
        judge_clock(clock::now(), made),
        judge_open_files(limit),
    ];
    findings.extend(judge_runtimes(root, probe(data)));
    findings
}

/// Tries the runtimes where the node would keep its state, or beside it.
fn probe(data: &Path) -> std::io::Result<RuntimeReport> {
    let there = data.join("node");
    if there.is_dir() {
        return Ok(foreshore_engine_node::probe(&there));
    }
    let folder = std::env::temp_dir().join(format!("foreshore-doctor-{}", std::process::id()));
    std::fs::create_dir(&folder)?;
    let report = foreshore_engine_node::probe(&folder);
    std::fs::remove_dir_all(&folder)?;
    Ok(report)
}

fn judge_clock(now: Timestamp, made: Option<Timestamp>) -> Finding {
    let stamp = format!("{now:.0}");
    match made {
        Some(made) if now < made => Finding::broken(
            "clock",
            format!(
                "{stamp} is before this program was made: certificates and tokens will not be valid"
            ),
            "set the clock, for example with `timedatectl set-ntp true`",
        ),
        _ => Finding::fine("clock", stamp),
    }
}

fn judge_open_files(limit: Option<u64>) -> Finding {
    match limit {
        Some(limit) if limit < MINIMUM_OPEN_FILES => Finding::notice(
            "open files",
            format!("at most {limit}: watches and connections of a busy platform need more"),
            format!("`ulimit -Hn {MINIMUM_OPEN_FILES}` before `foreshore up`"),
        ),
        Some(limit) => Finding::fine("open files", format!("up to {limit}")),
        None => Finding::fine("open files", "no limit"),
    }
}

fn judge_runtimes(root: bool, report: std::io::Result<RuntimeReport>) -> Vec<Finding> {
    let report = match report {
        Ok(report) => report,
        Err(error) => {
            return vec![Finding::broken(
                "pods",
                format!("cannot make a folder to try the runtimes in: {error}"),
                "set TMPDIR to a folder that can be written",
            )];
        }
    };
    let (limits, runtimes): (Vec<_>, Vec<_>) = report
        .lines
        .into_iter()
        .partition(|line| line.starts_with("limits:"));
    let runtimes = runtimes.join("; ");
    let pods = if report.best == RuntimeKind::Sandbox {
        Finding::fine("pods", runtimes)
    } else {
        Finding::notice(
            "pods",
            runtimes,
            "run as root, or use a cluster you have with `foreshore up --context NAME`",
        )
    };
    let ground = if root {
        Finding::fine("network", "a network namespace of its own can be made")
    } else {
        Finding::broken(
            "network",
            "the embedded cluster needs a network namespace, which only root can make here",
            "run as root, or use a cluster you have with `foreshore up --context NAME`",
        )
    };
    let limits = limits.into_iter().map(|line| {
        let words = line.trim_start_matches("limits: ").to_owned();
        if words.contains("not enforced") {
            Finding::notice(
                "limits",
                words,
                "pods run without these; on a real cluster they are enforced",
            )
        } else {
            Finding::fine("limits", words)
        }
    });
    [pods, ground].into_iter().chain(limits).collect()
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;

    #[test]
    fn a_clock_before_the_program_is_broken() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let earlier = judge_clock(at(0), Some(at(1_000)));
        assert_eq!(earlier.state, State::Broken);
        assert_eq!(earlier.found.get(..20), Some("1970-01-01T00:00:00Z"));
        let later = judge_clock(at(1_001), Some(at(1_000)));
        assert_eq!(later.state, State::Fine);
    }

    #[test]
    fn without_root_it_says_what_to_do_instead() {
        let report = RuntimeReport {
            best: RuntimeKind::Process,
            lines: vec![
                "sandbox: not possible, cannot make namespaces".into(),
                "process: possible".into(),
                "limits: not enforced, pods run without: cgroups are read-only".into(),
            ],
        };
        let findings = judge_runtimes(false, Ok(report));
        let states: Vec<_> = findings
            .iter()
            .map(|finding| (finding.check.as_str(), finding.state))
            .collect();
        assert_eq!(
            states,
            [
                ("pods", State::Notice),
                ("network", State::Broken),
                ("limits", State::Notice)
            ]
        );
        assert!(findings[1].mend.as_ref().unwrap().contains("--context"));
    }

    #[test]
    fn few_open_files_are_noticed() {
        assert_eq!(judge_open_files(Some(1_024)).state, State::Notice);
        assert_eq!(judge_open_files(Some(1 << 20)).state, State::Fine);
        assert_eq!(judge_open_files(None).state, State::Fine);
    }
}
