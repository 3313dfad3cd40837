//! JSON patch, merge patch, strategic merge patch, and server-side apply with
//! field ownership: pure functions over JSON values and the types of
//! `engine-schema`. Requests, storage, defaulting and the clock are elsewhere.
//!
//! Server-side apply works as on the real server: [`apply()`] merges a
//! configuration and remembers who wants which field, [`update()`] attributes what
//! any other write changed, and both keep that in `metadata.managedFields`.

mod apply;
mod compare;
mod field_set;
mod json_merge;
mod json_patch;
mod last_applied;
mod managed;
mod merge;
mod ownership;
mod path;
mod remove;
mod reset;
mod strategic;
mod strategic_order;
mod update;
mod validate;
mod view;

pub use apply::{ApplyError, ApplyRequest, Conflict, Conflicts, apply};
pub use field_set::{FieldSet, FieldSetError};
pub use json_merge::merge_patch;
pub use json_patch::{JsonPatchError, json_patch};
pub use managed::{Manager, Operation, settle_timestamps};
pub use path::{Atom, Path, PathElement};
pub use reset::reset_fields;
pub use strategic::{StrategicError, strategic_merge};
pub use update::{UpdateRequest, update};
pub use validate::Undeclared;
