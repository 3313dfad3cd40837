//! Passwords: what is accepted, and what is kept of one.

use std::sync::LazyLock;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::{SecureRandom as _, SystemRandom};
use secrecy::{ExposeSecret as _, SecretString};

/// Shorter ones are guessed.
pub const PASSWORD_LENGTH_MIN: usize = 12;
/// Longer ones are no passwords; checking one costs time by its length.
const LENGTH_MAX: usize = 256;
const SALT_BYTES: usize = 16;
/// 144 bits, as 24 letters.
const DRAWN_BYTES: usize = 18;

/// Why a text cannot be a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    #[error("a password needs at least {PASSWORD_LENGTH_MIN} characters")]
    Short,
    #[error("a password has at most {LENGTH_MAX} characters")]
    Long,
    #[error("a password cannot contain control characters")]
    Control,
    #[error("a password that contains its user's name is the first that is guessed")]
    Name,
    #[error("this machine's source of randomness failed")]
    Random,
    #[error("the password cannot be hashed: {0}")]
    Hash(String),
}

/// A password that may be used.
#[derive(Debug, Clone)]
pub struct Password(SecretString);

impl Password {
    /// Takes what somebody chose for the user `name`.
    pub fn chosen(text: &str, name: &str) -> Result<Self, PasswordError> {
        let length = text.chars().count();
        if length < PASSWORD_LENGTH_MIN {
            return Err(PasswordError::Short);
        }
        if length > LENGTH_MAX {
            return Err(PasswordError::Long);
        }
        if text.chars().any(char::is_control) {
            return Err(PasswordError::Control);
        }
        if text.to_lowercase().contains(&name.to_lowercase()) {
            return Err(PasswordError::Name);
        }
        Ok(Self(text.to_owned().into()))
    }

    /// Draws one that nobody can guess.
    pub fn draw() -> Result<Self, PasswordError> {
        Ok(Self(
            URL_SAFE_NO_PAD.encode(random::<DRAWN_BYTES>()?).into(),
        ))
    }

    /// Returns the password itself, to be shown to its user once.
    pub fn reveal(&self) -> &str {
        self.0.expose_secret()
    }

    /// What is kept: Argon2id with a salt of its own, in the usual text form.
    pub(super) fn hash(&self) -> Result<String, PasswordError> {
        let salt = random::<SALT_BYTES>()?;
        argon2()
            .hash_password_with_salt(self.reveal().as_bytes(), &salt)
            .map(|hash| hash.to_string())
            .map_err(|error| PasswordError::Hash(error.to_string()))
    }
}

fn argon2() -> Argon2<'static> {
    Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::default())
}

fn random<const BYTES: usize>() -> Result<[u8; BYTES], PasswordError> {
    let mut bytes = [0_u8; BYTES];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| PasswordError::Random)?;
    Ok(bytes)
}

/// Compared with where there is no user, so that it takes as long.
static NOBODY: LazyLock<Option<String>> =
    LazyLock::new(|| Password::draw().and_then(|drawn| drawn.hash()).ok());

/// Whether a text is the password that was kept; never for nobody's.
pub(super) fn matches(text: &str, kept: Option<&str>) -> bool {
    let text: String = text.chars().take(LENGTH_MAX + 1).collect();
    let (hash, somebody) = match kept {
        Some(kept) => (Some(kept), true),
        None => (NOBODY.as_deref(), false),
    };
    let parsed = hash.and_then(|hash| PasswordHash::new(hash).ok());
    let equal =
        parsed.is_some_and(|parsed| argon2().verify_password(text.as_bytes(), &parsed).is_ok());
    equal && somebody
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_argon2id_with_a_salt_of_its_own() {
        let password = Password::chosen("correct horse battery", "ada").unwrap();
        let (one, other) = (password.hash().unwrap(), password.hash().unwrap());
        assert!(one.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{one}");
        assert_ne!(one, other);
        assert!(matches("correct horse battery", Some(&one)));
        assert!(matches("correct horse battery", Some(&other)));
        for wrong in ["", "correct horse batter", "Correct horse battery", &one] {
            assert!(!matches(wrong, Some(&one)), "{wrong}");
        }
    }

    #[test]
    fn nobody_has_no_password_and_a_damaged_one_matches_nothing() {
        assert!(!matches("anything at all", None));
        for kept in ["", "plain", "$argon2id$v=19$m=19456,t=2,p=1$", "$1$x$y"] {
            assert!(!matches("plain", Some(kept)), "{kept}");
        }
    }

    #[test]
    fn passwords_that_are_guessed_are_refused() {
        for (text, expected) in [
            ("short", PasswordError::Short),
            ("", PasswordError::Short),
            ("with\u{7}a bell in it", PasswordError::Control),
            ("ada-lovelace-1815", PasswordError::Name),
            ("my name is ADA!", PasswordError::Name),
        ] {
            assert_eq!(
                Password::chosen(text, "ada").unwrap_err(),
                expected,
                "{text}"
            );
        }
        let long = "x".repeat(LENGTH_MAX + 1);
        assert_eq!(
            Password::chosen(&long, "ada").unwrap_err(),
            PasswordError::Long
        );
        assert!(
            !format!("{:?}", Password::draw().unwrap())
                .contains(Password::draw().unwrap().reveal())
        );
    }
}
