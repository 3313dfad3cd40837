//! TLS of the ingress: the certificate is chosen by the name a client asks for.

use std::fmt;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tracing::error;

use crate::certificates::Certificate;
use crate::view::Views;

/// First byte of a TLS handshake; no HTTP request begins with it.
pub(super) const HANDSHAKE: u8 = 0x16;

/// Makes the configuration; `None`, with a word in the log, if that fails.
///
/// Certificates are looked up in the latest view at each handshake, so a
/// changed secret holds from the next connection on.
pub(super) fn config(views: &Views) -> Option<Arc<ServerConfig>> {
    let fallback = match Certificate::of_nobody() {
        Ok(fallback) => fallback.key(),
        Err(error) => {
            error!(
                error = &error as &dyn std::error::Error,
                "no certificate can be made; no TLS"
            );
            return None;
        }
    };
    let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions();
    let mut config = match builder {
        Ok(builder) => builder
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(ByName {
                views: views.clone(),
                fallback,
            })),
        Err(error) => {
            error!(
                error = &error as &dyn std::error::Error,
                "TLS cannot be configured"
            );
            return None;
        }
    };
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Some(Arc::new(config))
}

struct ByName {
    views: Views,
    fallback: Arc<CertifiedKey>,
}

impl fmt::Debug for ByName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ByName").finish_non_exhaustive()
    }
}

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let view = self.views.borrow().clone();
        let found = view.and_then(|view| {
            let certificate = view.routes.certificates.find(hello.server_name()?)?;
            Some(certificate.key())
        });
        // Others see a certificate that nobody trusts, as they would elsewhere.
        Some(found.unwrap_or_else(|| Arc::clone(&self.fallback)))
    }
}
