//! `/exec/{namespace}/{pod}/{container}`: a program beside a container, over
//! a WebSocket.

mod session;

use std::path::PathBuf;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hyper::upgrade::OnUpgrade;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::channels::PROTOCOLS;
use crate::container::Streams;
use crate::context::Context;
use crate::folders::PodFolder;
use crate::pod::state::Phase;

use session::Wish;

/// Programs run by people at the same time.
pub(crate) const SESSIONS_MAX: usize = 64;

type Refusal = (StatusCode, String);

fn refuse<T>(status: StatusCode, words: impl Into<String>) -> Result<T, Refusal> {
    Err((status, format!("{}\n", words.into())))
}

pub(super) async fn exec(
    State(context): State<Arc<Context>>,
    Path((namespace, pod, container)): Path<(String, String, String)>,
    request: Request,
) -> Response {
    match begin(&context, &namespace, &pod, &container, request) {
        Ok(response) => response,
        Err(refusal) => refusal.into_response(),
    }
}

/// `attach` and `portForward`, which this node does not do.
pub(super) async fn unsupported(request: Request) -> Response {
    let what = request.uri().path().split('/').nth(1).unwrap_or_default();
    let words = format!(
        "this node does not support `{what}`; use `kubectl exec` or `kubectl logs -f`, and reach pods through a service or an ingress\n"
    );
    (StatusCode::NOT_IMPLEMENTED, words).into_response()
}

fn begin(
    context: &Arc<Context>,
    namespace: &str,
    pod: &str,
    container: &str,
    mut request: Request,
) -> Result<Response, Refusal> {
    let wish = wish(request.uri().query().unwrap_or_default())?;
    let folder = find(context, namespace, pod, container)?;
    let (protocol, key) = handshake(request.headers())?;
    let Some(upgrade) = request.extensions_mut().remove::<OnUpgrade>() else {
        return refuse(
            StatusCode::BAD_REQUEST,
            "this connection cannot be upgraded",
        );
    };
    let Ok(place) = Arc::clone(&context.sessions).try_acquire_owned() else {
        let words = format!("{SESSIONS_MAX} programs run by `exec` already; end one first");
        return refuse(StatusCode::TOO_MANY_REQUESTS, words);
    };
    let shim = context.options.shim.clone();
    tokio::spawn(async move {
        session::run(upgrade, &shim, &folder, wish).await;
        drop(place);
    });
    let headers = [
        (header::CONNECTION, "upgrade".to_owned()),
        (header::UPGRADE, "websocket".to_owned()),
        (header::SEC_WEBSOCKET_ACCEPT, derive_accept_key(&key)),
        (header::SEC_WEBSOCKET_PROTOCOL, protocol.to_owned()),
    ];
    Ok((StatusCode::SWITCHING_PROTOCOLS, headers, Body::empty()).into_response())
}

/// What the query asks for, in kubelet's own names.
fn wish(query: &str) -> Result<Wish, Refusal> {
    let (mut program, mut input, mut output, mut error, mut terminal) =
        (Vec::new(), false, false, false, false);
    for (name, value) in form(query) {
        let is_set = matches!(value.as_str(), "1" | "true");
        match name.as_str() {
            "command" => program.push(value),
            "input" => input = is_set,
            "output" => output = is_set,
            "error" => error = is_set,
            "tty" => terminal = is_set,
            _ => {}
        }
    }
    if program.is_empty() {
        return refuse(
            StatusCode::BAD_REQUEST,
            "you must specify at least 1 command",
        );
    }
    if !(input || output || error) {
        let words = "you must specify at least 1 of stdin, stdout, stderr";
        return refuse(StatusCode::BAD_REQUEST, words);
    }
    let streams = match (terminal, input) {
        (true, _) => Streams::Terminal,
        (false, true) => Streams::InputAndOutput,
        (false, false) => Streams::Output,
    };
    Ok(Wish {
        program,
        streams,
        input,
        output,
        error,
    })
}

