//! Processes that are not children of ours: who they are, waiting, signals.
//!
//! A process id alone is reused by the kernel; with its start time it names
//! one process for good.

use std::io;
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open, pidfd_send_signal};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

pub use rustix::process::Signal;

/// Names one process of this boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Identity {
    pub pid: u32,
    /// Clock ticks between boot and the start of the process.
    pub start_time: u64,
}

impl Identity {
    /// The identity of the process that has `pid` now.
    pub fn of(pid: u32) -> io::Result<Self> {
        Ok(Self {
            pid,
            start_time: start_time(pid)?,
        })
    }

    /// This process.
    pub fn own() -> io::Result<Self> {
        Self::of(std::process::id())
    }
}

/// A hold on a process through which it cannot be mistaken for another.
#[derive(Debug)]
pub struct Process {
    descriptor: OwnedFd,
    identity: Identity,
}

impl Process {
    /// Takes hold of the process; `None` if it is gone.
    pub fn open(identity: Identity) -> io::Result<Option<Self>> {
        let Some(pid) = as_pid(identity.pid) else {
            return Ok(None);
        };
        let descriptor = match pidfd_open(pid, PidfdFlags::NONBLOCK) {
            Ok(descriptor) => descriptor,
            Err(Errno::SRCH) => return Ok(None),
            Err(errno) => return Err(errno.into()),
        };
        // The descriptor is fixed now, so if the start time fits, it is the
        // right process, and stays so.
        match start_time(identity.pid) {
            Ok(start_time) if start_time == identity.start_time => Ok(Some(Self {
                descriptor,
                identity,
            })),
            Ok(_) => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub fn identity(&self) -> Identity {
        self.identity
    }

    /// Sends a signal; `false` if the process is gone.
    pub fn signal(&self, signal: Signal) -> io::Result<bool> {
        match pidfd_send_signal(&self.descriptor, signal) {
            Ok(()) => Ok(true),
            Err(Errno::SRCH) => Ok(false),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Sends a signal to the process group the process leads; `false` if it is gone.
    pub fn signal_group(&self, signal: Signal) -> io::Result<bool> {
        // Checked through the descriptor first, so that a reused id is not hit.
        if !self.is_running()? {
            return Ok(false);
        }
        let pid = as_pid(self.identity.pid).expect("it was opened by this id");
        match rustix::process::kill_process_group(pid, signal) {
            Ok(()) => Ok(true),
            Err(Errno::SRCH) => Ok(false),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Whether the process has not ended yet; a zombie has.
    pub fn is_running(&self) -> io::Result<bool> {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        let mut set = [PollFd::new(&self.descriptor, PollFlags::IN)];
        let at_once = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        Ok(poll(&mut set, Some(&at_once))? == 0)
    }

    /// Waits until the process has ended. Says nothing about how: that is for
    /// the parent alone to know.
    pub async fn wait(&self) -> io::Result<()> {
        let copy = self.descriptor.try_clone()?;
        // SAFETY: the registration owns the copy, which so outlives it.
        let ended = unsafe { AsyncFd::register_with_interest(copy, Interest::READABLE) }?;
        let _readiness = ended.readable().await?;
        Ok(())
    }

    /// The descriptor, for use in `poll`.
    pub fn descriptor(&self) -> &OwnedFd {
        &self.descriptor
    }
}

fn as_pid(pid: u32) -> Option<Pid> {
    i32::try_from(pid).ok().and_then(Pid::from_raw)
}

/// Reads when the process started, in clock ticks since boot.
pub fn start_time(pid: u32) -> io::Result<u64> {
    let stat = match std::fs::read_to_string(format!("/proc/{pid}/stat")) {
        // The process ended between opening the file and reading it.
        Err(error) if error.raw_os_error() == Some(libc::ESRCH) => {
            return Err(io::Error::from(io::ErrorKind::NotFound));
        }
        other => other?,
    };
    parse_start_time(&stat).ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::InvalidData,
            "`/proc/PID/stat` has no start time",
        )
    })
}

fn parse_start_time(stat: &str) -> Option<u64> {
    // The second field is the program's name in parentheses and may itself
    // hold spaces and parentheses; the start time is the twentieth after it.
    let (_, after_name) = stat.rsplit_once(')')?;
    after_name.split_ascii_whitespace().nth(19)?.parse().ok()
}

/// Makes orphaned descendants children of this process.
pub fn become_subreaper() -> io::Result<()> {
    Ok(rustix::process::set_child_subreaper(Some(
        rustix::process::getpid(),
    ))?)
}

/// Starts a session of its own; fine if the process leads one already.
pub fn new_session() -> io::Result<()> {
    match rustix::process::setsid() {
        Ok(_) | Err(Errno::PERM) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

/// The direct children of this process, which must have a single thread.
pub fn children() -> io::Result<Vec<u32>> {
    let list = std::fs::read_to_string("/proc/thread-self/children")?;
    Ok(list
        .split_ascii_whitespace()
        .filter_map(|pid| pid.parse().ok())
        .collect())
}

/// Sends a signal to a child of this process, whose id cannot be reused
/// before it was waited for; `false` if it is gone.
pub fn signal_child(pid: u32, signal: Signal) -> io::Result<bool> {
    signal_by_id(pid, signal)
}

/// Sends a signal to whoever has the id now; `false` if nobody has.
pub(crate) fn signal_by_id(pid: u32, signal: Signal) -> io::Result<bool> {
    let Some(pid) = as_pid(pid) else {
        return Ok(false);
    };
    match rustix::process::kill_process(pid, signal) {
        Ok(()) => Ok(true),
        Err(Errno::SRCH) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_name_with_spaces_and_parentheses_does_not_shift_the_fields() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 4242 0 0";
        assert_eq!(parse_start_time(stat), Some(4242));
        assert_eq!(parse_start_time("7 (a"), None);
    }
}
