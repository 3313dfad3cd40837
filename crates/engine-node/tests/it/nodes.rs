//! Several nodes on one machine: zones, shares of capacity, drain, loss.

use std::collections::BTreeSet;
use std::time::Duration;

use foreshore_engine_node::{Capacity, Node, Options, RuntimeKind};
use foreshore_testkit::cluster::Kind;
use foreshore_testkit::wait;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::ListParams;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::fixture::{Fixture, LIMIT, condition};
use crate::objects::make;
use crate::roll::until_rolled_out;

/// Longer than the silence after which a node counts as lost.
const LOSS_LIMIT: Duration = Duration::from_mins(3);
const ZONE: &str = "topology.kubernetes.io/zone";

/// A node beside the fixture's own.
struct Further {
    options: Options,
    shutdown: CancellationToken,
    task: JoinHandle<()>,
}

/// A fixture whose node is in zone `a`, and nodes in zones `b` and `c`; each
/// has a part of the machine.
async fn three_zones(ground: Kind) -> (Fixture, Vec<Further>) {
    let place = |options: &mut Options, zone: &str, group: &str| {
        let label = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        options.labels = [label(ZONE, zone), label("group", group)].into();
        options.capacity = Capacity::parse("cpu=500m,memory=256Mi,pods=4").unwrap();
    };
    let mut group = String::new();
    let fixture = Fixture::with(ground, RuntimeKind::Sandbox, |options| {
        group.clone_from(&options.node_name);
        place(options, "a", &group);
    })
    .await;
    let mut further = Vec::new();
    for zone in ["b", "c"] {
        let mut options = fixture.further_node(zone);
        place(&mut options, zone, &group);
        let shutdown = CancellationToken::new();
        let node = Node::new(options.clone()).unwrap();
        let task = tokio::spawn(node.run(shutdown.clone()));
        further.push(Further {
            options,
            shutdown,
            task,
        });
    }
    let nodes: Api<k8s_openapi::api::core::v1::Node> = Api::all(fixture.client.clone());
    let ours = ListParams::default().labels(&format!("group={group}"));
    wait::until("three nodes", LIMIT, || async {
        nodes.list(&ours).await.unwrap().items.len() == 3
    })
    .await
    .unwrap();
    (fixture, further)
}

async fn finish(fixture: Fixture, further: Vec<Further>) {
    for one in further {
        one.shutdown.cancel();
        one.task.await.ok();
        foreshore_engine_node::remove_everything(&one.options.root)
            .await
            .unwrap();
    }
    fixture.finish().await;
}

fn spread(fixture: &Fixture, replicas: u32) -> Value {
    let labels = json!({ "matchLabels": { "app": "shop" } });
    json!({
        "metadata": { "name": "shop" },
        "spec": {
            "replicas": replicas,
            "selector": labels,
            "template": {
                "metadata": { "labels": { "app": "shop" } },
                "spec": {
                    "nodeSelector": { "group": fixture.name },
                    "terminationGracePeriodSeconds": 0,
                    "tolerations": [{ "key": "node.kubernetes.io/unreachable", "operator": "Exists",
                        "effect": "NoExecute", "tolerationSeconds": 0 }],
                    "affinity": { "podAntiAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": [
                        { "labelSelector": labels, "topologyKey": ZONE },
                    ] } },
                    "containers": [{ "name": "main", "image": fixture.image, "args": ["sleep"] }],
                },
            },
        },
    })
}

/// Nodes of the pods that are ready.
async fn places(fixture: &Fixture) -> BTreeSet<String> {
    let all = ListParams::default().labels("app=shop");
    let pods: Vec<Pod> = fixture.pods().list(&all).await.unwrap().items;
    pods.into_iter()
        .filter(|pod| condition(pod, "Ready") == Some("True"))
        .filter(|pod| pod.metadata.deletion_timestamp.is_none())
        .filter_map(|pod| pod.spec.unwrap().node_name)
        .collect()
}

