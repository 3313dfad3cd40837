//! From a service's source to an artifact in the registry.
//!
//! The steps, in order: read the service file, find its plan, run the plan's
//! build action, pack the program into an image, render the manifests of
//! every environment, push image and artifact by digest, and tell the server.

mod annotations;
pub(crate) mod changes;
mod checks;
mod evidence;
mod image;
mod perform;
mod pipeline;
mod sources;

pub(crate) use evidence::{Evidence, ci_link};
pub(crate) use image::{Made, own_program};
pub(crate) use perform::{Jailed, Surroundings, perform};
pub(crate) use pipeline::{
    Built, Prepared, Target, action_failure, build, built_before, client_failure, fetch_failure,
    prepare, push, registry_client, seconds,
};
pub(crate) use sources::{Sources, cache, lock_failure, plan_failure, resolve_failure, resolver};
