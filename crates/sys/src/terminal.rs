//! A pseudo terminal: one end for a program, the other for whoever types.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

use tokio::io::unix::AsyncFd;

/// The end of whoever types and reads. Its program's session gets a hang-up
/// when it is dropped.
#[derive(Debug)]
pub struct Terminal {
    master: AsyncFd<OwnedFd>,
}

impl Terminal {
    /// Makes a pair; the second part is for the program's standard streams.
    /// Must be called within a runtime.
    pub fn open() -> io::Result<(Self, OwnedFd)> {
        let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC;
        // SAFETY: a system call that makes a descriptor, owned from here on.
        let master = unsafe { owned(libc::posix_openpt(flags | libc::O_NONBLOCK)) }?;
        // SAFETY: the descriptor is open and a terminal's master.
        check(unsafe { libc::unlockpt(master.as_raw_fd()) })?;
        // By descriptor rather than by name: names belong to a mount namespace.
        // SAFETY: as above; the answer is a descriptor of its own.
        let slave = unsafe { owned(libc::ioctl(master.as_raw_fd(), libc::TIOCGPTPEER, flags)) }?;
        // SAFETY: the registration owns the descriptor, which so outlives it.
        let master = unsafe { AsyncFd::register(master) }?;
        Ok((Self { master }, slave))
    }

    /// Takes what the program has written; 0 once nobody has it open any more.
    pub async fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let mut ready = self.master.readable().await?;
            match ready.try_io(|master| Ok(rustix::io::read(master.get_ref(), &mut *buffer)?)) {
                Err(_not_yet) => {}
                Ok(Err(error)) if error.raw_os_error() == Some(libc::EIO) => return Ok(0),
                Ok(outcome) => return outcome,
            }
        }
    }

    /// Types all of it.
    pub async fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let mut ready = self.master.writable().await?;
            if let Ok(written) =
                ready.try_io(|master| Ok(rustix::io::write(master.get_ref(), bytes)?))
            {
                bytes = &bytes[written?..];
            }
        }
        Ok(())
    }

    /// Tells the program how large the window is.
    pub fn resize(&self, columns: u16, rows: u16) -> io::Result<()> {
        let size = libc::winsize {
            ws_row: rows,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        let master = self.master.get_ref().as_raw_fd();
        // SAFETY: the descriptor is open, and the structure outlives the call.
        check(unsafe { libc::ioctl(master, libc::TIOCSWINSZ, &raw const size) })
    }
}

/// Makes the terminal that is the child's standard input the one that
/// controls it, in a session of its own.
pub fn take_terminal(command: &mut Command) {
    // SAFETY: only system calls without allocation between fork and exec.
    unsafe {
        command.pre_exec(|| {
            rustix::process::setsid()?;
            check(libc::ioctl(libc::STDIN_FILENO, libc::TIOCSCTTY, 0))
        });
    }
}

/// # Safety
///
/// `descriptor` is a fresh descriptor that nobody else owns, or -1.
unsafe fn owned(descriptor: libc::c_int) -> io::Result<OwnedFd> {
    check(descriptor.min(0))?;
    // SAFETY: given by the caller, and it is not -1.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

fn check(outcome: libc::c_int) -> io::Result<()> {
    if outcome == -1 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}
