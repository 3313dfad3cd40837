//! The key of an agent, and its public half.

use std::fmt;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use age::x25519;
use secrecy::ExposeSecret as _;

/// What opens the secrets of a cluster; never printed.
#[derive(Clone)]
pub struct Key(pub(crate) x25519::Identity);

/// Whom a value is sealed for, `age1…`; everybody may know it.
#[derive(Clone, PartialEq, Eq)]
pub struct Recipient(pub(crate) x25519::Recipient);

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error("cannot {action} the key `{path}`")]
    Disk {
        action: &'static str,
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    #[error("`{path}` holds no age key (`AGE-SECRET-KEY-1…`)")]
    Damaged { path: PathBuf },
}

/// Why a text names no recipient.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no public age key (`age1…`)")]
pub struct RecipientError {
    text: String,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.recipient())
    }
}

impl fmt::Debug for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0.to_string())
    }
}

impl FromStr for Recipient {
    type Err = RecipientError;

    fn from_str(text: &str) -> Result<Self, RecipientError> {
        let read = text.trim().parse().map(Self);
        read.map_err(|_| RecipientError {
            // Whoever mixes up the two halves must not find the wrong one in a log.
            text: text.trim().chars().take(12).collect(),
        })
    }
}

impl Key {
    /// Draws a new key.
    pub fn draw() -> Self {
        Self(x25519::Identity::generate())
    }

    /// Reads the key in a file, or makes one there that only its owner can read.
    ///
    /// Several processes may do so at once; all end with the same key.
    pub fn load_or_make(path: &Path) -> Result<Self, KeyError> {
        let failed = |action| {
            move |cause| KeyError::Disk {
                action,
                path: path.to_owned(),
                cause,
            }
        };
        match Self::load(path) {
            Err(KeyError::Disk { cause, .. }) if cause.kind() == io::ErrorKind::NotFound => {}
            loaded => return loaded,
        }
        let folder = path.parent().unwrap_or_else(|| Path::new("."));
        fs::create_dir_all(folder).map_err(failed("make the folder of"))?;
        // Temporary files are made for their owner alone.
        let mut file = tempfile::NamedTempFile::new_in(folder).map_err(failed("make"))?;
        let key = Self::draw();
        let text = format!(
            "# public key: {}\n{}\n",
            key.recipient(),
            key.0.to_string().expose_secret()
        );
        file.write_all(text.as_bytes()).map_err(failed("write"))?;
        file.as_file().sync_all().map_err(failed("write"))?;
        match file.persist_noclobber(path) {
            Ok(_) => Ok(key),
            // Somebody else was faster.
            Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Self::load(path),
            Err(error) => Err(failed("write")(error.error)),
        }
    }

    /// Reads the key in a file, as `age-keygen` writes it.
    pub fn load(path: &Path) -> Result<Self, KeyError> {
        let text = fs::read_to_string(path).map_err(|cause| KeyError::Disk {
            action: "read",
            path: path.to_owned(),
            cause,
        })?;
        let line = text
            .lines()
            .map(str::trim)
            .find(|line| !line.starts_with('#') && !line.is_empty());
        line.and_then(|line| line.parse().ok())
            .map(Self)
            .ok_or_else(|| KeyError::Damaged {
                path: path.to_owned(),
            })
    }

    /// The public half.
    pub fn recipient(&self) -> Recipient {
        Recipient(self.0.to_public())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_key_is_made_once_for_its_owner_alone_and_never_shown() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys/agent.agekey");
        let key = Key::load_or_make(&path).unwrap();
        assert_eq!(
            Key::load_or_make(&path).unwrap().recipient(),
            key.recipient()
        );
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let shown = format!("{key:?} {:?}", key.recipient());
        assert!(!shown.contains("SECRET"), "{shown}");
        let read: Recipient = key.recipient().to_string().parse().unwrap();
        assert_eq!(read, key.recipient());
    }

    #[test]
    fn many_who_start_at_once_end_with_one_key() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agent.agekey");
        let all: Vec<String> = std::thread::scope(|scope| {
            let started: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| Key::load_or_make(&path).unwrap().recipient().to_string()))
                .collect();
            started.into_iter().map(|one| one.join().unwrap()).collect()
        });
        assert!(all.windows(2).all(|pair| pair[0] == pair[1]), "{all:?}");
    }

    #[test]
    fn a_damaged_key_is_named_and_what_it_holds_is_not_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agent.agekey");
        fs::write(&path, "AGE-SECRET-KEY-1NONSENSE").unwrap();
        let error = Key::load_or_make(&path).unwrap_err();
        assert!(matches!(error, KeyError::Damaged { .. }), "{error:?}");
        assert!(!format!("{error} {error:?}").contains("NONSENSE"));
        let error = "AGE-SECRET-KEY-1QQPQQQQQQ"
            .parse::<Recipient>()
            .unwrap_err();
        assert!(!error.to_string().contains("KEY-1Q"), "{error}");
    }
}
