//! Tables: the server-side columns kubectl prints.

mod rows;

use std::sync::Arc;

use foreshore_engine_schema::table as columns;
use jiff::Timestamp;
use serde_json::{Value, json};

use foreshore_engine_store::Object;

use crate::call::Call;
use crate::reply::metadata_only;
use crate::status::Answer;

/// One row; the object comes with it as the request asks.
pub(crate) fn row(call: &Call, object: &Value, now: Timestamp) -> Value {
    let cells = columns::row(&call.entry.resource, object, now);
    let object = match call.query.get("includeObject") {
        Some("None") => Value::Null,
        Some("Object") => object.clone(),
        _ => metadata_only(object, "v1"),
    };
    json!({"cells": cells, "object": object})
}

/// Rows under their heading; `headed` is false for all but the first event of a watch.
pub(crate) fn table(
    call: &Call,
    version: &str,
    rows: &[Value],
    metadata: &Value,
    headed: bool,
) -> Value {
    let definitions: Vec<Value> = if headed {
        columns::columns(&call.entry.resource)
            .iter()
            .map(|column| {
                json!({
                    "name": column.name, "type": column.kind, "format": column.format,
                    "description": "", "priority": column.priority,
                })
            })
            .collect()
    } else {
        vec![]
    };
    json!({
        "kind": "Table", "apiVersion": format!("meta.k8s.io/{version}"),
        "metadata": metadata, "columnDefinitions": definitions, "rows": rows,
    })
}

/// The text of a whole Table of objects that are shown as they are stored.
pub(crate) fn of_stored(
    call: &Call,
    version: &str,
    objects: &[Arc<Object>],
    metadata: &Value,
) -> Answer<Vec<u8>> {
    let empty = table(call, version, &[], metadata, true).to_string();
    // `rows` is the only empty list under its name: keys are not values, and quotes are escaped.
    let (head, tail) = empty
        .split_once(r#""rows":[]"#)
        .expect("a Table has the rows it was given");
    let mut text = head.as_bytes().to_vec();
    text.extend_from_slice(br#""rows":["#);
    rows::write(call, objects, &mut text)?;
    text.push(b']');
    text.extend_from_slice(tail.as_bytes());
    Ok(text)
}
