//! What a build records about the source it was made from.

use std::path::{Path, PathBuf};

use jiff::Timestamp;

use crate::command::{bare_git, run};
use crate::error::GitError;

/// Where a service's source is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFacts {
    pub commit: String,
    /// None on a detached head, as most CI systems check out.
    pub branch: Option<String>,
    pub tag: Option<String>,
    pub author: String,
    /// First line of the commit's message.
    pub message: String,
    pub committed_at: Timestamp,
    /// Files below the folder differ from the commit, or are not in it.
    pub modified: bool,
}

/// Why the facts are not known.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    #[error("`{path}` is not in a git repository")]
    NotARepository { path: PathBuf },
    #[error("the git repository of `{path}` has no commit yet")]
    NoCommit { path: PathBuf },
    #[error("the git repository of `{path}` belongs to someone else: {what}")]
    ForeignOwner { path: PathBuf, what: String },
    #[error(transparent)]
    Git(#[from] GitError),
}

impl SourceFacts {
    /// Asks git about the folder `path` of a checkout.
    ///
    /// The user's own settings count here (ignored files, line endings); the
    /// repository's hooks and monitors do not run.
    pub fn of(path: &Path) -> Result<Self, SourceError> {
        let ask = |arguments: &[&str]| {
            let mut command = bare_git();
            command.args([
                "-c",
                "core.fsmonitor=false",
                "-c",
                "core.hooksPath=/dev/null",
                "-C",
            ]);
            command.arg(path).args(arguments);
            run(command, arguments[0], None)
        };
        let head = ask(&["rev-parse", "--verify", "--quiet", "HEAD^{commit}"])?;
        if !head.status.success() {
            return Err(explain(path, ask(&["rev-parse", "--git-dir"])?));
        }
        let show = ask(&[
            "show",
            "--no-patch",
            "--encoding=UTF-8",
            "--format=%H%x00%an <%ae>%x00%ct%x00%s",
            "HEAD",
        ])?;
        let show = String::from_utf8_lossy(&show.success("show")?).into_owned();
        let malformed = || GitError::Malformed {
            command: "show".to_owned(),
            what: show.clone(),
        };
        let fields: Vec<&str> = show.trim_end_matches('\n').split('\0').collect();
        let [commit, author, seconds, message] = fields[..] else {
            return Err(malformed().into());
        };
        let seconds = seconds.parse().map_err(|_| malformed())?;
        let branch = ask(&["symbolic-ref", "--quiet", "--short", "HEAD"])?;
        let branch = branch
            .status
            .success()
            .then(|| String::from_utf8_lossy(&branch.stdout).trim().to_owned());
        let tags = ask(&[
            "for-each-ref",
            "--points-at=HEAD",
            "--sort=-creatordate",
            "--format=%(refname:lstrip=2)",
            "refs/tags",
        ])?;
        let tags = tags.text("for-each-ref")?;
        let status = ask(&[
            "status",
            "--porcelain",
            "-z",
            "--untracked-files=normal",
            "--",
            ".",
        ])?;
        Ok(Self {
            commit: commit.to_owned(),
            branch,
            tag: tags.lines().next().map(str::to_owned),
            author: author.to_owned(),
            message: message.to_owned(),
            committed_at: Timestamp::from_second(seconds).map_err(|_| malformed())?,
            modified: !status.success("status")?.is_empty(),
        })
    }
}

fn explain(path: &Path, answer: crate::command::Answer) -> SourceError {
    let path = path.to_owned();
    if answer.status.success() {
        return SourceError::NoCommit { path };
    }
    if answer.stderr.contains("dubious ownership") {
        return SourceError::ForeignOwner {
            path,
            what: answer.stderr.trim().to_owned(),
        };
    }
    if answer.stderr.contains("not a git repository") {
        return SourceError::NotARepository { path };
    }
    answer.into_error("rev-parse").into()
}
