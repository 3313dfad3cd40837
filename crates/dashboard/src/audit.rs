//! Who did what from a page: one line each, synced before it is done, each with the hash of the one before.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use foreshore_model::{Digest, clock};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Records that are read back for a page.
const SHOWN_MAX: usize = 2_000;

/// Why something could not be recorded, and so was not done.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    #[error("cannot open the audit trail `{path}`")]
    Open {
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    #[error("cannot write the audit trail")]
    Write(#[source] io::Error),
    #[error("cannot read the audit trail")]
    Read(#[source] io::Error),
}

/// One record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Record {
    pub(crate) at: Timestamp,
    pub(crate) actor: String,
    pub(crate) deed: String,
    pub(crate) target: String,
    pub(crate) reason: String,
    /// `asked`, `done: …`, `failed: …`.
    pub(crate) result: String,
    /// Hash of the line before; a line that is taken out or changed shows.
    pub(crate) previous: String,
}

/// The trail of one installation.
#[derive(Debug)]
pub(crate) struct Audit {
    path: PathBuf,
    /// The open file and the hash of its last line.
    end: Mutex<(File, String)>,
}

impl Audit {
    pub(crate) fn open(path: &Path) -> Result<Self, AuditError> {
        let failed = |cause| AuditError::Open {
            path: path.to_owned(),
            cause,
        };
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(failed)?;
        }
        let mut last = String::new();
        let mut torn = false;
        if path.exists() {
            for line in BufReader::new(File::open(path).map_err(failed)?).lines() {
                let line = line.map_err(failed)?;
                torn = serde_json::from_str::<Record>(&line).is_err();
                last = line;
            }
        }
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .map_err(failed)?;
        if torn {
            // A crash while writing: the half line stays, and says so by not being a record.
            file.write_all(b"\n").map_err(failed)?;
        }
        Ok(Self {
            path: path.to_owned(),
            end: Mutex::new((file, hash(&last))),
        })
    }

    /// Records and waits until it is on disk.
    pub(crate) fn write(
        &self,
        actor: &str,
        deed: &str,
        target: &str,
        reason: &str,
        result: &str,
    ) -> Result<(), AuditError> {
        let mut end = self.end.lock().unwrap_or_else(PoisonError::into_inner);
        let record = Record {
            at: clock::now(),
            actor: actor.to_owned(),
            deed: deed.to_owned(),
            target: target.to_owned(),
            reason: reason.to_owned(),
            result: result.to_owned(),
            previous: end.1.clone(),
        };
        let line = serde_json::to_string(&record)
            .map_err(|error| AuditError::Write(io::Error::other(error)))?;
        let write = |file: &mut File| {
            file.write_all(format!("{line}\n").as_bytes())?;
            file.sync_data()
        };
        write(&mut end.0).map_err(AuditError::Write)?;
        end.1 = hash(&line);
        Ok(())
    }

    /// Returns the newest records first, and whether the chain of hashes is whole.
    pub(crate) fn read(&self) -> Result<(Vec<Record>, bool), AuditError> {
        let file = File::open(&self.path).map_err(AuditError::Read)?;
        let mut records = Vec::new();
        let (mut whole, mut before) = (true, String::new());
        for line in BufReader::new(file).lines() {
            let line = line.map_err(AuditError::Read)?;
            match serde_json::from_str::<Record>(&line) {
                Ok(record) => {
                    whole &= record.previous == hash(&before);
                    records.push(record);
                }
                Err(_) if line.is_empty() => continue,
                Err(_) => whole = false,
            }
            before = line;
        }
        records.reverse();
        records.truncate(SHOWN_MAX);
        Ok((records, whole))
    }
}

fn hash(line: &str) -> String {
    if line.is_empty() {
        String::new()
    } else {
        Digest::of(line.as_bytes()).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trail() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        (folder, path)
    }

    #[test]
    fn records_are_kept_over_a_restart_newest_first() {
        let (_folder, path) = trail();
        Audit::open(&path)
            .unwrap()
            .write("ada", "cordon", "node a", "", "asked")
            .unwrap();
        let audit = Audit::open(&path).unwrap();
        audit
            .write("ada", "cordon", "node a", "", "done: x")
            .unwrap();
        let (records, whole) = audit.read().unwrap();
        assert!(whole);
        let results: Vec<&str> = records
            .iter()
            .map(|record| record.result.as_str())
            .collect();
        assert_eq!(results, ["done: x", "asked"]);
    }

    #[test]
    fn a_line_that_was_changed_or_taken_out_shows() {
        let (_folder, path) = trail();
        let audit = Audit::open(&path).unwrap();
        for number in 0..3 {
            audit
                .write("ada", "drain", &number.to_string(), "", "asked")
                .unwrap();
        }
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, text.replacen("\"ada\"", "\"eve\"", 1)).unwrap();
        assert!(!audit.read().unwrap().1);
        let without: Vec<&str> = text
            .lines()
            .enumerate()
            .filter(|(index, _)| *index != 1)
            .map(|(_, line)| line)
            .collect();
        std::fs::write(&path, without.join("\n")).unwrap();
        assert!(!audit.read().unwrap().1);
    }

    #[test]
    fn a_half_line_from_a_crash_does_not_swallow_the_next() {
        let (_folder, path) = trail();
        Audit::open(&path)
            .unwrap()
            .write("ada", "drain", "a", "", "asked")
            .unwrap();
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(b"{\"at\":").unwrap();
        let audit = Audit::open(&path).unwrap();
        audit.write("ada", "drain", "b", "", "asked").unwrap();
        let (records, whole) = audit.read().unwrap();
        assert_eq!(records.len(), 2);
        assert!(!whole);
    }
}
