//! What may not change once it is there, and the words of the refusal: recorded from the
//! real one.

use std::{fmt::Write as _, fs, path::Path};

use serde_json::{Value, json};

use crate::world::World;

/// One line per case: what is changed, and the first line of the answer.
fn recorded() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/contract/immutable.txt");
    fs::read_to_string(path).unwrap()
}

/// Longest message that is compared as a whole.
const WHOLE_MAX: usize = 520;

/// An object, and a merge patch that changes of it what may not change.
struct Case {
    what: &'static str,
    /// Group and plural below the namespace, or a whole path.
    place: &'static str,
    object: Value,
    change: Value,
}

fn case(what: &'static str, place: &'static str, object: Value, change: Value) -> Case {
    Case {
        what,
        place,
        object,
        change,
    }
}

fn template() -> Value {
    json!({
        "metadata": {"labels": {"app": "one", "other": "two"}},
        "spec": {"containers": [{"name": "main", "image": "example.org/one:1"}]},
    })
}

fn other_selector() -> Value {
    json!({"spec": {"selector": {"matchLabels": {"app": "one", "other": "two"}}}})
}

fn workloads() -> Vec<Case> {
    let spec = |extra: &Value| {
        let mut spec = json!({"selector": {"matchLabels": {"app": "one"}}, "template": template()});
        for (key, value) in extra.as_object().unwrap() {
            spec[key] = value.clone();
        }
        json!({"metadata": {"name": "one"}, "spec": spec})
    };
    let none = json!({"replicas": 0});
    let mut nowhere = spec(&json!({}));
    nowhere["spec"]["template"]["spec"]["nodeSelector"] = json!({"nowhere": "yes"});
    let set = json!({"replicas": 0, "serviceName": "one"});
    let mut job =
        json!({"metadata": {"name": "one"}, "spec": {"template": template(), "parallelism": 0}});
    job["spec"]["template"]["spec"]["restartPolicy"] = json!("Never");
    let image = json!({"spec": {"template": {"spec": {"terminationGracePeriodSeconds": 5}}}});
    vec![
        case(
            "deployment selector",
            "apps/v1 deployments",
            spec(&none),
            other_selector(),
        ),
        case(
            "replica set selector",
            "apps/v1 replicasets",
            spec(&none),
            other_selector(),
        ),
        case(
            "daemon set selector",
            "apps/v1 daemonsets",
            nowhere,
            other_selector(),
        ),
        case(
            "stateful set selector",
            "apps/v1 statefulsets",
            spec(&set),
            other_selector(),
        ),
        case(
            "stateful set service",
            "apps/v1 statefulsets",
            spec(&set),
            json!({"spec": {"serviceName": "two"}}),
        ),
        case(
            "job completions",
            "batch/v1 jobs",
            job.clone(),
            json!({"spec": {"completions": 7}}),
        ),
        case("job template", "batch/v1 jobs", job.clone(), image),
        case(
            "job mode",
            "batch/v1 jobs",
            job,
            json!({"spec": {"completionMode": "Indexed", "completions": 1}}),
        ),
        case(
            "revision data",
            "apps/v1 controllerrevisions",
            json!({"metadata": {"name": "one"}, "revision": 1, "data": {"a": "b"}}),
            json!({"data": {"a": "c"}}),
        ),
    ]
}

fn stored() -> Vec<Case> {
    let fixed = |kind: &str| match kind {
        "secrets" => {
            json!({"metadata": {"name": "one"}, "immutable": true, "data": {"a": "Yg=="}})
        }
        _ => json!({"metadata": {"name": "one"}, "immutable": true, "data": {"a": "b"}}),
    };
    vec![
        case(
            "secret type",
            "v1 secrets",
            json!({"metadata": {"name": "one"}, "data": {"a": "Yg=="}}),
            json!({"type": "example.org/other"}),
        ),
        case(
            "immutable secret's data",
            "v1 secrets",
            fixed("secrets"),
            json!({"data": {"a": "Yw=="}}),
        ),
        case(
            "immutable secret made mutable",
            "v1 secrets",
            fixed("secrets"),
            json!({"immutable": false}),
        ),
        case(
            "immutable config map's data",
            "v1 configmaps",
            fixed("configmaps"),
            json!({"data": {"a": "c"}}),
        ),
        case(
            "immutable config map's binary data",
            "v1 configmaps",
            fixed("configmaps"),
            json!({"binaryData": {"x": "Yg=="}}),
        ),
        case(
            "immutable config map made mutable",
            "v1 configmaps",
            fixed("configmaps"),
            json!({"immutable": null}),
        ),
    ]
}

