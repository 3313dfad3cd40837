//! The way in: which door a request came through, who is behind it, how long they may stay.

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse as _, Redirect, Response};
use foreshore_identity::{Principal, Right};
use futures::StreamExt as _;
use http::{Extensions, HeaderMap, Method, StatusCode, header};

use super::refuse;
use crate::dashboard::Inner;
use crate::door::{self, Refused};
use crate::frame::Frame;
use crate::live::too_many;
use crate::login::{Login, Sign};

/// How often it is looked whether the session behind an open page still is one.
const LOOK_EVERY: Duration = Duration::from_secs(3);
/// Pages that one person keeps open at once; nobody reads more.
pub(crate) const STREAMS_PER_PERSON_MAX: usize = 50;
/// A cookie of ours is shorter.
const SECRET_LENGTH_MAX: usize = 128;

/// Who a door lets in.
#[derive(Debug, Clone)]
pub(crate) enum Entrance {
    /// Whoever reaches this machine's loopback is its owner.
    Owner,
    /// Whoever has a session; `secure` says whether the way there is encrypted.
    Login { login: Arc<dyn Login>, secure: bool },
}

/// One door of the pages.
#[derive(Clone)]
pub(crate) struct Door {
    pub(crate) inner: Arc<Inner>,
    pub(crate) entrance: Entrance,
    open: Arc<Mutex<HashMap<String, usize>>>,
}

/// Who looks; put beside the request by [`enter`].
#[derive(Debug, Clone)]
pub(crate) struct Reader {
    pub(crate) who: Principal,
    /// Whether there is a session that can be ended.
    pub(crate) session: bool,
}

/// The secret of a session, which no log may show.
#[derive(Clone)]
struct Secret(Arc<str>);

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret")
    }
}

impl Door {
    pub(crate) fn new(inner: Arc<Inner>, entrance: Entrance) -> Self {
        Self {
            inner,
            entrance,
            open: Arc::default(),
        }
    }

    /// Where the session's secret is: a name with this prefix is bound to this host and to TLS.
    pub(crate) fn cookie_name(&self) -> &'static str {
        match self.entrance {
            Entrance::Login { secure: true, .. } => "__Host-foreshore",
            _ => "foreshore-session",
        }
    }

    /// Refuses what another site made a browser send.
    pub(crate) fn check(&self, request: &Request) -> Result<(), (StatusCode, Refused)> {
        // Behind TLS and a login a stranger's name that leads here has no session to use.
        if !matches!(self.entrance, Entrance::Login { secure: true, .. }) {
            door::check_host(request.headers(), request.uri(), self.inner.address)
                .map_err(|refused| (StatusCode::MISDIRECTED_REQUEST, refused))?;
        }
        if request.method().is_safe() {
            return Ok(());
        }
        door::check_origin(request.headers(), request.uri())
            .map_err(|refused| (StatusCode::FORBIDDEN, refused))
    }

    /// Takes one of the places that a person has for open pages.
    fn place(&self, person: &str) -> Option<Place> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(person.to_owned()).or_default();
        if *count >= STREAMS_PER_PERSON_MAX {
            return None;
        }
        *count += 1;
        Some(Place {
            open: self.open.clone(),
            person: person.to_owned(),
        })
    }
}

/// One open page of a person; gives its place back when it is closed.
struct Place {
    open: Arc<Mutex<HashMap<String, usize>>>,
    person: String,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.person) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.person);
            }
        }
    }
}

/// Lets a request in, or says why not.
pub(super) async fn enter(State(door): State<Door>, mut request: Request, next: Next) -> Response {
    if let Err((status, refused)) = door.check(&request) {
        return refuse(&door.inner, status, &refused);
    }
    let Entrance::Login { login, .. } = &door.entrance else {
        let who = door.inner.owner.clone();
        let reader = Reader {
            who,
            session: false,
        };
        request.extensions_mut().insert(reader);
        return next.run(request).await;
    };
    let stream = is_stream(request.uri().path());
    let sign = if stream { Sign::OpenPage } else { Sign::Person };
    let secret = secret(request.headers(), door.cookie_name());
    let visitor = match secret
        .as_deref()
        .map(|secret| login.recognise(secret, sign))
    {
        Some(Ok(visitor)) => visitor,
        None => None,
        Some(Err(error)) => {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "sessions cannot be read; nobody is let in"
            );
            return (
                StatusCode::INTERNAL_SERVER_ERROR,
                "sessions cannot be read\n",
            )
                .into_response();
        }
    };
    let (Some(visitor), Some(secret)) = (visitor, secret) else {
        return unknown(&door, &request);
    };
    let who = visitor.principal;
    if !who.may(&Right::Read) {
        let refused = Refused::MayNotLook(who.actor.name);
        return refuse(&door.inner, StatusCode::FORBIDDEN, &refused);
    }
    let place = if stream {
        let Some(place) = door.place(&who.actor.name) else {
            return too_many();
        };
        Some(place)
    } else {
        None
    };
    request
        .extensions_mut()
        .insert(Reader { who, session: true });
    let response = next.run(request).await;
    match place {
        Some(place) => while_session(response, login.clone(), Secret(secret.into()), place),
        None => response,
    }
}

