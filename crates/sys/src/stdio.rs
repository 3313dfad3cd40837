//! Standard streams of this process, seen by whoever reads them.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

/// Lets go of standard output: a reader of it sees its end, and what is
/// written from here on goes nowhere.
pub fn end_stdout() -> io::Result<()> {
    let nowhere = File::options().write(true).open("/dev/null")?;
    // SAFETY: both numbers are open descriptors of this process, and nothing
    // owns standard output such that replacing it would close it twice.
    match unsafe { libc::dup2(nowhere.as_raw_fd(), libc::STDOUT_FILENO) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}
