//! The Kubernetes API over the store: one `tower` service, handed to clients in this
//! process and served over TLS to all others. A generic registry over the schema's
//! tables; what is special about single kinds stands in `strategy`.
//!
//! Whatever is not served is refused with a Kubernetes-shaped `Status` that names it.

mod access;
mod authn;
mod body;
mod bootstrap;
mod call;
mod catalog;
mod core;
mod definition;
mod discovery;
mod go;
mod handler;
mod kubeconfig;
mod list;
mod metrics;
mod names;
mod negotiate;
mod node;
mod object;
mod options;
mod paging;
mod pki;
mod private_file;
mod public;
mod rbac;
mod reply;
mod request;
mod selection;
mod selector;
mod serve;
mod server;
mod status;
mod strategy;
mod subresource;
mod support;
mod table;
mod token;
mod usage;
mod user;
mod watch;
mod write;

pub use crate::kubeconfig::{Kubeconfig, KubeconfigError};
pub use crate::options::{Clock, Dialer, Dialing, Direct, Options, ServiceNetwork};
pub use crate::pki::{Credential, Pki, PkiError};
pub use crate::reply::ResponseBody;
pub use crate::serve::ServeError;
pub use crate::server::{ApiServer, ApiService, StartError};
pub use crate::status::{Cause, Details, Failure};
pub use crate::support::{Level, RefusedFeature, SupportMatrix, SupportedResource, support};
pub use crate::user::UserInfo;
