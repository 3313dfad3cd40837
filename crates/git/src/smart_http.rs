//! Serves one bare repository over git's smart HTTP protocol.
//!
//! Fetches stream both ways. A push is first taken in whole, so that a slow
//! client holds no lock, then carried out alone, and answered when it is on the
//! disk. Who may do what is decided by an [`Authorizer`].

mod authorize;
mod exchange;

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::{get, post};
use http::{HeaderMap, StatusCode, header};
use tokio::sync::Semaphore;

use crate::refs::RefUpdate;
use crate::repository::Repository;

pub use authorize::{Access, Authorizer, Credentials, Permission};

/// Hears of a push that is on the disk, from a worker thread.
pub type Pushed = Arc<dyn Fn(Option<&Credentials>, &[RefUpdate]) + Send + Sync>;

/// Who may do what, and what happens after.
#[derive(Clone)]
pub struct Options {
    pub authorizer: Arc<dyn Authorizer>,
    /// Called after each push that was carried out, from a worker thread.
    pub after_push: Option<Arc<dyn Fn() + Send + Sync>>,
    /// Told which references a push moved, and who showed what for it, before the client is answered.
    pub pushed: Option<Pushed>,
    /// Largest push that is taken in, unpacked from its transfer encoding.
    pub push_bytes_max: u64,
    /// Fetches and pushes at the same time; more are told to come back.
    pub exchanges_max: usize,
}

impl Options {
    pub fn new(authorizer: Arc<dyn Authorizer>) -> Self {
        Self {
            authorizer,
            after_push: None,
            pushed: None,
            push_bytes_max: 256 * 1024 * 1024,
            exchanges_max: 64,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Service {
    Upload,
    Receive,
}

impl Service {
    fn name(self) -> &'static str {
        match self {
            Self::Upload => "git-upload-pack",
            Self::Receive => "git-receive-pack",
        }
    }

    fn subcommand(self) -> &'static str {
        &self.name()["git-".len()..]
    }

    fn access(self) -> Access {
        match self {
            Self::Upload => Access::Read,
            Self::Receive => Access::Write,
        }
    }
}

struct Shared {
    repository: Repository,
    options: Options,
    slots: Arc<Semaphore>,
}

/// Returns the routes below the repository's address; nest it at `/git/config.git`.
pub fn router(repository: Repository, options: Options) -> axum::Router {
    let slots = Arc::new(Semaphore::new(options.exchanges_max));
    let shared = Arc::new(Shared {
        repository,
        options,
        slots,
    });
    axum::Router::new()
        .route("/info/refs", get(advertise))
        .route("/git-upload-pack", post(upload))
        .route("/git-receive-pack", post(receive))
        .with_state(shared)
}

async fn advertise(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let service = match request.uri().query() {
        Some("service=git-upload-pack") => Service::Upload,
        Some("service=git-receive-pack") => Service::Receive,
        _ => {
            return plain(
                StatusCode::FORBIDDEN,
                "only smart HTTP is served; use git 2.39 or later",
            );
        }
    };
    if let Err(refused) = admit(&shared, service, request.headers()).await {
        return refused;
    }
    exchange::advertise(&shared, service, protocol(request.headers())).await
}

async fn upload(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    match admit(&shared, Service::Upload, request.headers()).await {
        Ok(()) => exchange::upload(&shared, request),
        Err(refused) => refused,
    }
}

async fn receive(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    match admit(&shared, Service::Receive, request.headers()).await {
        Ok(()) => exchange::receive(&shared, request).await,
        Err(refused) => refused,
    }
}

async fn admit(shared: &Shared, service: Service, headers: &HeaderMap) -> Result<(), Response> {
    let credentials = Credentials::from_headers(headers);
    match shared
        .options
        .authorizer
        .authorize(credentials, service.access())
        .await
    {
        Permission::Granted => Ok(()),
        Permission::LoginNeeded => {
            let mut response = plain(StatusCode::UNAUTHORIZED, "login needed");
            let challenge =
                header::HeaderValue::from_static("Basic realm=\"foreshore\", charset=\"UTF-8\"");
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, challenge);
            Err(response)
        }
        Permission::Denied { reason } => Err(plain(StatusCode::FORBIDDEN, &reason)),
    }
}

/// The protocol version the client asks for; anything else than the usual form is ignored, as git does.
fn protocol(headers: &HeaderMap) -> Option<String> {
    let asked = headers.get("git-protocol")?.to_str().ok()?;
    let usual = |c: char| c.is_ascii_alphanumeric() || matches!(c, '=' | ':' | '.' | '-');
    (asked.len() <= 100 && asked.chars().all(usual)).then(|| asked.to_owned())
}

fn plain(status: StatusCode, text: &str) -> Response {
    let mut response = Response::new(Body::from(format!("{text}\n")));
    *response.status_mut() = status;
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        header::HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    response
}

/// Answers of git change with every commit.
fn answer(content_type: &str, body: Body) -> Response {
    let content_type =
        header::HeaderValue::from_str(content_type).expect("our own content types are ASCII");
    let mut response = Response::new(body);
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, content_type);
    response.headers_mut().insert(
        header::CACHE_CONTROL,
        header::HeaderValue::from_static("no-cache"),
    );
    response
}
