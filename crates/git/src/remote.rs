//! Fetches from and pushes to another repository, with deadlines and typed answers.

mod answer;
mod heads;

use std::process::Command;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret as _, SecretString};

use crate::command::{git_in, run_group};
use crate::error::GitError;
use crate::lock::Turn;
use crate::name::check_ref;
use crate::object::ObjectId;
use crate::refs::{Expected, is_locked};
use crate::repository::Repository;

pub use answer::{FetchError, PushError, Rejection};
pub use heads::RemoteHead;

/// What is shown to the other side.
#[derive(Clone, Default)]
pub enum Credential {
    #[default]
    None,
    Basic {
        user: String,
        password: SecretString,
    },
    Bearer(SecretString),
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::None => "Credential::None",
            Self::Basic { .. } => "Credential::Basic(…)",
            Self::Bearer(_) => "Credential::Bearer(…)",
        })
    }
}

impl Credential {
    /// Builds the header line that carries it.
    fn header(&self) -> Option<String> {
        match self {
            Self::None => None,
            Self::Basic { user, password } => {
                let pair = STANDARD.encode(format!("{user}:{}", password.expose_secret()));
                Some(format!("Authorization: Basic {pair}"))
            }
            Self::Bearer(token) => Some(format!("Authorization: Bearer {}", token.expose_secret())),
        }
    }
}

/// Another repository.
#[derive(Debug, Clone)]
pub struct Remote {
    /// `http(s)://…`, `ssh://…`, `user@host:path` or a path.
    pub url: String,
    pub credential: Credential,
    /// One fetch or push ends within this time, or fails.
    pub deadline: Duration,
    /// The largest file that one fetch may write here: a history that is longer is refused.
    pub bytes_max: Option<u64>,
}

impl Remote {
    pub fn new(url: impl Into<String>, credential: Credential) -> Self {
        Self {
            url: url.into(),
            credential,
            deadline: Duration::from_mins(1),
            bytes_max: None,
        }
    }

    /// Refuses to take more than this of the other side.
    #[must_use]
    pub fn at_most(self, bytes: u64) -> Self {
        Self {
            bytes_max: Some(bytes),
            ..self
        }
    }

    /// The credential goes to this address alone, and through the environment, where `ps` does not show it.
    fn settings(&self) -> Vec<(String, String)> {
        let header = self.credential.header();
        header
            .map(|header| (format!("http.{}.extraHeader", self.url), header))
            .into_iter()
            .collect()
    }

    fn run(
        &self,
        repository: &Repository,
        arguments: &[String],
    ) -> Result<crate::command::Answer, GitError> {
        let settings = self.settings();
        let settings: Vec<(&str, &str)> = settings
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()))
            .collect();
        let mut command = git_in(repository.path(), &settings);
        command.args(arguments);
        if let Some(bytes) = self.bytes_max {
            command = limited(&command, bytes);
        }
        let answer = run_group(command, &arguments[0], self.deadline)?;
        if self.bytes_max.is_some() && !answer.status.success() {
            remove_unfinished(repository);
        }
        Ok(answer)
    }

    /// Returns the address without a user's name and password.
    pub fn shown(&self) -> String {
        let Some((scheme, rest)) = self.url.split_once("://") else {
            return self.url.clone();
        };
        let (host, path) = rest
            .split_once('/')
            .map_or((rest, None), |(host, path)| (host, Some(path)));
        let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
        path.map_or_else(
            || format!("{scheme}://{host}"),
            |path| format!("{scheme}://{host}/{path}"),
        )
    }
}

/// The same command, whose files the kernel keeps from growing beyond `bytes`.
fn limited(command: &Command, bytes: u64) -> Command {
    let mut limited = Command::new("prlimit");
    limited
        .arg(format!("--fsize={bytes}"))
        .arg("--")
        .arg(command.get_program())
        .args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => limited.env(name, value),
            None => limited.env_remove(name),
        };
    }
    limited
}

/// Removes the packs that were cut off; git leaves them where it was killed.
fn remove_unfinished(repository: &Repository) {
    let folder = repository.path().join("objects/pack");
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        if name.to_string_lossy().starts_with("tmp_")
            && let Err(error) = std::fs::remove_file(entry.path())
        {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "an unfinished pack stays where it is");
        }
    }
}

/// One reference to move on the other side, if it is still where we think.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Push {
    pub name: String,
    /// None deletes it.
    pub new: Option<ObjectId>,
    pub expected: Expected,
}

impl Repository {
    /// Copies references of the other side; each refspec is `+from:to` or `from:to`.
    pub fn fetch(&self, remote: &Remote, refspecs: &[&str]) -> Result<(), FetchError> {
        let mut arguments: Vec<String> = [
            "fetch",
            "--quiet",
            "--no-tags",
            "--no-write-fetch-head",
            "--prune",
            "--atomic",
        ]
        .map(str::to_owned)
        .into();
        for refspec in refspecs {
            check_refspec(refspec)?;
        }
        arguments.extend(["--".to_owned(), remote.url.clone()]);
        arguments.extend(refspecs.iter().map(|refspec| (*refspec).to_owned()));
        let mut answer = remote.run(self, &arguments)?;
        if is_locked(self, &answer) {
            // Only then: nobody should wait for the other side's answer.
            let _turn = Turn::take(self.path())?;
            answer = self.past_dead_locks(|| remote.run(self, &arguments))?;
        }
        if answer.status.success() {
            return Ok(());
        }
        Err(answer::fetch_error(remote, answer))
    }

    /// Moves references of the other side, all or none.
    ///
    /// The objects go along; when this returns the other side has accepted them.
    pub fn push(&self, remote: &Remote, pushes: &[Push]) -> Result<(), PushError> {
        let mut arguments: Vec<String> = ["push", "--porcelain", "--no-verify", "--atomic"]
            .map(str::to_owned)
            .into();
        let mut refspecs = Vec::new();
        for Push {
            name,
            new,
            expected,
        } in pushes
        {
            check_ref(name)?;
            let lease = match expected {
                Expected::Absent => String::new(),
                Expected::At(id) => id.to_string(),
            };
            arguments.push(format!("--force-with-lease={name}:{lease}"));
            refspecs.push(format!(
                "{}:{name}",
                new.as_ref().map_or("", ObjectId::as_str)
            ));
        }
        arguments.extend(["--".to_owned(), remote.url.clone()]);
        arguments.extend(refspecs);
        let answer = remote.run(self, &arguments)?;
        answer::push_result(remote, answer)
    }
}

fn check_refspec(refspec: &str) -> Result<(), GitError> {
    let parts = refspec.trim_start_matches('+').split_once(':');
    let (from, to) = parts.ok_or_else(|| GitError::BadRef {
        name: refspec.to_owned(),
        why: "it is not `from:to`",
    })?;
    // A trailing `*` stands for one run of characters.
    [from, to]
        .into_iter()
        .try_for_each(|name| check_ref(name.strip_suffix("/*").unwrap_or(name)))
}
