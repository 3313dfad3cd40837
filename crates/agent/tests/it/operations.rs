//! What people set without a build: floors, bounds, and when it counts as carried out.

use foreshore_model::operations::Bounds;
use foreshore_model::{Operations, Phase};
use foreshore_testkit::cluster::Kind;

use crate::scene::{Scene, deployment};

async fn replicas(scene: &Scene) -> u64 {
    let found = scene.get("apps/v1", "Deployment", "web").await.unwrap();
    found["spec"]["replicas"].as_u64().unwrap()
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
