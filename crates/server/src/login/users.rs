//! Local users in `users.db`.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::password::{Password, PasswordError};
use super::sessions::{self, Terms};

/// What a user may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Look at everything.
    Viewer,
    /// And release, promote, roll back, scale, restart, drain.
    Operator,
    /// And approve what others asked for.
    Approver,
    /// And administer tokens and policies.
    Admin,
}

impl Role {
    pub const ALL: [Self; 4] = [Self::Viewer, Self::Operator, Self::Approver, Self::Admin];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Approver => "approver",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = UserError;

    fn from_str(text: &str) -> Result<Self, UserError> {
        Self::ALL
            .into_iter()
            .find(|role| role.as_str() == text)
            .ok_or_else(|| UserError::Role(text.to_owned()))
    }
}

/// One user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    pub name: String,
    pub email: String,
    pub role: Role,
    /// When the password was set.
    pub since: Timestamp,
}

/// A user to be made.
#[derive(Debug, Clone)]
pub struct NewUser {
    pub name: String,
    pub email: Option<String>,
    pub role: Role,
}

/// Why users could not be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum UserError {
    #[error("cannot open the users in `{path}`")]
    Open {
        path: PathBuf,
        #[source]
        cause: rusqlite::Error,
    },
    #[error("cannot read users")]
    Read(#[source] rusqlite::Error),
    #[error("cannot write users")]
    Write(#[source] rusqlite::Error),
    #[error("cannot make the directory `{path}`")]
    Directory {
        path: PathBuf,
        #[source]
        cause: std::io::Error,
    },
    #[error(
        "`{0}` cannot be a user's name: up to 63 small letters, digits, `-`, `_` and `.`, beginning with a letter or digit"
    )]
    Name(String),
    #[error("`{0}` is one of the platform's own names")]
    Reserved(String),
    #[error("`{0}` is no address that commits can carry")]
    Email(String),
    #[error("there is no role `{0}`; roles are viewer, operator, approver and admin")]
    Role(String),
    #[error("there is a user `{0}` already")]
    Taken(String),
    #[error("there is no user `{0}`")]
    Missing(String),
    #[error(transparent)]
    Password(#[from] PasswordError),
    #[error("the user database holds a moment that is none: {0}")]
    Time(String),
}

/// Names of the platform's own people and machines; a user with one would pass for them.
const RESERVED: [&str; 4] = ["owner", "reviewer", "agent", "foreshore"];

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS user (
        name TEXT PRIMARY KEY,
        email TEXT NOT NULL,
        role TEXT NOT NULL,
        password TEXT NOT NULL,
        since TEXT NOT NULL
    ) STRICT;
";

/// Where the users of a data directory are.
pub fn directory(data: &Path) -> PathBuf {
    data.join("server")
}

/// The users of one installation, with their sessions.
#[derive(Debug)]
pub struct Users {
    connection: Mutex<Connection>,
    terms: Terms,
}

impl Users {
    /// Opens the users of a data directory, making the database if there is none.
    pub fn open(data: &Path) -> Result<Self, UserError> {
        Self::with_terms(data, Terms::default())
    }

    /// The same, with sessions of another length.
    pub fn with_terms(data: &Path, terms: Terms) -> Result<Self, UserError> {
        let folder = directory(data);
        std::fs::create_dir_all(&folder).map_err(|cause| UserError::Directory {
            path: folder.clone(),
            cause,
        })?;
        let path = folder.join("users.db");
        let open = || {
            let connection = Connection::open(&path)?;
            connection.busy_timeout(Duration::from_secs(5))?;
            connection.pragma_update(None, "journal_mode", "WAL")?;
            connection.pragma_update(None, "synchronous", "FULL")?;
            connection.pragma_update(None, "foreign_keys", "ON")?;
            connection.execute_batch(SCHEMA)?;
            connection.execute_batch(sessions::SCHEMA)?;
            Ok(connection)
        };
        let connection = open().map_err(|cause| UserError::Open {
            path: path.clone(),
            cause,
        })?;
        Ok(Self {
            connection: Mutex::new(connection),
            terms,
        })
    }

    pub(super) fn connection(&self) -> MutexGuard<'_, Connection> {
        // A panic elsewhere cannot leave a half-made statement behind: SQLite rolls it back.
        self.connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub fn terms(&self) -> Terms {
        self.terms
    }

