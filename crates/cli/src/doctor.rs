//! What `foreshore doctor` looks at, and how it judges what it finds.
//!
//! Each check gathers facts at its edge and judges them in a pure function, so
//! that every judgement has a test without a broken machine.

mod bundle;
mod cluster;
mod disk;
mod machine;
mod platform;
mod server;
mod tools;

use std::path::PathBuf;

use serde::Serialize;

pub(crate) use bundle::{BundleError, write as write_bundle};
pub(crate) use disk::too_little_room;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum State {
    Fine,
    /// Works, but not everything does.
    Notice,
    /// `up` or another command fails until it is mended.
    Broken,
}

impl State {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Fine => "ok",
            Self::Notice => "notice",
            Self::Broken => "BROKEN",
        }
    }
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    pub(crate) check: String,
    pub(crate) state: State,
    pub(crate) found: String,
    /// What to type, or to do, to mend it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) mend: Option<String>,
}

impl Finding {
    fn fine(check: &str, found: impl Into<String>) -> Self {
        Self {
            check: check.to_owned(),
            state: State::Fine,
            found: found.into(),
            mend: None,
        }
    }

    fn notice(check: &str, found: impl Into<String>, mend: impl Into<String>) -> Self {
        Self {
            state: State::Notice,
            mend: Some(mend.into()),
            ..Self::fine(check, found)
        }
    }

    fn broken(check: &str, found: impl Into<String>, mend: impl Into<String>) -> Self {
        Self {
            state: State::Broken,
            ..Self::notice(check, found, mend)
        }
    }
}

/// Where to look.
#[derive(Debug)]
pub(crate) struct Patient {
    pub(crate) data: PathBuf,
    /// The server a command would speak to, if there is a credential for one.
    pub(crate) server: Option<foreshore_server::credentials::Credential>,
}

/// Looks at everything; takes a few seconds at most when something does not answer.
pub(crate) async fn examine(patient: &Patient) -> Vec<Finding> {
    let mut findings = machine::examine(&patient.data);
    findings.push(disk::examine(&patient.data));
    findings.extend(platform::examine(&patient.data));
    let (tools, cluster, server) = tokio::join!(
        tools::examine(),
        cluster::examine(),
        server::examine(patient.server.as_ref()),
    );
    findings.extend(tools);
    findings.push(cluster);
    findings.extend(server);
    findings
}
