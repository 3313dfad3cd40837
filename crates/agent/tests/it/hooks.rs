//! Jobs around releases.

use foreshore_model::{Operations, Phase};
use foreshore_testkit::cluster::Kind;
use kube::Api;
use kube::api::{ListParams, Patch, PatchParams};
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use serde_json::json;

use crate::scene::{Scene, config};

/// A hook whose image decides its fate, see `nodes`.
fn hook(moment: &str, image: &str, seconds: u32) -> String {
    format!(
        "{{apiVersion: batch/v1, kind: Job, metadata: {{name: migrate, annotations: {{foreshore.local/hook: {moment}}}}}, \
         spec: {{backoffLimit: 0, activeDeadlineSeconds: {seconds}, template: {{spec: {{restartPolicy: Never, \
         terminationGracePeriodSeconds: 0, containers: [{{name: app, image: {image}}}]}}}}}}}}"
    )
}

async fn job(scene: &Scene, name: &str) -> bool {
    scene.get("batch/v1", "Job", name).await.is_some()
}

fn made_jobs(scene: &Scene) -> usize {
    let writes = scene.wire.writes();
    writes
        .iter()
        .filter(|line| line.starts_with("PATCH") && line.contains("/jobs/"))
        .count()
}

pub(crate) async fn a_hook_runs_before_the_release_once_and_is_cleaned_up(kind: Kind) {
    let scene = Scene::new(kind, "hook").await;
    let manifests = [config("web", "1"), hook("pre-release", "ends", 300)];
    scene.repository.release("web", &manifests);
    let mut agent = scene.start().await;
    agent.phase("web", 1, Phase::Healthy).await;
    let writes = scene.wire.writes();
    let first = |part: &str| writes.iter().position(|line| line.contains(part));
    assert!(
        first("/jobs/migrate-r1") < first("/configmaps/web?"),
        "{writes:#?}"
    );
    assert!(!job(&scene, "migrate-r1").await, "it succeeded, and goes");
    assert_eq!(scene.listed("web").await, ["ConfigMap/web"]);
    // Neither operations nor the same artifact again are a reason to run it again.
    let operations = Operations {
        number: 1,
        ..Operations::default()
    };
    scene.repository.operate("web", operations);
    agent.phase("web", 1, Phase::Healthy).await;
    scene.repository.release("web", &manifests);
    agent.phase("web", 2, Phase::Healthy).await;
    agent.kill().await;
    let mut agent = scene.start().await;
    agent.phase("web", 2, Phase::Healthy).await;
    assert_eq!(made_jobs(&scene), 1, "{:#?}", scene.wire.writes());
}

pub(crate) async fn a_hook_that_fails_stops_the_release_and_is_not_run_again(kind: Kind) {
    let scene = Scene::new(kind, "hookfails").await;
    scene.repository.release("web", &[config("web", "1")]);
    scene.repository.release("other", &[config("other", "1")]);
    let mut agent = scene.start().await;
    agent.phase("web", 1, Phase::Healthy).await;
    scene.repository.release(
        "web",
        &[config("web", "2"), hook("pre-release", "fails", 300)],
    );
    let failed = agent.phase("web", 2, Phase::Failed).await;
    assert_eq!(
        (
            failed.causes[0].object.as_str(),
            failed.causes[0].reason.as_str()
        ),
        ("Job/migrate-r2", "HookFailed")
    );
    assert!(
        failed.causes.iter().any(|cause| cause.exit_code == Some(7)),
        "{:#?}",
        failed.causes
    );
    let value = async || scene.get("v1", "ConfigMap", "web").await.unwrap()["data"]["key"].clone();
    assert_eq!(value().await, "1", "nothing of the release is written");
    assert!(job(&scene, "migrate-r2").await, "it failed, and stays");
    agent.kill().await;
    let mut agent = scene.start().await;
    agent.phase("web", 2, Phase::Failed).await;
    assert_eq!(made_jobs(&scene), 1, "{:#?}", scene.wire.writes());
    scene.repository.release(
        "web",
        &[config("web", "3"), hook("pre-release", "ends", 300)],
    );
    agent.phase("web", 3, Phase::Healthy).await;
    assert_eq!(value().await, "3");
    assert!(!job(&scene, "migrate-r2").await);
    // The end of the service is the end of its hooks.
    scene.repository.release(
        "web",
        &[config("web", "4"), hook("pre-release", "fails", 300)],
    );
    agent.phase("web", 4, Phase::Failed).await;
    scene.repository.retire("web", &[]);
    agent.phase("web", 3, Phase::Retired).await;
    assert!(!job(&scene, "migrate-r4").await);
}

