//! Serves a directory of files over HTTP: what `static-site` runs in a pod.
//!
//! The directory is read once. What is asked for is looked up in a table, so
//! that no path from outside ever reaches the disk. Beside the files there are
//! `/health`, `/info` and `/metrics`, unless the site has files of these names.

mod serve;
mod site;

pub use serve::{Options, router, serve};
pub use site::{Page, Site, SiteError};
