//! Moves references by compare-and-swap, and survives what dead writers left behind.

use std::fmt;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::command::{Answer, git_in, run};
use crate::durable::sync_refs;
use crate::error::GitError;
use crate::lock::Turn;
use crate::name::check_ref;
use crate::object::ObjectId;
use crate::repository::Repository;

const COMMAND: &str = "update-ref --stdin";

/// A lock file that does not change for this long, while it is our turn, has no owner: git holds
/// one for milliseconds.
const STALE_AFTER: Duration = Duration::from_secs(1);

/// How long an unlucky writer goes on trying.
const TRY_FOR: Duration = Duration::from_secs(10);

/// What a reference must be for a change to happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected {
    /// It must not exist.
    Absent,
    At(ObjectId),
}

impl Expected {
    pub fn of(id: Option<&ObjectId>) -> Self {
        id.map_or(Self::Absent, |id| Self::At(id.clone()))
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => f.write_str("none"),
            Self::At(id) => id.fmt(f),
        }
    }
}

/// One move of a reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefUpdate {
    pub name: String,
    /// Where it goes; none deletes it.
    pub new: Option<ObjectId>,
    pub expected: Expected,
}

impl Repository {
    /// Moves all references or none, and returns when they are on the disk.
    pub fn update_refs(&self, updates: &[RefUpdate]) -> Result<(), GitError> {
        if updates.is_empty() {
            return Ok(());
        }
        let input = script(updates)?;
        let turn = Turn::take(self.path())?;
        let answer = self.past_dead_locks(|| {
            let mut command = git_in(self.path(), &[]);
            command.args(["update-ref", "--stdin", "-z"]);
            run(command, COMMAND, Some(input.clone().into_bytes()))
        })?;
        if !answer.status.success() {
            return Err(self
                .moved(updates)?
                .unwrap_or_else(|| answer.into_error(COMMAND)));
        }
        sync_refs(
            self.path(),
            updates.iter().map(|update| update.name.as_str()),
        )?;
        drop(turn);
        Ok(())
    }

    /// Runs a command that changes references until no dead writer's lock file is in its way.
    ///
    /// Call it while it is our [`Turn`]: then no git of ours holds such a lock.
    pub(crate) fn past_dead_locks(
        &self,
        attempt: impl Fn() -> Result<Answer, GitError>,
    ) -> Result<Answer, GitError> {
        let until = Instant::now() + TRY_FOR;
        let mut watched = None;
        loop {
            let answer = attempt()?;
            let lock = lock_file(self.path(), &answer.stderr).filter(|_| !answer.status.success());
            let Some(lock) = lock.filter(|_| Instant::now() < until) else {
                return Ok(answer);
            };
            watch(&lock, &mut watched)?;
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Returns which reference is not where it was expected.
    fn moved(&self, updates: &[RefUpdate]) -> Result<Option<GitError>, GitError> {
        for update in updates {
            let found = self.resolve(&update.name)?;
            if Expected::of(found.as_ref()) != update.expected {
                let (name, expected) = (update.name.clone(), update.expected.to_string());
                return Ok(Some(GitError::Moved {
                    name,
                    expected,
                    found,
                }));
            }
        }
        Ok(None)
    }
}

fn script(updates: &[RefUpdate]) -> Result<String, GitError> {
    let mut script = String::new();
    for RefUpdate {
        name,
        new,
        expected,
    } in updates
    {
        check_ref(name)?;
        let line = match (new, expected) {
            (Some(new), Expected::At(old)) => format!("update {name}\0{new}\0{old}\0"),
            (Some(new), Expected::Absent) => format!("create {name}\0{new}\0"),
            (None, Expected::At(old)) => format!("delete {name}\0{old}\0"),
            (None, Expected::Absent) => continue,
        };
        script.push_str(&line);
    }
    Ok(script)
}

/// Whether a command failed because a lock file was in its way.
pub(crate) fn is_locked(repository: &Repository, answer: &Answer) -> bool {
    !answer.status.success() && lock_file(repository.path(), &answer.stderr).is_some()
}

/// Finds the lock file that git could not create, if it is inside the repository.
fn lock_file(repository: &Path, stderr: &str) -> Option<PathBuf> {
    let (_, rest) = stderr.split_once("Unable to create '")?;
    let (path, _) = rest.split_once(".lock': File exists")?;
    let path = PathBuf::from(format!("{path}.lock"));
    path.starts_with(repository).then_some(path)
}

/// Which lock file was seen, and since when.
type Watched = Option<(PathBuf, u64, i64, Instant)>;

/// Removes the lock file once it has been the same one for [`STALE_AFTER`].
///
/// Time is counted here and not read from the file, so a changed clock cannot
/// make a fresh lock look old.
fn watch(lock: &Path, watched: &mut Watched) -> Result<(), GitError> {
    let Ok(metadata) = std::fs::symlink_metadata(lock) else {
        // Its owner finished: try again.
        *watched = None;
        return Ok(());
    };
    let now = Instant::now();
    match watched {
        Some((path, inode, modified, since))
            if path == lock && *inode == metadata.ino() && *modified == metadata.mtime_nsec() =>
        {
            if now.duration_since(*since) >= STALE_AFTER {
                tracing::warn!(path = %lock.display(), "removing the lock file of a dead writer");
                std::fs::remove_file(lock).map_err(|cause| GitError::File {
                    doing: "remove",
                    path: lock.to_owned(),
                    cause,
                })?;
                *watched = None;
            }
        }
        _ => *watched = Some((lock.to_owned(), metadata.ino(), metadata.mtime_nsec(), now)),
    }
    Ok(())
}
