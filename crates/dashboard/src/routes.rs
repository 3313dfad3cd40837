//! Where each page is, who may see it, and how it is answered.

mod acting;
mod audit;
pub(crate) mod entrance;
mod export;
mod help;
mod history;
mod login;
mod logs;
mod pages;
mod search;

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::middleware;
use axum::response::{Html, IntoResponse as _, Response};
use axum::routing::{get, post};
use foreshore_model::ExitCode;
use foreshore_model::api::Problem;
use http::StatusCode;

use crate::answer::{protect, strict_transport};
use crate::assets;
use crate::dashboard::{Inner, may_act};
use crate::door::Refused;
use crate::frame::Frame;
use crate::html;

use entrance::{Door, Entrance, Reader};

/// A form of ours has a few short fields.
const FORM_BYTES_MAX: usize = 16 * 1024;

type Shared = State<Arc<Inner>>;

pub(crate) fn router(inner: Arc<Inner>, entrance: Entrance) -> Router {
    let secure = matches!(entrance, Entrance::Login { secure: true, .. });
    let needs_login = matches!(entrance, Entrance::Login { .. });
    let door = Door::new(inner.clone(), entrance);
    let mut router = Router::new();
    for path in [
        "/",
        "/services",
        "/services/{name}",
        "/releases",
        "/pods",
        "/pods/{site}/{namespace}/{name}",
        "/nodes",
        "/events",
        "/checks",
        "/loads",
        "/loads/{id}",
        "/done/{id}",
    ] {
        router = router.route(path, get(pages::show));
    }
    for path in ["/live", "/live/{*path}"] {
        router = router.route(path, get(pages::stream));
    }
    for path in [
        "/services.csv",
        "/services.json",
        "/pods.csv",
        "/pods.json",
        "/nodes.csv",
        "/nodes.json",
        "/events.csv",
        "/events.json",
        "/checks.csv",
        "/checks.json",
    ] {
        router = router.route(path, get(export::export));
    }
    let mut router = router
        .route("/releases/{environment}/{service}", get(history::show))
        .route("/logs", get(logs::show))
        .route("/logs/follow", get(logs::follow))
        .route("/audit", get(audit::show))
        .route("/audit.csv", get(audit::export))
        .route("/audit.json", get(audit::export))
        .route("/search", get(search::show))
        .route("/search.json", get(search::json))
        .route("/help", get(help::show))
        .route("/act/{verb}", get(acting::preview))
        .route("/act", post(acting::confirm))
        .layer(middleware::from_fn_with_state(
            door.clone(),
            entrance::enter,
        ))
        .merge(assets::assets())
        .with_state(inner);
    if needs_login {
        router = router.merge(login::router(door));
    }
    let router = router
        .layer(DefaultBodyLimit::max(FORM_BYTES_MAX))
        .layer(middleware::from_fn(protect));
    if secure {
        router.layer(middleware::map_response(strict_transport))
    } else {
        router
    }
}

fn refuse(inner: &Inner, status: StatusCode, refused: &Refused) -> Response {
    let frame = Frame {
        title: "Not let in",
        section: "",
        live: None,
        reader: None,
        session: false,
        ground: &inner.ground,
        production: false,
        version: &inner.version,
    };
    let document = frame.document(None, |html| {
        html.raw("<p>").text(&refused.to_string()).raw("</p>");
    });
    (status, Html(document)).into_response()
}

/// A page that stays as it is.
fn plain(
    inner: &Inner,
    reader: &Reader,
    title: &str,
    section: &str,
    body: impl FnOnce(&mut html::Html),
) -> Response {
    let facts = inner.facts(may_act(&reader.who));
    let frame = Frame {
        title,
        section,
        live: None,
        reader: Some(&reader.who.actor),
        session: reader.session,
        ground: &inner.ground,
        production: false,
        version: &inner.version,
    };
    Html(frame.document(Some(&crate::frame::data(&facts)), body)).into_response()
}

/// A page that says what went wrong and what to do.
fn failed(inner: &Inner, reader: &Reader, problem: &Problem) -> Response {
    let status = match problem.code {
        code if code == ExitCode::NotFound.code() => StatusCode::NOT_FOUND,
        code if code == ExitCode::Usage.code() => StatusCode::BAD_REQUEST,
        code if code == ExitCode::Refused.code() => StatusCode::FORBIDDEN,
        code if code == ExitCode::Conflict.code() => StatusCode::CONFLICT,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    let mut response = plain(inner, reader, "That did not work", "", |html| {
        html.raw("<p>").text(&problem.message).raw("</p>");
        for hint in &problem.hints {
            html.raw("<p class=quiet>").text(hint).raw("</p>");
        }
        html.raw("<p><a href=\"/\">Overview</a></p>");
    });
    *response.status_mut() = status;
    response
}

fn missing(what: &str) -> Problem {
    Problem {
        code: ExitCode::NotFound.code(),
        kind: "not-found".to_owned(),
        message: what.to_owned(),
        hints: Vec::new(),
    }
}
