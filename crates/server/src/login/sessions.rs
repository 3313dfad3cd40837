//! Sessions: a secret in the browser, its hash here, an end by time or by word.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use foreshore_model::Digest;
use jiff::{SignedDuration, Timestamp};
use ring::rand::{SecureRandom as _, SystemRandom};
use rusqlite::{OptionalExtension as _, params};
use secrecy::SecretString;

use super::password::PasswordError;
use super::users::{User, UserError, Users, raw, user};

/// 256 bits cannot be guessed.
const SECRET_BYTES: usize = 32;
/// Sessions of one user at once; the oldest ends.
const SESSIONS_MAX: i64 = 20;
/// How old the last sign of a person may become before it is written again.
const SEEN_EVERY: SignedDuration = SignedDuration::from_secs(30);

pub(super) const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS session (
        hash TEXT PRIMARY KEY,
        user TEXT NOT NULL REFERENCES user(name) ON DELETE CASCADE,
        created INTEGER NOT NULL,
        seen INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX IF NOT EXISTS session_of_user ON session(user);
";

/// How long sessions last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// Without a sign of a person.
    pub idle: SignedDuration,
    /// However busy.
    pub absolute: SignedDuration,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            idle: SignedDuration::from_hours(8),
            absolute: SignedDuration::from_hours(12),
        }
    }
}

/// A session that goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    pub user: User,
    /// When it ends, whatever happens.
    pub until: Timestamp,
}

fn hash(secret: &str) -> String {
    Digest::of(secret.as_bytes()).to_string()
}

impl Users {
    /// Opens a session; nothing if there is no such user.
    pub fn begin_session(
        &self,
        name: &str,
        now: Timestamp,
    ) -> Result<Option<SecretString>, UserError> {
        let mut bytes = [0_u8; SECRET_BYTES];
        SystemRandom::new()
            .fill(&mut bytes)
            .map_err(|_| PasswordError::Random)?;
        let secret = URL_SAFE_NO_PAD.encode(bytes);
        let mut connection = self.connection();
        let change = connection.transaction().map_err(UserError::Write)?;
        let moment = now.as_second();
        let made = change
            .execute(
                "INSERT INTO session (hash, user, created, seen) SELECT ?1, name, ?3, ?3 FROM user WHERE name = ?2",
                params![hash(&secret), name, moment],
            )
            .map_err(UserError::Write)?;
        let terms = self.terms();
        change
            .execute(
                "DELETE FROM session WHERE created < ?1 OR seen < ?2",
                params![
                    moment - terms.absolute.as_secs(),
                    moment - terms.idle.as_secs()
                ],
            )
            .map_err(UserError::Write)?;
        change
            .execute(
                "DELETE FROM session WHERE user = ?1 AND hash NOT IN
                 (SELECT hash FROM session WHERE user = ?1 ORDER BY created DESC, rowid DESC LIMIT ?2)",
                params![name, SESSIONS_MAX],
            )
            .map_err(UserError::Write)?;
        change.commit().map_err(UserError::Write)?;
        Ok((made > 0).then(|| secret.into()))
    }

    /// Returns a session that goes on; where a person gave a sign, it goes on from now.
    pub fn session(
        &self,
        secret: &str,
        is_person: bool,
        now: Timestamp,
    ) -> Result<Option<Session>, UserError> {
        let hash = hash(secret);
        let connection = self.connection();
        let found = connection
            .query_row(
                "SELECT name, email, role, since, created, seen FROM session JOIN user ON user = name WHERE hash = ?1",
                params![hash],
                |row| Ok((raw(row)?, row.get::<_, i64>(4)?, row.get::<_, i64>(5)?)),
            )
            .optional()
            .map_err(UserError::Read)?;
        let Some((columns, created, seen)) = found else {
            return Ok(None);
        };
        let (moment, terms) = (now.as_second(), self.terms());
        let until = created.saturating_add(terms.absolute.as_secs());
        // A clock that was set back must not lengthen a session without end.
        let from_the_future = created > moment + terms.absolute.as_secs();
        if moment >= until || moment >= seen.saturating_add(terms.idle.as_secs()) || from_the_future
        {
            connection
                .execute("DELETE FROM session WHERE hash = ?1", params![hash])
                .map_err(UserError::Write)?;
            return Ok(None);
        }
        if is_person && moment - seen >= SEEN_EVERY.as_secs().min(terms.idle.as_secs() / 4) {
            connection
                .execute(
                    "UPDATE session SET seen = ?2 WHERE hash = ?1",
                    params![hash, moment],
                )
                .map_err(UserError::Write)?;
        }
        Ok(Some(Session {
            user: user(columns)?,
            until: Timestamp::from_second(until).map_err(|_| UserError::Time(until.to_string()))?,
        }))
    }

