//! Plan and variables in, manifests out: a pure function of its inputs.
//!
//! Templates are written for minijinja with strict undefined values. What a
//! template produces is parsed, checked against the tables of Kubernetes and
//! written anew, so that the released bytes are sorted and quoted one way only.

mod arguments;
mod command;
mod error;
mod graph;
mod manifests;
mod resources;
mod secrets;
mod template;
mod validate;
mod variables;

pub use arguments::{ArgumentError, arguments, duration, parse_words};
pub use command::{Command, Host, command};
pub use error::RenderError;
pub use graph::{GraphError, order};
pub use manifests::{Input, environments, manifests};
pub use resources::{CPU_DEFAULT, Choice, MEMORY_DEFAULT, resources};
pub use secrets::{looks_secret, secret_object};
pub use validate::validate;
pub use variables::{deprecated, variables};
