//! The pages over a made-up company, for browser tests, screenshots and whoever works on their looks.
//!
//! It says on the first line its address, and one where a login is asked for; it ends when its input does.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use foreshore_dashboard::{Attempt, Dashboard, Login, LoginError, Options, Sign, Ticket, Visitor};
use foreshore_identity::{Principal, Right};
use foreshore_model::{Actor, clock};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

#[expect(
    dead_code,
    clippy::unwrap_used,
    reason = "shared with the tests, which look closer at what was asked"
)]
#[path = "../tests/it/cluster.rs"]
mod cluster;
#[expect(
    dead_code,
    clippy::unwrap_used,
    reason = "shared with the tests, which change what is released"
)]
#[path = "../tests/it/server.rs"]
mod server;

use cluster::Cluster;
use server::Api;

const SERVICES: [(&str, &str, u32); 12] = [
    ("basket", "shop", 3),
    ("catalogue", "shop", 4),
    ("checkout", "payments", 3),
    ("fraud", "payments", 2),
    ("gateway", "platform", 4),
    ("identity", "platform", 2),
    ("invoices", "payments", 2),
    ("mailer", "platform", 1),
    ("orders", "shop", 3),
    ("prices", "shop", 2),
    ("search", "shop", 2),
    ("stock", "warehouse", 2),
];
const ENVIRONMENTS: [&str; 3] = ["dev", "staging", "prod"];

fn ago(minutes: i64) -> Timestamp {
    clock::now()
        .checked_sub(SignedDuration::from_mins(minutes))
        .expect("minutes ago is a time")
}

fn hex(seed: u64) -> String {
    format!(
        "{:016x}",
        seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(17)
    )
}

/// One service in one environment, with its pods.
fn fill(cluster: &Cluster, environment: &str, index: u64, (name, owner, count): (&str, &str, u32)) {
    let labels = json!({"foreshore.local/service": name, "foreshore.local/environment": environment, "foreshore.local/owner": owner});
    let seed = index * 7 + environment.len() as u64;
    let set = format!("{name}-{}", &hex(seed)[..9]);
    let failing = name == "fraud" && environment == "staging";
    let ready = if failing { 0 } else { count };
    let workload = |kind: &str, own: &str, by: Value, ready: u32| {
        json!({"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": own, "namespace": environment, "uid": own, "labels": labels, "ownerReferences": by},
            "spec": {"replicas": count, "template": {"spec": {"containers": [{"image": format!("registry/{name}:1")}]}}}, "status": {"readyReplicas": ready, "updatedReplicas": count}})
    };
    let by = |kind: &str, own: &str| json!([{"apiVersion": "apps/v1", "kind": kind, "name": own, "uid": own, "controller": true}]);
    cluster.put(
        "/apis/apps/v1/deployments",
        workload("Deployment", name, json!([]), ready),
    );
    cluster.put(
        "/apis/apps/v1/replicasets",
        workload("ReplicaSet", &set, by("Deployment", name), ready),
    );
    for number in 0..count {
        let pod = format!("{set}-{}", &hex(seed * 31 + u64::from(number))[..5]);
        let state = if failing {
            json!({"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 40s restarting failed container"}})
        } else {
            json!({"running": {}})
        };
        let last = if failing || (name == "search" && number == 0) {
            json!({"terminated": {"exitCode": if failing { 1 } else { 137 }, "reason": if failing { "Error" } else { "OOMKilled" }, "finishedAt": ago(7).to_string()}})
        } else {
            Value::Null
        };
        let restarts = if failing {
            6
        } else {
            u32::from(name == "search" && number == 0) * 2
        };
        cluster.put("/api/v1/pods", json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": pod, "namespace": environment, "uid": pod, "creationTimestamp": ago(40 + i64::try_from(seed).unwrap_or(0) * 13).to_string(), "labels": {"app": name}, "ownerReferences": by("ReplicaSet", &set)},
            "spec": {"nodeName": format!("node-{}", (seed + u64::from(number)) % 4 + 1), "containers": [{"name": name, "image": format!("registry/{name}:1"),
                "readinessProbe": if name == "mailer" { Value::Null } else { json!({"httpGet": {"path": "/health", "port": 8080}}) },
                "resources": {"requests": {"cpu": "100m", "memory": "96Mi"}}}]},
            "status": {"phase": "Running", "podIP": format!("10.244.{}.{}", seed % 4 + 1, 10 + number + u32::try_from(index).unwrap_or(0) * 5),
                "containerStatuses": [{"name": name, "ready": !failing, "restartCount": restarts, "state": state, "lastState": last}]},
        }));
        if failing {
            cluster.put("/api/v1/events", json!({
                "apiVersion": "v1", "kind": "Event", "metadata": {"name": format!("{pod}.1"), "namespace": environment, "uid": format!("e{pod}")},
                "involvedObject": {"kind": "Pod", "name": pod}, "type": "Warning", "reason": "BackOff", "count": 34 + number, "source": {"host": "node-2"},
                "message": format!("Back-off restarting failed container {name} in pod {pod}"), "firstTimestamp": ago(55).to_string(), "lastTimestamp": ago(1).to_string(),
            }));
        }
    }
}

