//! Logging in and out.

use std::collections::HashMap;

use axum::Router;
use axum::extract::{Form, RawQuery, Request, State};
use axum::middleware::{self, Next};
use axum::response::{Html as Document, IntoResponse as _, Redirect, Response};
use axum::routing::{get, post};
use http::{Extensions, HeaderMap, HeaderValue, StatusCode, header};

use super::entrance::{Door, Entrance, peer, secret};
use super::refuse;
use crate::frame::Frame;
use crate::login::{Attempt, LoginError, Sign};
use crate::query::Query;

/// A name or a password of anybody is shorter.
const FIELD_BYTES_MAX: usize = 1024;

/// The two paths that need no session.
pub(super) fn router(door: Door) -> Router {
    Router::new()
        .route("/login", get(show).post(enter))
        .route("/logout", post(leave))
        .layer(middleware::from_fn_with_state(door.clone(), check))
        .with_state(door)
}

async fn check(State(door): State<Door>, request: Request, next: Next) -> Response {
    match door.check(&request) {
        Ok(()) => next.run(request).await,
        Err((status, refused)) => refuse(&door.inner, status, &refused),
    }
}

/// Where to go on after the login: one of our own pages, but not the login again.
fn target(to: &str) -> &str {
    match crate::html::own(to) {
        to if to.starts_with("/login") || to.starts_with("/logout") => "/",
        to => to,
    }
}

async fn show(State(door): State<Door>, headers: HeaderMap, RawQuery(query): RawQuery) -> Response {
    let query = Query::parse(query.as_deref());
    let to = target(query.get("to").unwrap_or("/"));
    if let Entrance::Login { login, .. } = &door.entrance
        && let Some(secret) = secret(&headers, door.cookie_name())
        && matches!(login.recognise(&secret, Sign::OpenPage), Ok(Some(_)))
    {
        return Redirect::to(to).into_response();
    }
    form(&door, StatusCode::OK, to, "", None)
}

fn form(door: &Door, status: StatusCode, to: &str, name: &str, why: Option<&str>) -> Response {
    let frame = Frame {
        title: "Log in",
        section: "",
        live: None,
        reader: None,
        session: false,
        ground: &door.inner.ground,
        production: false,
        version: &door.inner.version,
    };
    let document = frame.document(None, |html| {
        if let Some(why) = why {
            html.raw("<p class=\"banner bad\" role=alert>")
                .text(why)
                .raw(".</p>");
        }
        html.raw("<form method=post action=\"/login\" class=\"confirm login\"><input type=hidden name=to")
            .attribute("value", to);
        html.raw("><label>Name <input name=name required autocomplete=username autocapitalize=none spellcheck=false")
            .attribute("value", name);
        html.raw(if name.is_empty() { " autofocus" } else { "" });
        html.raw("></label><label>Password <input name=password type=password required autocomplete=current-password");
        html.raw(if name.is_empty() { "" } else { " autofocus" });
        html.raw("></label><p class=actions><button class=primary>Log in</button></p></form>");
    });
    (status, Document(document)).into_response()
}

async fn enter(
    State(door): State<Door>,
    headers: HeaderMap,
    extensions: Extensions,
    Form(form_fields): Form<HashMap<String, String>>,
) -> Response {
    let Entrance::Login { login, secure } = &door.entrance else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let field = |name: &str| form_fields.get(name).map_or("", String::as_str);
    let (name, to) = (field("name").trim(), target(field("to")));
    if name.len() > FIELD_BYTES_MAX || field("password").len() > FIELD_BYTES_MAX {
        return form(
            &door,
            StatusCode::BAD_REQUEST,
            to,
            "",
            Some("a name or a password is far too long"),
        );
    }
    let from = peer(&extensions);
    let attempt = Attempt {
        name: name.to_owned(),
        password: field("password").to_owned().into(),
        from,
        before: secret(&headers, door.cookie_name()),
    };
    let ticket = match login.enter(attempt).await {
        Ok(ticket) => ticket,
        Err(error) => return refused(&door, to, name, &error),
    };
    let address = from.to_string();
    if let Err(error) = door.inner.audit.write(name, "log in", &address, "", "done") {
        tracing::error!(
            error = &error as &dyn std::error::Error,
            "cannot record a login"
        );
        return form(
            &door,
            StatusCode::INTERNAL_SERVER_ERROR,
            to,
            name,
            Some("the login cannot be recorded, so it does not count"),
        );
    }
    let cookie = cookie(
        door.cookie_name(),
        secrecy::ExposeSecret::expose_secret(&ticket.secret),
        ticket.lasts.as_secs(),
        *secure,
    );
    ([(header::SET_COOKIE, cookie)], Redirect::to(to)).into_response()
}

fn refused(door: &Door, to: &str, name: &str, error: &LoginError) -> Response {
    let status = match error {
        LoginError::Wrong => StatusCode::UNAUTHORIZED,
        LoginError::Wait { .. } => StatusCode::TOO_MANY_REQUESTS,
        LoginError::Busy => StatusCode::SERVICE_UNAVAILABLE,
        LoginError::Unknown(_) => {
            tracing::error!(error = error as &dyn std::error::Error, "login failed");
            StatusCode::INTERNAL_SERVER_ERROR
        }
    };
    let mut response = form(door, status, to, name, Some(&error.to_string()));
    if let LoginError::Wait { seconds } = error {
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, HeaderValue::from(*seconds));
    }
    response
}

async fn leave(State(door): State<Door>, headers: HeaderMap) -> Response {
    let Entrance::Login { login, secure } = &door.entrance else {
        return StatusCode::NOT_FOUND.into_response();
    };
    if let Some(secret) = secret(&headers, door.cookie_name()) {
        let who = login.recognise(&secret, Sign::OpenPage);
        if let Err(error) = login.leave(&secret) {
            return refused(&door, "/", "", &error);
        }
        if let Ok(Some(visitor)) = who
            && let Err(error) =
                door.inner
                    .audit
                    .write(&visitor.principal.actor.name, "log out", "", "", "done")
        {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "cannot record a logout"
            );
        }
    }
    let cookie = cookie(door.cookie_name(), "", 0, *secure);
    ([(header::SET_COOKIE, cookie)], Redirect::to("/login")).into_response()
}

fn cookie(name: &str, value: &str, seconds: u64, secure: bool) -> String {
    let secure = if secure { "; Secure" } else { "" };
    format!("{name}={value}; Path=/; HttpOnly; SameSite=Strict; Max-Age={seconds}{secure}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_out_of_reach_of_scripts_other_sites_and_plain_connections() {
        assert_eq!(
            cookie("__Host-foreshore", "abc", 9, true),
            "__Host-foreshore=abc; Path=/; HttpOnly; SameSite=Strict; Max-Age=9; Secure"
        );
    }

    #[test]
    fn a_login_goes_on_to_one_of_our_own_pages_only() {
        for (to, expected) in [
            ("/pods?q=x", "/pods?q=x"),
            ("https://evil.example", "/"),
            ("//evil.example", "/"),
            ("/\\evil.example", "/"),
            ("/login?to=/login", "/"),
            ("/logout", "/"),
            ("", "/"),
        ] {
            assert_eq!(target(to), expected, "{to}");
        }
    }
}
