//! Seals values so that only the agent of a cluster can open them.
//!
//! The format is age's (age-encryption.org/v1) with X25519 keys, so that a
//! person with the `age` program and the key can always open what is sealed.
//! A sealed value is ASCII text and may stand in git.

mod key;
mod seal;

pub use key::{Key, KeyError, Recipient, RecipientError};
pub use seal::{OpenError, SealError, VALUE_BYTES_MAX, is_sealed, seal};
