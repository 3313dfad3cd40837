//! One pod: what is known of it, what to do next, and what to tell the API.
//!
//! Everything in here is a function of values: no clock, no disk, no network.

pub(crate) mod backoff;
pub(crate) mod decide;
pub(crate) mod environment;
pub(crate) mod fields;
pub(crate) mod probe;
pub(crate) mod state;
pub(crate) mod status;
pub(crate) mod support;
pub(crate) mod volumes;
