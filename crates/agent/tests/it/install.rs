//! An agent with the rights that `foreshore install` prints, and without each of them in turn.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use foreshore_agent::LeaseOptions;
use foreshore_agent::install::{ACCOUNT, GRANTS, Grant, NAMESPACE, rights};
use foreshore_cluster::{ApplyMode, Client};
use foreshore_model::{Operations, Outcome, Phase};
use foreshore_testkit::cluster::Kind;
use http::{Request, Response, StatusCode};
use kube::client::Body;
use kube::config::{AuthInfo, KubeConfigOptions, Kubeconfig};
use serde_json::{Value, json};
use tower::{BoxError, service_fn};

use crate::scene::{Scene, config, deployment, service};

/// One service for each kind that releases may have: its name, the kind's plural, group, kind, and the rest.
const KINDS: &[[&str; 5]] = &[
    ["account", "serviceaccounts", "v1", "ServiceAccount", ""],
    [
        "claim",
        "persistentvolumeclaims",
        "v1",
        "PersistentVolumeClaim",
        "spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Mi}}}",
    ],
    ["secret", "secrets", "v1", "Secret", "data: {a: YQ==}"],
    [
        "stateful",
        "statefulsets",
        "apps/v1",
        "StatefulSet",
        "spec: {serviceName: a, replicas: 0, PODS}",
    ],
    [
        "daemon",
        "daemonsets",
        "apps/v1",
        "DaemonSet",
        "spec: {PODS}",
    ],
    ["job", "jobs", "batch/v1", "Job", "spec: {ENDS}"],
    [
        "cron",
        "cronjobs",
        "batch/v1",
        "CronJob",
        "spec: {schedule: '0 0 1 1 *', jobTemplate: {spec: {ENDS}}}",
    ],
    [
        "ingress",
        "ingresses",
        "networking.k8s.io/v1",
        "Ingress",
        "spec: {defaultBackend: {service: {name: a, port: {number: 80}}}}",
    ],
    [
        "policy",
        "networkpolicies",
        "networking.k8s.io/v1",
        "NetworkPolicy",
        "spec: {podSelector: {}}",
    ],
    [
        "scaler",
        "horizontalpodautoscalers",
        "autoscaling/v2",
        "HorizontalPodAutoscaler",
        "spec: {maxReplicas: 2, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: none}}",
    ],
    [
        "budget",
        "poddisruptionbudgets",
        "policy/v1",
        "PodDisruptionBudget",
        "spec: {selector: {matchLabels: {app: a}}}",
    ],
];
const PODS: &str = "selector: {matchLabels: {app: a}}, template: {metadata: {labels: {app: a}}, spec: {containers: [{name: app, image: good}]}}";
const ENDS: &str =
    "template: {spec: {restartPolicy: Never, containers: [{name: app, image: ends}]}}";

/// Services with the plural of what they have, and its manifest.
fn services() -> Vec<(&'static str, &'static str, String)> {
    let mut services = vec![
        ("plain", "", config("plain", "1")),
        ("service", "services", service("service")),
        (
            "deployment",
            "deployments",
            deployment("deployment", "good"),
        ),
        ("broken", "deployments", deployment("broken", "broken")),
    ];
    services.extend(KINDS.iter().map(|[name, plural, group, kind, rest]| {
        let rest = rest.replace("PODS", PODS).replace("ENDS", ENDS);
        let manifest =
            format!("{{apiVersion: {group}, kind: {kind}, metadata: {{name: {name}}}, {rest}}}");
        (*name, *plural, manifest)
    }));
    services
}

/// What the page says of a right decides what is looked for.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Breaks {
    Nothing,
    /// No request to write is even sent.
    Everything,
    /// Every release is refused, by name.
    Releases,
    Kinds,
    Operations,
    Logs,
    Events,
}

fn breaks(grant: &Grant) -> Breaks {
    let words = [
        ("nothing at all is done", Breaks::Everything),
        ("no release is written", Breaks::Releases),
        ("releases with", Breaks::Kinds),
        ("operations are not carried out", Breaks::Operations),
        ("a failed release is told without", Breaks::Logs),
        ("outcomes are not said as events", Breaks::Events),
    ];
    let found = words
        .iter()
        .find(|(start, _)| grant.without.starts_with(start));
    found
        .unwrap_or_else(|| panic!("no test knows `{}`", grant.without))
        .1
}

