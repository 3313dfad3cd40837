//! Which node is picked, and the sentence when none is.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{Node, Pod};
use serde_json::{Value, json};

use super::pick;

/// A node by name, with 2 processors, 1 GiB and room for 10 pods.
fn node(name: &str, extra: &Value) -> Arc<Node> {
    let mut node = json!({
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}},
        "spec": {},
        "status": {"allocatable": {"cpu": "2", "memory": "1Gi", "pods": "10"}},
    });
    merge(&mut node, extra);
    Arc::new(serde_json::from_value(node).unwrap())
}

fn pod(extra: &Value) -> Arc<Pod> {
    let mut pod = json!({
        "metadata": {"name": "web", "namespace": "dev", "labels": {"app": "web"}},
        "spec": {"containers": [{"name": "web"}]},
    });
    merge(&mut pod, extra);
    Arc::new(serde_json::from_value(pod).unwrap())
}

/// A bound pod of the same application.
fn bound(uid: &str, node: &str, extra: &Value) -> Arc<Pod> {
    let mut placed = json!({"metadata": {"uid": uid}, "spec": {"nodeName": node}});
    merge(&mut placed, extra);
    pod(&placed)
}

fn merge(value: &mut Value, patch: &Value) {
    let Value::Object(fields) = patch else {
        *value = patch.clone();
        return;
    };
    for (key, field) in fields {
        merge(&mut value[key.as_str()], field);
    }
}

fn requests(cpu: &str, memory: &str) -> Value {
    json!({"spec": {"containers": [
        {"name": "web", "resources": {"requests": {"cpu": cpu, "memory": memory}}},
    ]}})
}

#[track_caller]
fn check(pod: &Pod, nodes: &[Arc<Node>], pods: &[Arc<Pod>], expected: &str) {
    let picked = pick(pod, nodes, pods).unwrap_or_else(|refusal| refusal.message);
    assert_eq!(picked, expected);
}

fn two() -> [Arc<Node>; 2] {
    [node("a", &json!({})), node("b", &json!({}))]
}

#[test]
fn without_nodes_nothing_can_run() {
    check(
        &pod(&json!({})),
        &[],
        &[],
        "no nodes available to schedule pods",
    );
}

#[test]
fn what_does_not_fit_is_named_with_the_number_of_nodes() {
    let expected = "0/2 nodes are available: 2 Insufficient cpu, 2 Insufficient memory.";
    check(&pod(&requests("3", "2Gi")), &two(), &[], expected);
    let taken = [bound("1", "a", &requests("1500m", "1Mi"))];
    check(&pod(&requests("1", "1Mi")), &two(), &taken, "b");
    let taken = [taken[0].clone(), bound("2", "b", &requests("1500m", "1Mi"))];
    check(
        &pod(&requests("1", "1Mi")),
        &two(),
        &taken,
        "0/2 nodes are available: 2 Insufficient cpu.",
    );
}

#[test]
fn an_ended_pod_gives_back_what_it_reserved() {
    let mut ended = requests("2", "1Mi");
    ended["status"] = json!({"phase": "Succeeded"});
    check(
        &pod(&requests("2", "1Mi")),
        &two()[..1],
        &[bound("1", "a", &ended)],
        "a",
    );
}

#[test]
fn an_init_container_counts_where_it_is_bigger() {
    let wish = json!({"spec": {
        "containers": [{"name": "web", "resources": {"requests": {"cpu": "1"}}}],
        "initContainers": [{"name": "setup", "resources": {"requests": {"cpu": "3"}}}],
    }});
    check(
        &pod(&wish),
        &two(),
        &[],
        "0/2 nodes are available: 2 Insufficient cpu.",
    );
}

#[test]
fn a_full_node_takes_no_more_pods() {
    let full = node("a", &json!({"status": {"allocatable": {"pods": "1"}}}));
    let taken = [bound("1", "a", &json!({}))];
    check(
        &pod(&json!({})),
        &[full],
        &taken,
        "0/1 nodes are available: 1 Too many pods.",
    );
}

#[test]
fn cordoned_and_tainted_nodes_are_told_apart() {
    let cordoned = node("a", &json!({"spec": {"unschedulable": true}}));
    let tainted = node(
        "b",
        &json!({"spec": {"taints": [{"key": "gpu", "effect": "NoSchedule"}]}}),
    );
    let nodes = [cordoned, tainted];
    let expected = "0/2 nodes are available: 1 node(s) had untolerated taint(s), 1 node(s) were unschedulable.";
    check(&pod(&json!({})), &nodes, &[], expected);
    let tolerant = json!({"spec": {"tolerations": [{"key": "gpu", "operator": "Exists"}]}});
    check(&pod(&tolerant), &nodes, &[], "b");
}

