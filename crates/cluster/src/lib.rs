//! Talks to any Kubernetes API: apply, inventory, watch, contexts.
//!
//! [`Cluster`] wraps a `kube::Client` and works on plain JSON objects of any
//! kind the server knows. It keeps its own pace (fewer requests at once when
//! the server says it has enough), gives every error a class that a caller can
//! act on, and never turns an error into an empty answer. It knows nothing of
//! environments or releases beyond the labels of ownership.

mod apply;
mod call;
mod connect;
mod discovery;
mod error;
mod fingerprint;
mod inventory;
mod lease;
mod pace;
mod pods;
mod reference;
mod watch;

pub use apply::{Applied, ApplyMode, Deleted};
pub use call::{Cluster, Fence, Options};
pub use connect::{ConnectError, connect, connect_in_cluster, install_tls_provider};
pub use discovery::Resource;
pub use error::{CallError, FieldProblem};
pub use fingerprint::{fingerprint, same_content};
pub use inventory::{ENTRIES_MAX, Entry, HookRun, HookState, Inventory, InventoryError};
pub use kube::Client;
pub use lease::Lease;
pub use reference::Reference;
pub use watch::Change;

/// The field manager of everything this product applies.
pub const FIELD_MANAGER: &str = "foreshore";
/// Label: the service an object belongs to.
pub const SERVICE_LABEL: &str = "foreshore.local/service";
/// Label: the environment an object belongs to.
pub const ENVIRONMENT_LABEL: &str = "foreshore.local/environment";
/// Annotation: sequence number of the release that last wrote an object.
pub const RELEASE_ANNOTATION: &str = "foreshore.local/release";
/// Annotation: digest of the artifact that last wrote an object.
pub const ARTIFACT_ANNOTATION: &str = "foreshore.local/artifact";
