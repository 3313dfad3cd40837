//! Identity, waiting and signals, on real processes.

use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use foreshore_sys::{Identity, Process, Signal, close_inherited, detach, die_with_parent};

const LIMIT: Duration = Duration::from_secs(5);

fn sleeper() -> Child {
    Command::new("sleep").arg("60").spawn().unwrap()
}

fn waited(process: &Process) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        tokio::time::timeout(LIMIT, process.wait())
            .await
            .unwrap()
            .unwrap();
    });
}

#[test]
fn a_process_is_held_signalled_and_waited_for() {
    let mut child = sleeper();
    let process = Process::open(Identity::of(child.id()).unwrap())
        .unwrap()
        .unwrap();
    assert!(process.is_running().unwrap());
    assert!(process.signal(Signal::KILL).unwrap());
    waited(&process);
    assert!(!process.is_running().unwrap());
    child.wait().unwrap();
    assert!(!process.signal(Signal::KILL).unwrap());
}

#[test]
fn the_same_id_with_another_start_time_is_another_process() {
    let mut child = sleeper();
    let mut identity = Identity::of(child.id()).unwrap();
    identity.start_time += 1;
    assert!(Process::open(identity).unwrap().is_none());
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_process_that_is_gone_cannot_be_opened() {
    let mut child = sleeper();
    let identity = Identity::of(child.id()).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(Process::open(identity).unwrap().is_none());
}

#[test]
fn a_bound_child_dies_with_the_thread_that_started_it() {
    let mut child = std::thread::spawn(|| {
        let mut command = Command::new("sleep");
        command.arg("60");
        die_with_parent(&mut command);
        command.spawn().unwrap()
    })
    .join()
    .unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(9));
}

#[test]
fn a_detached_child_leads_a_session_of_its_own() {
    let mut command = Command::new("sleep");
    command.arg("60");
    detach(&mut command);
    let mut child = command.spawn().unwrap();
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
    let session = stat
        .rsplit_once(')')
        .unwrap()
        .1
        .split_ascii_whitespace()
        .nth(3)
        .unwrap();
    assert_eq!(session, child.id().to_string());
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_descriptor_that_was_left_open_does_not_reach_the_child() {
    let (reader, _writer) = std::io::pipe().unwrap();
    // Without close-on-exec, as careless code has it.
    let careless = rustix::io::fcntl_dupfd_cloexec(&reader, 20).unwrap();
    rustix::io::fcntl_setfd(&careless, rustix::io::FdFlags::empty()).unwrap();
    let number = std::os::fd::AsRawFd::as_raw_fd(&careless);
    let mut command = Command::new("ls");
    command.arg("/proc/self/fd").stdout(Stdio::piped());
    close_inherited(&mut command);
    let mut child = command.spawn().unwrap();
    let mut seen = String::new();
    child
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut seen)
        .unwrap();
    child.wait().unwrap();
    // `ls` opens one descriptor itself, for the directory.
    assert!(
        number < 4 || !seen.lines().any(|line| line == number.to_string()),
        "{seen}"
    );
    assert!(seen.lines().count() <= 4, "{seen}");
}
