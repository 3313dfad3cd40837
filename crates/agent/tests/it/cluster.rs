//! The clusters that the tests of this program share, one of each kind.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use foreshore_testkit::cluster::{Cluster, Kind};

/// Returns the kubeconfig of the cluster of this kind, started at the first call.
///
/// It lives on a thread of its own that never ends: the runtimes and threads
/// of single tests come and go.
pub(crate) fn kubeconfig(kind: Kind) -> &'static Path {
    static REAL: OnceLock<PathBuf> = OnceLock::new();
    static ENGINE: OnceLock<PathBuf> = OnceLock::new();
    let started = match kind {
        Kind::Real => &REAL,
        Kind::Engine => &ENGINE,
    };
    started.get_or_init(|| start(kind))
}

fn start(kind: Kind) -> PathBuf {
    let (tell, told) = std::sync::mpsc::sync_channel(1);
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let cluster = Cluster::shared(kind).await.unwrap();
            tell.send(cluster.kubeconfig().to_owned()).unwrap();
            std::future::pending::<()>().await;
        });
    });
    told.recv().unwrap()
}
