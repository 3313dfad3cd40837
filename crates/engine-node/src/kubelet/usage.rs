//! `GET /metrics/resource` and `GET /stats/summary`: what node and pods use.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use foreshore_sys::cgroup::Usage;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::context::Context;
use crate::pod::status::time;
use crate::usage::{NodeUsage, of_node};

pub(super) async fn metrics(State(context): State<Arc<Context>>) -> Response {
    match read(context).await {
        Ok(usage) => {
            let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4")];
            (kind, exposition(&usage)).into_response()
        }
        Err(refusal) => refusal,
    }
}

pub(super) async fn summary(State(context): State<Arc<Context>>) -> Response {
    let name = context.node_name.clone();
    match read(context).await {
        Ok(usage) => axum::Json(summary_of(&name, &usage)).into_response(),
        Err(refusal) => refusal,
    }
}

/// Many small files: not on the threads that serve everybody.
async fn read(context: Arc<Context>) -> Result<NodeUsage, Response> {
    tokio::task::spawn_blocking(move || of_node(&context))
        .await
        .map_err(|error| {
            let words = format!("the use of this node cannot be read: {error}\n");
            (StatusCode::INTERNAL_SERVER_ERROR, words).into_response()
        })
}

/// One family of the exposition format.
struct Family {
    name: &'static str,
    kind: &'static str,
    help: &'static str,
    lines: Vec<(String, f64)>,
}

impl Family {
    fn new(name: &'static str, kind: &'static str, help: &'static str) -> Self {
        Self {
            name,
            kind,
            help,
            lines: Vec::new(),
        }
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "the format has no other numbers than these"
)]
fn exposition(usage: &NodeUsage) -> String {
    let mut families = [
        Family::new(
            "node_cpu_usage_seconds_total",
            "counter",
            "Processor time used by the node's pods",
        ),
        Family::new(
            "node_memory_working_set_bytes",
            "gauge",
            "Memory used by the node's pods",
        ),
        Family::new(
            "pod_cpu_usage_seconds_total",
            "counter",
            "Processor time used by the pod",
        ),
        Family::new(
            "pod_memory_working_set_bytes",
            "gauge",
            "Memory used by the pod",
        ),
        Family::new(
            "container_cpu_usage_seconds_total",
            "counter",
            "Processor time used by the container since its start",
        ),
        Family::new(
            "container_memory_working_set_bytes",
            "gauge",
            "Memory used by the container",
        ),
        Family::new(
            "container_start_time_seconds",
            "gauge",
            "When the container started",
        ),
        Family::new(
            "resource_scrape_error",
            "gauge",
            "1 if something could not be read",
        ),
    ];
    let mut add = |index: usize, labels: &str, value: f64| {
        families[index].lines.push((labels.to_owned(), value));
    };
    if let Some(node) = usage.node {
        add(0, "", node.cpu.as_secs_f64());
        add(1, "", node.memory_bytes as f64);
    }
    for pod in &usage.pods {
        // Names of pods, namespaces and containers need no escapes.
        let whose = format!("namespace=\"{}\",pod=\"{}\"", pod.namespace, pod.name);
        let labels = format!("{{{whose}}}");
        add(2, &labels, pod.total.cpu.as_secs_f64());
        add(3, &labels, pod.total.memory_bytes as f64);
        for container in &pod.containers {
            let labels = format!("{{container=\"{}\",{whose}}}", container.name);
            add(4, &labels, container.usage.cpu.as_secs_f64());
            add(5, &labels, container.usage.memory_bytes as f64);
            let since = container.since.as_millisecond() as f64 / 1000.0;
            add(6, &labels, since);
        }
    }
    add(7, "", if usage.node.is_some() { 0.0 } else { 1.0 });
    write(&families, usage.at)
}

fn write(families: &[Family], at: Timestamp) -> String {
    let mut text = String::new();
    let at = at.as_millisecond();
    for family in families.iter().filter(|family| !family.lines.is_empty()) {
        let Family {
            name,
            kind,
            help,
            lines,
        } = family;
        let mut line = |words: String| {
            writeln!(text, "{words}").expect("writing to a string does not fail");
        };
        line(format!("# HELP {name} {help}"));
        line(format!("# TYPE {name} {kind}"));
        for (labels, value) in lines {
            line(format!("{name}{labels} {value} {at}"));
        }
    }
    text
}

fn summary_of(node: &str, usage: &NodeUsage) -> Value {
    let parts = |used: Usage| {
        let nanoseconds = u64::try_from(used.cpu.as_nanos()).unwrap_or(u64::MAX);
        (
            json!({ "time": time(usage.at), "usageCoreNanoSeconds": nanoseconds }),
            json!({ "time": time(usage.at), "workingSetBytes": used.memory_bytes }),
        )
    };
    let pods: Vec<Value> = usage
        .pods
        .iter()
        .map(|pod| {
            let (cpu, memory) = parts(pod.total);
            let containers: Vec<Value> = pod
                .containers
                .iter()
                .map(|container| {
                    let (cpu, memory) = parts(container.usage);
                    json!({
                        "name": container.name, "startTime": time(container.since),
                        "cpu": cpu, "memory": memory,
                    })
                })
                .collect();
            json!({
                "podRef": { "name": pod.name, "namespace": pod.namespace, "uid": pod.uid },
                "cpu": cpu, "memory": memory, "containers": containers,
            })
        })
        .collect();
    let (cpu, memory) = parts(usage.node.unwrap_or_default());
    json!({ "node": { "nodeName": node, "cpu": cpu, "memory": memory }, "pods": pods })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::usage::{ContainerUsage, PodUsage};

    #[test]
    fn the_exposition_names_pod_and_container_of_each_number() {
        let used = Usage {
            cpu: Duration::from_millis(1500),
            memory_bytes: 4096,
        };
        let usage = NodeUsage {
            at: Timestamp::from_second(10).unwrap(),
            node: Some(used),
            pods: vec![PodUsage {
                namespace: "dev".to_owned(),
                name: "web-1".to_owned(),
                uid: "u".to_owned(),
                total: used,
                containers: vec![ContainerUsage {
                    name: "main".to_owned(),
                    since: Timestamp::from_second(3).unwrap(),
                    usage: used,
                }],
            }],
        };
        let text = exposition(&usage);
        let numbers: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(
            numbers,
            [
                "node_cpu_usage_seconds_total 1.5 10000",
                "node_memory_working_set_bytes 4096 10000",
                "pod_cpu_usage_seconds_total{namespace=\"dev\",pod=\"web-1\"} 1.5 10000",
                "pod_memory_working_set_bytes{namespace=\"dev\",pod=\"web-1\"} 4096 10000",
                "container_cpu_usage_seconds_total{container=\"main\",namespace=\"dev\",pod=\"web-1\"} 1.5 10000",
                "container_memory_working_set_bytes{container=\"main\",namespace=\"dev\",pod=\"web-1\"} 4096 10000",
                "container_start_time_seconds{container=\"main\",namespace=\"dev\",pod=\"web-1\"} 3 10000",
                "resource_scrape_error 0 10000",
            ]
        );
        assert_eq!(
            summary_of("n", &usage)["pods"][0]["containers"][0]["cpu"]["usageCoreNanoSeconds"],
            1_500_000_000_u64
        );
    }
}
