//! Moves a container's output into its log until the container has ended.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::log::{Cutter, LogFiles, Source};

/// Bytes taken from a pipe at once: what a pipe holds.
const CHUNK: usize = 64 * 1024;
/// How often orphans that ended are looked for while the container runs.
const ORPHANS_EVERY: Timespec = Timespec {
    tv_sec: 60,
    tv_nsec: 0,
};
/// How long output is waited for after the end, if somebody keeps a pipe open.
const LAST_WORDS: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 200_000_000,
};

/// One of the container's two outputs.
#[derive(Debug)]
struct Output {
    pipe: Option<File>,
    cutter: Cutter,
}

#[derive(Debug)]
pub(super) struct Pump {
    outputs: [Output; 2],
    log: LogFiles,
    /// Whether the log could not be written; output is then thrown away
    /// rather than letting the container block on a full pipe.
    broken: bool,
    chunk: Vec<u8>,
    records: Vec<u8>,
}

impl Pump {
    pub(super) fn new(stdout: OwnedFd, stderr: OwnedFd, log: LogFiles) -> Self {
        let output = |pipe: OwnedFd, source| Output {
            pipe: Some(File::from(pipe)),
            cutter: Cutter::new(source),
        };
        Self {
            outputs: [
                output(stdout, Source::Stdout),
                output(stderr, Source::Stderr),
            ],
            log,
            broken: false,
            chunk: vec![0; CHUNK],
            records: Vec::new(),
        }
    }

    /// Moves output until the process behind `ended` has ended. Calls
    /// `now_and_then` every minute and after nothing else.
    pub(super) fn run_until(
        &mut self,
        ended: &OwnedFd,
        mut now_and_then: impl FnMut(),
    ) -> io::Result<()> {
        loop {
            let ready = self.wait(Some(ended.as_fd()), ORPHANS_EVERY)?;
            for index in ready.outputs {
                self.move_output(index);
            }
            if ready.ended {
                return Ok(());
            }
            if ready.nothing {
                now_and_then();
            }
        }
    }

    /// Moves what is still in the pipes.
    pub(super) fn finish(mut self) -> io::Result<()> {
        while self.outputs.iter().any(|output| output.pipe.is_some()) {
            let ready = self.wait(None, LAST_WORDS)?;
            if ready.nothing {
                break;
            }
            for index in ready.outputs {
                self.move_output(index);
            }
        }
        let now = foreshore_model::clock::now();
        self.records.clear();
        for output in &mut self.outputs {
            output.cutter.finish(now, &mut self.records);
        }
        self.store();
        Ok(())
    }

    fn wait(&self, ended: Option<BorrowedFd<'_>>, limit: Timespec) -> io::Result<Ready> {
        let mut set = Vec::with_capacity(3);
        let mut whose = Vec::with_capacity(3);
        for (index, output) in self.outputs.iter().enumerate() {
            if let Some(pipe) = &output.pipe {
                set.push(PollFd::new(pipe, PollFlags::IN));
                whose.push(Some(index));
            }
        }
        if let Some(ended) = &ended {
            set.push(PollFd::new(ended, PollFlags::IN));
            whose.push(None);
        }
        let count = loop {
            match poll(&mut set, Some(&limit)) {
                Err(Errno::INTR) => {}
                other => break other?,
            }
        };
        let mut ready = Ready {
            outputs: Vec::with_capacity(2),
            ended: false,
            nothing: count == 0,
        };
        for (entry, who) in set.iter().zip(whose) {
            if entry.revents().is_empty() {
                continue;
            }
            match who {
                Some(index) => ready.outputs.push(index),
                None => ready.ended = true,
            }
        }
        Ok(ready)
    }

    fn move_output(&mut self, index: usize) {
        let output = &mut self.outputs[index];
        let Some(pipe) = &mut output.pipe else { return };
        match pipe.read(&mut self.chunk) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // An unreadable pipe has nothing more to say either.
            Ok(0) | Err(_) => output.pipe = None,
            Ok(length) => {
                self.records.clear();
                let now = foreshore_model::clock::now();
                output
                    .cutter
                    .cut(&self.chunk[..length], now, &mut self.records);
                self.store();
            }
        }
    }

    fn store(&mut self) {
        if self.records.is_empty() {
            return;
        }
        match self.log.append(&self.records) {
            Ok(()) => self.broken = false,
            Err(error) if !self.broken => {
                super::complain(&format!(
                    "output is lost, the log cannot be written: {error}"
                ));
                self.broken = true;
            }
            Err(_) => {}
        }
    }
}

#[derive(Debug)]
struct Ready {
    outputs: Vec<usize>,
    ended: bool,
    nothing: bool,
}