fn is_stream(path: &str) -> bool {
    path == "/live" || path.starts_with("/live/") || path == "/logs/follow"
}

/// Ends an open page when its session ends, wherever that was done.
fn while_session(
    response: Response,
    login: Arc<dyn Login>,
    secret: Secret,
    place: Place,
) -> Response {
    let over = async move {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            if !matches!(login.recognise(&secret.0, Sign::OpenPage), Ok(Some(_))) {
                return;
            }
        }
    };
    response.map(|body| {
        let held = body.into_data_stream().map(move |part| {
            let _open = &place;
            part
        });
        Body::from_stream(held.take_until(Box::pin(over)))
    })
}

/// What somebody without a session is answered.
fn unknown(door: &Door, request: &Request) -> Response {
    let path = request
        .uri()
        .path_and_query()
        .map_or("/", http::uri::PathAndQuery::as_str);
    let is_page = request.method() == Method::GET
        && !is_stream(request.uri().path())
        && accepts_html(request.headers());
    if !is_page {
        return (StatusCode::UNAUTHORIZED, "log in first\n").into_response();
    }
    // Browsers do not send the cookie along a link on another site. Coming
    // from our own page they do, once; after that there is none.
    let from_elsewhere = request
        .headers()
        .get("sec-fetch-site")
        .is_some_and(|site| site == "cross-site" || site == "same-site");
    if from_elsewhere {
        return again(&door.inner, crate::html::own(path));
    }
    let to = crate::query::href("/login", &[("to", crate::html::own(path))]);
    Redirect::to(&to).into_response()
}

/// Opens the same address again, this time from a page of ours.
fn again(inner: &Inner, path: &str) -> Response {
    let frame = Frame {
        title: "One moment",
        section: "",
        live: None,
        reader: None,
        session: false,
        ground: &inner.ground,
        production: false,
        version: &inner.version,
    };
    let document = frame.document(None, |html| {
        html.raw("<p><a id=again data-again")
            .attribute("href", path);
        html.raw(">Go on</a></p>");
    });
    Html(document).into_response()
}

fn accepts_html(headers: &HeaderMap) -> bool {
    headers
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.contains("text/html"))
}

/// The session's secret, if there is exactly one that could be ours.
pub(super) fn secret(headers: &HeaderMap, name: &str) -> Option<String> {
    let mut found = headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(|(key, _)| *key == name)
        .map(|(_, value)| value);
    let first = found.next()?;
    let fits = !first.is_empty()
        && first.len() <= SECRET_LENGTH_MAX
        && first
            .chars()
            .all(|character| character.is_ascii_alphanumeric() || matches!(character, '-' | '_'));
    // Two of them: somebody else has set one. Neither counts.
    (fits && found.next().is_none()).then(|| first.to_owned())
}

/// Where the other end of the connection is.
pub(super) fn peer(extensions: &Extensions) -> IpAddr {
    extensions
        .get::<ConnectInfo<SocketAddr>>()
        .map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |info| info.0.ip())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_session_is_read_from_exactly_one_cookie_of_ours() {
        for (cookies, expected) in [
            (&["a=1; foreshore-session=abc-_9; b=2"][..], Some("abc-_9")),
            (&["foreshore-session=abc"], Some("abc")),
            (&["x=1", "foreshore-session=abc"], Some("abc")),
            (&["foreshore-session=abc; foreshore-session=def"], None),
            (&["foreshore-session=abc", "foreshore-session=def"], None),
            (&["foreshore-session="], None),
            (&["foreshore-session=\"abc\""], None),
            (&["foreshore-session=a b"], None),
            (&["xforeshore-session=abc"], None),
            (&["Foreshore-Session=abc"], None),
            (&["foreshore-session"], None),
            (&[], None),
        ] {
            let mut headers = HeaderMap::new();
            for cookie in cookies {
                headers.append(header::COOKIE, HeaderValue::from_static(cookie));
            }
            assert_eq!(
                secret(&headers, "foreshore-session").as_deref(),
                expected,
                "{cookies:?}"
            );
        }
        let mut headers = HeaderMap::new();
        let long = format!("foreshore-session={}", "a".repeat(SECRET_LENGTH_MAX + 1));
        headers.append(header::COOKIE, HeaderValue::from_str(&long).unwrap());
        assert_eq!(secret(&headers, "foreshore-session"), None);
    }
}
