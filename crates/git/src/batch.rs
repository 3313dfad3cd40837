//! Reads objects through long-lived `git cat-file --batch` processes.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::sync::Mutex;

use crate::command::git_in;
use crate::error::GitError;

const COMMAND: &str = "cat-file --batch";

/// Idle processes kept for the next reader; more readers at once start their own.
const IDLE_MAX: usize = 4;

/// Questions sent before their answers are read; they fit into a pipe by far.
const AHEAD_MAX: usize = 64;

/// Largest object that is read.
pub(crate) const OBJECT_BYTES_MAX: u64 = 32 * 1024 * 1024;

/// An object as git stores it.
pub(crate) struct Object {
    pub(crate) kind: String,
    pub(crate) bytes: Vec<u8>,
}

/// The readers of one repository.
pub(crate) struct Batch {
    path: PathBuf,
    idle: Mutex<Vec<Reader>>,
}

impl Batch {
    pub(crate) fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            idle: Mutex::new(Vec::new()),
        }
    }

    /// Reads the objects in the order asked for; none means that git has no such object.
    pub(crate) fn read(&self, names: &[&str]) -> Result<Vec<Option<Object>>, GitError> {
        let idle = self
            .idle
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .pop();
        // A process that waited idle may have been killed meanwhile: one fresh start is fair.
        if let Some(reader) = idle
            && let Ok(objects) = self.read_with(reader, names)
        {
            return Ok(objects);
        }
        self.read_with(Reader::start(&self.path)?, names)
    }

    fn read_with(
        &self,
        mut reader: Reader,
        names: &[&str],
    ) -> Result<Vec<Option<Object>>, GitError> {
        let mut objects = Vec::with_capacity(names.len());
        for names in names.chunks(AHEAD_MAX) {
            match reader.read(names) {
                Ok(read) => objects.extend(read),
                Err(failure) => return Err(reader.explain(failure)),
            }
        }
        let mut idle = self
            .idle
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if idle.len() < IDLE_MAX {
            idle.push(reader);
        }
        Ok(objects)
    }
}

enum Failure {
    Pipe(std::io::Error),
    Answer(GitError),
}

impl From<std::io::Error> for Failure {
    fn from(cause: std::io::Error) -> Self {
        Self::Pipe(cause)
    }
}

struct Reader {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
}

impl Reader {
    fn start(path: &Path) -> Result<Self, GitError> {
        let mut child = git_in(path, &[])
            .args(["cat-file", "--batch"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|cause| GitError::Start {
                command: COMMAND.to_owned(),
                cause,
            })?;
        let stdin = child.stdin.take();
        let stdout = BufReader::new(child.stdout.take().expect("stdout is piped"));
        Ok(Self {
            child,
            stdin,
            stdout,
        })
    }

    fn read(&mut self, names: &[&str]) -> Result<Vec<Option<Object>>, Failure> {
        let questions: String = names.iter().flat_map(|name| [*name, "\n"]).collect();
        self.stdin
            .as_mut()
            .expect("stdin is open until the drop")
            .write_all(questions.as_bytes())?;
        names.iter().map(|name| self.read_one(name)).collect()
    }

    fn read_one(&mut self, name: &str) -> Result<Option<Object>, Failure> {
        let mut header = String::new();
        if self.stdout.read_line(&mut header)? == 0 {
            return Err(Failure::Pipe(std::io::ErrorKind::UnexpectedEof.into()));
        }
        let words: Vec<&str> = header.split_ascii_whitespace().collect();
        if let [.., "missing"] = words[..] {
            return Ok(None);
        }
        let malformed = || {
            Failure::Answer(GitError::Malformed {
                command: COMMAND.to_owned(),
                what: header.trim().to_owned(),
            })
        };
        let [_, kind, size] = words[..] else {
            return Err(malformed());
        };
        let size: u64 = size.parse().map_err(|_| malformed())?;
        if size > OBJECT_BYTES_MAX {
            return Err(Failure::Answer(GitError::TooLarge {
                id: name.to_owned(),
                size,
                limit: OBJECT_BYTES_MAX,
            }));
        }
        let length = usize::try_from(size).map_err(|_| malformed())?;
        let mut bytes = vec![0; length];
        self.stdout.read_exact(&mut bytes)?;
        let mut newline = [0];
        self.stdout.read_exact(&mut newline)?;
        Ok(Some(Object {
            kind: kind.to_owned(),
            bytes,
        }))
    }

    /// Adds what the process said on stderr before it died.
    fn explain(mut self, failure: Failure) -> GitError {
        let cause = match failure {
            Failure::Answer(error) => return error,
            Failure::Pipe(cause) => cause,
        };
        drop(self.stdin.take());
        let _already_dead = self.child.kill();
        let mut stderr = String::new();
        if let Some(pipe) = self.child.stderr.take() {
            let _part = pipe.take(4096).read_to_string(&mut stderr);
        }
        if stderr.trim().is_empty() {
            return GitError::Pipe {
                command: COMMAND.to_owned(),
                cause,
            };
        }
        GitError::Failed {
            command: COMMAND.to_owned(),
            status: "died".to_owned(),
            stderr: stderr.trim().to_owned(),
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        drop(self.stdin.take());
        let _already_dead = self.child.kill();
        let _reaped = self.child.wait();
    }
}
