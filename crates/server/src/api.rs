//! The HTTP API under `/api/v1`, one file for each noun.

mod arrivals;
mod artifacts;
mod audit;
mod body;
mod builds;
mod events;
mod explain;
mod holds;
mod info;
mod loads;
mod openapi;
mod operations;
mod outcomes;
mod previews;
mod released;
mod releases;
mod requests;
mod retire;
mod rules;
mod secrets;
mod status;
mod submit;
mod tip;
mod tokens;
mod wish;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::get;
use bytes::Bytes;
use foreshore_model::ExitCode;
use http::header;

use self::openapi::Routes;
use crate::problem::Problem;
use crate::state::State;

pub(crate) use arrivals::{Arrived, act_on};
pub(crate) use status::assemble as status;
pub(crate) use submit::submit;

/// Outcomes of a hundred services with their logs stay far below.
const BODY_BYTES_MAX: usize = 2 * 1024 * 1024;

/// The document that describes the API, as `/openapi.json` serves it.
pub fn openapi() -> String {
    routes().finish().1
}

pub(crate) fn router(state: Arc<State>) -> Router {
    let (routes, document) = routes().finish();
    let routes = routes
        .fallback(|| async {
            Problem::new(
                ExitCode::NotFound,
                "not-found",
                "the server has no such path",
            )
        })
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(state);
    let document: Bytes = document.into();
    let kind = [(header::CONTENT_TYPE, "application/json")];
    Router::new().nest(openapi::PREFIX, routes).route(
        "/openapi.json",
        get(move || async move { (kind, document) }),
    )
}

fn routes() -> Routes {
    changing(looking(reading(Routes::new())))
}

/// What tells how things are.
fn reading(routes: Routes) -> Routes {
    routes
        .get(
            "/info",
            "Which server this is, and who the caller is",
            info::get,
        )
        .get(
            "/status",
            "What runs where; waits for a change of it if asked to",
            status::get,
        )
        .get(
            "/tip",
            "Tip of the config repository; waits for another one if asked to",
            tip::get,
        )
        .get(
            "/events",
            "The status as a stream of server-sent events",
            events::get,
        )
        .get(
            "/history/{environment}/{service}",
            "Releases of a service, newest first",
            releases::history,
        )
        .post(
            "/explain",
            "Whether a release would be allowed, term by term",
            explain::post,
        )
        .post(
            "/diff",
            "What a release would change in the released files",
            explain::diff,
        )
        .get(
            "/diff/{environment}/{service}",
            "What differs between two releases",
            explain::between,
        )
        .get("/audit", "Who changed what, when and why", audit::get)
        .get(
            "/describe/release/{environment}/{service}",
            "Releases of a service with their circumstances",
            audit::release,
        )
}

/// What tells of requests, rules, builds and sites.
fn looking(routes: Routes) -> Routes {
    routes
        .get(
            "/requests",
            "Releases that wait for approval; waits for a change of them if asked to",
            requests::open,
        )
        .get(
            "/requests/{id}",
            "Everything a person needs to agree to a release or not",
            explain::request,
        )
        .get(
            "/requests/{id}/files",
            "The files that a request would release",
            explain::files,
        )
        .get(
            "/loads",
            "Load runs, newest first; waits for a change of them if asked to",
            loads::list,
        )
        .get(
            "/policies",
            "Rules that trigger or restrict releases",
            rules::policies,
        )
        .get("/freezes", "Times without releases", rules::freezes)
        .get("/artifacts", "What was built of a service", artifacts::list)
        .get(
            "/artifacts/{service}/{id}",
            "One artifact, whole",
            artifacts::describe,
        )
        .get(
            "/builds",
            "What became of pushed source, newest first",
            builds::list,
        )
        .get("/builds/{id}/log", "What a build said", builds::log)
        .get(
            "/outcomes/{environment}/{service}",
            "The newest outcome of each site",
            outcomes::get,
        )
        .get(
            "/secrets/{environment}/{service}",
            "Which secrets have a sealed value",
            secrets::list,
        )
}

/// What makes something different.
fn changing(routes: Routes) -> Routes {
    routes
        .post("/releases", "Release, promote or roll back", releases::post)
        .post(
            "/requests/{id}/approve",
            "Agree to a release",
            requests::approve,
        )
        .post(
            "/previews",
            "Tell what a cluster would make of a request",
            previews::post,
        )
        .put("/loads/{id}", "Tell how a load run goes", loads::put)
        .post(
            "/operations/{environment}/{service}",
            "Change replicas, bounds, floors or pause without a build",
            operations::post,
        )
        .post(
            "/retire/{environment}/{service}",
            "End a service on purpose",
            retire::post,
        )
        .post(
            "/removals/{environment}/{service}",
            "Let a release take objects away",
            retire::confirm,
        )
        .put("/policies/{name}", "Write a rule", rules::put_policy)
        .delete(
            "/policies/{name}",
            "Take a rule away",
            rules::delete_policy_named,
        )
        .put(
            "/freezes/{name}",
            "Write a time without releases",
            rules::put_freeze,
        )
        .delete(
            "/freezes/{name}",
            "Take a time without releases away",
            rules::delete_freeze,
        )
        .put(
            "/holds/{environment}/{service}",
            "Keep automation away from a service",
            holds::put,
        )
        .delete(
            "/holds/{environment}/{service}",
            "Let automation act again",
            holds::delete,
        )
        .post(
            "/arrivals",
            "Let policies act on an artifact that is in the registry",
            arrivals::post,
        )
        .post(
            "/outcomes",
            "Tell what became of releases in a cluster",
            outcomes::post,
        )
        .put(
            "/secrets/{environment}/{service}/{name}",
            "Store a sealed value",
            secrets::put,
        )
        .delete(
            "/secrets/{environment}/{service}/{name}",
            "Remove a sealed value",
            secrets::delete,
        )
        .post("/tokens", "Issue a token for CI", tokens::post)
        .delete("/tokens/{name}", "Revoke somebody's tokens", tokens::delete)
}
