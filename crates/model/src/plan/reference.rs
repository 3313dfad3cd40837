//! The ways to name a plan, in our words and in shuttle's.

use std::fmt;

/// A plan as `foreshore.yaml` or `shuttle.yaml` names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reference {
    /// `plan: false` in `shuttle.yaml`.
    None,
    /// A shipped plan by name, or a directory.
    Local(String),
    Git(GitReference),
    /// `oci://host/repository:tag` or `…@sha256:…`.
    Oci(String),
}

/// A plan in a git repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GitReference {
    /// What git is asked for: `https://…`, `ssh://…`, `user@host:path`, `file:///…`.
    pub url: String,
    /// One of several plans in the repository.
    pub folder: Option<String>,
    pub head: GitHead,
}

/// Which commit of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GitHead {
    /// The branch that the other side calls its own.
    Default,
    /// A branch or a tag; the branch wins.
    Named(String),
    Commit(String),
}

/// Why a text names no plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    #[error("the plan is empty")]
    Empty,
    #[error("plan `{text}` names no repository after `{scheme}`")]
    NoPath { text: String, scheme: &'static str },
    #[error("plan `{text}` has nothing after `#`; a branch, a tag or a commit belongs there")]
    NoHead { text: String },
    #[error("plan `{text}` names `{head}`, which cannot be a branch, a tag or a commit")]
    Head { text: String, head: String },
    #[error(
        "plan `{shown}` carries a password; put it into FORESHORE_GIT_TOKEN or git's credential store"
    )]
    Password { shown: String },
    #[error("plan `{text}` goes over plain http; use https, ssh or file")]
    PlainHttp { text: String },
    #[error(
        "plan `{text}` has the unknown scheme `{scheme}`; known are https, ssh, git, file and oci"
    )]
    Scheme { text: String, scheme: String },
    #[error("folder `{folder}` of plan `{text}` leads outside of the repository")]
    Folder { text: String, folder: String },
}

impl Reference {
    /// Reads a reference; a name without a scheme is a shipped plan or a directory.
    pub fn parse(text: &str) -> Result<Self, ReferenceError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(ReferenceError::Empty);
        }
        if text == "false" {
            return Ok(Self::None);
        }
        if let Some(rest) = text.strip_prefix("oci://") {
            if rest.is_empty() {
                return Err(no_path(text, "oci://"));
            }
            return Ok(Self::Oci(rest.to_owned()));
        }
        let Some((scheme, rest)) = text.split_once("://") else {
            return local_or_scp(text);
        };
        let git = |url: String| GitReference::parse(text, &url).map(Self::Git);
        match scheme {
            "https" if rest.is_empty() => Err(no_path(text, "https://")),
            // Plain http on this machine alone: nobody in between can change what is sent.
            "http" if !is_loopback(rest) => Err(ReferenceError::PlainHttp {
                text: without_password(text),
            }),
            "https" | "file" | "ssh" | "http" => git(text.to_owned()),
            // Shuttle writes `git://user@host:path` and means ssh.
            "git" => git(scp_to_ssh(rest).ok_or_else(|| no_path(text, "git://"))?),
            other => Err(ReferenceError::Scheme {
                text: without_password(text),
                scheme: other.to_owned(),
            }),
        }
    }
}

fn no_path(text: &str, scheme: &'static str) -> ReferenceError {
    ReferenceError::NoPath {
        text: text.to_owned(),
        scheme,
    }
}

fn local_or_scp(text: &str) -> Result<Reference, ReferenceError> {
    let scp = text
        .split_once(':')
        .is_some_and(|(host, path)| host.contains('@') && !host.contains('/') && !path.is_empty());
    if !scp {
        return Ok(Reference::Local(text.to_owned()));
    }
    let url = scp_to_ssh(text).ok_or_else(|| no_path(text, "git@"))?;
    GitReference::parse(text, &url).map(Reference::Git)
}

/// `user@host:path` as `ssh://user@host/path`.
fn scp_to_ssh(text: &str) -> Option<String> {
    let (host, path) = match text.split_once(':') {
        Some((host, path)) if !host.contains('/') => (host, path),
        _ => text.split_once('/')?,
    };
    let path = path.trim_start_matches('/');
    (!host.is_empty() && !path.is_empty()).then(|| format!("ssh://{host}/{path}"))
}

fn is_loopback(rest: &str) -> bool {
    let host = rest.split('/').next().unwrap_or(rest);
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    matches!(name, "127.0.0.1" | "localhost" | "[::1]")
}

/// The text without a user's password.
fn without_password(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else {
        return text.to_owned();
    };
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    match authority.rsplit_once('@') {
        Some((_, host)) => format!("{scheme}://…@{host}/{path}"),
        None => text.to_owned(),
    }
}

