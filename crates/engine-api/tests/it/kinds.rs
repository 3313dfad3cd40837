//! Workloads, batch, storage, policies: defaults, generated parts, what may not change.

use serde_json::{Value, json};

use crate::ground::{Answer, Ground};

const APPS: &str = "/apis/apps/v1/namespaces/default";
const BATCH: &str = "/apis/batch/v1/namespaces/default";
const CORE: &str = "/api/v1/namespaces/default";

fn template(restart: &str) -> Value {
    json!({
        "metadata": {"labels": {"app": "a"}},
        "spec": {"restartPolicy": restart, "containers": [{"name": "main", "image": "example.org/a:1"}]},
    })
}

fn workload(kind: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": kind, "metadata": {"name": "a"},
        "spec": {"selector": {"matchLabels": {"app": "a"}}, "template": template("Always")},
    })
}

#[track_caller]
fn causes(answer: Answer) -> Vec<(String, String)> {
    let status = answer.expect(422);
    let causes = status["details"]["causes"].as_array().unwrap().iter();
    causes
        .map(|cause| {
            let text = |field: &str| cause[field].as_str().unwrap().to_owned();
            (text("field"), text("message"))
        })
        .collect()
}

#[tokio::test]
async fn a_stateful_set_is_defaulted_scaled_and_mostly_fixed() {
    let ground = Ground::start().await;
    let sets = format!("{APPS}/statefulsets");
    let mut made = ground
        .post(&sets, workload("StatefulSet"))
        .await
        .expect(201);
    assert_eq!(made["spec"]["podManagementPolicy"], "OrderedReady");
    assert_eq!(
        made["spec"]["updateStrategy"]["rollingUpdate"]["partition"],
        0
    );
    assert_eq!(made["metadata"]["generation"], 1);
    let scale = json!({"spec": {"replicas": 4}});
    let scaled = ground
        .patch(&format!("{sets}/a/scale"), "merge", scale)
        .await
        .expect(200);
    assert_eq!(
        (&scaled["kind"], &scaled["spec"]["replicas"]),
        (&json!("Scale"), &json!(4))
    );
    made = ground.get(&format!("{sets}/a")).await.expect(200);
    assert_eq!(made["metadata"]["generation"], 2);
    made["spec"]["serviceName"] = json!("other");
    let refused = causes(ground.put(&format!("{sets}/a"), made).await);
    assert_eq!(refused[0].0, "spec");
    assert!(
        refused[0]
            .1
            .starts_with("Forbidden: updates to statefulset spec for fields other than")
    );
    let mut wrong = workload("StatefulSet");
    wrong["spec"]["template"]["metadata"]["labels"] = json!({"app": "b"});
    wrong["metadata"]["name"] = json!("b");
    let refused = causes(ground.post(&sets, wrong).await);
    assert_eq!(refused[0].0, "spec.template.metadata.labels");
}

#[tokio::test]
async fn a_daemon_set_counts_its_templates() {
    let ground = Ground::start().await;
    let sets = format!("{APPS}/daemonsets");
    let made = ground.post(&sets, workload("DaemonSet")).await.expect(201);
    let count = |set: &Value| {
        set["metadata"]["annotations"]["deprecated.daemonset.template.generation"].clone()
    };
    assert_eq!(count(&made), "1");
    assert_eq!(
        made["spec"]["updateStrategy"]["rollingUpdate"]["maxUnavailable"],
        1
    );
    let image =
        json!({"spec": {"template": {"spec": {"containers": [{"name": "main", "image": "b:2"}]}}}});
    let changed = ground
        .patch(&format!("{sets}/a"), "strategic-merge", image)
        .await
        .expect(200);
    assert_eq!(
        (count(&changed), &changed["metadata"]["generation"]),
        (json!("2"), &json!(2))
    );
    let status = json!({"status": {"numberReady": 1}});
    let reported = ground
        .patch(&format!("{sets}/a/status"), "merge", status)
        .await
        .expect(200);
    assert_eq!(
        (count(&reported), &reported["metadata"]["generation"]),
        (json!("2"), &json!(2))
    );
}

