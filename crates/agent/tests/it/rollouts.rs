//! Releases on their way, and what is left alone.

use foreshore_cluster::{ApplyMode, ENVIRONMENT_LABEL, Reference, SERVICE_LABEL};
use foreshore_model::{Operations, Phase, ServiceName};
use foreshore_testkit::cluster::Kind;
use serde_json::json;

use crate::scene::{Scene, config, deployment, service};
use crate::wire::Fate;

pub(crate) async fn a_release_is_written_marked_remembered_and_healthy(kind: Kind) {
    let scene = Scene::new(kind, "apply").await;
    scene.repository.release(
        "web",
        &[
            deployment("web", "good"),
            service("web"),
            config("web", "1"),
        ],
    );
    let mut agent = scene.start().await;
    agent.phase("web", 1, Phase::Applying).await;
    agent.phase("web", 1, Phase::Healthy).await;
    let found = scene.get("apps/v1", "Deployment", "web").await.unwrap();
    assert_eq!(found["metadata"]["labels"][SERVICE_LABEL], "web");
    assert_eq!(
        found["metadata"]["labels"][ENVIRONMENT_LABEL],
        scene.environment.as_str()
    );
    assert_eq!(
        found["metadata"]["annotations"]["foreshore.local/release"],
        "1"
    );
    assert_eq!(
        found["spec"]["template"]["metadata"]["labels"],
        json!({"app": "web"})
    );
    assert_eq!(
        scene.listed("web").await,
        ["ConfigMap/web", "Deployment/web", "Service/web"]
    );
    assert!(
        scene
            .inventory("web")
            .await
            .unwrap()
            .entries
            .iter()
            .all(|entry| !entry.uid.is_empty())
    );
}

pub(crate) async fn what_did_not_change_costs_no_request(kind: Kind) {
    let scene = Scene::new(kind, "idle").await;
    scene
        .repository
        .release("web", &[deployment("web", "good"), service("web")]);
    let mut agent = scene.start().await;
    agent.phase("web", 1, Phase::Healthy).await;
    scene.wire.clear();
    scene.repository.elsewhere();
    agent.handle.wake();
    let mut commit = agent.handle.commit();
    commit
        .wait_for(|commit| commit.as_deref() == Some("2"))
        .await
        .unwrap();
    // Another service is released completely while the first is asked about nothing.
    scene.repository.release("other", &[config("other", "1")]);
    agent.phase("other", 1, Phase::Healthy).await;
    let about_web: Vec<String> = scene
        .wire
        .lines()
        .into_iter()
        .filter(|line| line.contains("web"))
        .collect();
    assert_eq!(about_web, Vec::<String>::new());
    agent.kill().await;
    scene.wire.clear();
    let mut agent = scene.start().await;
    agent.phase("web", 1, Phase::Healthy).await;
    agent.phase("other", 1, Phase::Healthy).await;
    assert_eq!(
        scene.wire.writes(),
        Vec::<String>::new(),
        "a restart writes nothing"
    );
}

pub(crate) async fn one_bad_object_keeps_the_whole_set_from_being_written(kind: Kind) {
    let scene = Scene::new(kind, "invalid").await;
    let bad =
        "{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {ports: [{port: 99999}]}}"
            .to_owned();
    scene
        .repository
        .release("web", &[config("first", "1"), bad]);
    scene.repository.release("fine", &[config("fine", "1")]);
    let mut agent = scene.start().await;
    let failed = agent.phase("web", 1, Phase::Failed).await;
    assert_eq!(
        (
            failed.causes[0].object.as_str(),
            failed.causes[0].reason.as_str()
        ),
        ("Service/web", "Invalid")
    );
    assert!(
        failed.causes[0].message.contains("spec.ports[0].port"),
        "{}",
        failed.causes[0].message
    );
    assert_eq!(scene.get("v1", "ConfigMap", "first").await, None);
    scene
        .until("the other service", async || {
            scene.get("v1", "ConfigMap", "fine").await.is_some()
        })
        .await;
    scene
        .repository
        .release("web", &[config("first", "1"), service("web")]);
    agent.phase("web", 2, Phase::Healthy).await;
}

