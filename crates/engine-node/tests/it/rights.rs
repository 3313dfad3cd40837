//! A machine on which next to nothing is allowed.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use foreshore_testkit::{TempDir, environment};

/// `nobody`, on every Debian.
const NOBODY: u32 = 65534;

/// A copy of the test program that everybody may run, and a folder to write to.
fn for_everybody() -> (TempDir, PathBuf, PathBuf) {
    // Others may neither enter nor read the folders that tests are built in.
    let folder = TempDir::new("rights").unwrap();
    let program = folder.join("program");
    // By another program: a file that we had open for writing could not be run
    // while a process that some other test is just starting holds it too.
    let copied = Command::new("cp")
        .arg(env!("CARGO_BIN_EXE_foreshore-test-program"))
        .arg(&program)
        .status();
    assert!(copied.unwrap().success());
    let place = folder.join("place");
    std::fs::create_dir(&place).unwrap();
    for (path, mode) in [(folder.path(), 0o755), (&program, 0o755), (&place, 0o777)] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }
    (folder, program, place)
}

/// Whether it succeeded, and what it said.
fn as_nobody(command: &mut Command) -> (bool, String) {
    let output = command.uid(NOBODY).gid(NOBODY).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    (output.status.success(), said)
}

#[test]
fn without_namespaces_and_control_groups_the_probe_says_what_is_left() {
    let (_folder, program, place) = for_everybody();
    let (_, said) = as_nobody(Command::new(&program).arg("probe").arg(&place));
    let lines: Vec<&str> = said.lines().collect();
    let begins = |number: usize, words: &str| {
        assert!(lines[number].starts_with(words), "{said}");
    };
    begins(
        0,
        "sandbox: not possible, cannot make mount, name and IPC namespaces",
    );
    assert!(lines[0].contains("needs root"), "{said}");
    begins(1, "process: possible");
    begins(2, "simulated: possible");
    begins(3, "limits: not enforced, pods run without");
    begins(
        4,
        "network: this machine's own: this process may not create a network namespace",
    );
}

#[test]
fn a_user_namespace_of_one_user_is_too_little_and_said_to_be() {
    let (_folder, program, place) = for_everybody();
    let inside = || {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--mount"]);
        command
    };
    let (is_allowed, _) = as_nobody(inside().arg("true"));
    if !is_allowed {
        let reason = "this machine gives nobody a user namespace";
        environment::not_run(
            "a_user_namespace_of_one_user_is_too_little_and_said_to_be",
            reason,
        );
        return;
    }
    let (_, said) = as_nobody(inside().arg(&program).arg("probe").arg(&place));
    let words = "sandbox: not possible, cannot run images as their users: this user namespace has too few users (needs root)\n";
    assert!(said.starts_with(words), "{said}");
}