#[tokio::test]
async fn a_job_selects_its_pods_and_keeps_its_template() {
    let ground = Ground::start().await;
    let jobs = format!("{BATCH}/jobs");
    let job = json!({"metadata": {"name": "a"}, "spec": {"template": template("Never")}});
    let made = ground.post(&jobs, job.clone()).await.expect(201);
    let uid = &made["metadata"]["uid"];
    assert_eq!(
        made["spec"]["selector"]["matchLabels"]["batch.kubernetes.io/controller-uid"],
        *uid
    );
    let labels = &made["spec"]["template"]["metadata"]["labels"];
    assert_eq!(
        (&labels["job-name"], &labels["controller-uid"]),
        (&json!("a"), uid)
    );
    assert_eq!(
        (&made["spec"]["completions"], &made["spec"]["backoffLimit"]),
        (&json!(1), &json!(6))
    );
    assert_eq!(made["metadata"]["labels"], json!({"app": "a"}));
    let change = json!({"spec": {"template": {"spec": {"activeDeadlineSeconds": 5}}}});
    let refused = causes(ground.patch(&format!("{jobs}/a"), "merge", change).await);
    assert_eq!(refused[0].0, "spec.template");
    ground
        .patch(
            &format!("{jobs}/a"),
            "merge",
            json!({"spec": {"parallelism": 3}}),
        )
        .await
        .expect(200);
    let mut wrong = job;
    wrong["spec"]["template"] = template("Always");
    wrong["metadata"]["name"] = json!("b");
    assert_eq!(
        causes(ground.post(&jobs, wrong).await),
        [(
            "spec.template.spec.restartPolicy".to_owned(),
            "Required value: valid values: \"OnFailure\", \"Never\"".to_owned()
        )]
    );
    let deleted = ground.delete(&format!("{jobs}/a"), Value::Null).await;
    let warning = deleted.headers["warning"].to_str().unwrap();
    assert!(
        warning.contains("child pods are preserved by default"),
        "{warning}"
    );
    assert_eq!(deleted.json()["metadata"]["finalizers"], json!(["orphan"]));
}

#[tokio::test]
async fn a_cron_job_needs_a_schedule_that_can_be_read() {
    let ground = Ground::start().await;
    let jobs = format!("{BATCH}/cronjobs");
    let cron = |name: &str, schedule: &str| json!({"metadata": {"name": name}, "spec": {"schedule": schedule, "jobTemplate": {"spec": {"template": template("OnFailure")}}}});
    let made = ground
        .post(&jobs, cron("a", "*/5 * * * *"))
        .await
        .expect(201);
    assert_eq!(made["spec"]["concurrencyPolicy"], "Allow");
    assert_eq!(
        (
            &made["spec"]["successfulJobsHistoryLimit"],
            &made["spec"]["suspend"]
        ),
        (&json!(3), &json!(false))
    );
    let refused = causes(ground.post(&jobs, cron("b", "often")).await);
    assert_eq!(
        refused,
        [(
            "spec.schedule".to_owned(),
            "Invalid value: \"often\": expected exactly 5 fields, found 1: [often]".to_owned()
        )]
    );
}

#[tokio::test]
async fn an_autoscaler_is_one_object_in_two_versions() {
    let ground = Ground::start().await;
    let path = |version: &str| {
        format!("/apis/autoscaling/{version}/namespaces/default/horizontalpodautoscalers")
    };
    let old = json!({"metadata": {"name": "a"}, "spec": {
        "maxReplicas": 5, "targetCPUUtilizationPercentage": 70,
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
    }});
    let made = ground.post(&path("v1"), old).await.expect(201);
    assert_eq!(
        (&made["apiVersion"], &made["spec"]["minReplicas"]),
        (&json!("autoscaling/v1"), &json!(1))
    );
    let new = ground.get(&format!("{}/a", path("v2"))).await.expect(200);
    assert_eq!(new["apiVersion"], "autoscaling/v2");
    assert_eq!(
        new["spec"]["metrics"][0]["resource"]["target"]["averageUtilization"],
        70
    );
    let memory = json!([{"type": "Resource", "resource": {"name": "memory", "target": {"type": "AverageValue", "averageValue": "64Mi"}}}]);
    let change = json!({"spec": {"metrics": memory}});
    ground
        .patch(&format!("{}/a", path("v2")), "merge", change)
        .await
        .expect(200);
    let old = ground.get(&format!("{}/a", path("v1"))).await.expect(200);
    let note = old["metadata"]["annotations"]["autoscaling.alpha.kubernetes.io/metrics"]
        .as_str()
        .unwrap();
    assert!(note.contains("\"targetAverageValue\":\"64Mi\""), "{note}");
    let table = "application/json;as=Table;v=v1;g=meta.k8s.io";
    let table = ground.get_as(&path("v2"), table).await.expect(200);
    assert_eq!(table["rows"][0]["cells"][1], "Deployment/web");
    assert_eq!(table["rows"][0]["cells"][2], "memory: <unknown>/64Mi");
    let wrong = json!({"metadata": {"name": "b"}, "spec": {"maxReplicas": 0, "scaleTargetRef": {"kind": "Deployment", "name": "web"}}});
    let refused = causes(ground.post(&path("v2"), wrong).await);
    assert_eq!(
        refused[0],
        (
            "spec.maxReplicas".to_owned(),
            "Required value: must be set and greater than 0".to_owned()
        )
    );
}

