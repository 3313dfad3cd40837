//! The API server as its owner holds it: start, in-process clients, TLS.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use foreshore_engine_store::Store;
use http::{Request, Response};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower::Service;

use crate::authn::token_digest;
use crate::bootstrap;
use crate::core::{Core, Parts};
use crate::definition;
use crate::handler;
use crate::options::Options;
use crate::pki::Pki;
use crate::reply::ResponseBody;
use crate::serve::{self, ServeError};
use crate::status::Failure;
use crate::token::Signer;
use crate::user::UserInfo;

/// Why the API could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("the key for service-account tokens cannot be used: {0}")]
    TokenKey(ring::error::KeyRejected),
    #[error("cannot create the objects every cluster has")]
    Bootstrap(#[source] Failure),
}

/// A running API over a store; clones share it.
#[derive(Clone)]
pub struct ApiServer {
    core: Arc<Core>,
}

impl ApiServer {
    /// Prepares the API and creates the objects every cluster has.
    pub async fn start(options: Options) -> Result<Self, StartError> {
        let signer = Signer::new(options.pki.token_key_der()).map_err(StartError::TokenKey)?;
        let core = Arc::new(Core::new(Parts {
            store: options.store,
            pki: options.pki,
            signer,
            clock: options.clock,
            network: options.service_network,
            dialer: options.dialer,
            body_limit: options.body_limit,
            tokens: options
                .tokens
                .into_iter()
                .map(|(token, user)| (token_digest(&token), user))
                .collect(),
        }));
        let server = Self { core };
        bootstrap::create_missing(&server.core)
            .await
            .map_err(StartError::Bootstrap)?;
        definition::spawn_cleanup(&server.core);
        Ok(server)
    }

    pub fn store(&self) -> &Store {
        &self.core.store
    }

    pub fn pki(&self) -> &Pki {
        &self.core.pki
    }

    /// The API as a service; requests carry their own credentials.
    pub fn service(&self) -> ApiService {
        ApiService {
            core: Arc::clone(&self.core),
            peer: None,
        }
    }

    /// The API as a service for a user who is already known.
    pub fn service_as(&self, user: UserInfo) -> ApiService {
        ApiService {
            core: Arc::clone(&self.core),
            peer: Some(Arc::new(user)),
        }
    }

    /// A client in this process; its requests take no socket. Call it within a runtime.
    pub fn client(&self, user: UserInfo) -> kube::Client {
        kube::Client::new(self.service_as(user), "default")
    }

    /// Serves the API over TLS until `shutdown`; then ends watches and waits for requests.
    pub async fn serve(
        &self,
        listeners: Vec<TcpListener>,
        shutdown: CancellationToken,
    ) -> Result<(), ServeError> {
        serve::serve(&self.core, listeners, shutdown).await
    }

    /// Removes events older than their time to live; call it now and then.
    pub async fn sweep_events(&self) -> usize {
        bootstrap::sweep_events(&self.core).await
    }
}

/// The Kubernetes API as a `tower` service.
#[derive(Clone)]
pub struct ApiService {
    pub(crate) core: Arc<Core>,
    /// Known from the connection, or from whoever made this service.
    pub(crate) peer: Option<Arc<UserInfo>>,
}

type Answering = Pin<Box<dyn Future<Output = Result<Response<ResponseBody>, Infallible>> + Send>>;

impl<B> Service<Request<B>> for ApiService
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Response = Response<ResponseBody>;
    type Error = Infallible;
    type Future = Answering;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Answering {
        let core = Arc::clone(&self.core);
        let peer = self.peer.clone();
        Box::pin(async move { Ok(handler::answer(&core, peer.as_deref(), request).await) })
    }
}
