//! Pulling from registries that lie, stall, are busy or want a login.

#![expect(
    clippy::unwrap_used,
    reason = "a fixture that cannot be set up fails the test"
)]

mod fixture;
mod login;
mod misbehaving;
