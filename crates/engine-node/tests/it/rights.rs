//! A machine on which next to nothing is allowed.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::Command;

use foreshore_testkit::TempDir;

/// `nobody`, on every Debian.
const NOBODY: u32 = 65534;

#[test]
fn without_namespaces_and_control_groups_the_probe_says_what_is_left() {
    // Others may neither enter nor read the folders that tests are built in.
    let folder = TempDir::new("rights").unwrap();
    let program = folder.join("program");
    std::fs::copy(env!("CARGO_BIN_EXE_foreshore-test-program"), &program).unwrap();
    let place = folder.join("place");
    std::fs::create_dir(&place).unwrap();
    for (path, mode) in [(folder.path(), 0o755), (&program, 0o755), (&place, 0o777)] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }
    let output = Command::new(&program)
        .arg("probe")
        .arg(&place)
        .uid(NOBODY)
        .gid(NOBODY)
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
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
}