/// Gives an account of the scene all rights but one; returns a client that is that account.
async fn account(scene: &Scene, kind: Kind, grants: &[Grant]) -> Client {
    let unique = format!("{}-agent", scene.namespace);
    for object in rights(grants) {
        let text = object
            .to_string()
            .replace(NAMESPACE, &scene.namespace)
            .replace(ACCOUNT, &unique);
        let object: Value = serde_json::from_str(&text).unwrap();
        scene
            .cluster
            .apply(&object, ApplyMode::Force)
            .await
            .unwrap();
    }
    let admin = scene.cluster.client();
    let path = format!(
        "/api/v1/namespaces/{}/serviceaccounts/{unique}/token",
        scene.namespace
    );
    let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 3600}});
    let request = Request::post(path)
        .header("content-type", "application/json")
        .body(request.to_string().into_bytes())
        .unwrap();
    let answer: Value = admin.request(request).await.unwrap();
    let token = answer["status"]["token"].as_str().unwrap().to_owned();
    let file = Kubeconfig::read_from(crate::cluster::kubeconfig(kind)).unwrap();
    let mut config = kube::Config::from_custom_kubeconfig(file, &KubeConfigOptions::default())
        .await
        .unwrap();
    config.auth_info = AuthInfo {
        token: Some(token.into()),
        ..AuthInfo::default()
    };
    Client::try_from(config).unwrap()
}

/// Waits until the server knows the account's rights: all of them come at once.
async fn known(scene: &Scene, client: &Client, grant: &Grant) {
    let review = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": {"group": grant.groups[0], "resource": grant.resources[0],
            "verb": grant.verbs[0], "namespace": scene.namespace}}});
    scene
        .until("the rights", async || {
            let request = Request::post("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews")
                .header("content-type", "application/json")
                .body(review.to_string().into_bytes())
                .unwrap();
            let answer: Value = client.request(request).await.unwrap();
            answer["status"]["allowed"] == true
        })
        .await;
}

/// There are no kubelets to give logs: whoever may ask is answered here.
fn with_logs(inner: Client, lines: Arc<Mutex<Vec<String>>>) -> Client {
    let service = service_fn(move |request: Request<Body>| {
        let (inner, lines) = (inner.clone(), Arc::clone(&lines));
        async move {
            let line = format!("{} {}", request.method(), request.uri());
            let is_log = line.contains("/log?");
            lines.lock().unwrap().push(line);
            let answer = inner.send(request).await?;
            if is_log && answer.status() != StatusCode::FORBIDDEN {
                return Ok(Response::new(Body::from(b"no database\n".to_vec())));
            }
            Ok::<_, BoxError>(answer)
        }
    });
    Client::new(service, "default")
}

/// What an agent with these rights did.
#[derive(Debug, Default)]
struct Seen {
    /// Services that were refused as forbidden.
    refused: BTreeSet<String>,
    written: BTreeSet<String>,
    log: Vec<String>,
    scaled: bool,
    events: bool,
}

