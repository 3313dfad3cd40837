//! The one cluster that the tests of this program share.

use std::path::PathBuf;
use std::sync::OnceLock;

use foreshore_testkit::cluster::{Cluster, Kind};

/// Returns the kubeconfig of the cluster, started at the first call.
///
/// It lives on a thread of its own that never ends: the runtimes and threads
/// of single tests come and go.
pub(crate) fn kubeconfig() -> PathBuf {
    static STARTED: OnceLock<PathBuf> = OnceLock::new();
    STARTED.get_or_init(start).clone()
}

fn start() -> PathBuf {
    let (tell, told) = std::sync::mpsc::sync_channel(1);
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let cluster = Cluster::shared(Kind::Real).await.unwrap();
            tell.send(cluster.kubeconfig().to_owned()).unwrap();
            std::future::pending::<()>().await;
        });
    });
    told.recv().unwrap()
}
