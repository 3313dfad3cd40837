//! Source repositories of services: a branch or a tag that is pushed here is built here.
//!
//! `git push` to `/source/<service>.git` with the token of that service's CI
//! moves the reference, and leaves a job on the disk before it is answered. One
//! job after the other is checked out, built by this program in the jail, and
//! pushed to the registry with a token that can do nothing else. The arrival of
//! the artifact makes policies act, as with any other CI.

mod build;
mod door;
mod host;
mod queue;

pub(crate) use build::{Builder, HOLDER_PREFIX, Settings};
pub(crate) use host::Host;
pub(crate) use queue::{Builds, BuildsError};
