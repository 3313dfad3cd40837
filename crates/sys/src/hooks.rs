//! What a child does between fork and exec: die with its parent, outlive it,
//! drop inherited descriptors.
//!
//! Each function adds one hook to a command; hooks run in the order added.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use rustix::process::{Signal, set_parent_process_death_signal};

/// Makes the child die (`SIGKILL`) with the *thread* that starts it.
///
/// The kernel watches the thread, not the process: start such children from a
/// thread that lives as long as they should. Changing user later undoes it.
pub fn die_with_parent(command: &mut Command) {
    let parent = rustix::process::getpid();
    // SAFETY: only system calls without allocation between fork and exec.
    unsafe {
        command.pre_exec(move || {
            set_parent_process_death_signal(Some(Signal::KILL))?;
            // The parent may have died before the line above took effect. A
            // child in a process namespace of its own sees no parent at all.
            match rustix::process::getppid() {
                Some(now) if now != parent => Err(io::Error::from_raw_os_error(libc::ESRCH)),
                _ => Ok(()),
            }
        });
    }
}

/// Makes the child survive its parent: a session of its own, so that no
/// signal to the parent's terminal or process group reaches it, and no
/// standard input. Where its output goes is for the caller to say.
pub fn detach(command: &mut Command) {
    command.stdin(Stdio::null());
    // SAFETY: only a system call without allocation between fork and exec.
    unsafe {
        command.pre_exec(|| {
            rustix::process::setsid()?;
            Ok(())
        });
    }
    close_inherited(command);
}

/// Closes every descriptor above standard error in the child when it execs,
/// also those that somebody opened without close-on-exec.
pub fn close_inherited(command: &mut Command) {
    // SAFETY: only a system call without allocation between fork and exec.
    unsafe {
        command.pre_exec(|| {
            let first: libc::c_uint = 3;
            let outcome = libc::syscall(
                libc::SYS_close_range,
                first,
                libc::c_uint::MAX,
                libc::CLOSE_RANGE_CLOEXEC,
            );
            // Kernels before 5.11 lack the flag; all that is lost is hygiene.
            if outcome == 0 || matches!(last_errno(), libc::ENOSYS | libc::EINVAL) {
                Ok(())
            } else {
                Err(io::Error::last_os_error())
            }
        });
    }
}

/// Runs `hook` in the child between fork and exec.
///
/// Only for programs with a single thread: there, and only there, may the
/// hook allocate and take locks, because no other thread can hold one.
///
/// # Panics
///
/// If the process has more than one thread when the hook is added.
pub fn before_exec<F>(command: &mut Command, hook: F)
where
    F: FnMut() -> io::Result<()> + Send + Sync + 'static,
{
    assert_eq!(
        threads(),
        1,
        "only a program with one thread may run code before exec"
    );
    // SAFETY: with one thread, fork copies a consistent process: no lock is
    // held by a thread that does not exist in the child.
    unsafe {
        command.pre_exec(hook);
    }
}

fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").map_or(1, Iterator::count)
}

fn last_errno() -> i32 {
    io::Error::last_os_error().raw_os_error().unwrap_or(0)
}
