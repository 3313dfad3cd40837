//! Two agents for one site: one works, the other stands by.

use std::time::Duration;

use foreshore_agent::{Agent, LeaseOptions, Terms};
use foreshore_cluster::Lease;
use foreshore_model::Phase;
use foreshore_testkit::cluster::Kind;
use tokio_util::sync::CancellationToken;

use crate::scene::{Running, Scene, config};
use crate::wire::Wire;

/// Short enough to wait for, long enough for a busy machine.
const TERMS: Terms = Terms {
    duration: Duration::from_secs(5),
    renew_every: Duration::from_millis(500),
    write_within: Duration::from_millis(2_500),
};

async fn start(scene: &Scene, wire: &Wire, identity: &str) -> Running {
    let mut options = scene.options_through(wire).await;
    let mut lease = LeaseOptions::new(identity);
    lease.terms = TERMS;
    options.lease = Some(lease);
    scene.start_with(options)
}

async fn lease(scene: &Scene) -> Option<Lease> {
    let name = format!("foreshore-agent.{}.local", scene.environment);
    scene.cluster.lease(&scene.namespace, &name).await.unwrap()
}

async fn led_by(scene: &Scene, identity: &str) {
    scene
        .until(&format!("the lead of {identity}"), async || {
            lease(scene)
                .await
                .is_some_and(|lease| lease.holder == identity)
        })
        .await;
}

async fn value(scene: &Scene) -> Option<String> {
    let found = scene.get("v1", "ConfigMap", "web").await?;
    found["data"]["key"].as_str().map(str::to_owned)
}

async fn has_value(scene: &Scene, expected: &str) {
    scene
        .until(&format!("value {expected}"), async || {
            value(scene).await.as_deref() == Some(expected)
        })
        .await;
}

pub(crate) async fn one_of_two_agents_works_and_the_other_follows_when_it_is_killed(kind: Kind) {
    let scene = Scene::new(kind, "leads").await;
    scene.repository.release("web", &[config("web", "1")]);
    let mut first = start(&scene, &scene.wire, "first").await;
    first.phase("web", 1, Phase::Healthy).await;
    let other = Wire::new(kind);
    let mut second = start(&scene, &other, "second").await;
    scene.repository.release("web", &[config("web", "2")]);
    second
        .handle
        .commit()
        .wait_for(|commit| commit.as_deref() == Some("2"))
        .await
        .unwrap();
    has_value(&scene, "2").await;
    let is_first = lease(&scene).await.unwrap().transitions == 1;
    let written = other.writes();
    assert!(
        !is_first || written.is_empty(),
        "it stands by, and yet wrote {written:?}"
    );
    first.kill().await;
    scene.repository.release("web", &[config("web", "3")]);
    second.phase("web", 3, Phase::Healthy).await;
    has_value(&scene, "3").await;
    let now = lease(&scene).await.unwrap();
    assert_eq!((now.holder.as_str(), now.transitions > 1), ("second", true));
}

pub(crate) async fn a_leader_that_is_cut_off_is_followed_and_writes_nothing_when_it_is_back(
    kind: Kind,
) {
    let scene = Scene::new(kind, "cutoff").await;
    scene.repository.release("web", &[config("web", "1")]);
    let mut first = start(&scene, &scene.wire, "first").await;
    first.phase("web", 1, Phase::Healthy).await;
    let other = Wire::new(kind);
    let mut second = start(&scene, &other, "second").await;
    scene.wire.cut(true);
    scene.repository.release("web", &[config("web", "2")]);
    led_by(&scene, "second").await;
    second.phase("web", 2, Phase::Healthy).await;
    has_value(&scene, "2").await;
    // It is back, and sees work at once: what its watches tell is not what it last wrote.
    let asked = scene.wire.leases().len();
    scene.wire.clear();
    scene.wire.cut(false);
    scene.meddle().await;
    second.phase("web", 2, Phase::Degraded).await;
    has_value(&scene, "2").await;
    scene
        .until("its question who leads", async || {
            scene.wire.leases().len() > asked
        })
        .await;
    scene.repository.release("web", &[config("web", "3")]);
    has_value(&scene, "3").await;
    let is_second = lease(&scene).await.unwrap().transitions == 2;
    let written = scene.wire.writes();
    assert!(
        !is_second || written.is_empty(),
        "it does not lead any more, and yet wrote {written:?}"
    );
}

pub(crate) async fn an_agent_that_stops_gives_the_lead_back_at_once(kind: Kind) {
    let scene = Scene::new(kind, "gives").await;
    scene.repository.release("web", &[config("web", "1")]);
    let mut options = scene.options().await;
    options.lease = Some(LeaseOptions::new("first"));
    let (agent, handle) = Agent::new(options).unwrap();
    let shutdown = CancellationToken::new();
    let first = tokio::spawn(agent.run(shutdown.clone()));
    has_value(&scene, "1").await;
    drop(handle);
    shutdown.cancel();
    first.await.unwrap();
    assert_eq!(lease(&scene).await.unwrap().holder, "");
    let mut second = start(&scene, &Wire::new(kind), "second").await;
    scene.repository.release("web", &[config("web", "2")]);
    second.phase("web", 2, Phase::Healthy).await;
    led_by(&scene, "second").await;
}
