//! What the controllers of workloads make of objects, with the test in the
//! place of the nodes.

use std::time::Duration;

use foreshore_testkit::wait;
use serde_json::{Value, json};

use crate::world::{Reply, World};

/// Longer than anything here takes, pauses after failures included.
const LIMIT: Duration = Duration::from_mins(1);

/// What becomes of pods.
#[derive(Clone, Copy)]
enum Fate {
    Run,
    Succeed,
    Fail,
}

fn template(label: &str) -> Value {
    json!({
        "metadata": {"labels": {"app": label}},
        "spec": {"containers": [{"name": "main", "image": "registry.test/main:1"}]},
    })
}

/// Does once what nodes would do: pods start, end, and go away when told.
async fn play(world: &World, fate: Fate) {
    let pods = world.get(&world.core("pods")).await.ok();
    for pod in pods["items"].as_array().unwrap() {
        let name = pod["metadata"]["name"].as_str().unwrap();
        let path = world.core(&format!("pods/{name}"));
        // A race against a controller is repeated with the next round.
        if pod["metadata"].get("deletionTimestamp").is_some() {
            let now =
                json!({"gracePeriodSeconds": 0, "preconditions": {"uid": pod["metadata"]["uid"]}});
            world.delete(&path, now).await;
            continue;
        }
        if pod["status"]["phase"] != "Pending" {
            continue;
        }
        let (phase, ready) = match fate {
            Fate::Run => ("Running", "True"),
            Fate::Succeed => ("Succeeded", "False"),
            Fate::Fail => ("Failed", "False"),
        };
        let mut conditions = pod["status"]["conditions"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        conditions.retain(|condition| condition["type"] != "Ready");
        conditions.push(
            json!({"type": "Ready", "status": ready, "lastTransitionTime": "2026-01-01T00:00:00Z"}),
        );
        let status = json!({
            "metadata": {"uid": pod["metadata"]["uid"]},
            "status": {"phase": phase, "conditions": conditions},
        });
        world.merge(&format!("{path}/status"), status).await;
    }
}

/// Plays the nodes until the object at `path` satisfies `condition`.
async fn until(
    world: &World,
    fate: Fate,
    what: &str,
    path: &str,
    condition: impl Fn(&Value) -> bool,
) -> Value {
    wait::for_some(what, LIMIT, || async {
        play(world, fate).await;
        let reply: Reply = world.get(path).await;
        (reply.code == 200 && condition(&reply.body)).then_some(reply.body)
    })
    .await
    .unwrap()
}

/// The pods of a label, by name.
async fn pods(world: &World, label: &str) -> Vec<Value> {
    let path = world.core(&format!("pods?labelSelector=app={label}"));
    let list = world.get(&path).await.ok();
    let mut pods = list["items"].as_array().unwrap().clone();
    pods.sort_by_key(|pod| pod["metadata"]["name"].to_string());
    pods
}

fn names(pods: &[Value]) -> Vec<&str> {
    let names = pods.iter().map(|pod| pod["metadata"]["name"].as_str());
    names.map(Option::unwrap).collect()
}

fn stateful_set(image: &str, partition: i32) -> Value {
    let mut template = template("db");
    template["spec"]["containers"][0]["image"] = json!(image);
    json!({
        "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "db"},
        "spec": {
            "replicas": 3, "serviceName": "db", "selector": {"matchLabels": {"app": "db"}},
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": partition}},
            "template": template,
            "volumeClaimTemplates": [{
                "metadata": {"name": "data"},
                "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}},
            }],
        },
    })
}

fn is_rolled_out(set: &Value) -> bool {
    let status = &set["status"];
    status["observedGeneration"] == set["metadata"]["generation"]
        && status["readyReplicas"] == 3
        && status["updatedReplicas"] == 3
        && status["currentRevision"] == status["updateRevision"]
}

pub(crate) async fn a_stateful_set_makes_its_pods_in_order(world: World) {
    let path = world.apps("statefulsets/db");
    world
        .post(
            &world.apps("statefulsets"),
            stateful_set("registry.test/main:1", 0),
        )
        .await
        .ok();
    // The second waits for the first, however long that takes to be ready.
    world
        .until("the first pod", &world.core("pods/db-0"), |reply| {
            reply.code == 200
        })
        .await;
    assert_eq!(names(&pods(&world, "db").await), ["db-0"]);
    let set = until(&world, Fate::Run, "three ready pods", &path, is_rolled_out).await;
    let made = pods(&world, "db").await;
    assert_eq!(names(&made), ["db-0", "db-1", "db-2"]);
    for (index, pod) in made.iter().enumerate() {
        let (meta, spec) = (&pod["metadata"], &pod["spec"]);
        let name = format!("db-{index}");
        assert_eq!(meta["generateName"], "db-");
        assert_eq!(meta["labels"]["statefulset.kubernetes.io/pod-name"], name);
        assert_eq!(
            meta["labels"]["apps.kubernetes.io/pod-index"],
            index.to_string()
        );
        assert_eq!(
            meta["labels"]["controller-revision-hash"],
            set["status"]["currentRevision"]
        );
        assert_eq!(
            (&spec["hostname"], &spec["subdomain"]),
            (&json!(name), &json!("db"))
        );
        assert_eq!(
            spec["volumes"][0]["persistentVolumeClaim"]["claimName"],
            format!("data-{name}")
        );
    }
    let claims = world.get(&world.core("persistentvolumeclaims")).await.ok();
    assert_eq!(claims["items"].as_array().unwrap().len(), 3);
    assert_eq!(
        claims["items"][0]["metadata"]["labels"],
        json!({"app": "db"})
    );
    let revision = set["status"]["currentRevision"].as_str().unwrap();
    let revision = world
        .get(&world.apps(&format!("controllerrevisions/{revision}")))
        .await
        .ok();
    assert_eq!(revision["revision"], 1);
    assert_eq!(revision["data"]["spec"]["template"]["$patch"], "replace");
}

pub(crate) async fn a_stateful_set_is_updated_down_to_its_partition(world: World) {
    let path = world.apps("statefulsets/db");
    world
        .post(
            &world.apps("statefulsets"),
            stateful_set("registry.test/main:1", 2),
        )
        .await
        .ok();
    until(&world, Fate::Run, "three ready pods", &path, is_rolled_out).await;
    let update = json!({"spec": {"template": {"spec": {"containers": [
        {"name": "main", "image": "registry.test/main:2"},
    ]}}}});
    world.strategic(&path, update).await.ok();
    let updated = until(&world, Fate::Run, "one new pod", &path, |set| {
        let status = &set["status"];
        status["observedGeneration"] == set["metadata"]["generation"]
            && status["updatedReplicas"] == 1
            && status["readyReplicas"] == 3
            && status["currentReplicas"] == 2
    });
    let updated = updated.await;
    assert_ne!(
        updated["status"]["currentRevision"],
        updated["status"]["updateRevision"]
    );
    let made = pods(&world, "db").await;
    let images: Vec<_> = made
        .iter()
        .map(|pod| &pod["spec"]["containers"][0]["image"])
        .collect();
    assert_eq!(
        images,
        [
            "registry.test/main:1",
            "registry.test/main:1",
            "registry.test/main:2"
        ]
    );
    let whole = json!({"spec": {"updateStrategy": {"rollingUpdate": {"partition": 0}}}});
    world.merge(&path, whole).await.ok();
    until(&world, Fate::Run, "three new pods", &path, is_rolled_out).await;
}

/// A node nobody else uses: tainted and labelled with the namespace.
async fn node(world: &World, number: u32) -> String {
    let name = format!("{}-{number}", world.namespace());
    let node = json!({
        "metadata": {"name": name, "labels": {"contract": world.namespace()}},
        "spec": {"taints": [{"key": "contract", "value": world.namespace(), "effect": "NoSchedule"}]},
    });
    world.post("/api/v1/nodes", node).await.ok();
    let room = json!({"cpu": "4", "memory": "8Gi", "pods": "10"});
    let status = json!({"status": {"allocatable": room, "capacity": room}});
    let path = format!("/api/v1/nodes/{name}");
    world.merge(&format!("{path}/status"), status).await.ok();
    path
}

pub(crate) async fn a_daemon_set_puts_one_pod_on_every_node_that_takes_it(world: World) {
    let nodes = [node(&world, 1).await, node(&world, 2).await];
    let mut pod = template("log");
    pod["spec"]["nodeSelector"] = json!({"contract": world.namespace()});
    pod["spec"]["tolerations"] = json!([
        {"key": "contract", "operator": "Exists", "effect": "NoSchedule"},
        {"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoSchedule"},
        {"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoSchedule"},
    ]);
    let set = json!({
        "metadata": {"name": "log"},
        "spec": {"selector": {"matchLabels": {"app": "log"}}, "template": pod},
    });
    world.post(&world.apps("daemonsets"), set).await.ok();
    let path = world.apps("daemonsets/log");
    let set = until(&world, Fate::Run, "two ready daemons", &path, |set| {
        let status = &set["status"];
        status["numberReady"] == 2
            && status["numberAvailable"] == 2
            && status["observedGeneration"] == 1
    });
    let status = &set.await["status"];
    assert_eq!(status["desiredNumberScheduled"], 2);
    assert_eq!(status["currentNumberScheduled"], 2);
    assert_eq!(status["numberMisscheduled"], 0);
    assert_eq!(status["updatedNumberScheduled"], 2);
    let pods = pods(&world, "log").await;
    for pod in &pods {
        let required = "/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms";
        let target = pod.pointer(required).unwrap();
        assert_eq!(target[0]["matchFields"][0]["key"], "metadata.name");
        let given = pod["spec"]["tolerations"].as_array().unwrap();
        let tolerates = |key: &str, effect: &str| {
            given
                .iter()
                .any(|one| one["key"] == key && one["effect"] == effect)
        };
        assert!(tolerates("node.kubernetes.io/not-ready", "NoExecute"));
        assert!(tolerates("node.kubernetes.io/disk-pressure", "NoSchedule"));
        assert!(tolerates("node.kubernetes.io/unschedulable", "NoSchedule"));
    }
    for node in nodes {
        world.delete(&node, json!({})).await.ok();
    }
}

fn job(name: &str, extra: &Value) -> Value {
    let mut template = template(name);
    template["spec"]["restartPolicy"] = json!("Never");
    let mut job = json!({"metadata": {"name": name}, "spec": {"template": template}});
    for (key, value) in extra.as_object().unwrap() {
        job["spec"][key] = value.clone();
    }
    job
}

/// Type and reason of the conditions that hold.
fn conditions(object: &Value) -> Vec<(&str, &str)> {
    let conditions = object["status"]["conditions"].as_array();
    conditions
        .into_iter()
        .flatten()
        .filter(|condition| condition["status"] == "True")
        .map(|condition| {
            (
                condition["type"].as_str().unwrap(),
                condition["reason"].as_str().unwrap_or_default(),
            )
        })
        .collect()
}

fn has(object: &Value, kind: &str) -> bool {
    conditions(object).iter().any(|(known, _)| *known == kind)
}

pub(crate) async fn a_job_completes_when_its_pods_succeeded(world: World) {
    let jobs = world.group("batch/v1", "jobs");
    world
        .post(
            &jobs,
            job("sum", &json!({"completions": 3, "parallelism": 2})),
        )
        .await
        .ok();
    let path = format!("{jobs}/sum");
    let done = until(&world, Fate::Succeed, "the end", &path, |job| {
        has(job, "Complete")
    })
    .await;
    let expected = [
        ("SuccessCriteriaMet", "CompletionsReached"),
        ("Complete", "CompletionsReached"),
    ];
    assert_eq!(conditions(&done), expected);
    let status = &done["status"];
    assert_eq!(
        (&status["succeeded"], status.get("failed")),
        (&json!(3), None)
    );
    assert_eq!(
        (&status["ready"], &status["terminating"]),
        (&json!(0), &json!(0))
    );
    assert_eq!(status["uncountedTerminatedPods"], json!({}));
    assert!(status["startTime"].is_string() && status["completionTime"].is_string());
    let pods = pods(&world, "sum").await;
    assert_eq!(pods.len(), 3);
    for pod in pods {
        assert!(pod["metadata"].get("finalizers").is_none());
        assert_eq!(
            pod["metadata"]["labels"]["batch.kubernetes.io/job-name"],
            "sum"
        );
    }
}

pub(crate) async fn a_job_whose_pod_fails_fails(world: World) {
    let jobs = world.group("batch/v1", "jobs");
    world
        .post(&jobs, job("sum", &json!({"backoffLimit": 0})))
        .await
        .ok();
    let path = format!("{jobs}/sum");
    let done = until(&world, Fate::Fail, "the end", &path, |job| {
        has(job, "Failed")
    })
    .await;
    let expected = [
        ("FailureTarget", "BackoffLimitExceeded"),
        ("Failed", "BackoffLimitExceeded"),
    ];
    assert_eq!(conditions(&done), expected);
    assert_eq!(
        done["status"]["conditions"][1]["message"],
        "Job has reached the specified backoff limit"
    );
    assert_eq!(done["status"]["failed"], 1);
    assert!(done["status"].get("completionTime").is_none());
}

pub(crate) async fn an_indexed_job_runs_every_index(world: World) {
    let jobs = world.group("batch/v1", "jobs");
    let indexed = json!({"completions": 3, "parallelism": 3, "completionMode": "Indexed"});
    world.post(&jobs, job("sum", &indexed)).await.ok();
    let path = format!("{jobs}/sum");
    let done = until(&world, Fate::Succeed, "the end", &path, |job| {
        has(job, "Complete")
    })
    .await;
    assert_eq!(done["status"]["completedIndexes"], "0-2");
    assert_eq!(done["status"]["succeeded"], 3);
    let pods = pods(&world, "sum").await;
    for (index, pod) in pods.iter().enumerate() {
        let (meta, spec) = (&pod["metadata"], &pod["spec"]);
        assert_eq!(meta["generateName"], format!("sum-{index}-"));
        assert_eq!(spec["hostname"], format!("sum-{index}"));
        let own = "batch.kubernetes.io/job-completion-index";
        assert_eq!(meta["annotations"][own], index.to_string());
        assert_eq!(meta["labels"][own], index.to_string());
        let variable = &spec["containers"][0]["env"][0];
        assert_eq!(variable["name"], "JOB_COMPLETION_INDEX");
        assert_eq!(
            variable["valueFrom"]["fieldRef"]["fieldPath"],
            format!("metadata.labels['{own}']")
        );
    }
}

pub(crate) async fn a_suspended_job_makes_no_pods_until_it_is_resumed(world: World) {
    let jobs = world.group("batch/v1", "jobs");
    world
        .post(&jobs, job("sum", &json!({"suspend": true})))
        .await
        .ok();
    let path = format!("{jobs}/sum");
    let held = until(&world, Fate::Succeed, "the pause", &path, |job| {
        has(job, "Suspended")
    })
    .await;
    assert_eq!(conditions(&held), [("Suspended", "JobSuspended")]);
    assert!(held["status"].get("startTime").is_none());
    assert!(pods(&world, "sum").await.is_empty());
    world
        .merge(&path, json!({"spec": {"suspend": false}}))
        .await
        .ok();
    until(&world, Fate::Succeed, "the end", &path, |job| {
        has(job, "Complete")
    })
    .await;
}

pub(crate) async fn a_cron_job_makes_a_job_when_it_is_due(world: World) {
    let all = world.group("batch/v1", "cronjobs");
    let cron_job = json!({
        "metadata": {"name": "report"},
        "spec": {"schedule": "@every 1s", "jobTemplate": {"spec": job("report", &json!({}))["spec"]}},
    });
    world.post(&all, cron_job).await.ok();
    let path = format!("{all}/report");
    let due = until(&world, Fate::Run, "a running job", &path, |cron_job| {
        cron_job["status"]["active"]
            .as_array()
            .is_some_and(|active| !active.is_empty())
    });
    let due = due.await;
    assert!(due["status"]["lastScheduleTime"].is_string());
    let active = &due["status"]["active"][0];
    assert_eq!(
        (&active["kind"], &active["apiVersion"]),
        (&json!("Job"), &json!("batch/v1"))
    );
    let name = active["name"].as_str().unwrap();
    assert!(name.starts_with("report-"), "{name}");
    let made = world
        .get(&world.group("batch/v1", &format!("jobs/{name}")))
        .await
        .ok();
    let scheduled = "batch.kubernetes.io/cronjob-scheduled-timestamp";
    assert!(made["metadata"]["annotations"][scheduled].is_string());
    assert_eq!(made["metadata"]["ownerReferences"][0]["kind"], "CronJob");
}

pub(crate) async fn a_budget_counts_its_pods(world: World) {
    let set = json!({
        "metadata": {"name": "web"},
        "spec": {"replicas": 3, "selector": {"matchLabels": {"app": "web"}}, "template": template("web")},
    });
    world.post(&world.apps("replicasets"), set).await.ok();
    let budgets = world.group("policy/v1", "poddisruptionbudgets");
    let budget = json!({
        "metadata": {"name": "web"},
        "spec": {"maxUnavailable": "34%", "selector": {"matchLabels": {"app": "web"}}},
    });
    world.post(&budgets, budget).await.ok();
    let path = format!("{budgets}/web");
    let counted = until(&world, Fate::Run, "three healthy pods", &path, |budget| {
        budget["status"]["currentHealthy"] == 3
    });
    let status = counted.await["status"].clone();
    assert_eq!(
        (&status["expectedPods"], &status["desiredHealthy"]),
        (&json!(3), &json!(1))
    );
    assert_eq!(status["disruptionsAllowed"], 2);
    assert_eq!(status["conditions"][0]["type"], "DisruptionAllowed");
    assert_eq!(status["conditions"][0]["reason"], "SufficientPods");
    let strict = json!({"spec": {"maxUnavailable": 0}});
    world.merge(&path, strict).await.ok();
    let strict = until(&world, Fate::Run, "no room", &path, |budget| {
        budget["status"]["observedGeneration"] == budget["metadata"]["generation"]
            && budget["status"]["disruptionsAllowed"] == 0
    });
    assert_eq!(
        strict.await["status"]["conditions"][0]["reason"],
        "InsufficientPods"
    );
}
