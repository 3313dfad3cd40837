//! Reads a container's log from any point, and on while it grows.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use tokio::sync::mpsc;

use crate::shim::LogLimits;

/// How often a followed log is looked at. Well below the time a person takes
/// to notice, and nothing against the cost of a running container.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// About how much is sent at once.
const CHUNK_BYTES: usize = 32 * 1024;

/// How often in a row the files are listed when they change meanwhile.
const LOOKS: u32 = 100;

/// What of a log is wanted.
#[derive(Debug, Clone, Default)]
pub(super) struct Wish {
    pub follow: bool,
    pub timestamps: bool,
    pub tail_lines: Option<usize>,
    pub limit_bytes: Option<u64>,
    pub since: Option<Timestamp>,
}

/// Where reading goes on. The file is held: it may be renamed, and when it is
/// removed, no other gets its number while somebody still reads it.
#[derive(Debug)]
struct Position {
    file: Piece,
    offset: u64,
}

/// One file of a log, held open.
#[derive(Debug, Clone)]
struct Piece {
    inode: u64,
    file: Arc<File>,
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
        let Err(error) = self.send_all(&chunks).await else {
            return;
        };
        // In words: a connection that just breaks tells nobody anything.
        let words = format!("the log cannot be read on: {error}\n");
        if chunks.send(Ok(Bytes::from(words))).await.is_err() {
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
        let files = self.files()?;
        let at = |file: &Piece, offset| {
            let file = file.clone();
            Some(Position { file, offset })
        };
        let Some(wanted) = self.wish.tail_lines else {
            return Ok(files.first().and_then(|oldest| at(oldest, 0)));
        };
        // Beginnings of the last `wanted` lines, newest file first.
        let mut missing = wanted;
        for file in files.iter().rev() {
            if missing == 0 {
                return Ok(at(file, file.file.metadata()?.len()));
            }
            let starts = line_starts(&file.file, missing, self.wish.since)?;
            if starts.len() >= missing {
                return Ok(starts.front().and_then(|offset| at(file, *offset)));
            }
            missing -= starts.len();
        }
        Ok(files.first().and_then(|oldest| at(oldest, 0)))
    }

    /// All files of the log, oldest first. A file moves by one name in a
    /// rotation, so one rotation meanwhile does no harm; with two, newer files
    /// could be taken for older ones. Whoever rotates all the time is given up
    /// for the moment.
    fn files(&self) -> io::Result<Vec<Piece>> {
        let newest = || match std::fs::metadata(self.folder.join("log")) {
            Ok(data) => Ok(Some(data.ino())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        };
        for _ in 0..LOOKS {
            let before = newest()?;
            let found = self.list()?;
            if newest()? == before {
                return Ok(found);
            }
        }
        Ok(Vec::new())
    }

    /// In the middle of a rotation one may be missing, and one be seen under
    /// its old name and its new one.
    fn list(&self) -> io::Result<Vec<Piece>> {
        let mut found: Vec<Piece> = Vec::new();
        for number in 0..LogLimits::default().files_max {
            let path = if number == 0 {
                self.folder.join("log")
            } else {
                self.folder.join(format!("log.{number}"))
            };
            let file = match File::open(path) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            let inode = file.metadata()?.ino();
            if found.iter().all(|other| other.inode != inode) {
                let file = Arc::new(file);
                found.push(Piece { inode, file });
            }
        }
        found.reverse();
        Ok(found)
    }

    /// Reads the next piece; `None` at the end of what there is.
    fn read_on(&mut self, from: Option<&Position>) -> io::Result<Option<(Vec<u8>, Position)>> {
        if let Some(position) = from
            && let Some(found) = self.read_piece(&position.file, position.offset)?
        {
            return Ok(Some(found));
        }
        let files = self.files()?;
        let at = from.map_or(0, |position| {
            let same = |file: &Piece| file.inode == position.file.inode;
            // One that was rotated away took what was unread with it.
            files.iter().position(same).map_or(0, |at| at + 1)
        });
        if let Some(position) = from
            && at < files.len()
            // Now that there is a newer one, this one grows no more.
            && let Some(found) = self.read_piece(&position.file, position.offset)?
        {
            return Ok(Some(found));
        }
        for file in &files[at..] {
            if let Some(found) = self.read_piece(file, 0)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// Reads whole records from `offset`, up to about a chunk of them; `None`
    /// if there is none.
    fn read_piece(&mut self, from: &Piece, offset: u64) -> io::Result<Option<(Vec<u8>, Position)>> {
        let mut file = &*from.file;
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
        let file = from.clone();
        Ok((end > offset).then_some((piece, Position { file, offset: end })))
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
fn line_starts(
    mut file: &File,
    count: usize,
    since: Option<Timestamp>,
) -> io::Result<VecDeque<u64>> {
    file.seek(SeekFrom::Start(0))?;
    let mut reader = BufReader::new(file);
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
