//! Services that depend on each other, in one changed set.

use foreshore_model::Phase;
use foreshore_testkit::cluster::Kind;

use crate::scene::{Scene, annotated, config, deployment};

fn depending(name: &str, image: &str, on: &str) -> String {
    annotated(&deployment(name, image), "foreshore.local/depends-on", on)
}

pub(crate) async fn services_are_written_in_the_order_of_their_dependencies(kind: Kind) {
    let scene = Scene::new(kind, "ordered").await;
    let release = |name: &str, image: &str, on: &str| {
        scene
            .repository
            .release(name, &[depending(name, image, on)])
    };
    release("web", "good", "api, elsewhere");
    release("api", "good", "db");
    release("db", "slow", "");
    release("alone", "good", "");
    let mut agent = scene.start().await;
    agent.phase("alone", 1, Phase::Healthy).await;
    let waits = agent.phase("api", 1, Phase::Progressing).await;
    assert_eq!(waits.causes[0].reason, "WaitsForDependency");
    assert!(
        waits.causes[0].message.contains("`db`"),
        "{}",
        waits.causes[0].message
    );
    agent.phase("db", 1, Phase::Progressing).await;
    for name in ["api", "web"] {
        assert_eq!(scene.get("apps/v1", "Deployment", name).await, None);
    }
    release("db", "good", "");
    for (name, sequence) in [("db", 2), ("api", 1), ("web", 1)] {
        agent.phase(name, sequence, Phase::Healthy).await;
    }
    let writes = scene.wire.writes();
    let first = |name: &str| {
        let part = format!("/deployments/{name}?");
        writes.iter().position(|line| line.contains(&part)).unwrap()
    };
    assert!(
        first("db") < first("api") && first("api") < first("web"),
        "{writes:#?}"
    );
}

pub(crate) async fn a_dependency_that_fails_holds_its_dependants_back_and_nobody_else(kind: Kind) {
    let scene = Scene::new(kind, "heldback").await;
    scene
        .repository
        .release("db", &[deployment("db", "broken:1")]);
    scene
        .repository
        .release("api", &[depending("api", "good", "db")]);
    scene.repository.release("other", &[config("other", "1")]);
    let mut agent = scene.start().await;
    agent.phase("db", 1, Phase::Failed).await;
    let held = loop {
        let told = agent.phase("api", 1, Phase::Progressing).await;
        if told.causes[0].reason == "DependencyFailed" {
            break told;
        }
    };
    let message = &held.causes[0].message;
    assert!(
        message.contains("nothing is written") && message.contains("`db`"),
        "{message}"
    );
    assert_eq!(scene.get("apps/v1", "Deployment", "api").await, None);
    agent.phase("other", 1, Phase::Healthy).await;
    // Who is well already is not taken down with it, and may be released again by itself.
    scene.repository.release("other", &[config("other", "2")]);
    agent.phase("other", 2, Phase::Healthy).await;
    scene
        .repository
        .release("db", &[deployment("db", "good:2")]);
    agent.phase("api", 1, Phase::Healthy).await;
}

pub(crate) async fn services_in_a_circle_are_written_and_the_circle_is_named(kind: Kind) {
    let scene = Scene::new(kind, "circle").await;
    for (name, on) in [("one", "two"), ("two", "three"), ("three", "one")] {
        let manifest = annotated(&config(name, "1"), "foreshore.local/depends-on", on);
        scene.repository.release(name, &[manifest]);
    }
    let mut agent = scene.start().await;
    let mut named = 0;
    for name in ["one", "two", "three"] {
        let applying = agent.phase(name, 1, Phase::Applying).await;
        let cycle = applying
            .causes
            .iter()
            .find(|cause| cause.reason == "DependencyCycle");
        if let Some(cause) = cycle {
            named += 1;
            assert!(cause.message.contains(" -> "), "{}", cause.message);
        }
        agent.phase(name, 1, Phase::Healthy).await;
    }
    assert!(named > 0, "nobody named the circle");
}
