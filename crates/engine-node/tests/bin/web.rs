//! An HTTP server as real services are: it keeps connections, streams, speaks
//! WebSocket, calls others by name, and ends in order when it is asked to.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt;
use http::{Request, Response, StatusCode, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

type Answer = Response<UnsyncBoxBody<Bytes, Infallible>>;

/// What all requests share.
struct Web {
    word: String,
    /// Whether streams may end.
    released: watch::Sender<bool>,
}

/// Serves on `address` until it is asked to end; requests under way finish.
pub(crate) fn run(address: SocketAddr, word: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a process may have a runtime");
    let web = Arc::new(Web {
        word: word.to_owned(),
        released: watch::Sender::new(false),
    });
    runtime.block_on(serve(address, web));
}

async fn serve(address: SocketAddr, web: Arc<Web>) {
    let mut asked_to_end = signal(SignalKind::terminate()).expect("a signal to listen to");
    let listener = TcpListener::bind(address).await.expect("a free port");
    let graceful = GracefulShutdown::new();
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = asked_to_end.recv() => break,
        };
        let Ok((stream, _)) = stream else { continue };
        let web = Arc::clone(&web);
        let service = service_fn(move |request| {
            let web = Arc::clone(&web);
            async move { Ok::<_, Infallible>(answer(&web, request).await) }
        });
        let connection = auto::Builder::new(TokioExecutor::new())
            .serve_connection_with_upgrades(TokioIo::new(stream), service)
            .into_owned();
        let watched = graceful.watch(connection);
        // A client that goes away is no concern of ours.
        tokio::spawn(async move { drop(watched.await) });
    }
    drop(listener);
    graceful.shutdown().await;
}

async fn answer(web: &Arc<Web>, request: Request<Incoming>) -> Answer {
    let path = request.uri().path().to_owned();
    let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    match parts.as_slice() {
        ["size", bytes] => {
            let bytes = bytes.parse().unwrap_or(0);
            whole(StatusCode::OK, vec![b'x'; bytes])
        }
        ["stream"] => stream(web),
        ["release"] => {
            web.released.send_replace(true);
            whole(StatusCode::OK, "released\n")
        }
        ["ask", host, port] => ask(web, host, port.parse().unwrap_or(80)).await,
        ["ws"] => web_socket(request),
        _ => whole(StatusCode::OK, format!("{} {path}\n", web.word)),
    }
}

fn whole(status: StatusCode, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()).boxed_unsync());
    *answer.status_mut() = status;
    answer
}

/// A first line at once, the last one when somebody asks for `/release`.
fn stream(web: &Arc<Web>) -> Answer {
    let mut released = web.released.subscribe();
    let first = futures::stream::once(async { Bytes::from_static(b"first\n") });
    let last = futures::stream::once(async move {
        // The server holds the sender, so this ends only with a release.
        drop(released.wait_for(|is_released| *is_released).await);
        Bytes::from_static(b"last\n")
    });
    let frames = first.chain(last).map(|bytes| Ok(Frame::data(bytes)));
    Response::new(BodyExt::boxed_unsync(StreamBody::new(frames)))
}

/// Calls another service by its name and tells what it said.
async fn ask(web: &Web, host: &str, port: u16) -> Answer {
    match call(host, port).await {
        Ok(said) => whole(StatusCode::OK, format!("{} heard {said}", web.word)),
        Err(error) => whole(StatusCode::BAD_GATEWAY, format!("{host}: {error}\n")),
    }
}

async fn call(host: &str, port: u16) -> Result<String, Box<dyn std::error::Error + Send + Sync>> {
    let stream = TcpStream::connect((host, port)).await?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(async move { drop(connection.await) });
    let request = Request::get("/from-a-pod")
        .header(header::HOST, host)
        .body(Empty::<Bytes>::new())?;
    let body = sender.send_request(request).await?.into_body();
    let bytes = body.collect().await?.to_bytes();
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Echoes messages until the client closes.
fn web_socket(mut request: Request<Incoming>) -> Answer {
    let Some(key) = request.headers().get(header::SEC_WEBSOCKET_KEY).cloned() else {
        return whole(StatusCode::BAD_REQUEST, "a WebSocket has a key\n");
    };
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let Ok(upgraded) = upgrade.await else { return };
        let socket =
            WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, None).await;
        let (sink, messages) = socket.split();
        let said = messages.filter(|message| {
            let is_text = message.as_ref().is_ok_and(Message::is_text);
            async move { is_text }
        });
        drop(said.forward(sink).await);
    });
    Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header(header::CONNECTION, "upgrade")
        .header(header::UPGRADE, "websocket")
        .header(
            header::SEC_WEBSOCKET_ACCEPT,
            derive_accept_key(key.as_bytes()),
        )
        .body(Empty::new().boxed_unsync())
        .expect("these headers are valid")
}
