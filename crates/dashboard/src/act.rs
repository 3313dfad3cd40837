//! What people can do from a page: preview with its consequence, confirm once, follow the result.

pub(crate) mod cluster;
pub(crate) mod deed;
pub(crate) mod diff;
pub(crate) mod drain;
pub(crate) mod follow;
pub(crate) mod jobs;
pub(crate) mod offers;
pub(crate) mod perform;
pub(crate) mod preview;

pub(crate) use deed::Deed;
pub(crate) use jobs::{Jobs, Line};
pub(crate) use offers::{Offer, Offers};
