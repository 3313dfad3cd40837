//! From a service's source to an artifact in the registry.
//!
//! The steps, in order: read the service file, find its plan, run the plan's
//! build action, pack the program into an image, render the manifests of
//! every environment, push image and artifact by digest, and tell the server.

pub(crate) mod changes;
mod perform;
mod pipeline;
mod sources;

pub(crate) use perform::{Performed, perform};
pub(crate) use pipeline::{Built, action_failure, build, pack_and_push, seconds};
pub(crate) use sources::{Sources, cache, lock_failure, resolve_failure, resolver};
