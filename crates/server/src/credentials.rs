//! The platform's own people and machines, and the files that hold their tokens.

use std::fs;
use std::path::{Path, PathBuf};

use foreshore_identity::{IdentityError, Principal, Right, Store, Token};
use foreshore_model::{Actor, clock};
use serde::{Deserialize, Serialize};

use crate::platform::{RecordError, write_private};

/// Who reads and reports for a cluster.
pub const AGENT: &str = "agent";
/// The person who started the platform.
pub const OWNER: &str = "owner";
/// A second person, so that approvals can be rehearsed on one machine.
pub const REVIEWER: &str = "reviewer";
/// The server itself, towards its own registry.
pub(crate) const SERVER: &str = "foreshore";

/// A server and a token for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Credential {
    pub server: String,
    pub token: String,
}

/// Why credentials could not be made ready.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    #[error(transparent)]
    Identity(#[from] IdentityError),
    #[error(transparent)]
    File(#[from] RecordError),
}

/// The key of the agent that works from this directory, made if it is not there yet.
pub fn agent_key(data: &Path) -> Result<foreshore_secret::Key, foreshore_secret::KeyError> {
    foreshore_secret::Key::load_or_make(&directory(data).join(format!("{AGENT}.agekey")))
}

/// Where the files are, one for each name.
pub fn directory(data: &Path) -> PathBuf {
    data.join("credentials")
}

fn principals() -> [Principal; 4] {
    let principal = |name: &str, rights: &[Right]| Principal {
        actor: Actor::new(name, format!("{name}@foreshore.local")),
        rights: rights.to_vec(),
    };
    [
        principal(
            OWNER,
            &[
                Right::Read,
                Right::Release,
                Right::Approve,
                Right::PushAny,
                Right::Administer,
            ],
        ),
        principal(REVIEWER, &[Right::Read, Right::Release, Right::Approve]),
        principal(AGENT, &[Right::Read, Right::Report]),
        principal(SERVER, &[Right::Read]),
    ]
}

/// Makes sure that everybody is known and holds a token that works at this address.
///
/// A token that works is kept, so that a second start locks nobody out.
pub(crate) fn ensure(identities: &Store, data: &Path, server: &str) -> Result<(), CredentialError> {
    for principal in principals() {
        identities.put(&principal)?;
        let path = directory(data).join(format!("{}.json", principal.actor.name));
        let kept = fs::read(&path)
            .ok()
            .and_then(|bytes| serde_json::from_slice::<Credential>(&bytes).ok());
        let token = match kept {
            Some(kept)
                if identities
                    .authenticate(&Token::presented(&kept.token))?
                    .is_some() =>
            {
                if kept.server == server {
                    continue;
                }
                kept.token
            }
            _ => {
                identities.revoke(&principal.actor.name)?;
                identities
                    .issue(&principal.actor.name, clock::now())?
                    .reveal()
                    .to_owned()
            }
        };
        let credential = Credential {
            server: server.to_owned(),
            token,
        };
        write_private(
            &path,
            &serde_json::to_vec_pretty(&credential).expect("two strings are JSON"),
        )?;
    }
    Ok(())
}

/// Reads the credential of `name`; nothing if the server has not made it yet.
pub fn read(data: &Path, name: &str) -> Option<Credential> {
    let bytes = fs::read(directory(data).join(format!("{name}.json"))).ok()?;
    serde_json::from_slice(&bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_start_keeps_tokens_and_moves_addresses() {
        let data = tempfile::tempdir().unwrap();
        let identities = Store::open(&data.path().join("server.db")).unwrap();
        ensure(&identities, data.path(), "http://127.0.0.1:1").unwrap();
        let first = read(data.path(), OWNER).unwrap();
        ensure(&identities, data.path(), "http://127.0.0.1:2").unwrap();
        let second = read(data.path(), OWNER).unwrap();
        assert_eq!(
            second,
            Credential {
                server: "http://127.0.0.1:2".into(),
                ..first
            }
        );
    }

    #[test]
    fn a_damaged_file_is_replaced_and_the_old_token_dies() {
        let data = tempfile::tempdir().unwrap();
        let identities = Store::open(&data.path().join("server.db")).unwrap();
        ensure(&identities, data.path(), "http://127.0.0.1:1").unwrap();
        let first = read(data.path(), AGENT).unwrap();
        fs::write(directory(data.path()).join("agent.json"), "{").unwrap();
        ensure(&identities, data.path(), "http://127.0.0.1:1").unwrap();
        let second = read(data.path(), AGENT).unwrap();
        assert_ne!(first.token, second.token);
        assert!(
            identities
                .authenticate(&Token::presented(&first.token))
                .unwrap()
                .is_none()
        );
        let agent = identities
            .authenticate(&Token::presented(&second.token))
            .unwrap()
            .unwrap();
        assert!(
            agent.may(&Right::Report) && !agent.may(&Right::Release) && !agent.may(&Right::Approve)
        );
    }
}