pub(crate) async fn a_hook_that_does_not_end_is_ended_by_its_deadline(kind: Kind) {
    let scene = Scene::new(kind, "hooklate").await;
    scene
        .repository
        .release("web", &[config("web", "1"), hook("pre-release", "slow", 1)]);
    let mut agent = scene.start().await;
    let running = agent.phase("web", 1, Phase::Progressing).await;
    assert_eq!(running.causes[0].reason, "HookRunning");
    let failed = agent.phase("web", 1, Phase::Failed).await;
    assert!(
        failed
            .causes
            .iter()
            .any(|cause| cause.reason == "DeadlineExceeded"),
        "{:#?}",
        failed.causes
    );
    assert_eq!(scene.get("v1", "ConfigMap", "web").await, None);
}

pub(crate) async fn a_hook_after_the_release_comes_once_it_is_healthy(kind: Kind) {
    let scene = Scene::new(kind, "hookafter").await;
    scene.repository.release(
        "web",
        &[config("web", "1"), hook("post-release", "ends", 300)],
    );
    let mut agent = scene.start().await;
    agent.phase("web", 1, Phase::Healthy).await;
    let writes = scene.wire.writes();
    let first = |part: &str| writes.iter().position(|line| line.contains(part));
    assert!(
        first("/configmaps/web?") < first("/jobs/migrate-r1"),
        "{writes:#?}"
    );
    scene.repository.release(
        "web",
        &[config("web", "2"), hook("post-release", "fails", 300)],
    );
    let failed = agent.phase("web", 2, Phase::Failed).await;
    assert_eq!(failed.causes[0].reason, "HookFailed");
    assert_eq!(
        scene.get("v1", "ConfigMap", "web").await.unwrap()["data"]["key"],
        "2"
    );
}

pub(crate) async fn a_hook_outlives_the_agent_that_started_it(kind: Kind) {
    let scene = Scene::new(kind, "hookkill").await;
    scene.repository.release(
        "web",
        &[config("web", "1"), hook("pre-release", "slow", 300)],
    );
    let mut agent = scene.start().await;
    agent.phase("web", 1, Phase::Progressing).await;
    agent.kill().await;
    let mut agent = scene.start().await;
    agent.phase("web", 1, Phase::Progressing).await;
    let pod = ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", "Pod"));
    let pods: Api<DynamicObject> =
        Api::namespaced_with(scene.cluster.client().clone(), &scene.namespace, &pod);
    let status = json!({"status": {"phase": "Succeeded", "containerStatuses": [
        {"name": "app", "image": "slow", "imageID": "", "ready": false, "restartCount": 0,
         "state": {"terminated": {"exitCode": 0, "reason": "Completed"}}}]}});
    // Whoever pretends to be the node may say once more that it runs.
    let ends = async {
        loop {
            let found = pods.list(&ListParams::default()).await.unwrap();
            for pod in found.items {
                let name = pod.metadata.name.unwrap();
                if pod.data["status"].get("containerStatuses").is_some() {
                    let patch = Patch::Merge(&status);
                    drop(
                        pods.patch_status(&name, &PatchParams::default(), &patch)
                            .await,
                    );
                }
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    tokio::select! {
        _ = agent.phase("web", 1, Phase::Healthy) => {}
        () = ends => {}
    }
    assert_eq!(made_jobs(&scene), 1, "{:#?}", scene.wire.writes());
}
