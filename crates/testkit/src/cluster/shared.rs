//! The cluster that many tests use at the same time.

use std::sync::{Arc, Weak};

use anyhow::Result;
use tokio::sync::Mutex;

use super::{Cluster, Kind, Options};
use crate::environment;

/// Held only while somebody uses it: programs of tests end without a word, and
/// a cluster kept for ever would be left behind.
static REAL: Mutex<Weak<Cluster>> = Mutex::const_new(Weak::new());
static ENGINE: Mutex<Weak<Cluster>> = Mutex::const_new(Weak::new());

/// The named cluster of the whole run, else the one of this program.
pub(super) async fn cluster(kind: Kind) -> Result<Arc<Cluster>> {
    let (name, ours) = match kind {
        Kind::Real => ("FORESHORE_REAL_KUBECONFIG", &REAL),
        Kind::Engine => ("FORESHORE_ENGINE_KUBECONFIG", &ENGINE),
    };
    if let Some(path) = environment::value(name) {
        return Ok(Arc::new(Cluster::borrowed(kind, path.into())));
    }
    // Whoever comes while it starts waits here instead of starting another.
    let mut ours = ours.lock().await;
    if let Some(running) = ours.upgrade() {
        return Ok(running);
    }
    let fresh = Arc::new(Cluster::start(kind, Options::default()).await?);
    *ours = Arc::downgrade(&fresh);
    Ok(fresh)
}
