//! Bearer tokens: random, shown once, stored as a hash.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use foreshore_model::Digest;
use ring::rand::SecureRandom;
use secrecy::{ExposeSecret, SecretString};

/// Marks our tokens, so that scanners for leaked secrets can find them.
const PREFIX: &str = "fsh_";
/// 192 bits cannot be guessed.
const RANDOM_BYTES: usize = 24;

/// A secret that names its holder.
#[derive(Debug, Clone)]
pub struct Token(SecretString);

impl Token {
    /// Draws a new token.
    ///
    /// Returns nothing if the source of randomness fails.
    pub fn draw(random: &dyn SecureRandom) -> Option<Self> {
        let mut bytes = [0_u8; RANDOM_BYTES];
        random.fill(&mut bytes).ok()?;
        Some(Self(
            format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes)).into(),
        ))
    }

    /// Takes what a caller presented.
    pub fn presented(text: &str) -> Self {
        Self(text.to_owned().into())
    }

    /// Returns the secret itself, to be written where its holder finds it.
    pub fn reveal(&self) -> &str {
        self.0.expose_secret()
    }

    /// What the store keeps. A plain hash is enough: the token is random, not a password.
    pub(crate) fn hash(&self) -> Digest {
        Digest::of(self.reveal().as_bytes())
    }
}
