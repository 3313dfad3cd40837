//! Finds plans, pins them, keeps them; and proposes a service file for a repository that has none.
//!
//! A plan is one that is shipped inside the program, a directory, a folder of a
//! git repository, or an artifact in a registry. What comes from elsewhere is
//! pinned by `foreshore.lock` and kept in one cache by content; without being
//! asked to, nothing here looks for anything newer. What a plan means for a
//! service is for `render` to say.

mod cache;
mod content;
mod find;
mod git;
mod lock_file;
mod propose;
mod registry;
mod resolve;
mod shipped;
mod starter;

pub use cache::{Cache, CacheError};
pub use content::{Content, ContentError, File};
pub use find::{PlanError, apply_overrides, assemble, find};
pub use git::GitPlanError;
pub use lock_file::{LockError, read_lock, write_lock};
pub use propose::{Proposal, ProposeError, Sourced, Wishes, propose};
pub use registry::{OciPlanError, PLAN_TYPE, push};
pub use resolve::{Fetched, ResolveError, Resolver, local_directory, overloaded};
pub use shipped::names;
pub use starter::{StarterError, starter};
