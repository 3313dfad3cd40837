//! The contracts, by subject.

pub(crate) mod apply;
pub(crate) mod cluster;
pub(crate) mod immutable;
pub(crate) mod lists;
pub(crate) mod objects;
pub(crate) mod patches;
mod samples;
pub(crate) mod status;
pub(crate) mod watches;
pub(crate) mod workloads;
