//! The distribution protocol over HTTP: paths, rights, answers.

mod blob;
mod manifest;
mod route;
mod upload;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::any;

use crate::access::{Action, Authorizer, Credentials, Decision};
use crate::problem::Problem;
use crate::registry::Registry;
use route::Route;

struct Context {
    registry: Registry,
    authorizer: Arc<dyn Authorizer>,
}

impl Registry {
    /// Returns the routes below `/v2/`.
    pub fn router(&self, authorizer: Arc<dyn Authorizer>) -> Router {
        let context = Arc::new(Context {
            registry: self.clone(),
            authorizer,
        });
        Router::new()
            .route("/v2", any(serve))
            .route("/v2/", any(serve))
            .route("/v2/{*rest}", any(serve))
            .with_state(context)
    }
}

async fn serve(State(context): State<Arc<Context>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let mut response = answer(&context, &parts, body)
        .await
        .unwrap_or_else(IntoResponse::into_response);
    let version = HeaderValue::from_static("registry/2.0");
    response
        .headers_mut()
        .insert("docker-distribution-api-version", version);
    response
}

async fn answer(context: &Context, parts: &Parts, body: Body) -> Result<Response, Problem> {
    let path = parts.uri.path();
    let credentials = Credentials::of(&parts.headers);
    let allow = |action, repository: &str| match context.authorizer.authorize(
        credentials.as_ref(),
        action,
        repository,
    ) {
        Decision::Allowed => Ok(()),
        Decision::Unauthenticated => Err(Problem::unauthenticated()),
        Decision::Forbidden => Err(Problem::forbidden(repository)),
    };
    let Some(route) = Route::parse(path) else {
        // Strangers learn nothing of what exists.
        allow(Action::Ping, "")?;
        return Err(Problem::no_route(path));
    };
    let registry = &context.registry;
    let is_read = parts.method == Method::GET || parts.method == Method::HEAD;
    let action = match (&route, &parts.method) {
        (Route::Ping, _) => Action::Ping,
        (Route::Uploads { .. } | Route::Upload { .. }, _) => Action::Push,
        (_, &Method::DELETE) => Action::Delete,
        _ if is_read => Action::Pull,
        _ => Action::Push,
    };
    allow(action, route.repository())?;
    match (route, &parts.method) {
        (Route::Ping, _) if is_read => Ok(StatusCode::OK.into_response()),
        (Route::Manifest { repository, target }, &Method::PUT) => {
            manifest::put(registry, repository, target, parts, body).await
        }
        (Route::Manifest { repository, target }, &Method::DELETE) => {
            manifest::delete(registry, repository, target).await
        }
        (Route::Manifest { repository, target }, method) if is_read => {
            manifest::get(registry, repository, target, method).await
        }
        (Route::Tags { repository }, &Method::GET) => manifest::tags(registry, repository, parts),
        (Route::Referrers { repository, digest }, &Method::GET) => {
            manifest::referrers(registry, repository, &digest, parts).await
        }
        (Route::Blob { repository, digest }, &Method::DELETE) => {
            blob::delete(registry, repository, digest).await
        }
        (Route::Blob { repository, digest }, method) if is_read => {
            blob::get(registry, repository, &digest, method, &parts.headers).await
        }
        (Route::Uploads { repository }, &Method::POST) => {
            let may_read = |from: &str| allow(Action::Pull, from).is_ok();
            upload::start(registry, repository, parts, body, may_read).await
        }
        (Route::Upload { repository, id }, method) => match *method {
            Method::PATCH => upload::append(registry, repository, id, parts, body).await,
            Method::PUT => upload::finish(registry, repository, id, parts, body).await,
            Method::GET => upload::status(registry, repository, id),
            Method::DELETE => upload::cancel(registry, repository, id),
            _ => Err(unsupported(&parts.method)),
        },
        _ => Err(unsupported(&parts.method)),
    }
}

fn unsupported(method: &Method) -> Problem {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "UNSUPPORTED",
        format!("{method} is not supported here"),
    )
}

/// Returns the value of a query parameter, decoded.
fn query(parts: &Parts, name: &str) -> Option<String> {
    let query = parts.uri.query()?;
    query.split('&').find_map(|pair| {
        let (found, value) = pair.split_once('=').unwrap_or((pair, ""));
        (found == name).then(|| decode(value))
    })
}

/// Decodes `%3A` and `+`; what is no valid escape stays as it is.
fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escape = bytes
            .get(at + 1..at + 3)
            .and_then(|hex| std::str::from_utf8(hex).ok());
        match (
            bytes[at],
            escape.and_then(|hex| u8::from_str_radix(hex, 16).ok()),
        ) {
            (b'%', Some(byte)) => {
                decoded.push(byte);
                at += 2;
            }
            (b'+', _) => decoded.push(b' '),
            (byte, _) => decoded.push(byte),
        }
        at += 1;
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_decoded_once() {
        let (parts, ()) =
            axum::http::Request::get("/v2/?digest=sha256%3Aab&last=a+b&x=%zz&y=%2525")
                .body(())
                .unwrap()
                .into_parts();
        assert_eq!(query(&parts, "digest").as_deref(), Some("sha256:ab"));
        assert_eq!(query(&parts, "last").as_deref(), Some("a b"));
        assert_eq!(query(&parts, "x").as_deref(), Some("%zz"));
        assert_eq!(query(&parts, "y").as_deref(), Some("%25"));
        assert_eq!(query(&parts, "z"), None);
    }
}
