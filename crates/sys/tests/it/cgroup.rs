//! Control groups of this machine, as far as it lets us have some.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use foreshore_sys::cgroup::{Controller, Group, Layout, Limits, Tree, out_of_memory_kills};

/// A tree of this test alone; `None` where the machine gives no `controller`.
fn tree(test: &str, controller: Controller) -> Option<Tree> {
    let name = format!("foreshore-test/{test}-{}", std::process::id());
    let (tree, _) = Tree::open(&Layout::of_this_machine().unwrap(), Path::new(&name));
    if tree.controllers().contains(&controller) {
        return Some(tree);
    }
    tree.group(Path::new("")).remove().unwrap();
    None
}

/// A shell in `group` that runs `script` once its standard input says so.
fn shell(group: &Group, script: &str) -> std::process::Child {
    let doors: Vec<String> = group
        .doors()
        .iter()
        .map(|door| format!("echo 0 > '{}'", door.display()))
        .collect();
    let mut child = Command::new("sh")
        .arg("-c")
        .arg(format!("{}; read go; {script}", doors.join("; ")))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"go\n").unwrap();
    child
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn end(tree: &Tree) {
    let root = tree.group(Path::new(""));
    until("the group to be empty", || {
        root.kill().unwrap();
        root.processes().is_empty()
    });
    until("the group to go", || root.remove().is_ok());
    assert!(!root.exists());
    tree.remove_if_unused();
}

#[test]
fn a_memory_hog_is_killed_and_counted() {
    let Some(tree) = tree("memory", Controller::Memory) else {
        return;
    };
    let group = tree.create(Path::new("pod/main")).unwrap();
    group
        .limit(&Limits {
            memory_bytes_max: Some(16 << 20),
            ..Limits::default()
        })
        .unwrap();
    let events = group.memory_events().unwrap();
    assert_eq!(out_of_memory_kills(&events), 0);
    let status = shell(&group, "exec tail /dev/zero").wait().unwrap();
    assert!(!status.success());
    assert!(out_of_memory_kills(&events) > 0);
    end(&tree);
}

#[test]
fn processes_beyond_the_limit_are_not_made() {
    let Some(tree) = tree("processes", Controller::Processes) else {
        return;
    };
    let group = tree.create(Path::new("bomb")).unwrap();
    group
        .limit(&Limits {
            processes_max: Some(5),
            ..Limits::default()
        })
        .unwrap();
    let mut child = shell(
        &group,
        "for i in 1 2 3 4 5 6 7 8 9; do sleep 60 & done; wait",
    );
    until("the limit to be reached", || group.processes().len() >= 4);
    assert!(group.processes().len() <= 5);
    end(&tree);
    child.wait().unwrap();
}

#[test]
fn what_a_group_uses_is_counted() {
    let Some(tree) = tree("usage", Controller::CpuAccounting) else {
        return;
    };
    let group = tree.create(Path::new("busy")).unwrap();
    let mut child = shell(&group, "while :; do :; done");
    until("processor time to be counted", || {
        group
            .usage()
            .is_none_or(|usage| usage.cpu > Duration::from_millis(20))
    });
    assert!(group.usage().is_none_or(|usage| usage.memory_bytes > 0));
    assert_eq!(tree.children().into_iter().collect::<Vec<_>>(), ["busy"]);
    end(&tree);
    child.wait().unwrap();
}

#[test]
fn where_no_folder_can_be_made_the_controllers_are_refused() {
    let (tree, refused) = Tree::open(
        &Layout::of_this_machine().unwrap(),
        Path::new("no\0name/at-all"),
    );
    assert!(tree.controllers().is_empty());
    assert_eq!(
        refused.is_empty(),
        Layout::of_this_machine().unwrap().controllers().is_empty()
    );
}