#[tokio::test]
async fn a_claim_gets_the_default_class_and_stays_as_it_is() {
    let ground = Ground::start().await;
    let class = json!({
        "metadata": {"name": "here", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
        "provisioner": "foreshore.local/directory",
    });
    let class = ground
        .post("/apis/storage.k8s.io/v1/storageclasses", class)
        .await
        .expect(201);
    assert_eq!(
        (&class["reclaimPolicy"], &class["volumeBindingMode"]),
        (&json!("Delete"), &json!("Immediate"))
    );
    let claims = format!("{CORE}/persistentvolumeclaims");
    let claim = json!({"metadata": {"name": "a"}, "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}});
    let made = ground.post(&claims, claim).await.expect(201);
    assert_eq!(
        (&made["spec"]["storageClassName"], &made["status"]["phase"]),
        (&json!("here"), &json!("Pending"))
    );
    let change = json!({"spec": {"accessModes": ["ReadOnlyMany"]}});
    let refused = causes(ground.patch(&format!("{claims}/a"), "merge", change).await);
    assert!(
        refused[0]
            .1
            .starts_with("Forbidden: spec is immutable after creation except"),
        "{refused:?}"
    );
    ground
        .patch(
            &format!("{claims}/a"),
            "merge",
            json!({"spec": {"volumeName": "v"}}),
        )
        .await
        .expect(200);
    let volume = json!({"metadata": {"name": "v"}, "spec": {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/x"}}});
    let made = ground
        .post("/api/v1/persistentvolumes", volume)
        .await
        .expect(201);
    assert_eq!(
        (
            &made["spec"]["persistentVolumeReclaimPolicy"],
            &made["status"]["phase"]
        ),
        (&json!("Retain"), &json!("Pending"))
    );
    let table = "application/json;as=Table;v=v1;g=meta.k8s.io";
    let table = ground
        .get_as("/api/v1/persistentvolumes", table)
        .await
        .expect(200);
    assert_eq!(table["rows"][0]["cells"][1], "1Gi");
    assert_eq!(table["rows"][0]["cells"][2], "RWO");
}

#[tokio::test]
async fn kinds_without_effect_say_so() {
    let ground = Ground::start().await;
    let policy = json!({"metadata": {"name": "a"}, "spec": {"podSelector": {}}});
    let path = "/apis/networking.k8s.io/v1/namespaces/default/networkpolicies";
    let answer = ground.post(path, policy).await;
    let warning = answer.headers["warning"].to_str().unwrap().to_owned();
    assert!(
        warning.contains("NetworkPolicy is stored but has no effect"),
        "{warning}"
    );
    assert_eq!(
        answer.expect(201)["spec"]["policyTypes"],
        json!(["Ingress"])
    );
    let path = "/apis/scheduling.k8s.io/v1/priorityclasses";
    let class = json!({"metadata": {"name": "high"}, "value": 1000});
    let answer = ground.post(path, class).await;
    assert!(
        answer.headers["warning"]
            .to_str()
            .unwrap()
            .contains("PriorityClass is stored")
    );
    answer.expect(201);
    let mut pod = crate::ground::pod("a");
    pod["spec"]["priorityClassName"] = json!("high");
    let made = ground
        .post(&format!("{CORE}/pods"), pod.clone())
        .await
        .expect(201);
    assert_eq!(made["spec"]["priority"], 1000);
    pod["metadata"]["name"] = json!("b");
    pod["spec"]["priorityClassName"] = json!("none");
    let message = ground
        .post(&format!("{CORE}/pods"), pod)
        .await
        .refused(403, "Forbidden");
    assert!(
        message.ends_with("no PriorityClass with name none was found"),
        "{message}"
    );
    let change = json!({"value": 5});
    let refused = causes(ground.patch(&format!("{path}/high"), "merge", change).await);
    assert_eq!(refused[0].1, "Forbidden: may not be changed in an update.");
    ground
        .get(&format!("{path}/system-node-critical"))
        .await
        .expect(200);
}
