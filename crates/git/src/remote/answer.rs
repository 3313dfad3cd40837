//! Reads what git says about the other side into types.

use secrecy::ExposeSecret as _;

use super::{Credential, Remote};
use crate::command::Answer;
use crate::error::GitError;

/// Why nothing was fetched. None of these means that the other side is empty.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    #[error("cannot reach `{url}`: {what}")]
    Unreachable { url: String, what: String },
    #[error("`{url}` wants another credential: {what}")]
    Unauthorized { url: String, what: String },
    #[error("there is no repository at `{url}`: {what}")]
    NoRepository { url: String, what: String },
    #[error("`{url}` has no reference `{name}`")]
    NoRef { url: String, name: String },
    #[error(transparent)]
    Git(#[from] GitError),
}

/// Why nothing was pushed.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    /// Someone else moved first; nothing was changed.
    #[error("`{url}` moved on: {}", Rejection::list(rejections))]
    Stale {
        url: String,
        rejections: Vec<Rejection>,
    },
    #[error("`{url}` refused the push: {}", Rejection::list(rejections))]
    Rejected {
        url: String,
        rejections: Vec<Rejection>,
    },
    #[error("cannot reach `{url}`: {what}")]
    Unreachable { url: String, what: String },
    #[error("`{url}` wants another credential: {what}")]
    Unauthorized { url: String, what: String },
    #[error("there is no repository at `{url}`: {what}")]
    NoRepository { url: String, what: String },
    /// The other side may or may not have accepted it: fetch before trying again.
    #[error(transparent)]
    Git(#[from] GitError),
}

/// One reference that was not moved, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    pub name: String,
    pub reason: String,
}

impl Rejection {
    fn list(rejections: &[Self]) -> String {
        let texts: Vec<String> = rejections
            .iter()
            .map(|it| format!("`{}` ({})", it.name, it.reason))
            .collect();
        texts.join(", ")
    }
}

enum Trouble {
    Unreachable,
    Unauthorized,
    NoRepository,
}

/// Git says these in English only, because `LC_ALL` is C; the wording is stable since 2.20.
fn trouble(stderr: &str) -> Option<Trouble> {
    let any = |parts: &[&str]| parts.iter().any(|part| stderr.contains(part));
    if any(&[
        "Authentication failed",
        "could not read Username",
        "could not read Password",
        "error: 401",
        "error: 403",
        "Permission denied",
    ]) {
        return Some(Trouble::Unauthorized);
    }
    if any(&[
        "' not found",
        "does not appear to be a git repository",
        "not a git repository",
        "error: 404",
    ]) {
        return Some(Trouble::NoRepository);
    }
    let broken = [
        "unable to access",
        "Could not resolve host",
        "Connection refused",
        "Connection timed out",
        "Connection reset",
        "early EOF",
        "the remote end hung up",
        "RPC failed",
        "expected flush",
        "Could not read from remote repository",
        "unexpected disconnect",
        "transfer closed",
        "bad line length",
    ];
    any(&broken).then_some(Trouble::Unreachable)
}

/// Returns the line that says what is wrong, without secrets.
fn told(remote: &Remote, stderr: &str) -> String {
    let line = stderr
        .lines()
        .find(|line| line.starts_with("fatal:") || line.starts_with("error:"))
        .or_else(|| stderr.lines().last())
        .unwrap_or("no reason given");
    let mut text = line
        .trim_start_matches("fatal: ")
        .trim_start_matches("error: ")
        .replace(&remote.url, &remote.shown());
    let secret = match &remote.credential {
        Credential::None => None,
        Credential::Basic {
            password: secret, ..
        }
        | Credential::Bearer(secret) => Some(secret.expose_secret()),
    };
    if let Some(secret) = secret.filter(|secret| !secret.is_empty()) {
        text = text.replace(secret, "***");
    }
    text
}

pub(super) fn fetch_error(remote: &Remote, mut answer: Answer) -> FetchError {
    let url = remote.shown();
    if let Some((_, name)) = answer.stderr.split_once("couldn't find remote ref ") {
        return FetchError::NoRef {
            url,
            name: name.lines().next().unwrap_or_default().to_owned(),
        };
    }
    let what = told(remote, &answer.stderr);
    match trouble(&answer.stderr) {
        Some(Trouble::Unreachable) => FetchError::Unreachable { url, what },
        Some(Trouble::Unauthorized) => FetchError::Unauthorized { url, what },
        Some(Trouble::NoRepository) => FetchError::NoRepository { url, what },
        None => {
            answer.stderr = what;
            answer.into_error("fetch").into()
        }
    }
}

pub(super) fn push_result(remote: &Remote, mut answer: Answer) -> Result<(), PushError> {
    if answer.status.success() {
        return Ok(());
    }
    let url = remote.shown();
    let rejections = rejections(&String::from_utf8_lossy(&answer.stdout));
    if !rejections.is_empty() {
        let stale = [
            "stale info",
            "fetch first",
            "non-fast-forward",
            "already exists",
            "atomic transaction failed",
            "failed to lock",
            "cannot lock ref",
            "incorrect old value",
            "failed to update ref",
        ];
        let is_stale = |it: &Rejection| stale.iter().any(|part| it.reason.contains(part));
        // With `--atomic` the references beside the stale one are refused as well.
        if rejections.iter().any(is_stale) {
            return Err(PushError::Stale { url, rejections });
        }
        return Err(PushError::Rejected { url, rejections });
    }
    let what = told(remote, &answer.stderr);
    Err(match trouble(&answer.stderr) {
        Some(Trouble::Unreachable) => PushError::Unreachable { url, what },
        Some(Trouble::Unauthorized) => PushError::Unauthorized { url, what },
        Some(Trouble::NoRepository) => PushError::NoRepository { url, what },
        None => {
            answer.stderr = what;
            answer.into_error("push").into()
        }
    })
}

/// Reads the lines `!<tab>from:to<tab>[rejected] (reason)` of `push --porcelain`.
fn rejections(stdout: &str) -> Vec<Rejection> {
    let lines = stdout.lines().filter_map(|line| line.strip_prefix("!\t"));
    lines
        .filter_map(|line| {
            let (refs, summary) = line.split_once('\t')?;
            let (_, name) = refs.rsplit_once(':')?;
            Some(Rejection {
                name: name.to_owned(),
                reason: summary.to_owned(),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn porcelain_lines_become_rejections() {
        let stdout =
            "To http://x/config.git\n!\tabc:refs/heads/main\t[rejected] (stale info)\nDone\n";
        let expected = Rejection {
            name: "refs/heads/main".to_owned(),
            reason: "[rejected] (stale info)".to_owned(),
        };
        assert_eq!(rejections(stdout), [expected]);
    }

    #[test]
    fn neither_password_nor_token_is_in_what_is_told() {
        let remote = Remote::new(
            "https://anna:hunter2@host/x.git",
            Credential::Bearer("s3cret".into()),
        );
        let text = told(
            &remote,
            "fatal: unable to access 'https://anna:hunter2@host/x.git': s3cret\n",
        );
        assert_eq!(text, "unable to access 'https://host/x.git': ***");
        assert!(!format!("{remote:?}").contains("s3cret"));
    }
}
