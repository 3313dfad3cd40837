//! Parts of an object with a door of their own.

mod binding;
mod eviction;
pub(crate) mod exec;
mod log;
mod scale;
mod token;

use crate::call::Call;
use crate::core::Core;
use crate::handler;
use crate::reply::Reply;
use crate::status::{Answer, Failure};
use crate::write::{patch, update};

/// Answers a request for a subresource the tables serve.
pub(crate) async fn dispatch(core: &Core, call: &Call, verb: &str) -> Answer<Reply> {
    let known = call.subresource().ok_or_else(Failure::unknown_path)?;
    if !known.verbs.iter().any(|allowed| allowed == verb) {
        return Err(Failure::method_not_allowed());
    }
    match (known.name.as_str(), verb) {
        ("status", "get") => handler::get(core, call).await,
        ("status" | "finalize", "update") => update::replace(core, call).await,
        ("status", "patch") => patch::patch(core, call).await,
        ("scale", "get") => scale::get(core, call),
        ("scale", "update") => scale::replace(core, call).await,
        ("scale", "patch") => scale::patch(core, call).await,
        ("binding", "create") => binding::bind(core, call).await,
        ("eviction", "create") => eviction::evict(core, call).await,
        ("token", "create") => token::request(core, call),
        ("log", "get") => log::read(core, call).await,
        _ => Err(Failure::method_not_allowed()),
    }
}