pub(crate) async fn unknown_fields_and_kinds_are_named(kind: Kind) {
    let scene = Scene::new(kind, "unknown").await;
    scene.repository.release(
        "web",
        &["{apiVersion: v1, kind: Service, metadata: {name: a}, spec: {portz: []}}".to_owned()],
    );
    scene.repository.release(
        "api",
        &["{apiVersion: example.org/v1, kind: Widget, metadata: {name: a}}".to_owned()],
    );
    scene.repository.release(
        "ns",
        &["{apiVersion: v1, kind: Node, metadata: {name: a}}".to_owned()],
    );
    let mut agent = scene.start().await;
    let mut causes = std::collections::BTreeMap::new();
    for name in ["web", "api", "ns"] {
        let mut failed = agent.phase(name, 1, Phase::Failed).await;
        causes.insert(name, failed.causes.remove(0));
    }
    assert!(
        causes["web"].message.contains("portz"),
        "{}",
        causes["web"].message
    );
    assert_eq!(causes["api"].reason, "UnknownKind");
    assert_eq!(causes["ns"].reason, "ClusterScoped");
}

pub(crate) async fn a_broken_release_is_told_with_container_and_code_and_a_rollback_heals_it(
    kind: Kind,
) {
    let scene = Scene::new(kind, "broken").await;
    scene
        .repository
        .release("web", &[deployment("web", "good:1")]);
    let mut agent = scene.start().await;
    agent.phase("web", 1, Phase::Healthy).await;
    scene
        .repository
        .release("web", &[deployment("web", "broken:2")]);
    let failed = agent.phase("web", 2, Phase::Failed).await;
    let cause = &failed.causes[0];
    assert_eq!(
        (
            cause.container.as_deref(),
            cause.reason.as_str(),
            cause.exit_code
        ),
        (Some("app"), "CrashLoopBackOff", Some(42))
    );
    scene
        .repository
        .release("web", &[deployment("web", "good:1")]);
    agent.phase("web", 3, Phase::Healthy).await;
    let said: Vec<Phase> = agent.said().iter().map(|outcome| outcome.phase).collect();
    assert!(
        !said.contains(&Phase::Superseded),
        "a failed release is not superseded as well: {said:?}"
    );
}

pub(crate) async fn the_last_log_lines_of_the_run_that_ended_come_with_the_failure(kind: Kind) {
    let scene = Scene::new(kind, "log").await;
    scene.wire.decide(|_, line| {
        let is_log = line.contains("/log?container=app&") && line.contains("previous=true");
        if is_log {
            Fate::Answered("starting\nno database\n")
        } else {
            Fate::Pass
        }
    });
    scene
        .repository
        .release("web", &[deployment("web", "broken")]);
    let mut agent = scene.start().await;
    let failed = agent.phase("web", 1, Phase::Failed).await;
    assert_eq!(failed.causes[0].log, ["starting", "no database"]);
}

pub(crate) async fn a_newer_release_takes_the_place_of_one_that_waits(kind: Kind) {
    let scene = Scene::new(kind, "supersede").await;
    scene
        .repository
        .release("web", &[deployment("web", "slow:1")]);
    let mut agent = scene.start().await;
    agent.phase("web", 1, Phase::Progressing).await;
    scene
        .repository
        .release("web", &[deployment("web", "good:2")]);
    agent.phase("web", 1, Phase::Superseded).await;
    agent.phase("web", 2, Phase::Healthy).await;
}

pub(crate) async fn what_a_release_lost_goes_once_it_is_healthy_and_nothing_else(kind: Kind) {
    let scene = Scene::new(kind, "prune").await;
    scene.repository.release(
        "web",
        &[
            config("old", "1"),
            config("taken", "1"),
            deployment("web", "good:1"),
        ],
    );
    let mut agent = scene.start().await;
    agent.phase("web", 1, Phase::Healthy).await;
    // Somebody makes an object of the same name anew: it is not the one we made.
    let taken = Reference::new("v1", "ConfigMap", &scene.namespace, "taken");
    agent.kill().await;
    scene.cluster.delete(&taken, None).await.unwrap();
    let theirs = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "taken", "namespace": scene.namespace}});
    scene
        .cluster
        .apply(&theirs, ApplyMode::Force)
        .await
        .unwrap();

    scene
        .repository
        .release("web", &[config("new", "1"), deployment("web", "slow:2")]);
    let mut agent = scene.start().await;
    agent.phase("web", 2, Phase::Progressing).await;
    assert!(
        scene.get("v1", "ConfigMap", "old").await.is_some(),
        "nothing goes before the new release is healthy"
    );
    scene
        .repository
        .release("web", &[config("new", "1"), deployment("web", "good:3")]);
    agent.phase("web", 3, Phase::Healthy).await;
    scene
        .until("the prune", async || {
            scene.get("v1", "ConfigMap", "old").await.is_none()
        })
        .await;
    scene
        .until("the record", async || {
            scene.listed("web").await == ["ConfigMap/new", "Deployment/web"]
        })
        .await;
    assert!(scene.get("v1", "ConfigMap", "taken").await.is_some());
}

