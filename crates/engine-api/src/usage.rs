//! `metrics.k8s.io`: what nodes and pods use, from what the nodes themselves report.
//!
//! A node's CPU is a counter; its rate needs two looks. They are taken when somebody asks,
//! and kept for the next question. Simulated pods use what their annotations say.

mod sample;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use foreshore_engine_schema::{Quantity, Resource, Schema, Support};
use foreshore_engine_store::Object;
use futures::future::join_all;
use http::{Response, StatusCode};
use http_body_util::BodyExt;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::core::Core;
use crate::node;
use crate::object::{self, text};
use crate::reply::{ResponseBody, json_response};
use crate::request::{Query, ResourcePath};
use crate::selector::LabelSelector;
use crate::status::{Answer, Failure, Named};
use crate::usage::sample::{Rates, Sample};

pub(crate) const GROUP: &str = "metrics.k8s.io";
const VERSION: &str = "v1beta1";
/// A look at a node counts as news for so long.
const FRESH: Duration = Duration::from_secs(10);
/// Time between the first two looks at a node.
const FIRST_WINDOW: Duration = Duration::from_secs(1);
/// Bytes of a node's report that are read.
const REPORT_MAX: usize = 8 << 20;
const SIMULATED_CPU: &str = "foreshore.local/simulate-cpu";
const SIMULATED_MEMORY: &str = "foreshore.local/simulate-memory";

/// The last two looks at each node.
#[derive(Default)]
pub(crate) struct Usage {
    looks: Mutex<HashMap<String, Arc<Mutex<Looks>>>>,
}

#[derive(Default)]
struct Looks {
    before: Option<Sample>,
    newest: Option<Sample>,
}

/// The resources of the group, as discovery offers them.
pub(crate) fn resources() -> Vec<Arc<Resource>> {
    let any = Schema::builtin().kind("", "v1", "Status");
    let any = any.expect("the tables hold it; every refusal is one").id();
    let resource = |plural: &str, kind: &str, namespaced| {
        Arc::new(Resource {
            group: GROUP.to_owned(),
            version: VERSION.to_owned(),
            plural: plural.to_owned(),
            singular: String::new(),
            kind: kind.to_owned(),
            list_kind: format!("{kind}List"),
            short_names: vec![],
            categories: vec![],
            namespaced,
            verbs: vec!["get".to_owned(), "list".to_owned()],
            subresources: vec![],
            columns: vec![],
            type_id: any,
            support: Support::Served,
        })
    };
    vec![
        resource("nodes", "NodeMetrics", false),
        resource("pods", "PodMetrics", true),
    ]
}

/// Answers a request of the group.
pub(crate) async fn answer(
    core: &Core,
    verb: &str,
    path: &ResourcePath,
    query: &Query,
) -> Answer<Response<ResponseBody>> {
    let known = path.version == VERSION
        && path.subresource.is_empty()
        && match path.resource.as_str() {
            "nodes" => path.namespace.is_empty(),
            "pods" => !path.namespace.is_empty() || path.name.is_empty(),
            _ => false,
        };
    if !known {
        return Err(Failure::unknown_path());
    }
    if !matches!(verb, "get" | "list") {
        return Err(Failure::method_not_allowed());
    }
    let labels = query
        .get("labelSelector")
        .map(LabelSelector::parse)
        .transpose()?;
    let labels = labels.unwrap_or_default();
    let wanted = wanted(core, path, &labels)?;
    let items = if path.resource == "nodes" {
        nodes(core, &wanted).await?
    } else {
        pods(core, &wanted).await
    };
    let kind = if path.resource == "nodes" {
        "NodeMetrics"
    } else {
        "PodMetrics"
    };
    let api_version = format!("{GROUP}/{VERSION}");
    let stamp = |mut item: Value| {
        item["kind"] = kind.into();
        item["apiVersion"] = api_version.as_str().into();
        item
    };
    if verb == "get" {
        let item = items
            .into_iter()
            .next()
            .ok_or_else(|| missing(path, kind))?;
        return Ok(json_response(StatusCode::OK, &stamp(item)));
    }
    let list = json!({
        "kind": format!("{kind}List"), "apiVersion": api_version, "metadata": {},
        "items": items,
    });
    Ok(json_response(StatusCode::OK, &list))
}

