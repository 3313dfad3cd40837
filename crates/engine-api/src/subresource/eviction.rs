//! `pods/eviction`: a deletion that asks first. Disruption budgets are not served yet,
//! so nothing objects.

use http::StatusCode;
use serde_json::json;

use crate::body;
use crate::call::Call;
use crate::core::Core;
use crate::object::text;
use crate::reply::{Content, Reply};
use crate::status::{Answer, Failure};
use crate::write::delete::{DeleteOptions, delete_one};

pub(super) async fn evict(core: &Core, call: &Call) -> Answer<Reply> {
    let eviction = body::read_other(call, "policy/v1", "Eviction")?;
    let name = text(&eviction, "/metadata/name");
    if !name.is_empty() && name != call.path.name {
        return Err(Failure::bad_request(
            "name in URL does not match name in Eviction object",
        ));
    }
    let options = match eviction.get("deleteOptions") {
        Some(options) => DeleteOptions::from_value(options)?,
        None => DeleteOptions::default(),
    };
    delete_one(core, call, &call.path.name, &call.path.namespace, &options).await?;
    let done = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201,
    });
    Ok(Reply {
        code: StatusCode::CREATED,
        content: Content::Other(done),
        warnings: vec![],
    })
}
