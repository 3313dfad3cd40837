//! Ordinary Go programs as clients, on a network that fails them.

use std::{net::SocketAddr, path::Path, time::Duration};

use foreshore_testkit::{Cluster, TempDir, cluster::Kind, environment::oracle, proxy::Proxy};
use kube::config::Kubeconfig;
use tokio::process::Command;

/// How long connections live. Longer than one request, shorter than a check.
const CUT_EVERY: Duration = Duration::from_millis(400);

/// A copy of the kubeconfig that leads through a proxy in front of its server.
async fn behind_proxy(kubeconfig: &Path, copy: &Path) -> Proxy {
    let mut config = Kubeconfig::read_from(kubeconfig).unwrap();
    let cluster = config.clusters[0].cluster.as_mut().unwrap();
    let server: http::Uri = cluster.server.as_deref().unwrap().parse().unwrap();
    let target: SocketAddr = server.authority().unwrap().as_str().parse().unwrap();
    let proxy = Proxy::start(target).await.unwrap();
    cluster.server = Some(format!("https://{}", proxy.address()));
    std::fs::write(copy, serde_json::to_vec(&config).unwrap()).unwrap();
    proxy
}

/// client-go's informers, dynamic client and leader election, while every
/// connection is cut again and again.
pub(crate) async fn client_go_survives_cut_connections(kind: Kind) {
    let cluster = Cluster::shared(kind).await.unwrap();
    let folder = TempDir::new("clients").unwrap();
    let kubeconfig = folder.join("kubeconfig");
    let proxy = behind_proxy(cluster.kubeconfig(), &kubeconfig).await;
    let check = Command::new(oracle("client-check").unwrap())
        .arg("--kubeconfig")
        .arg(&kubeconfig)
        .kill_on_drop(true)
        .output();
    let cutting = async {
        loop {
            tokio::time::sleep(CUT_EVERY).await;
            proxy.cut();
        }
    };
    let output = tokio::select! {
        output = check => output.unwrap(),
        () = cutting => unreachable!("it cuts for ever"),
    };
    let said = String::from_utf8_lossy(&output.stdout);
    let why = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}{why}");
    assert_eq!(said.lines().count(), 4, "{said}");
}
