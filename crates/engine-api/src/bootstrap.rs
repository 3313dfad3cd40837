//! The objects every cluster has, and the removal of old events.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::call::Call;
use crate::core::Core;
use crate::object::{self, text};
use crate::status::{Answer, Failure};
use crate::strategy;
use crate::write::{create, successor};

/// Roles and bindings a Kubernetes client may count on.
const RBAC: &str = include_str!("../data/rbac.json");
const NAMESPACES: [&str; 4] = ["default", "kube-node-lease", "kube-public", "kube-system"];
/// How long an event is kept after it last changed.
const EVENT_AGE: SignedDuration = SignedDuration::from_hours(1);

/// Creates what is not there yet; what somebody changed stays changed.
pub(crate) async fn create_missing(core: &Core) -> Answer<()> {
    for name in NAMESPACES {
        let namespace = json!({
            "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name},
        });
        ensure(core, namespace).await?;
    }
    let roles: Vec<Value> = serde_json::from_str(RBAC)
        .map_err(|error| Failure::internal(format!("the built-in roles are broken: {error}")))?;
    for object in roles {
        ensure(core, object).await?;
    }
    for (name, value, description) in strategy::SYSTEM_PRIORITIES {
        let class = json!({
            "apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass",
            "metadata": {"name": name}, "value": value, "description": description,
        });
        ensure(core, class).await?;
    }
    ensure(core, kubernetes_service(core)).await
}

/// The Service under which pods find the API.
fn kubernetes_service(core: &Core) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {
            "name": "kubernetes", "namespace": "default",
            "labels": {"component": "apiserver", "provider": "kubernetes"},
        },
        "spec": {
            "type": "ClusterIP", "clusterIP": core.network.api().to_string(),
            "ports": [{"name": "https", "protocol": "TCP", "port": 443, "targetPort": 6443}],
        },
    })
}

async fn ensure(core: &Core, value: Value) -> Answer<()> {
    let api_version = text(&value, "/apiVersion");
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let schema = foreshore_engine_schema::Schema::builtin();
    let kind = text(&value, "/kind");
    let resource = schema.resource_of_kind(group, version, kind);
    let resource = resource.ok_or_else(|| Failure::internal(format!("{kind} is not served")))?;
    let entry = core.catalog.find(group, version, &resource.plural);
    let entry = entry.ok_or_else(|| Failure::internal(format!("{kind} is not served")))?;
    let (namespace, name) = (text(&value, "/metadata/namespace"), object::name(&value));
    if core.store.get(&entry.key(namespace, name)).is_some() {
        return Ok(());
    }
    let call = Call::internal(core.now(), entry, namespace, "");
    create::create_value(core, &call, value).await.map(drop)
}

/// Removes events that have not changed for long; returns how many.
pub(crate) async fn sweep_events(core: &Core) -> usize {
    let rows = core.catalog.known("", "events").rows.clone();
    let snapshot = core.store.snapshot();
    let limit = core.now().checked_sub(EVENT_AGE).unwrap_or(Timestamp::MIN);
    let mut removed = 0;
    for stored in snapshot.list(&rows, None, None) {
        let Ok(value) = object::decode(stored) else {
            continue;
        };
        if last_change(&value).is_none_or(|changed| changed >= limit) {
            continue;
        }
        let op = successor(stored, true, object::encode(&value));
        // One that was changed or removed meanwhile is looked at next time.
        removed += usize::from(core.store.write(op).await.is_ok());
    }
    removed
}

fn last_change(event: &Value) -> Option<Timestamp> {
    let times = [
        "/series/lastObservedTime",
        "/lastTimestamp",
        "/eventTime",
        "/firstTimestamp",
        "/metadata/creationTimestamp",
    ];
    times
        .iter()
        .filter_map(|pointer| text(event, pointer).parse().ok())
        .max()
}
