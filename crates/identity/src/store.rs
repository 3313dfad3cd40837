//! Principals and token hashes in `server.db`.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use foreshore_model::{Actor, Digest};
use jiff::Timestamp;
use ring::rand::SystemRandom;
use rusqlite::{Connection, OptionalExtension as _, params};

use crate::right::{Principal, Right};
use crate::token::Token;

/// Why identities could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    #[error("cannot open the identity database `{path}`")]
    Open {
        path: PathBuf,
        #[source]
        cause: rusqlite::Error,
    },
    #[error("cannot read identities")]
    Read(#[source] rusqlite::Error),
    #[error("cannot write identities")]
    Write(#[source] rusqlite::Error),
    #[error(
        "identity database holds the right `{right}` of `{name}`, which this version does not know"
    )]
    Right { name: String, right: String },
    #[error("this machine's source of randomness failed")]
    Random,
}

/// The identities of one installation.
#[derive(Debug)]
pub struct Store {
    connection: Mutex<Connection>,
}

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS principal (
        name TEXT PRIMARY KEY,
        email TEXT NOT NULL,
        rights TEXT NOT NULL
    ) STRICT;
    CREATE TABLE IF NOT EXISTS token (
        hash TEXT PRIMARY KEY,
        principal TEXT NOT NULL REFERENCES principal(name) ON DELETE CASCADE,
        created_at TEXT NOT NULL
    ) STRICT;
";

impl Store {
    /// Opens the database, creating it if it is not there.
    pub fn open(path: &Path) -> Result<Self, IdentityError> {
        let open = || {
            let connection = Connection::open(path)?;
            connection.busy_timeout(Duration::from_secs(5))?;
            connection.pragma_update(None, "journal_mode", "WAL")?;
            connection.pragma_update(None, "synchronous", "FULL")?;
            connection.pragma_update(None, "foreign_keys", "ON")?;
            connection.execute_batch(SCHEMA)?;
            Ok(connection)
        };
        let connection = open().map_err(|cause| IdentityError::Open {
            path: path.to_owned(),
            cause,
        })?;
        Ok(Self {
            connection: Mutex::new(connection),
        })
    }

    fn connection(&self) -> std::sync::MutexGuard<'_, Connection> {
        // A panic elsewhere cannot leave a half-made statement behind: SQLite rolls it back.
        self.connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes or replaces a principal.
    pub fn put(&self, principal: &Principal) -> Result<(), IdentityError> {
        let rights: Vec<String> = principal.rights.iter().map(Right::to_string).collect();
        self.connection()
            .execute(
                "INSERT INTO principal (name, email, rights) VALUES (?1, ?2, ?3)
                 ON CONFLICT (name) DO UPDATE SET email = excluded.email, rights = excluded.rights",
                params![
                    principal.actor.name,
                    principal.actor.email,
                    rights.join(" ")
                ],
            )
            .map(|_| ())
            .map_err(IdentityError::Write)
    }

    /// Issues a token to a principal; the only moment at which the secret is known.
    pub fn issue(&self, name: &str, now: Timestamp) -> Result<Token, IdentityError> {
        let token = Token::draw(&SystemRandom::new()).ok_or(IdentityError::Random)?;
        self.connection()
            .execute(
                "INSERT INTO token (hash, principal, created_at) VALUES (?1, ?2, ?3)",
                params![token.hash().as_str(), name, now.to_string()],
            )
            .map_err(IdentityError::Write)?;
        Ok(token)
    }

    /// Takes every token of a principal back.
    pub fn revoke(&self, name: &str) -> Result<usize, IdentityError> {
        self.connection()
            .execute("DELETE FROM token WHERE principal = ?1", params![name])
            .map_err(IdentityError::Write)
    }

    /// Returns whose token this is, or nothing if it is nobody's.
    pub fn authenticate(&self, token: &Token) -> Result<Option<Principal>, IdentityError> {
        let hash: Digest = token.hash();
        let row = self
            .connection()
            .query_row(
                "SELECT name, email, rights FROM token JOIN principal ON principal = name WHERE hash = ?1",
                params![hash.as_str()],
                |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get::<_, String>(2)?)),
            )
            .optional()
            .map_err(IdentityError::Read)?;
        let Some((name, email, rights)) = row else {
            return Ok(None);
        };
        let rights = rights
            .split_whitespace()
            .map(|right| {
                right.parse().map_err(|_| IdentityError::Right {
                    name: name.clone(),
                    right: right.to_owned(),
                })
            })
            .collect::<Result<_, _>>()?;
        Ok(Some(Principal {
            actor: Actor::new(name, email),
            rights,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> (tempfile::TempDir, Store) {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&directory.path().join("server.db")).unwrap();
        (directory, store)
    }

    fn ada() -> Principal {
        Principal {
            actor: Actor::new("ada", "ada@example.org"),
            rights: vec![Right::Read, Right::Push("web".parse().unwrap())],
        }
    }

    #[test]
    fn a_token_names_its_holder_until_it_is_revoked() {
        let (directory, store) = store();
        store.put(&ada()).unwrap();
        let token = store.issue("ada", Timestamp::UNIX_EPOCH).unwrap();
        let presented = Token::presented(token.reveal());
        assert_eq!(store.authenticate(&presented).unwrap(), Some(ada()));

        let again = Store::open(&directory.path().join("server.db")).unwrap();
        assert_eq!(again.authenticate(&presented).unwrap(), Some(ada()));
        assert_eq!(again.revoke("ada").unwrap(), 1);
        assert_eq!(store.authenticate(&presented).unwrap(), None);
    }

    #[test]
    fn the_database_does_not_hold_the_secret() {
        let (directory, store) = store();
        store.put(&ada()).unwrap();
        let token = store.issue("ada", Timestamp::UNIX_EPOCH).unwrap();
        drop(store);
        for entry in std::fs::read_dir(directory.path()).unwrap() {
            let bytes = std::fs::read(entry.unwrap().path()).unwrap();
            let secret = token.reveal().as_bytes();
            assert!(!bytes.windows(secret.len()).any(|window| window == secret));
        }
        assert!(!format!("{token:?}").contains(token.reveal()));
    }

    #[test]
    fn nobody_gets_a_token_without_being_known() {
        let (_directory, store) = store();
        assert!(matches!(
            store.issue("mallory", Timestamp::UNIX_EPOCH),
            Err(IdentityError::Write(_))
        ));
        assert_eq!(
            store.authenticate(&Token::presented("fsh_guess")).unwrap(),
            None
        );
    }
}
