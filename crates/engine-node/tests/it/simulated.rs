//! Nodes and pods that only seem to be there.

use foreshore_engine_node::RuntimeKind;
use foreshore_testkit::cluster::Kind;
use k8s_openapi::api::core::v1::Node;
use kube::Api;
use kube::api::LogParams;
use serde_json::json;

use crate::fixture::{Fixture, LIMIT, condition, container, phase, waiting};

/// Three places from here on, which the count of the other tests does not reach.
const INDEX: u8 = 240;

pub(crate) async fn one_agent_plays_many_nodes_whose_pods_do_what_their_annotations_say(
    ground: Kind,
) {
    let mut fixture = Fixture::with(ground, RuntimeKind::Simulated, |options| {
        options.simulated_nodes = 3;
        options.node_index = INDEX;
    })
    .await;
    let nodes: Api<Node> = Api::all(fixture.client.clone());
    let stem = fixture.name.clone();
    for number in 0..3 {
        foreshore_testkit::wait::until("the node", LIMIT, || async {
            nodes
                .get_opt(&format!("{stem}-{number}"))
                .await
                .unwrap()
                .is_some()
        })
        .await
        .unwrap();
    }
    fixture.options.node_name = format!("{stem}-2");
    let annotate = |name: &'static str, value: &'static str| {
        move |pod: &mut serde_json::Value| {
            pod["metadata"]["annotations"] =
                json!({ format!("foreshore.local/simulate-{name}"): value });
        }
    };
    fixture.pod("plain", &[], |_| {}).await;
    fixture.pod("slow", &[], annotate("ready-after", "1")).await;
    fixture.pod("crash", &[], annotate("crash", "0")).await;
    fixture
        .pod("no-image", &[], annotate("pull-error", "not today"))
        .await;
    fixture.until_ready("plain").await;
    let log = fixture.pods().logs("plain", &LogParams::default()).await;
    assert!(log.unwrap().starts_with("synthetic: "));
    let pod = fixture.until("slow", |pod| phase(pod) == "Running").await;
    assert_eq!(condition(&pod, "Ready"), Some("False"));
    fixture.until_ready("slow").await;
    fixture
        .until("crash", |pod| waiting(pod).0 == "CrashLoopBackOff")
        .await;
    let pod = fixture
        .until("no-image", |pod| waiting(pod).0 == "ImagePullBackOff")
        .await;
    assert!(waiting(&pod).1.contains("not today"));
    assert_eq!(container(&pod).restart_count, 0);
    fixture.delete("plain").await;
    fixture.until_gone("plain").await;
    fixture.finish().await;
}
