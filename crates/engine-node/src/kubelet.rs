//! The endpoints the API server asks a node by: logs, programs, usage.

mod channels;
mod exec;
mod follow;
mod logs;
mod usage;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use rustls::RootCertStore;
use rustls::server::WebPkiClientVerifier;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::context::Context;
use crate::options::RuntimeKind;

pub(crate) use exec::SESSIONS_MAX;

/// Where every kubelet listens.
pub(crate) const PORT: u16 = 10250;
/// Connections served at the same time; more wait.
const CONNECTIONS_MAX: usize = 256;
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);

/// Why the endpoints cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum KubeletError {
    #[error("cannot listen on `{address}`")]
    Listen {
        address: SocketAddr,
        #[source]
        source: io::Error,
    },
    #[error("cannot make a certificate")]
    Certificate(#[source] rcgen::Error),
    #[error("cannot use the client certificate authority")]
    Authority(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("cannot configure TLS")]
    Tls(#[source] rustls::Error),
}

/// Bound, not yet answering.
#[derive(Debug)]
pub(crate) struct Kubelet {
    context: Arc<Context>,
    listener: std::net::TcpListener,
    tls: Arc<rustls::ServerConfig>,
}

impl Kubelet {
    pub(crate) fn bind(context: Arc<Context>) -> Result<Self, KubeletError> {
        let address = SocketAddr::from((context.node_address(), PORT));
        let listener = context
            .options
            .ground
            .tcp_listener(address)
            .map_err(|source| KubeletError::Listen { address, source })?;
        let tls = Arc::new(server_config(&context)?);
        Ok(Self {
            context,
            listener,
            tls,
        })
    }

    pub(crate) async fn run(self, shutdown: CancellationToken) {
        let listener = match TcpListener::from_std(self.listener) {
            Ok(listener) => listener,
            Err(error) => {
                tracing::error!(%error, "the kubelet's endpoints are not served");
                return;
            }
        };
        let routes = routes(self.context);
        let acceptor = TlsAcceptor::from(self.tls);
        let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let mut connections = JoinSet::new();
        loop {
            let Ok(place) = Arc::clone(&room).acquire_owned().await else {
                return;
            };
            let accepted = tokio::select! {
                () = shutdown.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            while connections.try_join_next().is_some() {}
            match accepted {
                Ok((stream, _)) => {
                    let (acceptor, routes) = (acceptor.clone(), routes.clone());
                    connections.spawn(async move {
                        serve(stream, acceptor, routes).await;
                        drop(place);
                    });
                }
                Err(error) => {
                    // Too many open files, most likely; a pause lets some close.
                    tracing::warn!(%error, "connection not accepted; will retry");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }
}

async fn serve(stream: tokio::net::TcpStream, acceptor: TlsAcceptor, routes: Router) {
    let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE_LIMIT, acceptor.accept(stream)).await
    else {
        tracing::debug!("a client of the kubelet's endpoints failed the handshake");
        return;
    };
    let service = TowerToHyperService::new(routes);
    let server = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
    if let Err(error) = server
        .serve_connection_with_upgrades(TokioIo::new(stream), service)
        .await
    {
        tracing::debug!(
            error = &*error,
            "connection to the kubelet's endpoints broke"
        );
    }
}

fn server_config(context: &Context) -> Result<rustls::ServerConfig, KubeletError> {
    let names = vec![
        context.node_address().to_string(),
        context.node_name.clone(),
    ];
    let issued = rcgen::generate_simple_self_signed(names).map_err(KubeletError::Certificate)?;
    let key = PrivateKeyDer::try_from(issued.signing_key.serialize_der())
        .map_err(|error| KubeletError::Authority(error.into()))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(KubeletError::Tls)?;
    let builder = match &context.options.kubelet_client_ca {
        None => builder.with_no_client_auth(),
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            for certificate in CertificateDer::pem_slice_iter(authority) {
                let certificate =
                    certificate.map_err(|error| KubeletError::Authority(Box::new(error)))?;
                roots
                    .add(certificate)
                    .map_err(|error| KubeletError::Authority(Box::new(error)))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                .build()
                .map_err(|error| KubeletError::Authority(Box::new(error)))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mut config = builder
        .with_single_cert(vec![issued.cert.der().clone()], key)
        .map_err(KubeletError::Tls)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

fn routes(context: Arc<Context>) -> Router {
    let router = Router::new()
        .route("/healthz", get(async || "ok"))
        .route("/pods", get(pods))
        .route(
            "/containerLogs/{namespace}/{pod}/{container}",
            get(logs::logs),
        )
        .route("/{*path}", any(missing));
    if context.options.runtime == RuntimeKind::Simulated {
        // Nothing runs here that could be measured or entered.
        return router.with_state(context);
    }
    router
        .route("/metrics/resource", get(usage::metrics))
        .route("/stats/summary", get(usage::summary))
        .route(
            "/exec/{namespace}/{pod}/{container}",
            get(exec::exec).post(exec::exec),
        )
        .route("/attach/{*rest}", any(exec::unsupported))
        .route("/portForward/{*rest}", any(exec::unsupported))
        .with_state(context)
}

/// The pods this node knows, in the shape of a list of pods.
async fn pods(State(context): State<Arc<Context>>) -> Response {
    let items: Vec<serde_json::Value> = context.records().iter().map(|record| {
        serde_json::json!({
            "metadata": { "name": record.name, "namespace": record.namespace, "uid": record.uid },
            "spec": { "nodeName": context.node_name },
        })
    }).collect();
    axum::Json(serde_json::json!({ "apiVersion": "v1", "kind": "PodList", "items": items }))
        .into_response()
}

async fn missing(Path(path): Path<String>) -> Response {
    let what = path.split('/').next().unwrap_or_default();
    let words = format!(
        "this node does not serve `{what}`; it serves containerLogs, exec, metrics/resource, stats/summary, pods and healthz\n"
    );
    (StatusCode::NOT_IMPLEMENTED, words).into_response()
}