fn nodes(cluster: &Cluster) {
    for number in 1..=4 {
        let name = format!("node-{number}");
        let ready = number != 4;
        cluster.put("/api/v1/nodes", json!({
            "apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "creationTimestamp": ago(60 * 24 * 11).to_string(), "labels": {"topology.kubernetes.io/zone": if number < 3 { "a" } else { "b" }}},
            "spec": {"unschedulable": number == 3},
            "status": {"conditions": [{"type": "Ready", "status": if ready { "True" } else { "False" }, "reason": if ready { "KubeletReady" } else { "KubeletNotReady" }, "message": if ready { "" } else { "container runtime is down" }, "lastHeartbeatTime": ago(if ready { 0 } else { 4 }).to_string()}],
                "allocatable": {"cpu": "4", "memory": "8Gi", "pods": "110"}, "nodeInfo": {"kubeletVersion": "v1.36.0", "containerRuntimeVersion": "containerd://2.1"}},
        }));
    }
    for (reason, kind, object, minutes, message) in [
        (
            "NodeNotReady",
            "Node",
            "node-4",
            4,
            "Node node-4 status is now: NodeNotReady",
        ),
        (
            "Scheduled",
            "Pod",
            "orders-5d8f7c9b4-x2xzq",
            41,
            "Successfully assigned prod/orders to node-1",
        ),
        (
            "ScalingReplicaSet",
            "Deployment",
            "orders",
            41,
            "Scaled up replica set orders to 3",
        ),
    ] {
        cluster.put("/api/v1/events", json!({
            "apiVersion": "v1", "kind": "Event", "metadata": {"name": format!("{reason}.1"), "namespace": "prod", "uid": reason},
            "involvedObject": {"kind": kind, "name": object}, "type": if reason == "NodeNotReady" { "Warning" } else { "Normal" }, "reason": reason, "count": 1,
            "message": message, "firstTimestamp": ago(minutes).to_string(), "lastTimestamp": ago(minutes).to_string(),
        }));
    }
}

