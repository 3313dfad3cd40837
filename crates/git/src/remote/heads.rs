//! What the other side's names stand for, asked without copying anything.

use super::{FetchError, Remote, answer};
use crate::error::GitError;
use crate::name::check_ref;
use crate::object::ObjectId;
use crate::repository::Repository;

/// A name of the other side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteHead {
    /// Full name, `refs/heads/main`.
    pub name: String,
    /// The commit; that of a tag with a message is the one it was put on.
    pub commit: ObjectId,
}

impl Repository {
    /// Asks for the branch or tag called `name`, or for the branch the other side calls its own; the branch wins.
    pub fn remote_head(
        &self,
        remote: &Remote,
        name: Option<&str>,
    ) -> Result<RemoteHead, FetchError> {
        const COMMAND: &str = "ls-remote";
        let mut arguments: Vec<String> = vec![COMMAND.into(), "--symref".into(), "--".into()];
        arguments.push(remote.url.clone());
        let wanted = match name {
            None => vec!["HEAD".to_owned()],
            Some(name) => {
                let branch = format!("refs/heads/{name}");
                let tag = format!("refs/tags/{name}");
                check_ref(&branch)?;
                // A tag with a message is an object of its own; git shows what it is on under this name.
                let peeled = format!("{tag}^{{}}");
                vec![branch, peeled, tag]
            }
        };
        arguments.extend(wanted.iter().cloned());
        let output = remote.run(self, &arguments)?;
        if !output.status.success() {
            return Err(answer::fetch_error(remote, output));
        }
        let text = output.text(COMMAND)?;
        let lines: Vec<(&str, &str)> = text
            .lines()
            .filter_map(|line| line.split_once('\t'))
            .collect();
        let missing = || FetchError::NoRef {
            url: remote.shown(),
            name: name.unwrap_or("HEAD").to_owned(),
        };
        let (found, id) = wanted
            .iter()
            .find_map(|wanted| {
                let is_id = |text: &str| !text.starts_with("ref: ");
                let line = lines
                    .iter()
                    .find(|(id, name)| name == wanted && is_id(id))?;
                Some((wanted, line.0))
            })
            .ok_or_else(missing)?;
        let commit = id.parse().map_err(|_| GitError::Malformed {
            command: COMMAND.to_owned(),
            what: id.to_owned(),
        })?;
        let branch = lines
            .iter()
            .find_map(|(target, name)| (*name == "HEAD").then(|| target.strip_prefix("ref: "))?);
        let name = match branch {
            Some(branch) => branch.to_owned(),
            None => found.trim_end_matches("^{}").to_owned(),
        };
        Ok(RemoteHead { name, commit })
    }

    /// Whether a commit is here.
    pub fn has_commit(&self, commit: &ObjectId) -> bool {
        self.root(commit).is_ok()
    }
}
