//! The durable list of what happened, from which the table in memory is built.
//!
//! One line for each change: a CRC-32 of the rest, a space, JSON. A line is
//! valid once it is synced; a torn last line is what a crash leaves and is cut
//! off, damage anywhere else stops the registry from opening.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use foreshore_image::{BlobError, sync_directory};
use foreshore_model::Digest;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// One change. The order of the lines is the order of the changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) sequence: u64,
    pub(crate) at: Timestamp,
    pub(crate) repository: String,
    pub(crate) change: Change,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub(crate) enum Change {
    /// The repository holds the blob.
    Blob {
        digest: Digest,
    },
    Manifest(Manifest),
    RemoveBlob {
        digest: Digest,
    },
    RemoveManifest {
        digest: Digest,
    },
    RemoveTag {
        tag: String,
    },
}

/// What is known of a manifest without reading it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    pub(crate) digest: Digest,
    pub(crate) size: u64,
    pub(crate) media_type: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) artifact_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) subject: Option<Digest>,
    /// The tag it was pushed under; what it stands for now is told by later lines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) tag: Option<String>,
    /// Blobs and manifests that it needs.
    pub(crate) parts: Vec<Digest>,
}

/// Why the journal could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    #[error("cannot {action} the registry's journal `{path}`")]
    Disk {
        action: &'static str,
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    #[error("the registry in `{path}` is open in another process")]
    InUse { path: PathBuf },
    #[error("line {line} of the registry's journal `{path}` is damaged")]
    Damaged { path: PathBuf, line: usize },
    #[error(transparent)]
    Directory(#[from] BlobError),
}

#[derive(Debug)]
pub(crate) struct Journal {
    file: File,
    path: PathBuf,
    /// Where the next line starts; everything before is synced.
    length: u64,
}

fn line(entry: &Entry) -> String {
    let json = serde_json::to_string(entry).expect("strings and numbers are JSON");
    format!("{:08x} {json}\n", crc32fast::hash(json.as_bytes()))
}

fn parse(line: &[u8]) -> Option<Entry> {
    let text = std::str::from_utf8(line.strip_suffix(b"\n")?).ok()?;
    let (sum, json) = text.split_once(' ')?;
    let valid = u32::from_str_radix(sum, 16).ok()? == crc32fast::hash(json.as_bytes());
    if valid {
        serde_json::from_str(json).ok()
    } else {
        None
    }
}

impl Journal {
    /// Opens the journal in `directory` for this process alone, and returns what it holds.
    pub(crate) fn open(directory: &Path) -> Result<(Self, Vec<Entry>), JournalError> {
        let path = directory.join("journal");
        let failed = |action| {
            let path = path.clone();
            move |cause| JournalError::Disk {
                action,
                path,
                cause,
            }
        };
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path);
        let mut file = file.map_err(failed("open"))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => {
                return Err(JournalError::InUse {
                    path: directory.to_owned(),
                });
            }
            Err(std::fs::TryLockError::Error(cause)) => return Err(failed("lock")(cause)),
        }
        sync_directory(directory)?;
        let mut reader = BufReader::new(&mut file);
        let (mut entries, mut length, mut bad) = (Vec::new(), 0, None);
        let mut buffer = Vec::new();
        while reader
            .read_until(b'\n', &mut buffer)
            .map_err(failed("read"))?
            > 0
        {
            if bad.is_some() {
                return Err(JournalError::Damaged {
                    path,
                    line: entries.len() + 1,
                });
            }
            match parse(&buffer) {
                Some(entry) => {
                    entries.push(entry);
                    length += buffer.len() as u64;
                }
                None => bad = Some(buffer.len()),
            }
            buffer.clear();
        }
        let mut journal = Self { file, path, length };
        if let Some(bytes) = bad {
            tracing::warn!(path = %journal.path.display(), bytes, "unfinished line cut off the journal");
            journal.cut()?;
        }
        Ok((journal, entries))
    }

    /// Forgets whatever was written after the last synced line.
    fn cut(&mut self) -> Result<(), JournalError> {
        let cut = self
            .file
            .set_len(self.length)
            .and_then(|()| self.file.sync_all());
        cut.map_err(|cause| JournalError::Disk {
            action: "cut",
            path: self.path.clone(),
            cause,
        })
    }

    /// Adds all entries or none; when it returns they are durable.
    pub(crate) fn append(&mut self, entries: &[Entry]) -> Result<(), JournalError> {
        let text: String = entries.iter().map(line).collect();
        let written = self
            .file
            .seek(SeekFrom::Start(self.length))
            .and_then(|_| self.file.write_all(text.as_bytes()))
            .and_then(|()| self.file.sync_data());
        match written {
            Ok(()) => {
                self.length += text.len() as u64;
                Ok(())
            }
            Err(cause) => {
                // What is there of the line must not become part of the next one.
                self.cut()?;
                Err(JournalError::Disk {
                    action: "write",
                    path: self.path.clone(),
                    cause,
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(sequence: u64) -> Entry {
        let digest = Digest::of(&sequence.to_le_bytes());
        Entry {
            sequence,
            at: Timestamp::UNIX_EPOCH,
            repository: "web".into(),
            change: Change::Blob { digest },
        }
    }

    fn written(directory: &Path) -> Vec<u8> {
        let (mut journal, entries) = Journal::open(directory).unwrap();
        assert!(entries.is_empty());
        journal.append(&[entry(1), entry(2)]).unwrap();
        journal.append(&[entry(3)]).unwrap();
        std::fs::read(directory.join("journal")).unwrap()
    }

    #[test]
    fn a_crash_at_any_byte_leaves_the_lines_before_it() {
        let directory = tempfile::tempdir().unwrap();
        let content = written(directory.path());
        let path = directory.path().join("journal");
        // Every byte around the ends of lines, and some between.
        let near =
            |at: usize| content[at.saturating_sub(2)..content.len().min(at + 2)].contains(&b'\n');
        for length in (0..=content.len()).filter(|at| at % 29 == 0 || near(*at)) {
            std::fs::write(&path, &content[..length]).unwrap();
            let whole = content[..length].split(|byte| *byte == b'\n').count() - 1;
            let (mut journal, entries) = Journal::open(directory.path()).unwrap();
            assert_eq!(entries.len(), whole, "cut at {length}");
            journal.append(&[entry(9)]).unwrap();
            drop(journal);
            let (_, entries) = Journal::open(directory.path()).unwrap();
            assert_eq!(entries.last(), Some(&entry(9)), "cut at {length}");
            assert_eq!(entries.len(), whole + 1, "cut at {length}");
        }
    }

    #[test]
    fn damage_in_the_middle_is_an_error_and_not_an_empty_registry() {
        let directory = tempfile::tempdir().unwrap();
        let mut content = written(directory.path());
        content[40] ^= 1;
        std::fs::write(directory.path().join("journal"), content).unwrap();
        assert!(matches!(
            Journal::open(directory.path()),
            Err(JournalError::Damaged { line: 1, .. })
        ));
    }

    #[test]
    fn a_second_process_is_kept_out() {
        let directory = tempfile::tempdir().unwrap();
        let _first = Journal::open(directory.path()).unwrap();
        assert!(matches!(
            Journal::open(directory.path()),
            Err(JournalError::InUse { .. })
        ));
    }
}
