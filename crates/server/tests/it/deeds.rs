//! Every action of the pages, carried out: by a running engine, an agent and simulated nodes.

use foreshore_testkit::cluster::Kind;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::whole::{Whole, token, undo};

const DEPLOYMENT: &str = "/apis/apps/v1/namespaces/dev/deployments/web";

fn ready(deployment: &Value, replicas: u64) -> bool {
    let status = &deployment["status"];
    status["readyReplicas"] == replicas
        && status["updatedReplicas"] == replicas
        && status["replicas"] == replicas
        && status["observedGeneration"] == deployment["metadata"]["generation"]
}

/// The nodes that hold pods of a service.
async fn nodes_of(whole: &Whole, service: &str) -> Vec<String> {
    let path = format!("/api/v1/namespaces/dev/pods?labelSelector=app%3D{service}");
    let pods = whole.object(&path).await;
    pods["items"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|pod| pod.pointer("/metadata/deletionTimestamp").is_none())
        .map(|pod| {
            pod["spec"]["nodeName"]
                .as_str()
                .unwrap_or_default()
                .to_owned()
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_done_to_workloads_and_nodes_happens_and_can_be_undone() {
    let whole = Whole::start(Kind::Engine).await;
    whole.push("web", 1).await;
    whole
        .until("/services", |page| page.contains(">2/2<"))
        .await;

    let path = "/act/scale?environment=dev&service=web&workload=web&replicas=3";
    let (preview, done) = whole.confirm(path, &[("reason", "campaign")]).await;
    assert!(
        preview.contains("operations.yaml") && preview.contains("Room on the nodes: yes"),
        "{preview}"
    );
    let page = whole
        .until(&done, |page| page.contains("3 of 3 pods are ready"))
        .await;
    assert!(page.contains("committed "), "{page}");
    let deployment = whole.object(DEPLOYMENT).await;
    assert_eq!(deployment["spec"]["replicas"], 3);
    whole.act(&undo(&page), &[]).await;
    whole
        .until_object(DEPLOYMENT, |object| ready(object, 2))
        .await;

    let page = whole
        .act("/act/restart?environment=dev&service=web", &[])
        .await;
    assert!(page.contains("Deployment web in local restarts"), "{page}");
    let restarted = whole.object(DEPLOYMENT).await;
    let at = "/spec/template/metadata/annotations/kubectl.kubernetes.io~1restartedAt";
    assert!(restarted.pointer(at).is_some(), "{restarted}");
    whole
        .until_object(DEPLOYMENT, |object| ready(object, 2))
        .await;

    let pods = whole.object("/api/v1/namespaces/dev/pods").await;
    let pod = pods["items"][0]["metadata"]["name"]
        .as_str()
        .unwrap()
        .to_owned();
    whole.until("/pods", |page| page.contains(&pod)).await;
    whole
        .act(
            &format!("/act/restart-pod?site=local&namespace=dev&pod={pod}"),
            &[],
        )
        .await;
    whole
        .until_object(DEPLOYMENT, |object| ready(object, 2))
        .await;

    drain(&whole).await;
    refused_by_the_cluster(&whole).await;

    let audit = whole.get("/audit.json?size=500").await.text;
    for deed in [
        "scale web of web in dev to 3",
        "restart web in dev",
        "drain node ",
        "cordon node ",
        "restart-pod pod dev/",
    ] {
        assert!(audit.contains(deed), "{deed} is not in {audit}");
    }
    let records: Vec<Value> = serde_json::from_str(&audit).unwrap();
    let by_owner = records
        .iter()
        .filter(|record| record["actor"] == "owner")
        .count();
    assert!(by_owner >= 12, "asked and done, each with who: {audit}");
    assert!(audit.contains("campaign"), "{audit}");
}

/// A budget stands in the way and is named; without it every pod moves, and the undo lets pods in again.
async fn drain(whole: &Whole) {
    let node = nodes_of(whole, "web").await.remove(0);
    let budgets = "/apis/policy/v1/namespaces/dev/poddisruptionbudgets";
    whole.create(budgets, &json!({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "keep-web"},
        "spec": {"minAvailable": 2, "selector": {"matchLabels": {"app": "web"}}}})).await;
    let path = format!("/act/drain?site=local&node={node}");
    let preview = whole
        .until(&path, |page| {
            page.contains("The disruption budget keep-web allows nothing to leave now")
        })
        .await;
    assert!(
        preview.contains("dev/web: "),
        "what moves is named: {preview}"
    );
    assert!(
        preview.contains(&format!("Type <strong>{node}</strong>")),
        "{preview}"
    );
    let wrong = whole
        .post(&[("token", &token(&preview)), ("typed", "node")])
        .await;
    assert_eq!(wrong.status, StatusCode::FORBIDDEN);
    let (_, done) = whole.confirm(&path, &[("typed", &node)]).await;
    // It waits for the budget and says so; then the budget goes.
    whole.until(&done, |page| page.contains(" waits: ")).await;
    assert!(
        nodes_of(whole, "web").await.contains(&node),
        "nothing is forced"
    );
    whole.delete(&format!("{budgets}/keep-web")).await;
    let page = whole
        .until(&done, |page| !page.contains("On its way"))
        .await;
    assert!(!page.contains(">Failed<"), "{page}");
    assert!(!nodes_of(whole, "web").await.contains(&node), "{page}");
    let object = format!("/api/v1/nodes/{node}");
    assert_eq!(whole.object(&object).await["spec"]["unschedulable"], true);
    whole.act(&undo(&page), &[]).await;
    let open = whole.object(&object).await;
    assert!(open["spec"]["unschedulable"].is_null(), "{open}");
}

/// People act with rights of their own: where the cluster takes them away, the pages have none.
async fn refused_by_the_cluster(whole: &Whole) {
    let node = nodes_of(whole, "web").await.remove(0);
    let path = format!("/act/cordon?site=local&node={node}");
    let page = whole.act(&path, &[("reason", "new disk")]).await;
    let fields =
        whole.object(&format!("/api/v1/nodes/{node}")).await["metadata"]["managedFields"].clone();
    assert!(
        fields.to_string().contains("foreshore-dashboard"),
        "{fields}"
    );
    whole.act(&undo(&page), &[]).await;
    let binding = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/foreshore-operators";
    whole.delete(binding).await;
    // The cluster's own view of its rules may be a moment behind.
    let limit = tokio::time::Instant::now() + std::time::Duration::from_mins(1);
    loop {
        let (_, done) = whole.confirm(&path, &[]).await;
        let page = whole
            .until(&done, |page| !page.contains("On its way"))
            .await;
        if page.contains("the cluster does not let `foreshore:owner` do this") {
            break;
        }
        assert!(tokio::time::Instant::now() < limit, "{page}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_released_from_the_pages_arrives_with_who_asked_and_who_agreed() {
    let whole = Whole::start(Kind::Engine).await;
    let first = whole.push("web", 1).await;
    whole
        .until("/services", |page| page.contains(">2/2<"))
        .await;
    whole.healthy("web", "dev", 1).await;

    asked_on_the_page(&whole).await;
    agreed_on_the_page(&whole).await;

    // Back to the first, which sets a hold; the hold is lifted, set and lifted again.
    let rollback = "/act/rollback?environment=prod&service=web";
    let page = whole
        .act(rollback, &[("typed", "web"), ("reason", "slow")])
        .await;
    assert!(
        page.contains("healthy everywhere") && page.contains(&first),
        "{page}"
    );
    holds(&whole).await;
    frozen(&whole).await;

    let audit = whole.get("/audit.json?size=500").await.text;
    for said in [
        "promote web in prod",
        "rollback web in prod",
        "approve request ",
        "hold web in prod",
        "lift web in prod",
        "tested",
        "agreed",
        "slow",
    ] {
        assert!(audit.contains(said), "{said} is not in {audit}");
    }
    let entries = whole
        .api(
            "owner",
            Method::GET,
            "/audit?environment=prod&service=web",
            &json!({}),
        )
        .await;
    let subjects = entries.to_string();
    assert!(
        subjects.contains("by owner") && subjects.contains("reviewer"),
        "{subjects}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_services_directory_status_says_in_a_few_lines_what_the_pages_say() {
    let whole = Whole::start(Kind::Engine).await;
    let folder = tempfile::tempdir().unwrap();
    let file = "name: web\nowner: shop\nplan: rust-service\nenvironments:\n  dev: {}\n";
    std::fs::write(folder.path().join("foreshore.yaml"), file).unwrap();
    let status = async |arguments: &[&str]| {
        let arguments = [&["status"][..], arguments].concat();
        let output = whole.foreshore(folder.path(), &arguments).await;
        let text = String::from_utf8(output.stdout).unwrap()
            + std::str::from_utf8(&output.stderr).unwrap();
        (output.status.code(), text)
    };
    let (code, text) = status(&[]).await;
    assert_eq!(code, Some(6), "{text}");
    let version = whole.push("web", 1).await;
    whole.healthy("web", "dev", 1).await;
    whole
        .until("/services", |page| page.contains(">2/2<"))
        .await;
    let (code, text) = status(&[]).await;
    assert_eq!(code, Some(0), "{text}");
    for part in [
        "dev",
        "local",
        &version,
        "healthy",
        "2/2",
        "ago by foreshore",
    ] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    let (_, json) = status(&["-o", "json"]).await;
    let value: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(value["running"][0]["ready"], 2, "{json}");
    assert_eq!(value["services"][0]["service"], "web", "{json}");

    whole.push("web", crate::whole::UNLUCKY).await;
    whole
        .until("/pods?service=web&state=failing", |page| {
            page.contains("CrashLoopBackOff")
        })
        .await;
    let (code, text) = status(&[]).await;
    assert_eq!(code, Some(1), "{text}");
    assert!(
        text.contains("dev local: Pod/web-") && text.contains("CrashLoopBackOff"),
        "{text}"
    );
    let (code, text) = status(&["--all"]).await;
    assert_eq!(code, Some(0), "the list of all only lists: {text}");
}

/// Asked for on the page; somebody else agrees.
async fn asked_on_the_page(whole: &Whole) {
    let promote = "/act/promote?environment=prod&service=web";
    let preview = whole.get(promote).await.text;
    assert!(
        preview.contains("This is production. Type <strong>web</strong>"),
        "{preview}"
    );
    let wrong = whole
        .post(&[("token", &token(&preview)), ("typed", "wbe")])
        .await;
    assert_eq!(wrong.status, StatusCode::FORBIDDEN);
    let page = whole
        .act(promote, &[("typed", "web"), ("reason", "tested")])
        .await;
    assert!(page.contains("waits for approval by others"), "{page}");
    let request = request(whole).await;
    let own = whole
        .get(&format!("/act/approve?request={request}"))
        .await
        .text;
    assert!(
        own.contains("You asked for it yourself") && !own.contains("name=token"),
        "{own}"
    );
    whole
        .as_reviewer(
            &format!("/requests/{request}/approve"),
            &json!({"reason": "fine"}),
        )
        .await;
    whole.healthy("web", "prod", 1).await;
}

/// Asked for by somebody else; agreed to on the page.
async fn agreed_on_the_page(whole: &Whole) {
    whole.push("web", 2).await;
    whole.healthy("web", "dev", 2).await;
    let ask = json!({"service": "web", "environment": "prod", "selection": {"from": null}, "reason": "second", "idempotency_key": "r"});
    wait_for(whole, "/releases", &ask).await;
    let request = request(whole).await;
    whole
        .until("/releases", |page| page.contains(&request))
        .await;
    let page = whole
        .act(
            &format!("/act/approve?request={request}"),
            &[("typed", "web"), ("reason", "agreed")],
        )
        .await;
    assert!(page.contains("healthy everywhere"), "{page}");
}

async fn holds(whole: &Whole) {
    let (lift, hold) = (
        "/act/lift?environment=prod&service=web",
        "/act/hold?environment=prod&service=web",
    );
    whole.until("/releases", |page| page.contains("slow")).await;
    whole.act(lift, &[("typed", "web")]).await;
    let page = whole
        .act(hold, &[("typed", "web"), ("reason", "campaign week")])
        .await;
    whole
        .until("/releases", |page| page.contains("campaign week"))
        .await;
    whole.act(&undo(&page), &[("typed", "web")]).await;
    whole
        .until("/releases", |page| !page.contains("campaign week"))
        .await;
}

/// While there is a freeze the page says so, and offers nothing to confirm.
async fn frozen(whole: &Whole) {
    let freeze = json!({
        "effect": "deny", "environments": ["prod"], "time_zone": "UTC", "reason": "black friday",
        "window": {"kind": "once", "from": "2000-01-01T00:00:00", "until": "2999-01-01T00:00:00"},
    });
    whole
        .api("owner", Method::PUT, "/freezes/friday", &freeze)
        .await;
    let page = whole
        .until("/act/promote?environment=prod&service=web", |page| {
            page.contains("black friday")
        })
        .await;
    assert!(!page.contains("name=token"), "{page}");
    whole
        .until("/releases", |page| page.contains("black friday"))
        .await;
}

/// The one request that waits.
async fn request(whole: &Whole) -> String {
    let requests = whole
        .api("owner", Method::GET, "/requests", &json!({}))
        .await;
    requests["requests"][0]["id"]
        .as_str()
        .unwrap_or_else(|| panic!("no request in {requests}"))
        .to_owned()
}

async fn wait_for(whole: &Whole, path: &str, ask: &Value) {
    let answer = whole.as_reviewer(path, ask).await;
    assert_eq!(answer["result"], "requested", "{answer}");
}
