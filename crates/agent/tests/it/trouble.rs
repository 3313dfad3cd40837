//! Faults of git host, API server and neighbours: what stays as it is, and what comes of it in the end.

use std::time::Duration;

use foreshore_cluster::{ApplyMode, Reference};
use foreshore_model::Phase;
use foreshore_testkit::cluster::Kind;
use serde_json::{Value, json};

use crate::repository::Stuck;
use crate::scene::{Scene, config, deployment, service};
use crate::wire::Fate;

async fn value(scene: &Scene) -> Value {
    let found = scene.get("v1", "ConfigMap", "web").await;
    found.map_or(Value::Null, |found| found["data"]["key"].clone())
}

/// Faults 7, 8, 9: history was rewritten, put back or replaced, and the mirror froze.
pub(crate) async fn a_frozen_repository_is_an_alarm_and_what_runs_is_kept(kind: Kind) {
    let scene = Scene::new(kind, "frozen").await;
    scene.repository.release("web", &[config("web", "1")]);
    scene.repository.release("stays", &[config("stays", "1")]);
    let mut agent = scene.start().await;
    agent.phase("web", 1, Phase::Healthy).await;
    agent.phase("stays", 1, Phase::Healthy).await;
    scene.repository.stick(Some(Stuck::Frozen));
    scene.repository.release("web", &[config("web", "2")]);
    scene.repository.retire("stays", &[]);
    agent.handle.wake();
    scene
        .until("the alarm", async || {
            let events = scene
                .cluster
                .list("v1", "Event", &scene.namespace, "")
                .await;
            events
                .unwrap()
                .iter()
                .any(|event| event["reason"] == "ConfigRepositoryFrozen")
        })
        .await;
    scene.meddle().await;
    agent.phase("web", 1, Phase::Degraded).await;
    agent.phase("web", 1, Phase::Healthy).await;
    assert_eq!(value(&scene).await, "1");
    assert!(scene.get("v1", "ConfigMap", "stays").await.is_some());
    scene.repository.stick(None);
    agent.phase("web", 2, Phase::Healthy).await;
}

/// Fault 15: the git host is down or hangs.
pub(crate) async fn without_the_git_host_what_was_brought_is_kept_and_healed(kind: Kind) {
    let scene = Scene::new(kind, "nogit").await;
    scene.repository.release("web", &[config("web", "1")]);
    let mut agent = scene.start().await;
    agent.phase("web", 1, Phase::Healthy).await;
    scene.repository.stick(Some(Stuck::Unreachable));
    agent.kill().await;
    // Also an agent that starts meanwhile works from its copy.
    let mut agent = scene.start().await;
    agent.phase("web", 1, Phase::Healthy).await;
    scene.meddle().await;
    agent.phase("web", 1, Phase::Degraded).await;
    agent.phase("web", 1, Phase::Healthy).await;
    scene.repository.release("web", &[config("web", "2")]);
    scene.repository.stick(None);
    agent.phase("web", 2, Phase::Healthy).await;
}

/// Fault 22: a write arrives and its answer does not.
pub(crate) async fn answers_that_never_come_lose_and_double_nothing(kind: Kind) {
    let scene = Scene::new(kind, "unanswered").await;
    scene.wire.decide(|count, line| {
        if count % 4 == 0 && !line.starts_with("GET") {
            Fate::Unanswered
        } else {
            Fate::Pass
        }
    });
    let manifests = [
        deployment("web", "good"),
        service("web"),
        config("web", "1"),
    ];
    scene.repository.release("web", &manifests);
    let mut options = scene.options().await;
    options.cluster.try_timeout = Duration::from_millis(500);
    let mut agent = scene.start_with(options);
    agent.phase("web", 1, Phase::Healthy).await;
    assert_eq!(
        scene.listed("web").await,
        ["ConfigMap/web", "Deployment/web", "Service/web"]
    );
    let found = scene.get("apps/v1", "Deployment", "web").await.unwrap();
    assert_eq!(found["metadata"]["generation"], 1, "written once");
}

/// Fault 25: the server has forgotten the history that a watch asks for.
pub(crate) async fn watches_that_come_too_late_list_anew_and_delete_nothing(kind: Kind) {
    let scene = Scene::new(kind, "gone").await;
    scene.wire.forget_history(6);
    scene
        .repository
        .release("web", &[config("web", "1"), deployment("web", "good")]);
    let mut agent = scene.start().await;
    agent.phase("web", 1, Phase::Healthy).await;
    scene.meddle().await;
    agent.phase("web", 1, Phase::Degraded).await;
    agent.phase("web", 1, Phase::Healthy).await;
    let deleted = scene.wire.writes();
    assert!(
        !deleted.iter().any(|line| line.starts_with("DELETE")),
        "{deleted:#?}"
    );
}