/// What the server knows of one service in one environment.
fn released(environment: &str, index: u64, name: &str) -> Value {
    let behind = environment == "prod" && index.is_multiple_of(3);
    let version = if behind { index + 100 } else { index };
    let failing = name == "fraud" && environment == "staging";
    let sequence = 4 + index % 5 + u64::from(!behind);
    let actor = ["ada", "grace", "linus"][usize::try_from(index % 3).unwrap_or(0)];
    let artifact = |seed: u64| format!("sha256:{}", hex(seed).repeat(4));
    let causes = json!([{"object": "Pod/fraud-5c9d8f7b6-x2xzq", "container": "fraud", "reason": "CrashLoopBackOff", "message": "exits with code 1", "exit_code": 1,
        "log": ["reading rules from /etc/rules.yaml", "error: rules.yaml line 14: unknown field `threshhold`"]}]);
    let minutes = 3 + i64::try_from(index * 37 % 600).unwrap_or(0);
    let mut status = json!({
        "service": name, "environment": environment,
        "release": {"service": name, "environment": environment, "sequence": sequence, "artifact": artifact(version), "artifact_id": format!("main-{}-{}", &hex(version)[..10], &hex(3)[..10]),
            "intent": if environment == "dev" { json!({"kind": "auto-release", "policy": "dev-main"}) } else { json!({"kind": "promote", "from": "dev"}) },
            "actor": {"name": if environment == "dev" { "foreshore" } else { actor }, "email": "a@example.org"},
            "reason": if environment == "prod" { "acceptance tests passed" } else { "" }, "at": ago(minutes).to_string(), "previous": artifact(version + 50)},
        "outcomes": [{"environment": environment, "site": "local", "service": name, "sequence": sequence, "artifact": artifact(version), "commit": hex(1),
            "phase": if failing { "failed" } else { "healthy" }, "causes": if failing { causes } else { json!([]) }, "at": ago(minutes - 1).to_string()}],
    });
    if name == "checkout" && environment == "prod" {
        status["hold"] = json!({"actor": {"name": "grace", "email": "g@example.org"}, "reason": "campaign week: nothing moves before Monday", "at": ago(200).to_string()});
    }
    status
}

/// Knows nobody: only the page that asks is looked at.
#[derive(Debug)]
struct Nobody;

impl Login for Nobody {
    fn enter(&self, _: Attempt) -> BoxFuture<'_, Result<Ticket, LoginError>> {
        async { Err(LoginError::Wrong) }.boxed()
    }

    fn recognise(&self, _: &str, _: Sign) -> Result<Option<Visitor>, LoginError> {
        Ok(None)
    }

    fn leave(&self, _: &str) -> Result<(), LoginError> {
        Ok(())
    }
}

fn listen() -> std::io::Result<TcpListener> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let cluster = Cluster::new();
    nodes(&cluster);
    let mut services = Vec::new();
    for (index, service) in (0_u64..).zip(SERVICES) {
        for environment in ENVIRONMENTS {
            fill(&cluster, environment, index, service);
            services.push(released(environment, index, service.0));
        }
    }
    let api = Api::new(&services);
    let (listener, asking) = (listen()?, listen()?);
    let address = listener.local_addr()?;
    let folder = tempfile::tempdir()?;
    let principal = |name: &str, rights: &[Right]| Principal {
        actor: Actor::new(name, format!("{name}@example.org")),
        rights: rights.to_vec(),
    };
    let shutdown = CancellationToken::new();
    let dashboard = Dashboard::start(
        Options {
            api: api.router(),
            reader: principal("reader", &[Right::Read]),
            owner: principal("ada", &[Right::Read, Right::Release, Right::Approve]),
            address,
            ground: "made-up data".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            audit: folder.path().join("audit.jsonl"),
            cache: None,
        },
        shutdown.clone(),
    )?;
    dashboard.watch("local".parse()?, cluster.client());
    let ended = {
        let shutdown = shutdown.clone();
        tokio::task::spawn_blocking(move || {
            // Whatever is written there, only its end counts.
            drop(std::io::stdin().read_to_end(&mut Vec::new()));
            shutdown.cancel();
        })
    };
    let mut stdout = std::io::stdout();
    writeln!(stdout, "http://{address} http://{}", asking.local_addr()?)?;
    stdout.flush()?;
    // As behind TLS, where the name that was asked for is anybody's.
    let guarded = dashboard.router_behind(std::sync::Arc::new(Nobody), true);
    let asking = tokio::net::TcpListener::from_std(asking)?;
    tokio::spawn(axum::serve(asking, guarded).into_future());
    let listener = tokio::net::TcpListener::from_std(listener)?;
    axum::serve(listener, dashboard.router())
        .with_graceful_shutdown(async move { shutdown.cancelled().await })
        .await?;
    ended.await?;
    Ok(())
}