/// Names and values of a query, decoded.
fn form(query: &str) -> Vec<(String, String)> {
    let decode = |text: &str| {
        let spaced = text.replace('+', " ");
        let mut bytes = Vec::with_capacity(spaced.len());
        let mut rest = spaced.as_bytes();
        while let Some((first, tail)) = rest.split_first() {
            let escaped = (*first == b'%')
                .then(|| std::str::from_utf8(tail.get(..2)?).ok())
                .flatten()
                .and_then(|digits| u8::from_str_radix(digits, 16).ok());
            bytes.push(escaped.unwrap_or(*first));
            rest = if escaped.is_some() { &tail[2..] } else { tail };
        }
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (decode(name), decode(value)))
        .collect()
}

/// The subprotocol and the key of a WebSocket request.
fn handshake(headers: &HeaderMap) -> Result<(&'static str, Vec<u8>), Refusal> {
    let text = |name| {
        headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    };
    let upgrade = text(header::UPGRADE);
    if !upgrade.eq_ignore_ascii_case("websocket") {
        let words = format!(
            "this node speaks WebSocket for `exec`, not `{upgrade}`; use kubectl 1.31 or newer, without KUBECTL_REMOTE_COMMAND_WEBSOCKETS=false"
        );
        return refuse(StatusCode::BAD_REQUEST, words);
    }
    let offered: Vec<&str> = headers
        .get_all(header::SEC_WEBSOCKET_PROTOCOL)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(',').map(str::trim))
        .collect();
    let Some(protocol) = PROTOCOLS.into_iter().find(|one| offered.contains(one)) else {
        let words = format!(
            "this node speaks {} for `exec`, not `{}`",
            PROTOCOLS.join(" and "),
            offered.join(", ")
        );
        return refuse(StatusCode::BAD_REQUEST, words);
    };
    let key = text(header::SEC_WEBSOCKET_KEY);
    if key.is_empty() {
        return refuse(StatusCode::BAD_REQUEST, "`Sec-WebSocket-Key` is missing");
    }
    Ok((protocol, key.as_bytes().to_vec()))
}

/// The folder of the running container that is meant.
fn find(
    context: &Context,
    namespace: &str,
    pod: &str,
    container: &str,
) -> Result<PathBuf, Refusal> {
    let Some(record) = context.record(namespace, pod) else {
        return refuse(StatusCode::NOT_FOUND, format!("pod \"{pod}\" not found"));
    };
    let state = record.state.container(container);
    if !matches!(state.phase, Phase::Running { .. }) {
        let words = format!("container \"{container}\" in pod \"{pod}\" does not run");
        return refuse(StatusCode::BAD_REQUEST, words);
    }
    Ok(PodFolder::new(&context.options.root, &record.uid).attempt(container, state.restarts))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_names_program_and_streams() {
        let wish =
            wish("command=sh&command=-c&command=echo+a%20b%3D%251&input=1&output=1&tty=0").unwrap();
        assert_eq!(wish.program, ["sh", "-c", "echo a b=%1"]);
        assert_eq!(wish.streams, Streams::InputAndOutput);
        assert!(wish.input && wish.output && !wish.error);
    }

    #[test]
    fn a_request_without_program_or_streams_is_refused() {
        let words = |query| wish(query).unwrap_err().1;
        assert_eq!(words("output=1"), "you must specify at least 1 command\n");
        assert!(words("command=ls").contains("at least 1 of stdin, stdout, stderr"));
    }

    #[test]
    fn other_protocols_are_refused_with_what_is_spoken() {
        let headers = |list: &[(&'static str, &'static str)]| {
            let pairs = list
                .iter()
                .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
            pairs.collect::<HeaderMap>()
        };
        let spdy = handshake(&headers(&[("upgrade", "SPDY/3.1")])).unwrap_err();
        assert!(spdy.1.contains("speaks WebSocket"), "{}", spdy.1);
        let old = [
            ("upgrade", "websocket"),
            ("sec-websocket-protocol", "v3.channel.k8s.io, base64"),
        ];
        let words = handshake(&headers(&old)).unwrap_err().1;
        assert!(words.contains("v5.channel.k8s.io"), "{words}");
        let good = [
            ("upgrade", "WebSocket"),
            (
                "sec-websocket-protocol",
                "v4.channel.k8s.io,v5.channel.k8s.io",
            ),
            ("sec-websocket-key", "abc"),
        ];
        assert_eq!(handshake(&headers(&good)).unwrap().0, "v5.channel.k8s.io");
    }
}