#[test]
fn selector_and_affinity_choose_by_label() {
    let nodes = [
        node("a", &json!({})),
        node("b", &json!({"metadata": {"labels": {"disk": "fast"}}})),
    ];
    check(
        &pod(&json!({"spec": {"nodeSelector": {"disk": "fast"}}})),
        &nodes,
        &[],
        "b",
    );
    let not_in = json!({"spec": {"affinity": {"nodeAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
            {"matchExpressions": [{"key": "disk", "operator": "NotIn", "values": ["fast"]}]},
        ]},
    }}}});
    check(&pod(&not_in), &nodes, &[], "a");
    let expected = "0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector.";
    check(
        &pod(&json!({"spec": {"nodeSelector": {"disk": "none"}}})),
        &nodes,
        &[],
        expected,
    );
}

#[test]
fn a_host_port_is_taken_once_per_node() {
    let wish = json!({"spec": {"containers": [{"name": "web", "ports": [{"containerPort": 80, "hostPort": 80}]}]}});
    let taken = [bound("1", "a", &wish)];
    check(&pod(&wish), &two(), &taken, "b");
    let expected =
        "0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports.";
    check(&pod(&wish), &two()[..1], &taken, expected);
}

#[test]
fn pods_of_one_owner_are_spread() {
    let owned = json!({"metadata": {"ownerReferences": [
        {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": "set", "controller": true},
    ]}});
    check(&pod(&owned), &two(), &[bound("1", "a", &owned)], "b");
}

#[test]
fn a_pod_that_refuses_neighbours_is_respected_both_ways() {
    let away = json!({"spec": {"affinity": {"podAntiAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": [
            {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": "web"}}},
        ],
    }}}});
    check(&pod(&away), &two(), &[bound("1", "a", &json!({}))], "b");
    check(&pod(&json!({})), &two(), &[bound("1", "a", &away)], "b");
    let expected =
        "0/1 nodes are available: 1 node(s) didn't satisfy existing pods anti-affinity rules.";
    check(
        &pod(&json!({})),
        &two()[..1],
        &[bound("1", "a", &away)],
        expected,
    );
}

#[test]
fn the_first_of_a_group_that_wants_company_goes_anywhere() {
    let near = json!({"spec": {"affinity": {"podAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": [
            {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": "web"}}},
        ],
    }}}});
    check(&pod(&near), &two(), &[], "a");
    check(&pod(&near), &two(), &[bound("1", "b", &json!({}))], "b");
}

#[test]
fn a_spread_constraint_keeps_the_difference_small() {
    let spread = json!({"spec": {"topologySpreadConstraints": [{
        "topologyKey": "kubernetes.io/hostname", "maxSkew": 1, "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": {"app": "web"}},
    }]}});
    check(&pod(&spread), &two(), &[bound("1", "a", &json!({}))], "b");
    let cordoned = [
        node("a", &json!({})),
        node("b", &json!({"spec": {"unschedulable": true}})),
    ];
    let expected = "0/2 nodes are available: 1 node(s) didn't match pod topology spread constraints, \
                    1 node(s) were unschedulable.";
    check(
        &pod(&spread),
        &cordoned,
        &[bound("1", "a", &json!({}))],
        expected,
    );
}

#[test]
fn a_pod_of_higher_priority_is_told_that_nobody_is_pushed_out() {
    let mut wish = requests("3", "1Mi");
    wish["spec"]["priority"] = json!(1000);
    let expected =
        "0/2 nodes are available: 2 Insufficient cpu. preemption: not done by this scheduler.";
    check(&pod(&wish), &two(), &[], expected);
    wish["spec"]["preemptionPolicy"] = json!("Never");
    let expected = "0/2 nodes are available: 2 Insufficient cpu.";
    check(&pod(&wish), &two(), &[], expected);
}

#[test]
fn a_field_that_is_not_honoured_is_named() {
    let wish = json!({"spec": {"topologySpreadConstraints": [{
        "topologyKey": "zone", "maxSkew": 1, "whenUnsatisfiable": "DoNotSchedule", "minDomains": 3,
    }]}});
    let expected =
        "field `spec.topologySpreadConstraints[0].minDomains` is not supported by this scheduler";
    check(&pod(&wish), &two(), &[], expected);
}