    /// Ends a session; a secret that opens none is none of anybody's business.
    pub fn end_session(&self, secret: &str) -> Result<(), UserError> {
        self.connection()
            .execute("DELETE FROM session WHERE hash = ?1", params![hash(secret)])
            .map(|_| ())
            .map_err(UserError::Write)
    }

    /// Ends every session of a user; says how many there were.
    pub fn end_sessions(&self, name: &str) -> Result<usize, UserError> {
        self.connection()
            .execute("DELETE FROM session WHERE user = ?1", params![name])
            .map_err(UserError::Write)
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::super::password::Password;
    use super::super::users::{NewUser, Role};
    use super::*;

    const HOUR: i64 = 3_600;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_000_000 + second).unwrap()
    }

    fn users() -> (tempfile::TempDir, Users) {
        let folder = tempfile::tempdir().unwrap();
        let users = Users::open(folder.path()).unwrap();
        let ada = NewUser {
            name: "ada".to_owned(),
            email: None,
            role: Role::Viewer,
        };
        users.add(&ada, &Password::draw().unwrap(), at(0)).unwrap();
        (folder, users)
    }

    #[test]
    fn an_idle_session_ends_and_a_busy_one_goes_on_to_its_absolute_end() {
        let (_folder, users) = users();
        let idle = users.begin_session("ada", at(0)).unwrap().unwrap();
        let busy = users.begin_session("ada", at(0)).unwrap().unwrap();
        let lives = |secret: &SecretString, person, second| {
            let found = users.session(secret.expose_secret(), person, at(second));
            found.unwrap().is_some()
        };
        assert!(lives(&busy, true, 7 * HOUR));
        // A page that was left open is no sign of a person.
        assert!(lives(&idle, false, 7 * HOUR));
        assert!(!lives(&idle, true, 8 * HOUR));
        assert!(lives(&busy, true, 12 * HOUR - 1));
        assert!(!lives(&busy, true, 12 * HOUR));
        assert!(
            !lives(&busy, true, 0),
            "what is over stays over, whatever the clock does"
        );
    }

    #[test]
    fn a_session_ends_by_word_and_guesses_open_none() {
        let (folder, users) = users();
        let secret = users.begin_session("ada", at(0)).unwrap().unwrap();
        let other = users.begin_session("ada", at(0)).unwrap().unwrap();
        assert_eq!(
            URL_SAFE_NO_PAD
                .decode(secret.expose_secret())
                .unwrap()
                .len(),
            SECRET_BYTES
        );
        // Another process sees the same, at once.
        let again = Users::open(folder.path()).unwrap();
        users.end_session(secret.expose_secret()).unwrap();
        for (secret, expected) in [
            (secret.expose_secret(), false),
            (other.expose_secret(), true),
            ("", false),
            (&hash(other.expose_secret()), false),
        ] {
            let found = again.session(secret, true, at(1)).unwrap();
            assert_eq!(found.is_some(), expected, "{secret}");
        }
        assert_eq!(again.end_sessions("ada").unwrap(), 1);
        assert!(
            users
                .session(other.expose_secret(), true, at(1))
                .unwrap()
                .is_none()
        );
    }

    #[test]
    fn the_oldest_of_too_many_sessions_ends() {
        let (_folder, users) = users();
        let first = users.begin_session("ada", at(0)).unwrap().unwrap();
        for second in 1..=SESSIONS_MAX {
            users.begin_session("ada", at(second)).unwrap().unwrap();
        }
        assert!(
            users
                .session(first.expose_secret(), true, at(30))
                .unwrap()
                .is_none()
        );
        assert_eq!(
            users.end_sessions("ada").unwrap(),
            usize::try_from(SESSIONS_MAX).unwrap()
        );
    }

    #[test]
    fn a_clock_that_was_far_ahead_leaves_no_session_for_ever() {
        let (_folder, users) = users();
        let secret = users
            .begin_session("ada", at(1_000 * HOUR))
            .unwrap()
            .unwrap();
        assert!(
            users
                .session(secret.expose_secret(), true, at(0))
                .unwrap()
                .is_none()
        );
    }
}
