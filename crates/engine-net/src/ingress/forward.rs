//! One request: find the destination, try its endpoints, stream the answer.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use foreshore_sys::Ground;
use http::header::{CONNECTION, UPGRADE};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderValue, Request, Response, StatusCode, Uri, Version};
use http_body::{Body, Frame, SizeHint};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::client::legacy::{Client as Pool, Error as ClientError};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tracing::{debug, warn};

use super::headers;
use super::plain::Endpoints;
use crate::reach;
use crate::routes::Destination;
use crate::service::Backends;
use crate::view::Views;

/// An endpoint has this long to begin its answer.
pub(super) const ANSWER: Duration = Duration::from_mins(1);
/// Idle connections kept per endpoint, and for how long.
const IDLE_CONNECTIONS: usize = 128;
const IDLE: Duration = Duration::from_secs(30);

/// Who asks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Client {
    pub address: SocketAddr,
    /// Whether it came by TLS.
    pub is_secure: bool,
}

pub(super) type AnswerBody = BoxBody<Bytes, hyper::Error>;

/// Passes requests on over pooled connections.
pub(super) struct Forwarder {
    views: Views,
    client: Pool<Connector, SharedBody>,
    /// What plain requests use instead of `client`.
    pub(super) endpoints: Endpoints,
    turn: AtomicUsize,
}

/// Where a request may go.
pub(super) struct Way {
    pub(super) destination: Arc<Destination>,
    backends: Arc<Backends>,
    /// Whose turn it is.
    first: usize,
}

impl Way {
    /// Everybody once, beginning with whose turn it is.
    pub(super) fn endpoints(&self) -> impl Iterator<Item = SocketAddr> + '_ {
        let (before, after) = self.backends.usable().split_at(self.first);
        after.iter().chain(before).copied()
    }
}

/// Why a request goes nowhere, as the client is told.
pub(super) type Refusal = (StatusCode, String);