fn placed() -> Vec<Case> {
    let claim = json!({"metadata": {"name": "one"}, "spec": {"storageClassName": "none",
        "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}});
    let binding = json!({"metadata": {"name": "one"}, "subjects": [],
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "one"}});
    let slice = json!({"metadata": {"name": "one"}, "addressType": "IPv4", "endpoints": []});
    let addressed = json!({"metadata": {"name": "one"}, "spec": {"ports": [{"port": 80}]}});
    let service = json!({"metadata": {"name": "one"},
        "spec": {"clusterIP": "None", "ports": [{"port": 80}]}});
    vec![
        case(
            "claim's modes",
            "v1 persistentvolumeclaims",
            claim.clone(),
            json!({"spec": {"accessModes": ["ReadOnlyMany"]}}),
        ),
        case(
            "claim's size",
            "v1 persistentvolumeclaims",
            claim.clone(),
            json!({"spec": {"resources": {"requests": {"storage": "2Gi"}}}}),
        ),
        case(
            "claim's class",
            "v1 persistentvolumeclaims",
            claim,
            json!({"spec": {"storageClassName": "other"}}),
        ),
        case(
            "role of a binding",
            "rbac.authorization.k8s.io/v1 rolebindings",
            binding,
            json!({"roleRef": {"name": "two"}}),
        ),
        case(
            "kind of addresses",
            "discovery.k8s.io/v1 endpointslices",
            slice,
            json!({"addressType": "IPv6"}),
        ),
        case(
            "service address",
            "v1 services",
            addressed,
            json!({"spec": {"clusterIP": "10.96.77.77", "clusterIPs": ["10.96.77.77"]}}),
        ),
        case(
            "service address taken away",
            "v1 services",
            service,
            json!({"spec": {"clusterIP": null, "clusterIPs": ["10.96.77.77"]}}),
        ),
    ]
}

fn pods() -> Vec<Case> {
    let pod = || {
        json!({"metadata": {"name": "one"}, "spec": {
            "activeDeadlineSeconds": 600, "nodeSelector": {"nowhere": "yes"},
            "tolerations": [{"key": "one", "operator": "Exists"}],
            "containers": [{"name": "main", "image": "example.org/one:1"}],
        }})
    };
    let change = |what, patch| case(what, "v1 pods", pod(), json!({"spec": patch}));
    let main = json!({"name": "main", "image": "example.org/one:1"});
    let keep = [
        json!({"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}),
        json!({"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}),
    ];
    vec![
        change("pod grace", json!({"terminationGracePeriodSeconds": 5})),
        change("pod restart policy", json!({"restartPolicy": "Never"})),
        change("pod node selector", json!({"nodeSelector": null})),
        change("pod account", json!({"serviceAccountName": "other"})),
        change("pod host name", json!({"hostname": "other"})),
        change("pod longer deadline", json!({"activeDeadlineSeconds": 700})),
        change("pod no deadline", json!({"activeDeadlineSeconds": null})),
        change("pod without toleration", json!({"tolerations": keep})),
        change(
            "pod with another container",
            json!({"containers": [main, {"name": "two", "image": "example.org/two:1"}]}),
        ),
        change(
            "pod with another command",
            json!({"containers": [{"name": "main", "image": "example.org/one:1", "command": ["x"]}]}),
        ),
        change(
            "pod without image",
            json!({"containers": [{"name": "main", "image": ""}]}),
        ),
        change(
            "pod shorter deadline",
            json!({"activeDeadlineSeconds": 500}),
        ),
    ]
}

/// Objects of the whole cluster, whose names other tests must not meet.
fn cluster_wide() -> Vec<Case> {
    let named = || json!({"generateName": "immutable-"});
    let binding = json!({"metadata": named(), "subjects": [],
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"}});
    let node = json!({"metadata": named(), "spec": {"unschedulable": true,
        "providerID": "one://1", "podCIDR": "10.200.0.0/24", "podCIDRs": ["10.200.0.0/24"],
        "taints": [{"key": "away", "effect": "NoExecute"}]}});
    let class = json!({"metadata": named(), "spec": {"controller": "example.org/one"}});
    let storage =
        json!({"metadata": named(), "provisioner": "example.org/one", "reclaimPolicy": "Retain"});
    vec![
        case(
            "role of a cluster binding",
            "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
            binding,
            json!({"roleRef": {"name": "edit"}}),
        ),
        case(
            "node's provider",
            "/api/v1/nodes",
            node.clone(),
            json!({"spec": {"providerID": "one://2"}}),
        ),
        case(
            "node's addresses",
            "/api/v1/nodes",
            node,
            json!({"spec": {"podCIDR": "10.201.0.0/24", "podCIDRs": ["10.201.0.0/24"]}}),
        ),
        case(
            "controller of an ingress class",
            "/apis/networking.k8s.io/v1/ingressclasses",
            class,
            json!({"spec": {"controller": "example.org/two"}}),
        ),
        case(
            "provisioner of a storage class",
            "/apis/storage.k8s.io/v1/storageclasses",
            storage.clone(),
            json!({"provisioner": "example.org/two"}),
        ),
        case(
            "fate of a storage class's volumes",
            "/apis/storage.k8s.io/v1/storageclasses",
            storage,
            json!({"reclaimPolicy": "Delete"}),
        ),
        case(
            "value of a priority",
            "/apis/scheduling.k8s.io/v1/priorityclasses",
            json!({"metadata": named(), "value": 5}),
            json!({"value": 6}),
        ),
    ]
}

fn path(world: &World, place: &str) -> String {
    if place.starts_with('/') {
        return place.to_owned();
    }
    match place.split_once(' ').unwrap() {
        ("v1", plural) => world.core(plural),
        (group, plural) => world.group(group, plural),
    }
}

async fn answers(world: &World, all: Vec<Case>) -> String {
    let mut lines = String::new();
    for case in all {
        let collection = path(world, case.place);
        let made = world.post(&collection, case.object).await.ok();
        let name = made["metadata"]["name"].as_str().unwrap();
        let object = format!("{collection}/{name}");
        let reply = world.merge(&object, case.change).await;
        let message = reply.body["message"].as_str().unwrap_or_default();
        // Names of the whole cluster are made by the server.
        let message = if name.starts_with("immutable-") {
            message.replace(name, "[name]")
        } else {
            message.to_owned()
        };
        // The real one goes on with what differs, in the words of its own types.
        let mut message = message.lines().next().unwrap_or_default();
        message = message.trim_end_matches(']');
        if message.len() > WHOLE_MAX {
            // It shows the value as the server's own types have it.
            message = message.rsplit(": ").next().unwrap_or_default();
        }
        let causes = reply.body["details"]["causes"].as_array();
        let mut causes: Vec<String> = causes
            .into_iter()
            .flatten()
            .map(|cause| format!("{} {}", cause["reason"], cause["field"]))
            .collect();
        causes.dedup();
        let (what, code) = (case.what, reply.code);
        let blamed = causes.join(", ").replace('"', "");
        writeln!(lines, "{what}: {code} {message} [{blamed}]").unwrap();
        // Foreground waits for what a controller made of it.
        let gone = json!({"gracePeriodSeconds": 0, "propagationPolicy": "Background"});
        world.delete(&object, gone).await.ok();
        world
            .until("its end", &object, |reply| reply.code == 404)
            .await;
    }
    lines
}

#[track_caller]
fn same(answers: &str) {
    let recorded = recorded();
    let missing: Vec<&str> = answers
        .lines()
        .filter(|line| !recorded.lines().any(|recorded| recorded == *line))
        .collect();
    assert!(
        missing.is_empty(),
        "not as recorded:\n{}",
        missing.join("\n")
    );
}

pub(crate) async fn workloads_keep_what_they_select(world: World) {
    same(&answers(&world, workloads()).await);
}

pub(crate) async fn stored_things_keep_what_they_are(world: World) {
    same(&answers(&world, stored()).await);
    same(&answers(&world, placed()).await);
}

pub(crate) async fn cluster_wide_things_keep_what_they_are(world: World) {
    same(&answers(&world, cluster_wide()).await);
}

pub(crate) async fn pods_keep_all_but_a_few_fields(world: World) {
    same(&answers(&world, pods()).await);
}
