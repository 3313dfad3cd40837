//! The registry over real sockets: our client, skopeo, and bad clients.

#![expect(
    clippy::unwrap_used,
    reason = "a fixture that cannot be set up fails the test"
)]

mod access;
mod debian;
mod fixture;
mod full;
mod images;
mod protocol;
mod restart;
mod skopeo;
mod witness;
