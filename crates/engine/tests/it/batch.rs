//! Workloads beyond Deployments, on virtual nodes: sets with numbers, daemons,
//! Jobs, schedules and budgets.

use k8s_openapi::api::apps::v1::{ControllerRevision, DaemonSet, StatefulSet};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Pod};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::Api;
use kube::api::{DeleteParams, EvictParams, PropagationPolicy};
use serde_json::{Value, json};

use crate::world::{World, deployment, images};

fn template(app: &str, image: &str) -> Value {
    json!({
        "metadata": {"labels": {"app": app}},
        "spec": {"containers": [{"name": "main", "image": image}]},
    })
}

fn names(pods: &[Pod]) -> Vec<String> {
    pods.iter()
        .filter_map(|pod| pod.metadata.name.clone())
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stateful_set_rolls_forward_and_back() {
    let world = World::simulated(2).await;
    world.namespace("dev").await;
    for (image, revisions) in [("db:1", 1), ("db:2", 2), ("db:1", 2)] {
        let set = json!({
            "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "db"},
            "spec": {
                "replicas": 3, "serviceName": "db", "selector": {"matchLabels": {"app": "db"}},
                "template": template("db", image),
            },
        });
        world.apply::<StatefulSet>("dev", &set).await;
        world
            .until("dev", "a finished rollout", |sets: &[StatefulSet]| {
                sets.iter().any(|set| {
                    let status = set.status.clone().unwrap_or_default();
                    status.observed_generation == set.metadata.generation
                        && status.ready_replicas == Some(3)
                        && status.updated_replicas == Some(3)
                        && status.current_revision == status.update_revision
                })
            })
            .await;
        let pods = world
            .until("dev", image, |pods: &[Pod]| images(pods) == [image; 3])
            .await;
        assert_eq!(names(&pods), ["db-0", "db-1", "db-2"]);
        let history = world.list::<ControllerRevision>("dev").await;
        assert_eq!(history.len(), revisions);
    }
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_set_runs_once_on_every_node() {
    let world = World::simulated(3).await;
    world.namespace("dev").await;
    for image in ["log:1", "log:2"] {
        let set = json!({
            "apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "log"},
            "spec": {"selector": {"matchLabels": {"app": "log"}}, "template": template("log", image)},
        });
        world.apply::<DaemonSet>("dev", &set).await;
        let pods = world
            .until("dev", image, |pods: &[Pod]| images(pods) == [image; 3])
            .await;
        world
            .until("dev", "three ready daemons", |sets: &[DaemonSet]| {
                sets.iter().any(|set| {
                    let status = set.status.clone().unwrap_or_default();
                    status.observed_generation == set.metadata.generation
                        && status.number_ready == 3
                        && status.updated_number_scheduled == Some(3)
                })
            })
            .await;
        drop(pods);
    }
    let mut nodes: Vec<_> = world
        .list::<Pod>("dev")
        .await
        .into_iter()
        .filter_map(|pod| pod.spec?.node_name)
        .collect();
    nodes.sort();
    nodes.dedup();
    assert_eq!(nodes.len(), 3, "{nodes:?}");
    world.stop().await;
}

/// A Job whose pods end at once, well or not.
fn job(name: &str, way: &str, extra: &Value) -> Value {
    let mut template = template(name, "sum:1");
    template["metadata"]["annotations"] = json!({format!("foreshore.local/simulate-{way}"): "0"});
    template["spec"]["restartPolicy"] = json!("Never");
    let mut job = json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name},
        "spec": {"template": template},
    });
    for (key, value) in extra.as_object().unwrap() {
        job["spec"][key] = value.clone();
    }
    job
}

