//! The container's log on disk: bounded files in the format of container runtimes.
//!
//! `2026-01-02T03:04:05.000000006Z stdout F the line`, where `P` instead of
//! `F` says that the line goes on in the next record. A line of any length so
//! needs only [`RECORD_BYTES_MAX`] of memory.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::spec::LogLimits;

/// Longest piece of a line in one record; containerd and CRI-O use the same.
pub(super) const RECORD_BYTES_MAX: usize = 16 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    Stdout,
    Stderr,
}

impl Source {
    fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// Cuts one stream of bytes into records.
#[derive(Debug)]
pub(super) struct Cutter {
    source: Source,
    /// The beginning of a line whose end has not come yet.
    pending: Vec<u8>,
}

impl Cutter {
    pub(super) fn new(source: Source) -> Self {
        Self {
            source,
            pending: Vec::new(),
        }
    }

    /// Appends the records that `bytes` completes to `records`.
    pub(super) fn cut(&mut self, bytes: &[u8], now: Timestamp, records: &mut Vec<u8>) {
        let mut rest = bytes;
        while !rest.is_empty() {
            let room = RECORD_BYTES_MAX - self.pending.len();
            let window = &rest[..rest.len().min(room)];
            if let Some(end) = window.iter().position(|byte| *byte == b'\n') {
                self.write(now, b'F', &rest[..end], records);
                rest = &rest[end + 1..];
            } else if window.len() == room {
                self.write(now, b'P', window, records);
                rest = &rest[room..];
            } else {
                self.pending.extend_from_slice(window);
                rest = &[];
            }
        }
    }

    /// Appends what is left when the stream has ended.
    pub(super) fn finish(&mut self, now: Timestamp, records: &mut Vec<u8>) {
        if !self.pending.is_empty() {
            self.write(now, b'F', &[], records);
        }
    }

    fn write(&mut self, now: Timestamp, tag: u8, end: &[u8], records: &mut Vec<u8>) {
        let head = format!("{now:.9} {} ", self.source.name());
        records.extend_from_slice(head.as_bytes());
        records.extend_from_slice(&[tag, b' ']);
        records.append(&mut self.pending);
        records.extend_from_slice(end);
        records.push(b'\n');
    }
}

/// The current log file and its older siblings.
#[derive(Debug)]
pub(crate) struct LogFiles {
    path: PathBuf,
    limits: LogLimits,
    file: File,
    written: u64,
}

impl LogFiles {
    pub(crate) fn open(path: &Path, limits: LogLimits) -> io::Result<Self> {
        let file = OpenOptions::new().append(true).create(true).open(path)?;
        let written = file.metadata()?.len();
        Ok(Self {
            path: path.to_path_buf(),
            limits,
            file,
            written,
        })
    }

    /// Writes whole records, after beginning a new file if this one is full.
    pub(crate) fn append(&mut self, records: &[u8]) -> io::Result<()> {
        if self.written > 0 && self.written + records.len() as u64 > self.limits.file_bytes_max {
            self.rotate()?;
        }
        self.file.write_all(records)?;
        self.written += records.len() as u64;
        Ok(())
    }

    fn rotate(&mut self) -> io::Result<()> {
        let older = |number: u32| self.path.with_extension(number.to_string());
        for number in (1..self.limits.files_max).rev() {
            let from = if number == 1 {
                self.path.clone()
            } else {
                older(number - 1)
            };
            match fs::rename(from, older(number)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true);
        self.file = options.open(&self.path)?;
        self.written = 0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(pieces: &[&[u8]]) -> String {
        let now = Timestamp::from_second(1).unwrap();
        let mut cutter = Cutter::new(Source::Stdout);
        let mut records = Vec::new();
        for piece in pieces {
            cutter.cut(piece, now, &mut records);
        }
        cutter.finish(now, &mut records);
        String::from_utf8(records)
            .unwrap()
            .replace("1970-01-01T00:00:01.000000000Z stdout ", "")
    }

    #[test]
    fn a_line_that_comes_in_pieces_is_one_record() {
        assert_eq!(cut(&[b"he", b"llo\nwor", b"ld\n"]), "F hello\nF world\n");
    }

    #[test]
    fn empty_lines_and_a_last_line_without_end_are_kept() {
        assert_eq!(cut(&[b"\n\nend"]), "F \nF \nF end\n");
        assert_eq!(cut(&[b""]), "");
    }

    #[test]
    fn a_long_line_is_cut_into_parts_of_bounded_size() {
        let long = vec![b'x'; RECORD_BYTES_MAX * 2 + 3];
        let text = cut(&[&long, b"\n"]);
        let lengths: Vec<_> = text
            .lines()
            .map(|line| (&line[..1], line.len() - 2))
            .collect();
        assert_eq!(
            lengths,
            [("P", RECORD_BYTES_MAX), ("P", RECORD_BYTES_MAX), ("F", 3)]
        );
    }

    #[test]
    fn a_line_that_just_fills_a_record_still_says_where_it_ends() {
        let long = vec![b'x'; RECORD_BYTES_MAX];
        let text = cut(&[&long, b"\n"]);
        let tags: Vec<_> = text.lines().map(|line| &line[..1]).collect();
        assert_eq!(tags, ["P", "F"]);
    }

    #[test]
    fn full_files_are_kept_up_to_the_limit_and_no_record_is_torn() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let limits = LogLimits {
            file_bytes_max: 20,
            files_max: 3,
        };
        let mut files = LogFiles::open(&path, limits).unwrap();
        for number in 0..10 {
            files
                .append(format!("record {number}\n").as_bytes())
                .unwrap();
        }
        let content = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
        assert_eq!(content("log"), "record 8\nrecord 9\n");
        assert_eq!(content("log.1"), "record 6\nrecord 7\n");
        assert_eq!(content("log.2"), "record 4\nrecord 5\n");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);
    }
}