fn missing(path: &ResourcePath, kind: &str) -> Failure {
    let plural = kind.to_lowercase();
    let named = Named {
        group: GROUP,
        plural: &plural,
    };
    match path.namespace.as_str() {
        "" => Failure::not_found(named, &path.name),
        namespace => Failure::not_found(named, &format!("{namespace}/{}", path.name)),
    }
}

/// The objects that are asked about.
fn wanted(core: &Core, path: &ResourcePath, labels: &LabelSelector) -> Answer<Vec<Value>> {
    let entry = core.catalog.known("", &path.resource);
    let snapshot = core.store.snapshot();
    let namespace = (!path.namespace.is_empty()).then_some(path.namespace.as_str());
    let found: Vec<&Arc<Object>> = snapshot
        .list(&entry.rows, namespace, None)
        .filter(|object| path.name.is_empty() || *object.key.name == *path.name)
        .collect();
    let mut wanted = vec![];
    for stored in found {
        let value = object::decode(stored)?;
        let own = &value["metadata"]["labels"];
        let label = |key: &str| own.get(key).and_then(Value::as_str);
        if labels.is_empty() || labels.matches(label) {
            wanted.push(value);
        }
    }
    Ok(wanted)
}

async fn pods(core: &Core, pods: &[Value]) -> Vec<Value> {
    let running = |pod: &&Value| text(pod, "/status/phase") == "Running";
    let pods: Vec<&Value> = pods.iter().filter(running).collect();
    let mut names: Vec<&str> = pods.iter().map(|pod| text(pod, "/spec/nodeName")).collect();
    names.sort_unstable();
    names.dedup();
    let rates = rates(core, &names).await;
    pods.into_iter()
        .filter_map(|pod| pod_item(core, pod, &rates))
        .collect()
}

/// What one pod uses; nothing while its node has not reported it twice.
fn pod_item(core: &Core, pod: &Value, rates: &HashMap<String, NodeRates>) -> Option<Value> {
    let node = rates.get(text(pod, "/spec/nodeName"))?;
    let (namespace, name) = (text(pod, "/metadata/namespace"), object::name(pod));
    let containers = pod.pointer("/spec/containers")?.as_array()?;
    let mut shown = vec![];
    let (timestamp, window) = match node {
        NodeRates::Simulated => {
            for container in containers {
                let (cpu, memory) = simulated(pod);
                shown.push(json!({
                    "name": container["name"], "usage": {"cpu": cpu.to_string(), "memory": memory.to_string()},
                }));
            }
            (core.now(), Duration::from_secs(15))
        }
        NodeRates::Measured(rates) => {
            for container in containers {
                let key = (
                    namespace.to_owned(),
                    name.to_owned(),
                    text(container, "/name").to_owned(),
                );
                let found = rates.containers.get(&key)?;
                shown.push(json!({"name": key.2, "usage": usage(found.cpu, found.memory)}));
            }
            (rates.timestamp, rates.window)
        }
    };
    let mut metadata = json!({
        "name": name, "namespace": namespace, "creationTimestamp": object::time(core.now()),
    });
    if let Some(labels) = pod.pointer("/metadata/labels") {
        metadata["labels"] = labels.clone();
    }
    Some(json!({
        "metadata": metadata, "timestamp": object::time(timestamp),
        "window": format!("{:.3}s", window.as_secs_f64()), "containers": shown,
    }))
}

/// What a simulated pod's containers use, each.
fn simulated(pod: &Value) -> (Quantity, Quantity) {
    let annotation = |key: &str, default: &str| {
        let text = pod["metadata"]["annotations"][key]
            .as_str()
            .unwrap_or(default);
        let amount = Quantity::parse(text).or_else(|_| Quantity::parse(default));
        amount.expect("the default is a quantity")
    };
    (
        annotation(SIMULATED_CPU, "1m"),
        annotation(SIMULATED_MEMORY, "1Mi"),
    )
}

/// Cores and bytes as the real metrics server writes them.
fn usage(cores: f64, bytes: f64) -> Value {
    json!({"cpu": format!("{:.0}n", cores * 1e9), "memory": format!("{:.0}Ki", bytes / 1024.0)})
}

