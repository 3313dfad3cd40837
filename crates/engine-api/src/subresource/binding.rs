//! `pods/binding`: the scheduler's word on which node a pod goes to.

use http::StatusCode;
use serde_json::{Value, json};

use crate::body;
use crate::call::Call;
use crate::core::Core;
use crate::object::{self, text};
use crate::reply::{Content, Reply};
use crate::status::{Answer, Cause, Failure};
use crate::write::update::{Changed, change};

pub(super) async fn bind(core: &Core, call: &Call) -> Answer<Reply> {
    let binding = body::read_other(call, "v1", "Binding")?;
    let node = text(&binding, "/target/name").to_owned();
    if node.is_empty() {
        let cause = Cause::required("target.name", "");
        return Err(Failure::invalid(
            "",
            "Binding",
            &call.path.name,
            vec![cause],
        ));
    }
    if !matches!(text(&binding, "/target/kind"), "" | "Node") {
        let cause = Cause::invalid("target.kind", &binding["target"]["kind"], "must be Node");
        return Err(Failure::invalid(
            "",
            "Binding",
            &call.path.name,
            vec![cause],
        ));
    }
    let uid = text(&binding, "/metadata/uid").to_owned();
    change(core, call, |old| {
        let conflict = |why: &str| Failure::conflict(call.entry.named(), &call.path.name, why);
        if object::is_deleting(old) {
            return Err(conflict(&format!(
                "pod {} is being deleted, cannot be assigned to a host",
                call.path.name
            )));
        }
        let current = text(old, "/spec/nodeName");
        if !current.is_empty() {
            let why = format!(
                "pod {} is already assigned to node {current:?}",
                call.path.name
            );
            return Err(conflict(&why));
        }
        if !uid.is_empty() && uid != object::uid(old) {
            let found = object::uid(old);
            let why = format!(
                "Precondition failed: UID in precondition: {uid}, UID in object meta: {found}"
            );
            return Err(conflict(&why));
        }
        Ok(Changed {
            value: bound(old, &binding, &node, call),
            owned: true,
            conditional: false,
        })
    })
    .await?;
    let done = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201,
    });
    Ok(Reply {
        code: StatusCode::CREATED,
        content: Content::Other(done),
        warnings: vec![],
    })
}

fn bound(old: &Value, binding: &Value, node: &str, call: &Call) -> Value {
    let mut value = old.clone();
    object::map_mut(&mut value, "spec").insert("nodeName".into(), node.into());
    for field in ["annotations", "labels"] {
        let given = binding
            .pointer(&format!("/metadata/{field}"))
            .and_then(Value::as_object);
        let Some(given) = given else { continue };
        let held = object::metadata_mut(&mut value)
            .entry(field)
            .or_insert(json!({}));
        if let Some(held) = held.as_object_mut() {
            held.extend(given.clone());
        }
    }
    let status = object::map_mut(&mut value, "status");
    let conditions = status.entry("conditions").or_insert(json!([]));
    if let Some(conditions) = conditions.as_array_mut() {
        conditions.retain(|condition| text(condition, "/type") != "PodScheduled");
        conditions.push(json!({
            "type": "PodScheduled", "status": "True", "lastProbeTime": null,
            "lastTransitionTime": object::time(call.now),
        }));
    }
    value
}
