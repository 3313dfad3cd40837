//! Renders Go templates: `text/template`, sprig's functions and shuttle's own.
//!
//! Templates that were written for shuttle render to the same bytes. The crate
//! does no IO: what a template reads goes through [`Files`], the time is given,
//! and functions that would draw a random number are refused by name. Steps
//! and output are bounded, because a template may come from a stranger.

mod error;
mod execute;
mod functions;
mod lex;
mod parse;
mod print;
mod tree;
mod value;

pub use error::TemplateError;
pub use execute::{Files, NoFiles, Options, render};
pub use functions::{REFUSED, names};
pub use value::{Table, Value};