async fn nodes(core: &Core, nodes: &[Value]) -> Answer<Vec<Value>> {
    let names: Vec<&str> = nodes.iter().map(object::name).collect();
    let rates = rates(core, &names).await;
    let mut simulated_use = BTreeMap::new();
    if rates
        .values()
        .any(|rates| matches!(rates, NodeRates::Simulated))
    {
        simulated_use = simulated_nodes(core)?;
    }
    let item = |node: &Value| {
        let name = object::name(node);
        let (usage, timestamp, window) = match rates.get(name)? {
            NodeRates::Measured(rates) => {
                let found = rates.node.as_ref()?;
                (
                    usage(found.cpu, found.memory),
                    rates.timestamp,
                    rates.window,
                )
            }
            NodeRates::Simulated => {
                let (millis, bytes) = simulated_use.get(name).copied().unwrap_or_default();
                let usage =
                    json!({"cpu": format!("{millis}m"), "memory": format!("{}Ki", bytes / 1024)});
                (usage, core.now(), Duration::from_secs(15))
            }
        };
        let mut metadata = json!({"name": name, "creationTimestamp": object::time(core.now())});
        if let Some(labels) = node.pointer("/metadata/labels") {
            metadata["labels"] = labels.clone();
        }
        Some(json!({
            "metadata": metadata, "timestamp": object::time(timestamp),
            "window": format!("{:.3}s", window.as_secs_f64()), "usage": usage,
        }))
    };
    Ok(nodes.iter().filter_map(item).collect())
}

/// Thousandths of a core and bytes that the running pods of each node use by annotation.
fn simulated_nodes(core: &Core) -> Answer<BTreeMap<String, (i128, i128)>> {
    let rows = &core.catalog.known("", "pods").rows;
    let mut found: BTreeMap<String, (i128, i128)> = BTreeMap::new();
    for stored in core.store.snapshot().list(rows, None, None) {
        let pod = object::decode(stored)?;
        if text(&pod, "/status/phase") != "Running" {
            continue;
        }
        let count = pod.pointer("/spec/containers").and_then(Value::as_array);
        let count = i128::try_from(count.map_or(0, Vec::len)).unwrap_or(0);
        let (cpu, memory) = simulated(&pod);
        let sum = found
            .entry(text(&pod, "/spec/nodeName").to_owned())
            .or_default();
        sum.0 += cpu.millis() * count;
        sum.1 += memory.units() * count;
    }
    Ok(found)
}

enum NodeRates {
    /// It has no endpoint; its pods say what they use.
    Simulated,
    Measured(Rates),
}

/// What each of these nodes uses now; those that do not answer are left out.
async fn rates(core: &Core, names: &[&str]) -> HashMap<String, NodeRates> {
    let each = names.iter().map(|name| async {
        let stored = core.peek("", "nodes", "", name)?;
        let node = object::decode(&stored).ok()?;
        let rates = if node["metadata"]["labels"]["foreshore.local/runtime"] == "simulated" {
            NodeRates::Simulated
        } else {
            NodeRates::Measured(measured(core, name).await?)
        };
        Some(((*name).to_owned(), rates))
    });
    join_all(each).await.into_iter().flatten().collect()
}

async fn measured(core: &Core, name: &str) -> Option<Rates> {
    let looks = {
        let mut all = core.usage.looks.lock().await;
        all.retain(|known, _| core.peek("", "nodes", "", known).is_some());
        Arc::clone(all.entry(name.to_owned()).or_default())
    };
    // One look at a time: others who ask meanwhile share it.
    let mut looks = looks.lock().await;
    let old = |sample: &Sample| sample.taken.elapsed() > FRESH;
    if looks.newest.as_ref().is_none_or(old) {
        let sample = look(core, name).await?;
        looks.before = looks.newest.replace(sample);
    }
    if looks.before.is_none() {
        tokio::time::sleep(FIRST_WINDOW).await;
        let sample = look(core, name).await?;
        looks.before = looks.newest.replace(sample);
    }
    Rates::between(looks.before.as_ref()?, looks.newest.as_ref()?)
}

/// Asks a node once.
async fn look(core: &Core, name: &str) -> Option<Sample> {
    let now: Timestamp = core.now();
    let response = node::get(core, name, "/metrics/resource").await.ok()?;
    if !response.status().is_success() {
        return None;
    }
    let body = http_body_util::Limited::new(response.into_body(), REPORT_MAX);
    let body = tokio::time::timeout(node::NODE_LIMIT, body.collect())
        .await
        .ok()?
        .ok()?;
    let text = String::from_utf8(body.to_bytes().to_vec()).ok()?;
    Some(Sample::read(&text, now))
}
