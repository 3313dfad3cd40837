//! The api, found by its service name.
//!
//! Names are resolved by hickory and not by the C library, because the
//! program is linked statically.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use hickory_resolver::TokioResolver;
use http::{Method, Request, Uri, header};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// Long enough for a busy machine, short enough for a person who waits.
const CALL_TIMEOUT: Duration = Duration::from_secs(3);
const BODY_BYTES_MAX: usize = 64 * 1024;

/// Calls the api and counts how it went.
#[derive(Debug)]
pub(crate) struct Api {
    host: String,
    port: u16,
    resolver: TokioResolver,
    calls: AtomicU64,
    failures: AtomicU64,
}

impl Api {
    pub(crate) fn new(url: &str) -> anyhow::Result<Self> {
        let uri: Uri = url.parse().context("not a URL")?;
        if uri.scheme_str() != Some("http") {
            bail!("only `http://` is supported");
        }
        let host = uri.host().context("no host")?.to_owned();
        let resolver = TokioResolver::builder_tokio()
            .and_then(hickory_resolver::ResolverBuilder::build)
            .context("cannot read the resolver's configuration")?;
        Ok(Self {
            host,
            port: uri.port_u16().unwrap_or(80),
            resolver,
            calls: AtomicU64::new(0),
            failures: AtomicU64::new(0),
        })
    }

    /// Returns how many calls were made, and how many of them failed.
    pub(crate) fn counts(&self) -> (u64, u64) {
        (
            self.calls.load(Ordering::Relaxed),
            self.failures.load(Ordering::Relaxed),
        )
    }

    /// Counts a visit and returns its number.
    pub(crate) async fn visit(&self) -> anyhow::Result<u64> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let answer = tokio::time::timeout(CALL_TIMEOUT, self.post_visit())
            .await
            .unwrap_or_else(|_| bail!("no answer from `{}` within {CALL_TIMEOUT:?}", self.host));
        if answer.is_err() {
            self.failures.fetch_add(1, Ordering::Relaxed);
        }
        answer
    }

    async fn post_visit(&self) -> anyhow::Result<u64> {
        let stream = TcpStream::connect(self.address().await?)
            .await
            .with_context(|| format!("cannot connect to `{}`", self.host))?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let connection = tokio::spawn(connection);
        let request = Request::builder()
            .method(Method::POST)
            .uri("/visits")
            .header(header::HOST, &self.host)
            .body(Empty::<Bytes>::new())?;
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), BODY_BYTES_MAX)
            .collect()
            .await
            .map_err(anyhow::Error::from_boxed)?
            .to_bytes();
        connection.abort();
        if !status.is_success() {
            bail!(
                "`{}` answered {status}: {}",
                self.host,
                String::from_utf8_lossy(&body).trim_end()
            );
        }
        let value: serde_json::Value =
            serde_json::from_slice(&body).context("the answer is not JSON")?;
        value["visits"]
            .as_u64()
            .context("the answer has no `visits`")
    }

    async fn address(&self) -> anyhow::Result<SocketAddr> {
        if let Ok(address) = self.host.parse::<IpAddr>() {
            return Ok(SocketAddr::new(address, self.port));
        }
        let found = self
            .resolver
            .lookup_ip(self.host.as_str())
            .await
            .with_context(|| format!("cannot resolve `{}`", self.host))?;
        let address = found
            .iter()
            .next()
            .with_context(|| format!("`{}` has no address", self.host))?;
        Ok(SocketAddr::new(address, self.port))
    }
}
