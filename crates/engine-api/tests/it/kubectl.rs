//! A real kubectl against a real listener.

use crate::ground::{Ground, Served};

const WEB: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {tier: front}}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - {name: main, image: 'example.org/web:1', ports: [{containerPort: 80}]}
";

async fn start() -> (Ground, Served) {
    let ground = Ground::start().await;
    let served = ground.listen().await;
    (ground, served)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kubectl_creates_shows_and_deletes() {
    let (_ground, cluster) = start().await;
    let resources = cluster.kubectl("api-resources").await;
    assert!(
        resources.contains("deployments") && resources.contains("deploy"),
        "{resources}"
    );
    cluster.kubectl("create namespace team").await;
    cluster
        .kubectl("create configmap settings --from-literal=a=b -n team")
        .await;
    cluster
        .kubectl("create secret generic key --from-literal=a=b -n team")
        .await;
    cluster
        .kubectl("create deployment web --image=example.org/web:1 --replicas=3 -n team")
        .await;
    cluster
        .kubectl("expose deployment web --port=80 -n team")
        .await;
    let table = cluster.kubectl("get deployments -n team").await;
    assert!(table.contains("READY") && table.contains("0/3"), "{table}");
    let wide = cluster
        .kubectl("get deploy,svc,cm,secret -n team -o wide")
        .await;
    assert!(
        wide.contains("example.org/web:1") && wide.contains("10.96."),
        "{wide}"
    );
    let names = cluster.kubectl("get all -n team -o name").await;
    assert!(
        names.contains("deployment.apps/web") && names.contains("service/web"),
        "{names}"
    );
    let text = cluster.kubectl("describe deployment web -n team").await;
    assert!(
        text.contains("Replicas:") && text.contains("example.org/web:1"),
        "{text}"
    );
    let value = cluster
        .kubectl("get secret key -n team -o jsonpath={.data.a}")
        .await;
    assert_eq!(value, "Yg==");
    cluster.kubectl("delete deployment web -n team").await;
    let complaint = cluster.complaint("get deployment web -n team", "").await;
    assert!(
        complaint.contains("deployments.apps \"web\" not found"),
        "{complaint}"
    );
    let complaint = cluster.complaint("get resourcequotas", "").await;
    assert!(
        complaint.contains("the server doesn't have a resource type"),
        "{complaint}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kubectl_applies_on_either_side() {
    let (_ground, cluster) = start().await;
    assert!(
        cluster
            .kubectl_with("apply -f -", WEB)
            .await
            .contains("created")
    );
    assert!(
        cluster
            .kubectl_with("apply -f -", WEB)
            .await
            .contains("unchanged")
    );
    let changed = WEB.replace("replicas: 2", "replicas: 4");
    let output = cluster.run(&["diff", "-f", "-"], &changed).await;
    assert_eq!(
        output.status.code(),
        Some(1),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(
        cluster
            .kubectl_with("apply -f -", &changed)
            .await
            .contains("configured")
    );
    assert_eq!(
        cluster
            .kubectl("get deploy web -o jsonpath={.spec.replicas}")
            .await,
        "4"
    );
    assert!(
        cluster
            .kubectl_with("apply --server-side -f -", &changed)
            .await
            .contains("serverside-applied")
    );
    let other = WEB.replace("replicas: 2", "replicas: 7");
    let complaint = cluster
        .complaint("apply --server-side --field-manager=other -f -", &other)
        .await;
    assert!(
        complaint.contains("Apply failed with 1 conflict"),
        "{complaint}"
    );
    cluster
        .kubectl_with(
            "apply --server-side --field-manager=other --force-conflicts -f -",
            &other,
        )
        .await;
    assert_eq!(
        cluster
            .kubectl("get deploy web -o jsonpath={.spec.replicas}")
            .await,
        "7"
    );
    let complaint = cluster
        .complaint("apply -f -", &WEB.replace("replicas", "replicaz"))
        .await;
    assert!(
        complaint.contains("unknown field \"spec.replicaz\""),
        "{complaint}"
    );
    cluster.kubectl_with("replace -f -", WEB).await;
    cluster.kubectl_with("delete -f -", WEB).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kubectl_changes_what_is_there() {
    let (_ground, cluster) = start().await;
    cluster.kubectl_with("create -f -", WEB).await;
    cluster.kubectl("scale deployment web --replicas=5").await;
    cluster
        .kubectl("set image deployment/web main=example.org/web:2")
        .await;
    cluster.kubectl("label deployment web team=a").await;
    cluster.kubectl("annotate deployment web note=hello").await;
    cluster.kubectl("rollout restart deployment web").await;
    cluster.kubectl("patch deployment web --type=json -p [{\"op\":\"remove\",\"path\":\"/metadata/labels/team\"}]").await;
    cluster
        .kubectl("patch deployment web --type=merge -p {\"metadata\":{\"labels\":{\"x\":\"y\"}}}")
        .await;
    cluster.kubectl("patch deployment web --subresource=status --type=merge -p {\"status\":{\"replicas\":5,\"conditions\":[{\"type\":\"Available\",\"status\":\"True\"}]}}").await;
    let shown = cluster.kubectl("get deploy web -o jsonpath={.spec.replicas}/{.status.replicas}/{.spec.template.spec.containers[0].image}/{.metadata.labels}").await;
    assert_eq!(
        shown,
        "5/5/example.org/web:2/{\"tier\":\"front\",\"x\":\"y\"}"
    );
    cluster
        .kubectl("wait --for=condition=Available deployment/web --timeout=10s")
        .await;
    cluster
        .kubectl("get deploy -l tier=front --field-selector metadata.name=web")
        .await;
    cluster
        .kubectl("run once --image=example.org/web:1 --restart=Never")
        .await;
    cluster
        .kubectl("wait --for=jsonpath={.status.phase}=Pending pod/once --timeout=10s")
        .await;
    cluster.kubectl("delete pod once --now").await;
    let edited = cluster
        .run_edited("edit deployment web", "s/replicas: 5/replicas: 6/")
        .await;
    assert!(edited.contains("edited"), "{edited}");
    assert_eq!(
        cluster
            .kubectl("get deploy web -o jsonpath={.spec.replicas}")
            .await,
        "6"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kubectl_explains_and_asks_for_permission() {
    let (ground, cluster) = start().await;
    let text = cluster.kubectl("explain deployment.spec.replicas").await;
    assert!(text.contains("FIELD: replicas <integer>"), "{text}");
    assert_eq!(
        cluster.kubectl("auth can-i delete nodes").await.trim(),
        "yes"
    );
    let output = cluster
        .run(&["auth", "can-i", "delete", "nodes", "--as=dev"], "")
        .await;
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "no");
    let rules = cluster.kubectl("auth can-i --list").await;
    assert!(rules.contains("*.*"), "{rules}");
    assert!(cluster.kubectl("auth whoami").await.contains("admin"));
    let token = cluster.kubectl("create token default").await;
    assert_eq!(token.trim().split('.').count(), 3, "{token}");
    assert!(cluster.kubectl("version").await.contains("+foreshore"));
    assert_eq!(cluster.kubectl("get --raw /readyz").await, "ok");
    cluster.kubectl("cluster-info").await;
    let node = serde_json::json!({"metadata": {"name": "n1"}});
    ground.post("/api/v1/nodes", node).await.expect(201);
    cluster.kubectl("cordon n1").await;
    let table = cluster.kubectl("get nodes").await;
    assert!(table.contains("SchedulingDisabled"), "{table}");
    cluster.kubectl("taint node n1 a=b:NoSchedule").await;
    cluster.kubectl("drain n1 --ignore-daemonsets").await;
    cluster.kubectl("uncordon n1").await;
    cluster.kubectl("describe node n1").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watching_kubectl_sees_changes_and_the_server_ends_in_time() {
    use std::io::{BufRead, BufReader};
    let (_ground, cluster) = start().await;
    let mut command = cluster.command(&["get", "configmaps", "-w", "--no-headers"]);
    let mut child = command
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let output = child.stdout.take().unwrap();
    cluster
        .kubectl("create configmap seen --from-literal=a=b")
        .await;
    let line = tokio::task::spawn_blocking(move || {
        BufReader::new(output)
            .lines()
            .map_while(Result::ok)
            .find(|line| line.contains("seen"))
    });
    let line = tokio::time::timeout(std::time::Duration::from_secs(20), line).await;
    assert!(line.expect("in time").unwrap().is_some());
    cluster.shutdown.cancel();
    let waited = tokio::task::spawn_blocking(move || {
        child.kill().ok();
        child.wait()
    });
    waited.await.unwrap().unwrap();
}
