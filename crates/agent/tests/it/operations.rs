//! What people set without a build: floors, bounds, and when it counts as carried out.

use foreshore_model::config::Drift;
use foreshore_model::operations::{Bounds, Floor};
use foreshore_model::{Operations, Phase, clock};
use foreshore_testkit::cluster::Kind;
use jiff::{SignedDuration, Timestamp};

use crate::scene::{Scene, deployment};

async fn replicas(scene: &Scene) -> u64 {
    let found = scene.get("apps/v1", "Deployment", "web").await.unwrap();
    found["spec"]["replicas"].as_u64().unwrap()
}

/// A floor of three from one moment to another, above one replica.
fn floor(number: u64, from: Timestamp, until: Timestamp) -> Operations {
    Operations {
        number,
        replicas: [("web".to_owned(), 1)].into(),
        floors: vec![Floor {
            workload: "web".to_owned(),
            replicas: 3,
            from,
            until,
        }],
        ..Operations::default()
    }
}

fn soon() -> Timestamp {
    clock::now() + SignedDuration::from_secs(1)
}

pub(crate) async fn a_floor_holds_between_its_moments_and_then_lets_go(kind: Kind) {
    let scene = Scene::new(kind, "floor").await;
    scene
        .repository
        .release("web", &[deployment("web", "good")]);
    let mut agent = scene.start().await;
    agent.phase("web", 1, Phase::Healthy).await;
    let begin = soon();
    let far = begin + SignedDuration::from_hours(1);
    scene.repository.operate("web", floor(1, begin, far));
    scene
        .until("the floor", async || replicas(&scene).await == 3)
        .await;
    assert!(clock::now() >= begin, "not before it begins");
    // It ends less than two seconds after the last write, in which nothing is set again.
    let end = soon();
    scene.repository.operate("web", floor(2, begin, end));
    scene
        .until("the end of the floor", async || replicas(&scene).await == 1)
        .await;
    assert!(clock::now() >= end, "not before it ends");
}

pub(crate) async fn a_floor_moves_the_bounds_of_an_autoscaler_and_is_no_drift(kind: Kind) {
    let scene = Scene::new(kind, "raised").await;
    if !scene.has("autoscaling/v2", "HorizontalPodAutoscaler").await {
        return;
    }
    // Where drift is only told, a floor is carried out all the same.
    scene
        .repository
        .rule(|environment| environment.drift = Drift::Report);
    let autoscaler = "{apiVersion: autoscaling/v2, kind: HorizontalPodAutoscaler, metadata: {name: web}, \
        spec: {minReplicas: 1, maxReplicas: 2, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}, \
        metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 80}}}]}}";
    scene.repository.release("web", &[autoscaler.to_owned()]);
    let mut agent = scene.start().await;
    let least = async || {
        let found = scene
            .get("autoscaling/v2", "HorizontalPodAutoscaler", "web")
            .await?;
        found["spec"]["minReplicas"].as_u64()
    };
    scene
        .until("the autoscaler", async || least().await == Some(1))
        .await;
    let raised = |number, from, until| Operations {
        bounds: [("web".to_owned(), Bounds { min: 1, max: 2 })].into(),
        replicas: std::collections::BTreeMap::new(),
        ..floor(number, from, until)
    };
    let begin = soon();
    let far = begin + SignedDuration::from_hours(1);
    scene.repository.operate("web", raised(1, begin, far));
    scene
        .until("the raised bounds", async || least().await == Some(3))
        .await;
    scene.repository.operate("web", raised(2, begin, soon()));
    scene
        .until("the old bounds", async || least().await == Some(1))
        .await;
    let told = agent.said();
    let drifted = |outcome: &foreshore_model::Outcome| {
        outcome.causes.iter().any(|cause| cause.reason == "Drifted")
    };
    assert!(!told.iter().any(drifted), "{told:#?}");
}

pub(crate) async fn operations_are_told_once_they_are_carried_out(kind: Kind) {
    let scene = Scene::new(kind, "told").await;
    scene
        .repository
        .release("web", &[deployment("web", "good")]);
    let mut agent = scene.start().await;
    let first = agent.phase("web", 1, Phase::Healthy).await;
    assert_eq!(first.operations, 0);
    scene.repository.operate(
        "web",
        Operations {
            number: 1,
            replicas: [("web".to_owned(), 2)].into(),
            ..Operations::default()
        },
    );
    let applying = agent.phase("web", 1, Phase::Applying).await;
    assert_eq!(applying.operations, 0, "it is on its way");
    let done = agent.phase("web", 1, Phase::Healthy).await;
    assert_eq!(done.operations, 1);
    assert_eq!(replicas(&scene).await, 2);
    agent.kill().await;
    let mut agent = scene.start().await;
    let again = agent.phase("web", 1, Phase::Healthy).await;
    assert_eq!(again.operations, 1, "a restart knows it");
}

pub(crate) async fn an_autoscaler_gets_the_bounds_that_people_set(kind: Kind) {
    let scene = Scene::new(kind, "bounds").await;
    if kind == Kind::Engine && !scene.has("autoscaling/v2", "HorizontalPodAutoscaler").await {
        // What the engine does not serve is refused by name there; the real one shows the rest.
        return;
    }
    let autoscaler = "{apiVersion: autoscaling/v2, kind: HorizontalPodAutoscaler, metadata: {name: web}, \
        spec: {minReplicas: 1, maxReplicas: 2, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}, \
        metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 80}}}]}}";
    scene
        .repository
        .release("web", &[deployment("web", "good"), autoscaler.to_owned()]);
    let _agent = scene.start().await;
    let bounds = async || {
        let found = scene
            .get("autoscaling/v2", "HorizontalPodAutoscaler", "web")
            .await?;
        Some((
            found["spec"]["minReplicas"].as_u64()?,
            found["spec"]["maxReplicas"].as_u64()?,
        ))
    };
    scene
        .until("the autoscaler", async || bounds().await == Some((1, 2)))
        .await;
    scene.repository.operate(
        "web",
        Operations {
            number: 1,
            bounds: [("web".to_owned(), Bounds { min: 3, max: 7 })].into(),
            ..Operations::default()
        },
    );
    scene
        .until("its bounds", async || bounds().await == Some((3, 7)))
        .await;
}
