//! Plan and variables in, manifests out: a pure function of its inputs.
//!
//! Templates are written for minijinja with strict undefined values. What a
//! template produces is parsed and written anew, so that the released bytes are
//! sorted and quoted one way only.

mod command;
mod error;
mod manifests;
mod template;
mod variables;

pub use command::{Command, Host, command};
pub use error::RenderError;
pub use manifests::{Input, manifests};