async fn run(kind: Kind, without: Option<usize>) {
    let scene = Scene::new(kind, "install").await;
    let grants: Vec<Grant> = (0..GRANTS.len())
        .filter(|index| Some(*index) != without)
        .map(|index| GRANTS[index])
        .collect();
    let broken = without.map_or(Breaks::Nothing, |index| breaks(&GRANTS[index]));
    let namespace =
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": scene.namespace}});
    scene
        .cluster
        .apply(&namespace, ApplyMode::Force)
        .await
        .unwrap();
    let client = account(&scene, kind, &grants).await;
    known(&scene, &client, &grants[0]).await;
    let services = services();
    for (name, _, manifest) in &services {
        scene
            .repository
            .release(name, std::slice::from_ref(manifest));
    }
    let lines = Arc::new(Mutex::new(Vec::new()));
    let mut options = scene.options().await;
    options.client = with_logs(client, Arc::clone(&lines));
    options.lease = Some(LeaseOptions::new("agent"));
    let mut agent = scene.start_with(options);
    if broken == Breaks::Everything {
        scene
            .until("three tries", async || {
                let lines = lines.lock().unwrap();
                let asked =
                    |line: &&String| line.contains("/configmaps?") || line.contains("/leases");
                lines.iter().filter(asked).count() >= 3
            })
            .await;
        for (api_version, kind, name) in [
            ("v1", "ConfigMap", "plain"),
            ("apps/v1", "Deployment", "deployment"),
        ] {
            assert_eq!(scene.get(api_version, kind, name).await, None);
        }
        return;
    }
    let seen = watch(&scene, &mut agent, broken, &services).await;
    let all = || services.iter().map(|(name, _, _)| (*name).to_owned());
    let expected: BTreeSet<String> = match (broken, without) {
        (Breaks::Releases, _) => all().collect(),
        (Breaks::Kinds, Some(index)) => services
            .iter()
            .filter(|(_, plural, _)| GRANTS[index].resources.contains(plural))
            .map(|(name, _, _)| (*name).to_owned())
            .collect(),
        _ => BTreeSet::new(),
    };
    let what = without.map_or("nothing", |index| GRANTS[index].without);
    assert_eq!(seen.refused, expected, "without: {what}");
    let rest: BTreeSet<String> = all().filter(|name| !expected.contains(name)).collect();
    assert_eq!(seen.written, rest, "without: {what}");
    if expected.contains("deployment") {
        return;
    }
    let log: &[&str] = if broken == Breaks::Logs {
        &[]
    } else {
        &["no database"]
    };
    assert_eq!(seen.log, log, "without: {what}");
    assert_eq!(seen.scaled, broken != Breaks::Operations, "without: {what}");
    assert_eq!(seen.events, broken != Breaks::Events, "without: {what}");
}

/// Follows every service until it is written or refused, then operates one of them.
async fn watch(
    scene: &Scene,
    agent: &mut crate::scene::Running,
    broken: Breaks,
    services: &[(&'static str, &'static str, String)],
) -> Seen {
    let mut seen = Seen::default();
    let mut ends: BTreeMap<String, Outcome> = BTreeMap::new();
    for (name, _, _) in services {
        let ended = agent
            .first(name, |outcome| {
                let waits = *name == "broken" && outcome.phase == Phase::Progressing;
                !waits && outcome.phase != Phase::Applying
            })
            .await;
        let is_refused = ended.phase == Phase::Failed
            && ended.causes.iter().any(|cause| cause.reason == "Forbidden");
        if is_refused {
            seen.refused.insert((*name).to_owned());
        } else {
            seen.written.insert((*name).to_owned());
        }
        ends.insert((*name).to_owned(), ended);
    }
    seen.log = ends["broken"]
        .causes
        .first()
        .map(|cause| cause.log.clone())
        .unwrap_or_default();
    if seen.refused.contains("deployment") {
        return seen;
    }
    let operations = Operations {
        replicas: [("deployment".to_owned(), 2)].into(),
        number: 1,
        ..Operations::default()
    };
    scene.repository.operate("deployment", operations);
    let replicas = async || {
        scene
            .get("apps/v1", "Deployment", "deployment")
            .await
            .unwrap()["spec"]["replicas"]
            .clone()
    };
    if broken == Breaks::Operations {
        let told = agent
            .first("deployment", |outcome| outcome.phase == Phase::Failed)
            .await;
        assert_eq!(told.causes[0].reason, "Forbidden", "{told:?}");
        seen.scaled = replicas().await != 1;
    } else {
        scene
            .until("two replicas", async || replicas().await == 2)
            .await;
        seen.scaled = true;
    }
    if broken == Breaks::Events {
        seen.events = !events(scene).await.is_empty();
    } else {
        scene
            .until("an event", async || !events(scene).await.is_empty())
            .await;
        seen.events = true;
    }
    seen
}

async fn events(scene: &Scene) -> Vec<Value> {
    let all = scene
        .cluster
        .list("v1", "Event", &scene.namespace, "")
        .await
        .unwrap();
    all.into_iter()
        .filter(|event| event["source"]["component"] == "foreshore-agent")
        .collect()
}

pub(crate) async fn each_right_is_needed_for_just_what_the_page_says(kind: Kind) {
    let mut runs = tokio::task::JoinSet::new();
    runs.spawn(run(kind, None));
    for index in 0..GRANTS.len() {
        runs.spawn(run(kind, Some(index)));
        if runs.len() == 6 {
            runs.join_next().await.unwrap().unwrap();
        }
    }
    while let Some(ended) = runs.join_next().await {
        ended.unwrap();
    }
}
