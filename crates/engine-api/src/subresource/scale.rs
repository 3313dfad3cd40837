//! `scale`: the number of replicas, in the same form for every kind that has one.

use serde_json::{Value, json};

use crate::body;
use crate::call::Call;
use crate::catalog::Entry;
use crate::core::Core;
use crate::object::{self, text};
use crate::reply::{Content, Reply};
use crate::status::{Answer, Cause, Failure};
use crate::write::patch::{Patch, PatchKind};
use crate::write::update::{Changed, change};

const API_VERSION: &str = "autoscaling/v1";
const KIND: &str = "Scale";

pub(super) fn get(core: &Core, call: &Call) -> Answer<Reply> {
    let key = call.entry.key(&call.path.namespace, &call.path.name);
    let stored = core.store.get(&key);
    let stored = stored.ok_or_else(|| Failure::not_found(call.entry.named(), &call.path.name))?;
    let paths = Paths::of(&call.entry)?;
    let value = call.entry.present(&stored)?;
    Ok(Reply::ok(Content::Other(scale_of(&paths, &value))))
}

pub(super) async fn replace(core: &Core, call: &Call) -> Answer<Reply> {
    let scale = body::read_other(call, API_VERSION, KIND)?;
    write(core, call, |_| Ok(scale.clone())).await
}

pub(super) async fn patch(core: &Core, call: &Call) -> Answer<Reply> {
    let patch = Patch::read(call)?;
    if patch.kind() == PatchKind::Apply {
        return Err(Failure::not_implemented("server-side apply to scale"));
    }
    let schema = foreshore_engine_schema::Schema::builtin();
    let type_ref = schema
        .kind("autoscaling", "v1", KIND)
        .ok_or_else(Failure::unknown_path)?;
    write(core, call, |old| patch.apply_to(type_ref, old)).await
}

async fn write(core: &Core, call: &Call, scale: impl Fn(&Value) -> Answer<Value>) -> Answer<Reply> {
    let paths = Paths::of(&call.entry)?;
    let reply = change(core, call, |old| {
        let current = scale_of(&paths, old);
        let wanted = scale(&current)?;
        let replicas = wanted
            .pointer("/spec/replicas")
            .cloned()
            .unwrap_or_else(|| json!(0));
        if replicas
            .as_i64()
            .is_none_or(|count| count < 0 || count > i64::from(i32::MAX))
        {
            let cause = Cause::invalid(
                "spec.replicas",
                &replicas,
                "must be greater than or equal to 0",
            );
            return Err(Failure::invalid(
                "autoscaling",
                KIND,
                &call.path.name,
                vec![cause],
            ));
        }
        let mut value = old.clone();
        set(&mut value, &paths.replicas, replicas);
        let version = text(&wanted, "/metadata/resourceVersion");
        let conditional =
            !version.is_empty() && version != text(&current, "/metadata/resourceVersion");
        let metadata = object::metadata_mut(&mut value);
        for field in ["resourceVersion", "uid"] {
            let given = text(&wanted, &format!("/metadata/{field}"));
            if !given.is_empty() {
                metadata.insert(field.into(), given.into());
            }
        }
        Ok(Changed {
            value,
            owned: false,
            conditional,
        })
    });
    let reply = reply.await?;
    let value = match reply.content {
        Content::Stored(stored) => call.entry.present(&stored)?,
        Content::Object(value) => value,
        _ => return Err(Failure::internal("a change gives an object")),
    };
    Ok(Reply {
        content: Content::Other(scale_of(&paths, &value)),
        ..reply
    })
}

/// Where a kind keeps what its scale shows.
struct Paths {
    replicas: String,
    status_replicas: String,
    /// A selector in its text form; nothing means the workloads' own.
    selector: Option<String>,
    is_custom: bool,
}

impl Paths {
    fn of(entry: &Entry) -> Answer<Self> {
        let Some(custom) = entry.custom() else {
            return Ok(Self {
                replicas: "/spec/replicas".to_owned(),
                status_replicas: "/status/replicas".to_owned(),
                selector: None,
                is_custom: false,
            });
        };
        let scale = custom
            .version
            .scale
            .clone()
            .ok_or_else(Failure::unknown_path)?;
        Ok(Self {
            replicas: scale.replicas,
            status_replicas: scale.status_replicas,
            selector: scale.selector,
            is_custom: true,
        })
    }
}

/// Sets what stands under a pointer, making the objects on the way.
fn set(value: &mut Value, pointer: &str, wanted: Value) {
    let mut place = value;
    for name in pointer.split('/').skip(1) {
        if !place.is_object() {
            *place = json!({});
        }
        place = &mut place[name];
    }
    *place = wanted;
}

/// The scale of a workload.
fn scale_of(paths: &Paths, value: &Value) -> Value {
    let mut metadata = json!({});
    for field in [
        "name",
        "namespace",
        "uid",
        "resourceVersion",
        "creationTimestamp",
    ] {
        let found = text(value, &format!("/metadata/{field}"));
        if !found.is_empty() {
            metadata[field] = found.into();
        }
    }
    let count = |pointer: &str| value.pointer(pointer).and_then(Value::as_i64).unwrap_or(0);
    let mut spec = json!({});
    if count(&paths.replicas) != 0 {
        spec["replicas"] = count(&paths.replicas).into();
    }
    let mut status = json!({"replicas": count(&paths.status_replicas)});
    let selector = match &paths.selector {
        Some(pointer) => text(value, pointer).to_owned(),
        None if paths.is_custom => String::new(),
        None => selector_text(value.pointer("/spec/selector").unwrap_or(&Value::Null)),
    };
    if !selector.is_empty() {
        status["selector"] = selector.into();
    }
    json!({
        "kind": KIND, "apiVersion": API_VERSION,
        "metadata": metadata, "spec": spec, "status": status,
    })
}

/// A selector in its text form, as autoscalers use it.
fn selector_text(selector: &Value) -> String {
    let mut parts = Vec::new();
    let exact = selector.get("matchLabels").and_then(Value::as_object);
    for (key, value) in exact.into_iter().flatten() {
        parts.push(format!("{key}={}", value.as_str().unwrap_or_default()));
    }
    let expressions = selector.get("matchExpressions").and_then(Value::as_array);
    for expression in expressions.into_iter().flatten() {
        let key = text(expression, "/key");
        let values = expression.get("values").and_then(Value::as_array);
        let values: Vec<&str> = values
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let values = values.join(",");
        parts.push(match text(expression, "/operator") {
            "In" => format!("{key} in ({values})"),
            "NotIn" => format!("{key} notin ({values})"),
            "Exists" => key.to_owned(),
            _ => format!("!{key}"),
        });
    }
    parts.sort();
    parts.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_workload_is_shown_as_a_scale() {
        let paths = Paths {
            replicas: "/spec/replicas".to_owned(),
            status_replicas: "/status/replicas".to_owned(),
            selector: None,
            is_custom: false,
        };
        let object = json!({
            "metadata": {"name": "web", "namespace": "a", "labels": {"x": "y"}},
            "spec": {"replicas": 3, "selector": {
                "matchLabels": {"app": "web"},
                "matchExpressions": [{"key": "tier", "operator": "In", "values": ["a", "b"]}],
            }},
            "status": {"replicas": 2},
        });
        let scale = scale_of(&paths, &object);
        assert_eq!(scale["spec"]["replicas"], 3);
        assert_eq!(
            scale["status"],
            json!({"replicas": 2, "selector": "app=web,tier in (a,b)"})
        );
        assert_eq!(scale["metadata"], json!({"name": "web", "namespace": "a"}));
    }
}
