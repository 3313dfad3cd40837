//! Reads a container's log from any point, and on while it grows.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use tokio::sync::mpsc;

/// How often a followed log is looked at. Well below the time a person takes
/// to notice, and nothing against the cost of a running container.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How long after a container's end its log may still grow.
const CHUNK_BYTES: usize = 32 * 1024;

/// What of a log is wanted.
#[derive(Debug, Clone, Default)]
pub(super) struct Wish {
    pub follow: bool,
    pub timestamps: bool,
    pub tail_lines: Option<usize>,
    pub limit_bytes: Option<u64>,
    pub since: Option<Timestamp>,
}

/// Where reading goes on: a file by its number on disk, for it may be renamed.
#[derive(Debug)]
struct Position {
    inode: u64,
    offset: u64,
}

#[derive(Debug)]
pub(super) struct Reader {
    folder: PathBuf,
    wish: Wish,
    sent: u64,
    /// The last piece sent did not end its line.
    in_line: bool,
}

type Chunk = Result<Bytes, io::Error>;

impl Reader {
    pub(super) fn new(folder: PathBuf, wish: Wish) -> Self {
        Self {
            folder,
            wish,
            sent: 0,
            in_line: false,
        }
    }

    /// Sends all that is wanted; ends with the client, the limit or the log.
    pub(super) async fn send(mut self, chunks: mpsc::Sender<Chunk>) {
        if let Err(error) = self.send_all(&chunks).await
            && chunks.send(Err(error)).await.is_err()
        {
            tracing::debug!("client of a log is gone");
        }
    }