pub(crate) async fn an_object_of_another_service_is_not_taken(kind: Kind) {
    let scene = Scene::new(kind, "owner").await;
    scene.repository.release("web", &[config("shared", "web")]);
    let mut agent = scene.start().await;
    agent.phase("web", 1, Phase::Healthy).await;
    scene.repository.release("api", &[config("shared", "api")]);
    let failed = agent.phase("api", 1, Phase::Failed).await;
    assert_eq!(failed.causes[0].reason, "OwnedByOther");
    assert!(failed.causes[0].message.contains("`web`"));
    assert_eq!(
        scene.get("v1", "ConfigMap", "shared").await.unwrap()["data"]["key"],
        "web"
    );
}

pub(crate) async fn an_empty_release_and_a_large_removal_change_nothing(kind: Kind) {
    let scene = Scene::new(kind, "guards").await;
    let many: Vec<String> = (0..9)
        .map(|number| config(&format!("c{number}"), "1"))
        .collect();
    scene.repository.release("web", &many);
    let mut agent = scene.start().await;
    agent.phase("web", 1, Phase::Healthy).await;
    scene.repository.release("web", &[]);
    let failed = agent.phase("web", 2, Phase::Failed).await;
    assert_eq!(failed.causes[0].reason, "EmptyRelease");
    scene.repository.release("web", &many[..2]);
    let failed = agent.phase("web", 3, Phase::Failed).await;
    assert_eq!(failed.causes[0].reason, "RemovalNeedsConfirmation");
    assert_eq!(scene.listed("web").await.len(), 9);
}

pub(crate) async fn drift_is_told_and_put_right(kind: Kind) {
    let scene = Scene::new(kind, "drift").await;
    scene
        .repository
        .release("web", &[config("web", "ours"), service("web")]);
    let mut agent = scene.start().await;
    agent.phase("web", 1, Phase::Healthy).await;
    scene.meddle().await;
    let degraded = agent.phase("web", 1, Phase::Degraded).await;
    assert_eq!(
        (
            degraded.causes[0].object.as_str(),
            degraded.causes[0].reason.as_str()
        ),
        ("ConfigMap/web", "Drifted")
    );
    agent.phase("web", 1, Phase::Healthy).await;
    assert_eq!(
        scene.get("v1", "ConfigMap", "web").await.unwrap()["data"]["key"],
        "ours"
    );

    scene
        .cluster
        .delete(
            &Reference::new("v1", "Service", &scene.namespace, "web"),
            None,
        )
        .await
        .unwrap();
    agent.phase("web", 1, Phase::Degraded).await;
    agent.phase("web", 1, Phase::Healthy).await;
    assert!(scene.get("v1", "Service", "web").await.is_some());
}

pub(crate) async fn fields_that_are_not_ours_may_change(kind: Kind) {
    let scene = Scene::new(kind, "foreign").await;
    scene.repository.release("web", &[config("web", "ours")]);
    let mut agent = scene.start().await;
    agent.phase("web", 1, Phase::Healthy).await;
    let patch = json!({"metadata": {"annotations": {"someone/else": "was here"}}});
    let api = kube::core::ApiResource::from_gvk(&kube::core::GroupVersionKind::gvk(
        "",
        "v1",
        "ConfigMap",
    ));
    let objects: kube::Api<kube::core::DynamicObject> =
        kube::Api::namespaced_with(scene.cluster.client().clone(), &scene.namespace, &api);
    scene.wire.clear();
    objects
        .patch(
            "web",
            &kube::api::PatchParams::default(),
            &kube::api::Patch::Merge(patch),
        )
        .await
        .unwrap();
    scene
        .until("a closer look", async || {
            scene
                .wire
                .lines()
                .iter()
                .any(|line| line.contains("dryRun=All"))
        })
        .await;
    scene.repository.release("other", &[config("other", "1")]);
    agent.phase("other", 1, Phase::Healthy).await;
    assert!(
        scene
            .wire
            .writes()
            .iter()
            .all(|line| !line.contains("configmaps/web")),
        "{:?}",
        scene.wire.writes()
    );
    let found = scene.get("v1", "ConfigMap", "web").await.unwrap();
    assert_eq!(found["metadata"]["annotations"]["someone/else"], "was here");
}