/// Fault 31: a field that may not change.
pub(crate) async fn a_field_that_cannot_change_is_named_and_not_tried_in_a_circle(kind: Kind) {
    let scene = Scene::new(kind, "immutable").await;
    scene
        .repository
        .release("web", &[deployment("web", "good"), config("web", "1")]);
    let mut agent = scene.start().await;
    agent.phase("web", 1, Phase::Healthy).await;
    let other = deployment("web", "good").replace("app: web", "app: other");
    scene
        .repository
        .release("web", &[other, config("web", "2")]);
    let failed = agent.phase("web", 2, Phase::Failed).await;
    let cause = &failed.causes[0];
    assert_eq!(
        (cause.object.as_str(), cause.reason.as_str()),
        ("Deployment/web", "Invalid")
    );
    assert!(cause.message.contains("immutable"), "{}", cause.message);
    assert_eq!(value(&scene).await, "1");
    scene.wire.clear();
    scene.repository.release("other", &[config("other", "1")]);
    agent.phase("other", 1, Phase::Healthy).await;
    let again = scene.wire.lines();
    assert!(
        !again.iter().any(|line| line.contains("/deployments/web?")),
        "{again:#?}"
    );
}

/// Fault 33: part of discovery fails.
pub(crate) async fn a_kind_that_cannot_be_discovered_is_unknown_and_not_gone(kind: Kind) {
    let scene = Scene::new(kind, "discovery").await;
    scene
        .repository
        .release("web", &[config("web", "1"), deployment("old", "good")]);
    let mut agent = scene.start().await;
    agent.phase("web", 1, Phase::Healthy).await;
    agent.kill().await;
    scene.wire.clear();
    scene.wire.decide(|_, line| {
        if line == "GET /apis/apps/v1" {
            Fate::Refused(503)
        } else {
            Fate::Pass
        }
    });
    scene.repository.release("web", &[config("web", "2")]);
    let mut agent = scene.start().await;
    scene
        .until("three tries", async || {
            let lines = scene.wire.lines();
            let asked = lines.iter().filter(|line| *line == "GET /apis/apps/v1");
            asked.count() >= 3
        })
        .await;
    let written = scene.wire.writes();
    assert!(
        !written.iter().any(|line| line.starts_with("DELETE")),
        "{written:#?}"
    );
    assert!(scene.get("apps/v1", "Deployment", "old").await.is_some());
    scene.wire.decide(|_, _| Fate::Pass);
    agent.phase("web", 2, Phase::Healthy).await;
    scene
        .until("the prune", async || {
            scene.get("apps/v1", "Deployment", "old").await.is_none()
        })
        .await;
}

/// Fault 34: an object that does not go.
pub(crate) async fn an_object_that_is_held_by_a_finalizer_holds_nobody_else(kind: Kind) {
    let scene = Scene::new(kind, "finalizer").await;
    let held = config("held", "1").replace(
        "{name: held}",
        "{name: held, finalizers: [example.org/held]}",
    );
    scene.repository.release("web", &[config("web", "1"), held]);
    let mut agent = scene.start().await;
    agent.phase("web", 1, Phase::Healthy).await;
    scene.repository.release("web", &[config("web", "2")]);
    agent.phase("web", 2, Phase::Healthy).await;
    scene
        .until("its end is asked for", async || {
            let held = scene.get("v1", "ConfigMap", "held").await.unwrap();
            held["metadata"].get("deletionTimestamp").is_some()
        })
        .await;
    scene.repository.release("web", &[config("web", "3")]);
    agent.phase("web", 3, Phase::Healthy).await;
    let reference = Reference::new("v1", "ConfigMap", &scene.namespace, "held");
    let freed = json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "held", "namespace": scene.namespace}});
    scene.cluster.apply(&freed, ApplyMode::Force).await.unwrap();
    scene
        .until("its end", async || {
            scene.cluster.get(&reference).await.unwrap().is_none()
        })
        .await;
}

/// Somebody changes what we write as often as we write it.
pub(crate) async fn a_fight_over_an_object_is_named_and_ends(kind: Kind) {
    let scene = Scene::new(kind, "fight").await;
    scene.repository.release("web", &[config("web", "ours")]);
    let mut agent = scene.start().await;
    agent.phase("web", 1, Phase::Healthy).await;
    scene.wire.clear();
    let fighting = async {
        loop {
            if value(&scene).await != "theirs" {
                scene.meddle().await;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let contested = tokio::select! {
        told = agent.first("web", |told| told.causes.iter().any(|cause| cause.reason == "Contested")) => told,
        () = fighting => unreachable!("it fights for ever"),
    };
    assert_eq!(contested.phase, Phase::Degraded);
    assert_eq!(contested.causes[0].object, "ConfigMap/web");
    let written = scene.wire.writes();
    let heals = written
        .iter()
        .filter(|line| line.contains("/configmaps/web?"))
        .count();
    assert_eq!(heals, 3, "{written:#?}");
}