async fn until_places(fixture: &Fixture, what: &str, wish: impl Fn(&BTreeSet<String>) -> bool) {
    let held = wait::until(what, LOSS_LIMIT, || async { wish(&places(fixture).await) }).await;
    assert!(held.is_ok(), "{what}: {:?}", places(fixture).await);
}

pub(crate) async fn replicas_keep_to_their_zones_and_leave_a_node_that_is_drained(ground: Kind) {
    let (fixture, further) = three_zones(ground).await;
    make::<Deployment>(&fixture, spread(&fixture, 2)).await;
    until_rolled_out(&fixture, "shop").await;
    until_places(&fixture, "two places", |nodes| nodes.len() == 2).await;
    let nodes: Api<k8s_openapi::api::core::v1::Node> = Api::all(fixture.client.clone());
    let node = nodes.get(&fixture.name).await.unwrap().status.unwrap();
    let allocatable = node.allocatable.unwrap();
    assert_eq!(allocatable["pods"].0, "4");

    let drained = places(&fixture).await.pop_first().unwrap();
    let (code, _, err) = fixture
        .kubectl(&["drain", &drained, "--force", "--timeout=60s"])
        .await;
    assert_eq!(code, Some(0), "{err}");
    until_places(&fixture, "two places elsewhere", |nodes| {
        nodes.len() == 2 && !nodes.contains(&drained)
    })
    .await;
    let (code, _, err) = fixture.kubectl(&["uncordon", &drained]).await;
    assert_eq!(code, Some(0), "{err}");
    let (code, _, err) = fixture
        .kubectl(&["scale", "deployment/shop", "--replicas=3"])
        .await;
    assert_eq!(code, Some(0), "{err}");
    until_places(&fixture, "all three places", |nodes| nodes.len() == 3).await;
    finish(fixture, further).await;
}

/// Six replicas of which no zone may have two more than another.
pub(crate) async fn topology_spread_constraints_hold_over_zones_and_nodes(ground: Kind) {
    let (fixture, further) = three_zones(ground).await;
    let mut object = spread(&fixture, 6);
    let pod = &mut object["spec"]["template"]["spec"];
    pod.as_object_mut().unwrap().remove("affinity");
    let constraint = |key: &str| {
        json!({
            "maxSkew": 1,
            "topologyKey": key,
            "whenUnsatisfiable": "DoNotSchedule",
            "labelSelector": { "matchLabels": { "app": "shop" } },
        })
    };
    pod["topologySpreadConstraints"] =
        json!([constraint(ZONE), constraint("kubernetes.io/hostname")]);
    make::<Deployment>(&fixture, object).await;
    until_rolled_out(&fixture, "shop").await;
    let all = ListParams::default().labels("app=shop");
    let mut counts = std::collections::BTreeMap::new();
    for pod in fixture.pods().list(&all).await.unwrap() {
        *counts.entry(pod.spec.unwrap().node_name).or_insert(0) += 1;
    }
    assert_eq!(
        counts.values().copied().collect::<Vec<i32>>(),
        [2, 2, 2],
        "{counts:?}"
    );
    finish(fixture, further).await;
}

/// Takes the 50 seconds of silence after which a node counts as lost, so it is
/// run on the engine alone.
pub(crate) async fn replicas_of_a_lost_node_come_back_elsewhere(ground: Kind) {
    let (fixture, mut further) = three_zones(ground).await;
    make::<Deployment>(&fixture, spread(&fixture, 2)).await;
    until_rolled_out(&fixture, "shop").await;
    let own = fixture.options.node_name.clone();
    let lost = places(&fixture).await.into_iter().find(|name| *name != own);
    let lost = lost.expect("two replicas are in two places");
    let one = further
        .iter_mut()
        .find(|one| one.options.node_name == lost)
        .unwrap();
    one.task.abort();
    until_places(&fixture, "two places without the lost node", |nodes| {
        nodes.len() == 2 && !nodes.contains(&lost)
    })
    .await;
    finish(fixture, further).await;
}