    async fn send_all(&mut self, chunks: &mpsc::Sender<Chunk>) -> io::Result<()> {
        let mut position = self.start()?;
        loop {
            // Asked before reading: what is written before the end is then read.
            let has_ended = self.folder.join("exit.json").exists() || !self.folder.exists();
            while let Some((piece, next)) = self.read_on(position.as_ref())? {
                position = Some(next);
                if !piece.is_empty() && chunks.send(Ok(Bytes::from(piece))).await.is_err() {
                    return Ok(());
                }
                if self.is_full() {
                    return Ok(());
                }
            }
            if !self.wish.follow || has_ended {
                return Ok(());
            }
            tokio::select! {
                () = chunks.closed() => return Ok(()),
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }

    fn is_full(&self) -> bool {
        self.wish
            .limit_bytes
            .is_some_and(|limit| self.sent >= limit)
    }

    /// Where to begin: the oldest file, or so many lines before the end.
    fn start(&self) -> io::Result<Option<Position>> {
        let files = self.files();
        let Some(wanted) = self.wish.tail_lines else {
            return Ok(files.first().map(|(inode, _)| Position {
                inode: *inode,
                offset: 0,
            }));
        };
        // Beginnings of the last `wanted` lines, newest file first.
        let mut missing = wanted;
        for (inode, path) in files.iter().rev() {
            let starts = line_starts(path, missing.max(1), self.wish.since)?;
            if missing == 0 {
                let end = std::fs::metadata(path)?.len();
                return Ok(Some(Position {
                    inode: *inode,
                    offset: end,
                }));
            }
            if starts.len() >= missing {
                return Ok(starts.front().map(|offset| Position {
                    inode: *inode,
                    offset: *offset,
                }));
            }
            missing -= starts.len();
        }
        Ok(files.first().map(|(inode, _)| Position {
            inode: *inode,
            offset: 0,
        }))
    }

    /// All files of the log, oldest first.
    fn files(&self) -> Vec<(u64, PathBuf)> {
        let mut found = Vec::new();
        for number in 0.. {
            let path = if number == 0 {
                self.folder.join("log")
            } else {
                self.folder.join(format!("log.{number}"))
            };
            match std::fs::metadata(&path) {
                Ok(data) => found.push((data.ino(), path)),
                // In the middle of a rotation `log` may be missing for a moment.
                Err(_) if number == 0 => {}
                Err(_) => break,
            }
        }
        found.reverse();
        found
    }

    /// Reads the next piece; `None` at the end of what there is.
    fn read_on(&mut self, from: Option<&Position>) -> io::Result<Option<(Vec<u8>, Position)>> {
        let files = self.files();
        let at = match from {
            None => 0,
            // A file that was rotated away took what was unread with it.
            Some(position) => files
                .iter()
                .position(|(inode, _)| *inode == position.inode)
                .unwrap_or(0),
        };
        for (inode, path) in files.iter().skip(at) {
            let offset = from
                .filter(|position| position.inode == *inode)
                .map_or(0, |position| position.offset);
            let (piece, end) = self.read_piece(path, offset)?;
            if end > offset {
                return Ok(Some((
                    piece,
                    Position {
                        inode: *inode,
                        offset: end,
                    },
                )));
            }
        }
        Ok(None)
    }

    /// Reads whole records from `offset`, up to about a chunk of them.
    fn read_piece(&mut self, path: &Path, offset: u64) -> io::Result<(Vec<u8>, u64)> {
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start(offset))?;
        let mut reader = BufReader::new(file);
        let (mut piece, mut end, mut record) = (Vec::new(), offset, Vec::new());
        while piece.len() < CHUNK_BYTES && !self.is_full() {
            record.clear();
            let length = reader.read_until(b'\n', &mut record)?;
            if length == 0 || record.last() != Some(&b'\n') {
                break;
            }
            end += length as u64;
            self.take(&record, &mut piece);
        }
        Ok((piece, end))
    }

    /// Turns a record back into what the container wrote.
    fn take(&mut self, record: &[u8], piece: &mut Vec<u8>) {
        let Some(parts) = Record::parse(record) else {
            return;
        };
        if self
            .wish
            .since
            .is_some_and(|since| parts.at().is_some_and(|at| at < since))
        {
            return;
        }
        let before = piece.len();
        if self.wish.timestamps && !self.in_line {
            piece.extend_from_slice(parts.time);
            piece.push(b' ');
        }
        piece.extend_from_slice(parts.text);
        self.in_line = parts.goes_on;
        if !parts.goes_on {
            piece.push(b'\n');
        }
        let added = (piece.len() - before) as u64;
        if let Some(limit) = self.wish.limit_bytes
            && self.sent + added > limit
        {
            let kept = usize::try_from(limit - self.sent).unwrap_or(usize::MAX);
            piece.truncate(before + kept);
            self.sent = limit;
            return;
        }
        self.sent += added;
    }
}

struct Record<'a> {
    time: &'a [u8],
    text: &'a [u8],
    goes_on: bool,
}

impl<'a> Record<'a> {
    fn parse(record: &'a [u8]) -> Option<Self> {
        let record = record.strip_suffix(b"\n").unwrap_or(record);
        let mut parts = record.splitn(4, |byte| *byte == b' ');
        let (time, _stream, tag, text) =
            (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        Some(Self {
            time,
            text,
            goes_on: tag == b"P",
        })
    }

    fn at(&self) -> Option<Timestamp> {
        std::str::from_utf8(self.time).ok()?.parse().ok()
    }
}

/// Offsets of the last `count` lines of a file that are not older than `since`.
fn line_starts(path: &Path, count: usize, since: Option<Timestamp>) -> io::Result<VecDeque<u64>> {
    let mut reader = BufReader::new(File::open(path)?);
    let (mut starts, mut offset, mut record) = (VecDeque::new(), 0, Vec::new());
    let mut begins = true;
    loop {
        record.clear();
        let length = reader.read_until(b'\n', &mut record)?;
        if length == 0 {
            return Ok(starts);
        }
        if let Some(parsed) = Record::parse(&record) {
            let is_new = since.is_none_or(|since| parsed.at().is_none_or(|at| at >= since));
            if begins && is_new {
                starts.push_back(offset);
                if starts.len() > count {
                    starts.pop_front();
                }
            }
            begins = !parsed.goes_on;
        }
        offset += length as u64;
    }
}

#[cfg(test)]
mod tests;