/// Waits until the Job carries the condition.
async fn ended(world: &World, name: &str, kind: &str) -> Job {
    let is = |job: &Job| {
        let conditions = job
            .status
            .as_ref()
            .and_then(|status| status.conditions.as_ref());
        job.metadata.name.as_deref() == Some(name)
            && conditions
                .into_iter()
                .flatten()
                .any(|one| one.type_ == kind && one.status == "True")
    };
    let jobs = world
        .until("dev", kind, |jobs: &[Job]| jobs.iter().any(is))
        .await;
    jobs.into_iter().find(|job| is(job)).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobs_complete_or_fail_and_go_with_their_pods() {
    let world = World::simulated(1).await;
    world.namespace("dev").await;
    let many = json!({"completions": 5, "parallelism": 3, "completionMode": "Indexed"});
    world.apply::<Job>("dev", &job("many", "exit", &many)).await;
    let done = ended(&world, "many", "Complete").await.status.unwrap();
    assert_eq!(done.succeeded, Some(5));
    assert_eq!(done.completed_indexes.as_deref(), Some("0-4"));
    world
        .apply::<Job>("dev", &job("bad", "crash", &json!({"backoffLimit": 0})))
        .await;
    let failed = ended(&world, "bad", "Failed").await.status.unwrap();
    assert_eq!(failed.failed, Some(1));
    let background = DeleteParams {
        propagation_policy: Some(PropagationPolicy::Background),
        ..DeleteParams::default()
    };
    for name in ["many", "bad"] {
        let jobs = world.api::<Job>("dev");
        jobs.delete(name, &background).await.unwrap();
    }
    world
        .until("dev", "no pod", |pods: &[Pod]| pods.is_empty())
        .await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_job_deleted_leaves_no_pod_behind() {
    let world = World::simulated(1).await;
    world.namespace("dev").await;
    world
        .apply::<Job>(
            "dev",
            &job(
                "long",
                "nothing",
                &json!({"parallelism": 2, "completions": 2}),
            ),
        )
        .await;
    world
        .until("dev", "two pods", |pods: &[Pod]| pods.len() == 2)
        .await;
    let background = DeleteParams {
        propagation_policy: Some(PropagationPolicy::Background),
        ..DeleteParams::default()
    };
    world
        .api::<Job>("dev")
        .delete("long", &background)
        .await
        .unwrap();
    world
        .until("dev", "no pod", |pods: &[Pod]| pods.is_empty())
        .await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_schedule_starts_jobs_and_an_ended_job_expires() {
    let world = World::simulated(1).await;
    world.namespace("dev").await;
    let spec = job("report", "exit", &json!({"ttlSecondsAfterFinished": 0}))["spec"].clone();
    let cron_job = json!({
        "apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "report"},
        "spec": {"schedule": "@every 1s", "timeZone": "Etc/UTC", "jobTemplate": {"spec": spec}},
    });
    world.apply::<CronJob>("dev", &cron_job).await;
    world
        .until("dev", "a success", |all: &[CronJob]| {
            all.iter().any(|one| {
                one.status
                    .as_ref()
                    .is_some_and(|status| status.last_successful_time.is_some())
            })
        })
        .await;
    world
        .until("dev", "no job", |jobs: &[Job]| jobs.is_empty())
        .await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_budget_lets_evictions_through_one_at_a_time() {
    let world = World::simulated(1).await;
    world.namespace("dev").await;
    world
        .apply::<k8s_openapi::api::apps::v1::Deployment>("dev", &deployment("web", 3, "web:1"))
        .await;
    world.rolled_out("dev", "web").await;
    let budget = json!({
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "web"},
        "spec": {"minAvailable": 3, "selector": {"matchLabels": {"app": "web"}}},
    });
    world.apply::<PodDisruptionBudget>("dev", &budget).await;
    let counted = |allowed: i32| {
        move |all: &[PodDisruptionBudget]| {
            all.iter().any(|one| {
                let status = one.status.clone().unwrap_or_default();
                status.observed_generation == one.metadata.generation
                    && status.current_healthy == Some(3)
                    && status.disruptions_allowed == Some(allowed)
            })
        }
    };
    world.until("dev", "no room", counted(0)).await;
    let pods = world.api::<Pod>("dev");
    let name = names(&world.list::<Pod>("dev").await).remove(0);
    let refused = pods
        .evict(&name, &EvictParams::default())
        .await
        .unwrap_err();
    let kube::Error::Api(status) = refused else {
        panic!("{refused}");
    };
    assert_eq!(status.code, 429);
    let mut loose = budget;
    loose["spec"]["minAvailable"] = json!("60%");
    world.apply::<PodDisruptionBudget>("dev", &loose).await;
    world.until("dev", "room for one", counted(1)).await;
    pods.evict(&name, &EvictParams::default()).await.unwrap();
    world
        .until("dev", "another pod", |pods: &[Pod]| {
            pods.len() == 3 && !names(pods).contains(&name)
        })
        .await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_gets_a_directory_and_gives_it_back() {
    let world = World::start().await;
    world.namespace("dev").await;
    let claim = json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "files"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}},
    });
    world.apply::<PersistentVolumeClaim>("dev", &claim).await;
    let claims = world
        .until(
            "dev",
            "a bound claim",
            |claims: &[PersistentVolumeClaim]| {
                claims.iter().any(|claim| {
                    let status = claim.status.clone().unwrap_or_default();
                    status.phase.as_deref() == Some("Bound") && status.capacity.is_some()
                })
            },
        )
        .await;
    let volumes: Api<PersistentVolume> = Api::all(world.client.clone());
    let name = claims[0].spec.clone().unwrap().volume_name.unwrap();
    let volume = volumes.get(&name).await.unwrap();
    let path = volume.spec.unwrap().host_path.unwrap().path;
    std::fs::write(format!("{path}/kept"), "").unwrap();
    world
        .api::<PersistentVolumeClaim>("dev")
        .delete("files", &DeleteParams::default())
        .await
        .unwrap();
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(30);
    while volumes.get_opt(&name).await.unwrap().is_some() {
        assert!(tokio::time::Instant::now() < deadline, "the volume stays");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert!(!std::path::Path::new(&path).exists());
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_autoscaler_brings_a_deployment_within_its_limits() {
    let world = World::simulated(1).await;
    world.namespace("dev").await;
    // Server-side apply would take `replicas` back each time it is repeated.
    world
        .apply::<k8s_openapi::api::apps::v1::Deployment>("dev", &deployment("web", 1, "web:1"))
        .await;
    let autoscaler = json!({
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "web"},
        "spec": {
            "minReplicas": 3, "maxReplicas": 5,
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
        },
    });
    world
        .apply::<HorizontalPodAutoscaler>("dev", &autoscaler)
        .await;
    world
        .until("dev", "three pods", |pods: &[Pod]| pods.len() == 3)
        .await;
    let rescaled = "New size: 3; reason: Current number of replicas below Spec.MinReplicas";
    assert_eq!(world.event("dev", "SuccessfulRescale").await, rescaled);
    world.stop().await;
}
