//! A decision as data: files, message, and what it leads to.

use foreshore_model::config::{Hold, Request};
use foreshore_model::{Actor, EnvironmentName, ReleaseFile, ServiceName};

/// The trailer that makes a repeated request recognisable.
pub const TRAILER_KEY: &str = "Idempotency-Key";

/// What is to be done about a wish that was not refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// One commit on the main branch.
    Commit(Box<Commit>),
    /// A request that waits for approval: one commit on its own branch.
    Propose(Box<Proposal>),
    /// The environment is as wished already.
    Unchanged(Box<ReleaseFile>),
    /// There is nothing to lift, or to change.
    NotHeld,
}

/// One commit on the main branch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    pub steps: Vec<Step>,
    pub actor: Actor,
    pub subject: String,
    pub trailers: Vec<(&'static str, String)>,
    /// The release it makes, if it makes one.
    pub release: Option<ReleaseFile>,
    /// The hold it sets or lifts, if it does.
    pub hold: Option<Hold>,
    /// Requests that it answers; their branches go.
    pub closes: Vec<String>,
}

/// A request as it is to be written on its branch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    pub request: Request,
    /// What its release would change: the branch shows it to people.
    pub steps: Vec<Step>,
    /// Approvals that are still missing.
    pub needed: u32,
    /// The request stands as it is already.
    pub unchanged: bool,
    pub actor: Actor,
    pub subject: String,
    pub trailers: Vec<(&'static str, String)>,
}

/// One change of the config repository's tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    Write {
        path: String,
        text: String,
    },
    Remove {
        path: String,
    },
    /// Removes a directory with everything in it; it need not be there.
    RemoveTree {
        path: String,
    },
}

impl Step {
    /// Says the step in words.
    pub fn words(&self) -> String {
        match self {
            Self::Write { path, text } => format!("write {path} ({} bytes)", text.len()),
            Self::Remove { path } => format!("remove {path}"),
            Self::RemoveTree { path } => format!("remove {path} and everything in it"),
        }
    }
}

impl Commit {
    /// A change that is no release.
    pub(crate) fn plain(
        subject: String,
        steps: Vec<Step>,
        actor: &Actor,
        reason: &str,
        key: &str,
    ) -> Self {
        Self {
            steps,
            actor: actor.clone(),
            subject,
            trailers: vec![
                ("Actor", actor.to_string()),
                ("Reason", reason.to_owned()),
                (TRAILER_KEY, key.to_owned()),
            ],
            release: None,
            hold: None,
            closes: Vec::new(),
        }
    }

    /// Returns the whole message: subject and trailers.
    pub fn message(&self) -> String {
        message(&self.subject, &self.trailers)
    }

    /// Says the steps in words, the commit last.
    pub fn words(&self) -> Vec<String> {
        let mut words: Vec<String> = self.steps.iter().map(Step::words).collect();
        words.extend(self.closes.iter().map(|id| format!("close request {id}")));
        words.push(format!("commit: {}", self.subject));
        words
    }
}

impl From<Commit> for Decision {
    fn from(commit: Commit) -> Self {
        Self::Commit(Box::new(commit))
    }
}

impl Proposal {
    /// Returns the whole message: subject and trailers.
    pub fn message(&self) -> String {
        message(&self.subject, &self.trailers)
    }
}

fn message(subject: &str, trailers: &[(&'static str, String)]) -> String {
    let mut text = format!("{}\n\n", one_line(subject));
    for (name, value) in trailers {
        text.push_str(name);
        text.push_str(": ");
        text.push_str(&one_line(value));
        text.push('\n');
    }
    text
}

/// A line break in a value could pose as a trailer of its own.
fn one_line(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect::<String>()
        .trim()
        .to_owned()
}

/// Where a service's released files are.
pub fn service_directory(environment: &EnvironmentName, service: &ServiceName) -> String {
    format!("environments/{environment}/{service}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_cannot_pose_as_a_trailer() {
        let text = message("s", &[("Reason", "x\nActor: root\u{1b}[31m".to_owned())]);
        assert_eq!(text, "s\n\nReason: x Actor: root [31m\n");
    }
}