pub(crate) async fn replicas_come_from_operations_and_a_pause_holds_everything(kind: Kind) {
    let scene = Scene::new(kind, "scale").await;
    scene
        .repository
        .release("web", &[deployment("web", "good:1")]);
    let mut agent = scene.start().await;
    agent.phase("web", 1, Phase::Healthy).await;
    let replicas = async || {
        scene.get("apps/v1", "Deployment", "web").await.unwrap()["spec"]["replicas"]
            .as_u64()
            .unwrap()
    };
    assert_eq!(replicas().await, 1, "what the API defaults to");
    scene.repository.operate(
        "web",
        Operations {
            replicas: [("web".to_owned(), 3)].into(),
            number: 1,
            ..Operations::default()
        },
    );
    scene
        .until("three replicas", async || replicas().await == 3)
        .await;
    agent.phase("web", 1, Phase::Healthy).await;
    scene
        .repository
        .release("web", &[deployment("web", "good:2")]);
    agent.phase("web", 2, Phase::Healthy).await;
    assert_eq!(replicas().await, 3, "a release does not change replicas");

    scene.repository.operate(
        "web",
        Operations {
            replicas: [("web".to_owned(), 5)].into(),
            paused: true,
            number: 2,
            ..Operations::default()
        },
    );
    scene
        .repository
        .release("web", &[deployment("web", "good:3")]);
    let held = agent.phase("web", 3, Phase::Progressing).await;
    assert_eq!(held.causes[0].reason, "Paused");
    assert_eq!(replicas().await, 3);
    scene.repository.operate(
        "web",
        Operations {
            replicas: [("web".to_owned(), 2)].into(),
            number: 1,
            ..Operations::default()
        },
    );
    agent.phase("web", 3, Phase::Healthy).await;
    assert_eq!(replicas().await, 2);
}

pub(crate) async fn a_retired_service_leaves_nothing_and_says_so(kind: Kind) {
    let scene = Scene::new(kind, "retire").await;
    scene
        .repository
        .release("web", &[deployment("web", "good"), service("web")]);
    scene.repository.release("stays", &[config("stays", "1")]);
    let mut agent = scene.start().await;
    agent.phase("web", 1, Phase::Healthy).await;
    scene.repository.retire("web", &[]);
    agent.phase("web", 1, Phase::Retired).await;
    assert_eq!(scene.inventory("web").await, None);
    scene
        .until("the end", async || {
            scene.get("apps/v1", "Deployment", "web").await.is_none()
        })
        .await;
    assert!(scene.get("v1", "ConfigMap", "stays").await.is_some());
}

pub(crate) async fn a_service_removed_while_nobody_watched_is_retired_at_the_next_start(
    kind: Kind,
) {
    let scene = Scene::new(kind, "late").await;
    scene.repository.release("web", &[config("web", "1")]);
    scene.repository.release("stays", &[config("stays", "1")]);
    let mut agent = scene.start().await;
    agent.phase("web", 1, Phase::Healthy).await;
    agent.kill().await;
    scene.repository.retire("web", &[]);
    let mut agent = scene.start().await;
    agent.phase("web", 1, Phase::Retired).await;
    assert_eq!(scene.get("v1", "ConfigMap", "web").await, None);
}

pub(crate) async fn all_services_vanishing_at_once_removes_none(kind: Kind) {
    let scene = Scene::new(kind, "vanish").await;
    for name in ["one", "two", "three"] {
        scene.repository.release(name, &[config(name, "1")]);
    }
    let mut agent = scene.start().await;
    agent.phase("three", 1, Phase::Healthy).await;
    for name in ["one", "two", "three"] {
        scene
            .until("its object", async || {
                scene.get("v1", "ConfigMap", name).await.is_some()
            })
            .await;
    }
    agent.kill().await;
    for name in ["one", "two", "three"] {
        scene.repository.remove(name);
    }
    let agent = scene.start().await;
    agent
        .handle
        .commit()
        .wait_for(Option::is_some)
        .await
        .unwrap();
    scene.wire.clear();
    for name in ["one", "two", "three"] {
        assert!(scene.get("v1", "ConfigMap", name).await.is_some(), "{name}");
    }
    assert_eq!(scene.wire.writes(), Vec::<String>::new());
}

pub(crate) async fn a_panic_in_one_service_does_not_touch_another(kind: Kind) {
    let mut scene = Scene::new(kind, "panic").await;
    scene.repository.cursed = Some(ServiceName::new("cursed").unwrap());
    scene.repository.release("cursed", &[config("cursed", "1")]);
    scene.repository.release("web", &[config("web", "1")]);
    let mut agent = scene.start().await;
    agent.phase("web", 1, Phase::Healthy).await;
    scene.repository.release("web", &[config("web", "2")]);
    agent.phase("web", 2, Phase::Healthy).await;
}