impl GitReference {
    fn parse(text: &str, url: &str) -> Result<Self, ReferenceError> {
        let (url, head) = match url.split_once('#') {
            None => (url, GitHead::Default),
            Some((_, "")) => {
                return Err(ReferenceError::NoHead {
                    text: without_password(text),
                });
            }
            Some((url, head)) => (url, GitHead::parse(text, head)?),
        };
        let authority = url
            .split_once("://")
            .and_then(|(_, rest)| rest.split('/').next())
            .unwrap_or_default();
        let user = authority.rsplit_once('@').map(|(user, _)| user);
        if user.is_some_and(|user| user.contains(':') || url.starts_with("https://")) {
            return Err(ReferenceError::Password {
                shown: without_password(text),
            });
        }
        let (url, folder) = match url.split_once(".git//") {
            None => (url.to_owned(), None),
            Some((repository, folder)) => {
                let folder = folder.trim_end_matches('/');
                let inside = folder
                    .split('/')
                    .all(|part| !matches!(part, "" | "." | ".."));
                if !inside {
                    return Err(ReferenceError::Folder {
                        text: text.to_owned(),
                        folder: folder.to_owned(),
                    });
                }
                (format!("{repository}.git"), Some(folder.to_owned()))
            }
        };
        Ok(Self { url, folder, head })
    }
}

impl GitHead {
    /// Reads what follows `#`; `text` stands for the whole in errors.
    pub fn parse(text: &str, head: &str) -> Result<Self, ReferenceError> {
        let hexadecimal = head.bytes().all(|byte| byte.is_ascii_hexdigit());
        if head.len() == 40 && hexadecimal {
            return Ok(Self::Commit(head.to_ascii_lowercase()));
        }
        let allowed = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | '/' | '+');
        let wrong = head.is_empty()
            || head.starts_with(['-', '/', '.'])
            || head.ends_with(['/', '.'])
            || head.contains("..")
            || head.contains("//")
            || !head.chars().all(allowed);
        if wrong {
            return Err(ReferenceError::Head {
                text: without_password(text),
                head: head.to_owned(),
            });
        }
        Ok(Self::Named(head.to_owned()))
    }
}

impl fmt::Display for GitHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("the default branch"),
            Self::Named(name) => write!(f, "`{name}`"),
            Self::Commit(id) => write!(f, "commit {}", &id[..10]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn git(url: &str, folder: Option<&str>, head: GitHead) -> Reference {
        Reference::Git(GitReference {
            url: url.to_owned(),
            folder: folder.map(str::to_owned),
            head,
        })
    }

    #[track_caller]
    fn check(text: &str, expected: Reference) {
        let found = Reference::parse(text).unwrap();
        assert!(found == expected, "{text}: {found:?}");
        drop(expected);
    }

    #[track_caller]
    fn refuse(text: &str, part: &str) {
        let error = Reference::parse(text).unwrap_err().to_string();
        assert!(error.contains(part), "{text}: {error}");
    }

    #[test]
    fn every_form_of_ours_and_of_shuttle_is_read() {
        check("false", Reference::None);
        check("rust-service", Reference::Local("rust-service".into()));
        check("../plan", Reference::Local("../plan".into()));
        check("/srv/plan", Reference::Local("/srv/plan".into()));
        check(
            "https://git.example.org/a/plan.git",
            git("https://git.example.org/a/plan.git", None, GitHead::Default),
        );
        check(
            "https://git.example.org/plans.git//web#v1.2",
            git(
                "https://git.example.org/plans.git",
                Some("web"),
                GitHead::Named("v1.2".into()),
            ),
        );
        check(
            "git://git@git.example.org:a/plan.git#main",
            git(
                "ssh://git@git.example.org/a/plan.git",
                None,
                GitHead::Named("main".into()),
            ),
        );
        check(
            "git@git.example.org:a/plan.git",
            git(
                "ssh://git@git.example.org/a/plan.git",
                None,
                GitHead::Default,
            ),
        );
        let commit = "0123456789abcdef0123456789abcdef01234567";
        check(
            &format!("file:///srv/plan.git#{commit}"),
            git("file:///srv/plan.git", None, GitHead::Commit(commit.into())),
        );
        check(
            "oci://host:5000/plans/web:1",
            Reference::Oci("host:5000/plans/web:1".into()),
        );
    }

    #[test]
    fn what_cannot_be_a_plan_is_told_why() {
        refuse("", "the plan is empty");
        refuse("oci://", "names no repository");
        refuse("https://", "names no repository");
        refuse("git://host", "names no repository");
        refuse("https://h/p.git#", "nothing after `#`");
        refuse("https://h/p.git#--upload-pack=x", "cannot be a branch");
        refuse("https://h/p.git#a..b", "cannot be a branch");
        refuse("http://h/p.git", "plain http");
        refuse("svn://h/p", "unknown scheme `svn`");
        refuse("https://h/p.git//../x", "leads outside");
    }

    #[test]
    fn a_password_is_refused_and_not_repeated() {
        for text in [
            "https://user:hunter2@h/p.git",
            "https://hunter2@h/p.git",
            "http://u:hunter2@h/p.git",
        ] {
            let error = Reference::parse(text).unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