    /// Makes a user.
    pub fn add(
        &self,
        user: &NewUser,
        password: &Password,
        now: Timestamp,
    ) -> Result<User, UserError> {
        check_name(&user.name)?;
        let email = match &user.email {
            Some(email) => checked_email(email)?,
            None => format!("{}@foreshore.local", user.name),
        };
        let hash = password.hash()?;
        let made = self
            .connection()
            .execute(
                "INSERT INTO user (name, email, role, password, since) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT (name) DO NOTHING",
                params![user.name, email, user.role.as_str(), hash, now.to_string()],
            )
            .map_err(UserError::Write)?;
        if made == 0 {
            return Err(UserError::Taken(user.name.clone()));
        }
        Ok(User {
            name: user.name.clone(),
            email,
            role: user.role,
            since: now,
        })
    }

    /// Sets a new password and ends every session that the old one began.
    pub fn set_password(
        &self,
        name: &str,
        password: &Password,
        now: Timestamp,
    ) -> Result<(), UserError> {
        let hash = password.hash()?;
        self.change(
            name,
            "UPDATE user SET password = ?2, since = ?3 WHERE name = ?1",
            &[&name, &hash, &now.to_string()],
        )
    }

    /// Gives a user another role; it counts from their next login on, which it asks for.
    pub fn set_role(&self, name: &str, role: Role) -> Result<(), UserError> {
        self.change(
            name,
            "UPDATE user SET role = ?2 WHERE name = ?1",
            &[&name, &role.as_str()],
        )
    }

    /// Removes a user with all sessions.
    pub fn remove(&self, name: &str) -> Result<(), UserError> {
        self.change(name, "DELETE FROM user WHERE name = ?1", &[&name])
    }

    fn change(
        &self,
        name: &str,
        statement: &str,
        values: &[&dyn rusqlite::ToSql],
    ) -> Result<(), UserError> {
        let mut connection = self.connection();
        let change = connection.transaction().map_err(UserError::Write)?;
        let changed = change
            .execute(statement, values)
            .map_err(UserError::Write)?;
        if changed == 0 {
            return Err(UserError::Missing(name.to_owned()));
        }
        change
            .execute("DELETE FROM session WHERE user = ?1", params![name])
            .map_err(UserError::Write)?;
        change.commit().map_err(UserError::Write)
    }

    /// All users by name.
    pub fn list(&self) -> Result<Vec<User>, UserError> {
        let connection = self.connection();
        let mut statement = connection
            .prepare("SELECT name, email, role, since FROM user ORDER BY name")
            .map_err(UserError::Read)?;
        let rows = statement
            .query_map([], raw)
            .map_err(UserError::Read)?
            .collect::<Result<Vec<_>, _>>()
            .map_err(UserError::Read)?;
        rows.into_iter().map(user).collect()
    }

    /// What is kept of a user's password.
    pub(super) fn password_of(&self, name: &str) -> Result<Option<String>, UserError> {
        self.connection()
            .query_row(
                "SELECT password FROM user WHERE name = ?1",
                params![name],
                |row| row.get(0),
            )
            .optional()
            .map_err(UserError::Read)
    }
}

/// Columns of a user as they are stored.
pub(super) type Raw = (String, String, String, String);

pub(super) fn raw(row: &Row<'_>) -> rusqlite::Result<Raw> {
    Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
}

pub(super) fn user((name, email, role, since): Raw) -> Result<User, UserError> {
    Ok(User {
        name,
        email,
        role: role.parse()?,
        since: since.parse().map_err(|_| UserError::Time(since))?,
    })
}

fn check_name(name: &str) -> Result<(), UserError> {
    let letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let allowed = |c: char| letter(c) || matches!(c, '-' | '_' | '.');
    if name.len() > 63 || !name.starts_with(letter) || !name.chars().all(allowed) {
        return Err(UserError::Name(name.to_owned()));
    }
    if RESERVED.contains(&name) {
        return Err(UserError::Reserved(name.to_owned()));
    }
    Ok(())
}

fn checked_email(email: &str) -> Result<String, UserError> {
    let plain = |c: char| c.is_ascii_graphic() && !matches!(c, '<' | '>' | '"' | '\\' | ',' | ';');
    let halves = email.split_once('@');
    let good = halves
        .is_some_and(|(user, host)| !user.is_empty() && !host.is_empty() && !host.contains('@'));
    if good && email.len() <= 254 && email.chars().all(plain) {
        Ok(email.to_owned())
    } else {
        Err(UserError::Email(email.to_owned()))
    }
}

#[cfg(test)]
mod tests;
