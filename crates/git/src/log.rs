//! Reads history as data.

use foreshore_model::Actor;
use jiff::Timestamp;

use crate::command::{git_in, run};
use crate::error::GitError;
use crate::object::ObjectId;
use crate::repository::Repository;

/// One commit of a history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitInfo {
    pub id: ObjectId,
    pub tree: ObjectId,
    pub parents: Vec<ObjectId>,
    pub author: Actor,
    pub committer: Actor,
    pub committed_at: Timestamp,
    pub message: String,
}

impl CommitInfo {
    pub fn subject(&self) -> &str {
        self.message.lines().next().unwrap_or_default()
    }

    /// Returns the last trailer of that name.
    pub fn trailer(&self, name: &str) -> Option<&str> {
        trailers_of(&self.message)
            .into_iter()
            .rev()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }
}

/// Returns the `Name: value` lines of a message's last paragraph, if it has no other lines.
pub fn trailers_of(message: &str) -> Vec<(&str, &str)> {
    let message = message.trim_end();
    let Some((_, last)) = message.rsplit_once("\n\n") else {
        return Vec::new();
    };
    let lines = last.lines().map(|line| line.split_once(": "));
    lines.collect::<Option<Vec<_>>>().unwrap_or_default()
}

/// Which part of a history is wanted, newest first.
#[derive(Debug, Clone)]
pub struct LogQuery<'a> {
    /// Where to start.
    pub from: &'a ObjectId,
    /// Leaves out this commit and all before it.
    pub until: Option<&'a ObjectId>,
    /// Only commits that changed something at or below this path.
    pub path: Option<&'a str>,
    pub limit: usize,
}

const COMMAND: &str = "rev-list";

/// Fields end with NUL, so no message can look like two commits.
const FORMAT: &str = "--format=%H%x00%T%x00%P%x00%an%x00%ae%x00%cn%x00%ce%x00%ct%x00%B%x00";
const FIELDS: usize = 9;

impl Repository {
    /// Returns commits along first parents, newest first.
    pub fn log(&self, query: &LogQuery<'_>) -> Result<Vec<CommitInfo>, GitError> {
        let mut command = git_in(self.path(), &[]);
        command.args([
            COMMAND,
            "--first-parent",
            "--no-commit-header",
            "--encoding=UTF-8",
            FORMAT,
        ]);
        command
            .arg(format!("--max-count={}", query.limit))
            .arg(query.from.as_str());
        if let Some(until) = query.until {
            command.arg(format!("^{until}"));
        }
        command.arg("--");
        if let Some(path) = query.path {
            crate::name::check_path(path)?;
            command.arg(format!(":(literal){path}"));
        }
        let bytes = run(command, COMMAND, None)?.success(COMMAND)?;
        // Old commits may hold any bytes; what is not UTF-8 becomes a replacement character.
        let text = String::from_utf8_lossy(&bytes);
        let fields: Vec<&str> = text.split('\0').collect();
        fields.chunks_exact(FIELDS).map(parse).collect()
    }
}

fn parse(fields: &[&str]) -> Result<CommitInfo, GitError> {
    let malformed = |what: &str| GitError::Malformed {
        command: COMMAND.to_owned(),
        what: what.to_owned(),
    };
    let id = |text: &str| text.parse::<ObjectId>().map_err(|_| malformed(text));
    let seconds = fields[7].parse().map_err(|_| malformed(fields[7]))?;
    Ok(CommitInfo {
        // Git ends each commit with a newline, which lands before the next one.
        id: id(fields[0].trim_start_matches('\n'))?,
        tree: id(fields[1])?,
        parents: fields[2]
            .split_ascii_whitespace()
            .map(id)
            .collect::<Result<_, _>>()?,
        author: Actor::new(fields[3], fields[4]),
        committer: Actor::new(fields[5], fields[6]),
        committed_at: Timestamp::from_second(seconds).map_err(|_| malformed(fields[7]))?,
        message: fields[8].to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trailers_are_the_last_paragraph_and_nothing_else() {
        let message =
            "subject\n\nbody: not a trailer\nmore\n\nActor: anna\nReason: because: of it\n";
        assert_eq!(
            trailers_of(message),
            [("Actor", "anna"), ("Reason", "because: of it")]
        );
        assert!(trailers_of("Actor: anna").is_empty());
        assert!(trailers_of("subject\n\nActor: anna\nnot a trailer").is_empty());
    }
}
