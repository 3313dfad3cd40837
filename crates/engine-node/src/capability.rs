//! Which runtimes this machine allows, found out by trying.

use std::io;
use std::path::Path;
use std::thread;

use foreshore_model::chain;
use foreshore_sys::Ground;
use foreshore_sys::cgroup::Layout;
use foreshore_sys::mount::{self, Namespaces};

use crate::groups::Groups;
use crate::options::RuntimeKind;

/// What a machine allows, for people to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuntimeReport {
    /// The most faithful runtime that works here.
    pub best: RuntimeKind,
    /// One line per runtime: possible, or why not; then what none of them does.
    pub lines: Vec<String>,
}

/// Finds out what is possible for a node that keeps its state in `root`.
///
/// It tries in a thread of its own, which leaves nothing behind but an empty
/// folder if `root` was not there.
pub fn probe(root: &Path) -> RuntimeReport {
    let sandbox = try_sandbox(root);
    let best = if sandbox.is_ok() {
        RuntimeKind::Sandbox
    } else {
        RuntimeKind::Process
    };
    let sandbox = match sandbox {
        Ok(()) => "sandbox: possible".to_owned(),
        Err((step, error)) => format!(
            "sandbox: not possible, cannot {step}: {error}{}",
            hint(&error)
        ),
    };
    let lines = vec![
        sandbox,
        "process: possible; plain processes without a file system of their own".to_owned(),
        "simulated: possible; pods only seem to run".to_owned(),
        limits(root),
        network(best),
    ];
    RuntimeReport { best, lines }
}

/// Which addresses pods have, found out by making a namespace where that is
/// not certain.
fn network(best: RuntimeKind) -> String {
    let tried = match best {
        RuntimeKind::Sandbox => Ok(()),
        RuntimeKind::Process | RuntimeKind::Simulated => Ground::try_namespace(),
    };
    match tried {
        Ok(()) => "network: a namespace of its own".to_owned(),
        Err(error) => format!(
            "network: this machine's own: {}; pods have loopback addresses, \
             a program that listens on all addresses takes its port from all of them, and services \
             are found by their variables, not by name",
            chain(&error)
        ),
    }
}

/// What the kernel lets us limit, found out by making a group.
fn limits(root: &Path) -> String {
    let layout = match Layout::of_this_machine() {
        Ok(layout) => layout,
        Err(error) => return format!("limits: not enforced: cannot read the mounts: {error}"),
    };
    let (tree, missing) = Groups::probe(&layout, &root.join("capability-probe"));
    let there: Vec<String> = tree.iter().map(ToString::to_string).collect();
    let how = layout.describe();
    match (there.is_empty(), missing.is_empty()) {
        (true, _) => format!(
            "limits: not enforced, pods run without: {}",
            missing.join("; ")
        ),
        (false, true) => format!("limits: enforced: {} ({how})", there.join(", ")),
        (false, false) => format!(
            "limits: enforced: {} ({how}); not enforced: {}",
            there.join(", "),
            missing.join("; ")
        ),
    }
}

fn hint(error: &io::Error) -> &'static str {
    if error.kind() == io::ErrorKind::PermissionDenied {
        " (needs root)"
    } else {
        ""
    }
}

type Refusal = (&'static str, io::Error);

fn try_sandbox(root: &Path) -> Result<(), Refusal> {
    std::fs::create_dir_all(root).map_err(|error| ("create the node's folder", error))?;
    let scratch = root.join("capability-probe");
    // Of an earlier probe that was interrupted; it may not be there.
    let _absent = std::fs::remove_dir_all(&scratch);
    for part in ["lower", "upper", "work", "root"] {
        std::fs::create_dir_all(scratch.join(part))
            .map_err(|error| ("write to the node's folder", error))?;
    }
    let inside = scratch.clone();
    let tried = thread::Builder::new()
        .name("capability-probe".to_owned())
        .spawn(move || enter(&inside))
        .map_err(|error| ("start a thread", error))?
        .join()
        .unwrap_or_else(|_| Err(("try", io::Error::other("the attempt panicked"))));
    std::fs::remove_dir_all(&scratch).map_err(|error| ("clean up", error))?;
    tried
}

/// Images name the user they run as, who must exist in the user namespace that
/// this program is in: outside of containers all do.
fn other_users() -> io::Result<()> {
    let map = std::fs::read_to_string("/proc/self/uid_map")?;
    let ends = map.lines().filter_map(|line| {
        let mut numbers = line.split_whitespace().map(str::parse::<u64>);
        let (first, _, count) = (numbers.next()?, numbers.next()?, numbers.next()?);
        Some(first.ok()? + count.ok()?)
    });
    if ends.max() > Some(u64::from(foreshore_image::USER_ID)) {
        return Ok(());
    }
    let words = "this user namespace has too few users";
    Err(io::Error::new(io::ErrorKind::PermissionDenied, words))
}

/// Namespaces and mounts made here end with the thread.
fn enter(scratch: &Path) -> Result<(), Refusal> {
    other_users().map_err(|error| ("run images as their users", error))?;
    let part = |name: &str| scratch.join(name);
    mount::unshare(Namespaces::MountsNameIpc)
        .map_err(|error| ("make mount, name and IPC namespaces", error))?;
    mount::unshare(Namespaces::ChildProcesses)
        .map_err(|error| ("make a process namespace", error))?;
    mount::keep_private().map_err(|error| ("keep mounts private", error))?;
    mount::overlay(&part("lower"), &part("upper"), &part("work"), &part("root"))
        .map_err(|error| ("mount an overlay file system", error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_names_every_runtime_and_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let report = probe(folder.path());
        let names: Vec<_> = report
            .lines
            .iter()
            .map(|line| line.split(':').next().unwrap())
            .collect();
        assert_eq!(
            names,
            ["sandbox", "process", "simulated", "limits", "network"]
        );
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        let is_root = rustix::process::geteuid().is_root();
        match report.best {
            RuntimeKind::Sandbox => assert_eq!(report.lines[0], "sandbox: possible"),
            _ => assert!(!is_root || report.lines[0].contains("cannot"), "{report:?}"),
        }
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_given_as_the_reason() {
        let report = probe(Path::new("/proc/no-such-folder"));
        assert_eq!(report.best, RuntimeKind::Process);
        assert!(
            report.lines[0].contains("cannot create the node's folder"),
            "{report:?}"
        );
    }
}