impl Forwarder {
    pub(super) fn new(ground: Ground, views: Views) -> Self {
        let client = Pool::builder(TokioExecutor::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(IDLE_CONNECTIONS)
            .pool_timer(TokioTimer::new())
            .build(Connector {
                ground: ground.clone(),
            });
        Self {
            views,
            client,
            endpoints: Endpoints::new(ground),
            turn: AtomicUsize::new(0),
        }
    }

    /// Finds who may answer a request, by one view: a change meanwhile concerns
    /// the next one.
    pub(super) fn find(&self, host: &str, path: &str) -> Result<Way, Refusal> {
        let view = self.views.borrow().clone();
        let view = view.ok_or_else(|| {
            let what = "the ingress has just started and knows no routes yet";
            (StatusCode::SERVICE_UNAVAILABLE, what.to_owned())
        })?;
        let destination = view.routes.find(host, path).ok_or_else(|| {
            let what = format!("no ingress rule covers {host}{path}");
            (StatusCode::NOT_FOUND, what)
        })?;
        let unavailable = |what| (StatusCode::SERVICE_UNAVAILABLE, nobody(destination, what));
        let backends = view
            .services
            .backends(destination)
            .ok_or_else(|| unavailable("does not exist"))?;
        let number = backends.usable().len();
        if number == 0 {
            return Err(unavailable("has no ready endpoint"));
        }
        Ok(Way {
            destination: Arc::clone(destination),
            backends: Arc::clone(backends),
            first: self.turn.fetch_add(1, Ordering::Relaxed) % number,
        })
    }

    /// Answers every request, if need be with the reason why it cannot.
    pub(super) async fn answer(
        &self,
        request: Request<Incoming>,
        from: Client,
    ) -> Response<AnswerBody> {
        let (parts, body) = request.into_parts();
        let host = headers::host(&parts);
        match self.find(&host, parts.uri.path()) {
            Ok(way) => {
                let call = Call {
                    parts,
                    body: SharedBody::new(body),
                    host,
                    from,
                };
                self.try_each(call, &way).await
            }
            Err((code, what)) => refusal(code, &what),
        }
    }

    /// A failed connect leads to the next endpoint. Once something was sent,
    /// nobody knows whether it had an effect: then only requests that change
    /// nothing, and had no body, are sent again, and not more than once each.
    async fn try_each(&self, mut call: Call, way: &Way) -> Response<AnswerBody> {
        let destination = &way.destination;
        let is_repeatable = call.parts.method.is_safe() && call.body.is_end_stream();
        let upgrade = headers::wanted_upgrade(&call.parts.headers, call.parts.version);
        let client_side = upgrade
            .is_some()
            .then(|| call.parts.extensions.remove::<hyper::upgrade::OnUpgrade>());
        for endpoint in way.endpoints() {
            let request = call.request(endpoint, upgrade.as_ref());
            match tokio::time::timeout(ANSWER, self.client.request(request)).await {
                Ok(Ok(answer)) => return pass_back(answer, client_side.flatten()),
                Ok(Err(error)) if error.is_connect() => {
                    debug!(error = &error as &dyn std::error::Error, %endpoint, "endpoint did not answer");
                }
                // An endpoint that ends may close a connection just as it is
                // used; what only asks may be asked again.
                Ok(Err(error)) if is_repeatable => {
                    debug!(error = &error as &dyn std::error::Error, %endpoint, "endpoint broke off; asking another");
                }
                Ok(Err(error)) => return broken(destination, endpoint, &error),
                Err(_elapsed) => {
                    let what = nobody(destination, "did not begin its answer in time");
                    return refusal(StatusCode::GATEWAY_TIMEOUT, &what);
                }
            }
        }
        refusal(
            StatusCode::SERVICE_UNAVAILABLE,
            &nobody(destination, "has no endpoint that answers"),
        )
    }
}

/// A request that can be sent more than once, as long as its body is unread.
struct Call {
    parts: http::request::Parts,
    body: SharedBody,
    host: String,
    from: Client,
}

impl Call {
    fn request(&self, endpoint: SocketAddr, upgrade: Option<&HeaderValue>) -> Request<SharedBody> {
        let mut request = Request::new(self.body.clone());
        *request.method_mut() = self.parts.method.clone();
        *request.uri_mut() = address(endpoint, self.parts.uri.path_and_query());
        *request.version_mut() = Version::HTTP_11;
        let headers = request.headers_mut();
        headers.clone_from(&self.parts.headers);
        headers::strip(headers);
        if let Ok(host) = HeaderValue::from_str(&self.host) {
            headers.insert(http::header::HOST, host);
        }
        let scheme = if self.from.is_secure { "https" } else { "http" };
        headers::add_forwarded(headers, self.from.address.ip(), &self.host, scheme);
        if let Some(protocol) = upgrade {
            headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
            headers.insert(UPGRADE, protocol.clone());
        }
        request
    }
}

fn address(endpoint: SocketAddr, path: Option<&PathAndQuery>) -> Uri {
    let mut parts = http::uri::Parts::default();
    parts.scheme = Some(Scheme::HTTP);
    let authority = Authority::from_maybe_shared(Bytes::from(endpoint.to_string()));
    parts.authority = Some(authority.expect("an address and a port are an authority"));
    parts.path_and_query = Some(
        path.cloned()
            .unwrap_or_else(|| PathAndQuery::from_static("/")),
    );
    Uri::from_parts(parts).expect("scheme, authority and path make an address")
}

/// Hands the answer to the client; after a switch of protocols both sides talk.
fn pass_back(
    mut answer: Response<Incoming>,
    client_side: Option<hyper::upgrade::OnUpgrade>,
) -> Response<AnswerBody> {
    let protocol = answer.headers().get(UPGRADE).cloned();
    headers::strip(answer.headers_mut());
    if answer.status() == StatusCode::SWITCHING_PROTOCOLS
        && let (Some(client_side), Some(protocol)) = (client_side, protocol)
    {
        let server_side = hyper::upgrade::on(&mut answer);
        answer
            .headers_mut()
            .insert(CONNECTION, HeaderValue::from_static("upgrade"));
        answer.headers_mut().insert(UPGRADE, protocol);
        tokio::spawn(tunnel(client_side, server_side));
    }
    *answer.version_mut() = Version::default();
    answer.map(BodyExt::boxed)
}

async fn tunnel(client: hyper::upgrade::OnUpgrade, server: hyper::upgrade::OnUpgrade) {
    let (client, server) = match tokio::try_join!(client, server) {
        Ok(both) => both,
        Err(error) => {
            debug!(
                error = &error as &dyn std::error::Error,
                "protocols were not switched"
            );
            return;
        }
    };
    let (mut client, mut server) = (TokioIo::new(client), TokioIo::new(server));
    if let Err(error) = tokio::io::copy_bidirectional(&mut client, &mut server).await {
        debug!(error = &error as &dyn std::error::Error, "tunnel ended");
    }
}

pub(super) fn nobody(((namespace, service), port): &Destination, what: &str) -> String {
    format!("service {namespace}/{service} port {port} {what}")
}

fn broken(
    destination: &Destination,
    endpoint: SocketAddr,
    error: &ClientError,
) -> Response<AnswerBody> {
    warn!(error = error as &dyn std::error::Error, %endpoint, "endpoint broke off");
    refusal(
        StatusCode::BAD_GATEWAY,
        &nobody(destination, "broke off before it answered"),
    )
}

fn refusal(code: StatusCode, what: &str) -> Response<AnswerBody> {
    let body = Full::new(Bytes::from(format!("{what}\n")))
        .map_err(|never| match never {})
        .boxed();
    let mut response = Response::new(body);
    *response.status_mut() = code;
    let text = HeaderValue::from_static("text/plain; charset=utf-8");
    response
        .headers_mut()
        .insert(http::header::CONTENT_TYPE, text);
    if code == StatusCode::SERVICE_UNAVAILABLE {
        response
            .headers_mut()
            .insert(http::header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

/// A body several attempts share: one that could not connect has read nothing.
#[derive(Clone)]
struct SharedBody {
    body: Arc<Mutex<Incoming>>,
}

impl SharedBody {
    fn new(body: Incoming) -> Self {
        Self {
            body: Arc::new(Mutex::new(body)),
        }
    }
}

impl Body for SharedBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let mut body = self
            .body
            .lock()
            .expect("no code panics while it holds the body");
        Pin::new(&mut *body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body
            .lock()
            .expect("no code panics while it holds the body")
            .is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body
            .lock()
            .expect("no code panics while it holds the body")
            .size_hint()
    }
}

/// Connects to the address in a request's URI, inside the ground.
#[derive(Clone)]
struct Connector {
    ground: Ground,
}

/// A connection into the ground.
struct Link(TokioIo<TcpStream>);

impl tower::Service<Uri> for Connector {
    type Response = Link;
    type Error = std::io::Error;
    type Future = Pin<Box<dyn Future<Output = std::io::Result<Link>> + Send>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let ground = self.ground.clone();
        Box::pin(async move {
            let address = uri
                .authority()
                .and_then(|authority| authority.as_str().parse().ok());
            let address =
                address.ok_or_else(|| std::io::Error::other(format!("`{uri}` has no address")))?;
            let stream = reach::connect(&ground, address).await?;
            stream.set_nodelay(true)?;
            Ok(Link(TokioIo::new(stream)))
        })
    }
}

impl Connection for Link {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl hyper::rt::Read for Link {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: hyper::rt::ReadBufCursor<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl hyper::rt::Write for Link {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, buffer)
    }

    fn poll_flush(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}
