//! The process that is node and ingress, killed and started again.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use foreshore_engine_node::{RuntimeKind, remove_everything};
use foreshore_image::{PackOptions, Store};
use foreshore_testkit::cluster::Kind;
use foreshore_testkit::environment;
use foreshore_testkit::process::{Process, Spec};
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::networking::v1::Ingress;
use serde_json::json;

use crate::edge;
use crate::fixture::{Fixture, LIMIT, address, container, pack_program, processes_in};
use crate::objects::{ingress, make, probe, service};

/// Starts the node `edge` with an ingress; what it keeps is in `data`.
fn start(fixture: &Fixture, data: &Path, ingress: SocketAddr) -> Process {
    let index = fixture.options.node_index + 100;
    Spec::new(environment::foreshore().unwrap(), data.join("node.log"))
        .args(["node", "--runtime", "sandbox", "--name", "edge"])
        .args(["--index", &index.to_string()])
        .arg("--data")
        .arg(data)
        .arg("--kubeconfig")
        .arg(fixture.cluster.node_kubeconfig())
        .arg("--ground")
        .arg(fixture.options.ground.pin().unwrap())
        .args(["--ingress", &ingress.to_string()])
        .start()
        .unwrap()
}

/// An address of the host's loopback that nobody has, nor gets by chance while
/// it is free: below the ports that the kernel hands out.
fn free_address() -> SocketAddr {
    let first = 20_000 + u16::try_from(std::process::id() % 9_000).unwrap();
    let mut ports = first..first + 1_000;
    let is_free = |port: &u16| std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    (Ipv4Addr::LOCALHOST, ports.find(is_free).unwrap()).into()
}

pub(crate) async fn an_ingress_that_is_killed_comes_back_at_its_place_and_leaks_nothing(
    ground: Kind,
) {
    let fixture = Fixture::alone(ground, RuntimeKind::Sandbox).await;
    let data = fixture.folder.join("edge");
    std::fs::create_dir(&data).unwrap();
    let images = Store::open(&data.join("images")).unwrap();
    let image = pack_program(&images, PackOptions::default());
    let place = free_address();
    let mut edge = start(&fixture, &data, place);
    fixture
        .pod("shop", &["web", "8080", "shop"], |pod| {
            pod["metadata"]["labels"] = json!({ "app": "shop" });
            pod["spec"]["nodeName"] = json!("edge");
            let main = &mut pod["spec"]["containers"][0];
            main["image"] = json!(format!("registry.invalid/program@{}", image.digest));
            main["readinessProbe"] = probe();
        })
        .await;
    make::<Service>(&fixture, service("shop", "shop")).await;
    make::<Ingress>(&fixture, ingress("shop.local", "shop")).await;
    let before = fixture.until_ready("shop").await;
    edge::until(place, "shop.local", "/", "shop /").await;
    for _ in 0..3 {
        edge.kill().unwrap();
        assert!(
            edge::get(place, "shop.local", "/").await.is_err(),
            "nobody is there"
        );
        edge = start(&fixture, &data, place);
        edge::until(place, "shop.local", "/", "shop /").await;
    }
    // The pod knows nothing of it.
    let after = fixture.until_ready("shop").await;
    assert_eq!(address(&after), address(&before));
    assert_eq!(
        container(&after).container_id,
        container(&before).container_id
    );
    assert_eq!(container(&after).restart_count, 0);
    fixture.delete("shop").await;
    fixture.until_gone("shop").await;
    let stopped = edge.stop(LIMIT).await.unwrap();
    assert!(stopped.success(), "{}", edge.tail());
    remove_everything(&data.join("node").join("edge"))
        .await
        .unwrap();
    assert_eq!(processes_in(&data), Vec::<String>::new());
    fixture.finish().await;
}
