//! The adapter against a server that answers from a script.
#![expect(
    clippy::unwrap_used,
    reason = "a helper that cannot go on fails its test"
)]

mod calls;
mod server;
