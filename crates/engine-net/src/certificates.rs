//! Certificates of Ingresses, by host.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Secret;
use rustls::crypto::ring::sign::any_supported_type;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// A certificate with its key, and the text both were read from.
#[derive(Clone)]
pub(crate) struct Certificate {
    text: (Vec<u8>, Vec<u8>),
    key: Arc<CertifiedKey>,
}

impl Certificate {
    /// Reads a secret of type `kubernetes.io/tls`.
    pub(crate) fn of_secret(secret: &Secret) -> Result<Self, String> {
        let part = |name: &str| {
            let data = secret.data.as_ref().and_then(|data| data.get(name));
            data.map(|bytes| bytes.0.clone())
                .ok_or_else(|| format!("it has no `{name}`"))
        };
        Self::of_text(part("tls.crt")?, part("tls.key")?)
    }

    fn of_text(certificate: Vec<u8>, key: Vec<u8>) -> Result<Self, String> {
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&certificate)
            .collect::<Result<_, _>>()
            .map_err(|error| format!("`tls.crt` is no certificate: {error}"))?;
        if chain.is_empty() {
            return Err("`tls.crt` is no certificate".to_owned());
        }
        let parsed = PrivateKeyDer::from_pem_slice(&key)
            .map_err(|error| format!("`tls.key` is no private key: {error}"))?;
        let parsed = any_supported_type(&parsed)
            .map_err(|error| format!("`tls.key` cannot be used: {error}"))?;
        let certified = CertifiedKey::new(chain, parsed);
        certified
            .keys_match()
            .map_err(|_| "`tls.key` does not belong to `tls.crt`".to_owned())?;
        Ok(Self {
            text: (certificate, key),
            key: Arc::new(certified),
        })
    }

    /// One for hosts that no Ingress has a certificate for; nobody trusts it.
    pub(crate) fn of_nobody() -> Result<Self, rcgen::Error> {
        let issued = rcgen::generate_simple_self_signed(vec!["ingress.invalid".to_owned()])?;
        let certificate = issued.cert.pem().into_bytes();
        let key = issued.signing_key.serialize_pem().into_bytes();
        Ok(Self::of_text(certificate, key).expect("what was just made can be read"))
    }

    pub(crate) fn key(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.key)
    }
}

impl PartialEq for Certificate {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Certificate {}

impl std::fmt::Debug for Certificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Certificate").finish_non_exhaustive()
    }
}

/// Certificates by host; `*.example.com` stands under `.example.com`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Certificates {
    by_host: BTreeMap<String, Certificate>,
}

impl Certificates {
    /// Adds one; where two Ingresses bring one for the same host, the first stays.
    pub(crate) fn add(&mut self, host: &str, certificate: &Certificate) {
        let host = host.to_lowercase();
        let host = host.strip_prefix('*').unwrap_or(&host).to_owned();
        self.by_host
            .entry(host)
            .or_insert_with(|| certificate.clone());
    }

    /// By exact host, then by wildcard.
    pub(crate) fn find(&self, host: &str) -> Option<&Certificate> {
        let host = host.to_lowercase();
        let wildcard = host.find('.').map(|dot| &host[dot..]);
        let exact = self.by_host.get(&host);
        exact.or_else(|| self.by_host.get(wildcard?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::ByteString;

    fn secret(certificate: &str, key: &str) -> Secret {
        let bytes = |text: &str| ByteString(text.as_bytes().to_vec());
        Secret {
            data: Some(BTreeMap::from([
                ("tls.crt".to_owned(), bytes(certificate)),
                ("tls.key".to_owned(), bytes(key)),
            ])),
            ..Secret::default()
        }
    }

    #[test]
    fn a_certificate_is_found_by_host_then_by_wildcard() {
        let (one, two) = (
            Certificate::of_nobody().unwrap(),
            Certificate::of_nobody().unwrap(),
        );
        let mut all = Certificates::default();
        all.add("*.example.com", &one);
        all.add("Shop.example.com", &two);
        all.add("shop.example.com", &one);
        assert_eq!(all.find("shop.EXAMPLE.com"), Some(&two));
        assert_eq!(all.find("other.example.com"), Some(&one));
        assert_eq!(all.find("a.b.example.com"), None);
        assert_eq!(all.find("example.org"), None);
    }

    #[test]
    fn what_is_wrong_with_a_secret_is_told() {
        let words = |secret: &Secret| Certificate::of_secret(secret).unwrap_err();
        assert_eq!(words(&Secret::default()), "it has no `tls.crt`");
        assert!(words(&secret("", "")).contains("`tls.crt` is no certificate"));
        let (one, two) = (
            Certificate::of_nobody().unwrap(),
            Certificate::of_nobody().unwrap(),
        );
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let mixed = secret(&text(&one.text.0), &text(&two.text.1));
        assert_eq!(words(&mixed), "`tls.key` does not belong to `tls.crt`");
        let own = secret(&text(&one.text.0), &text(&one.text.1));
        assert_eq!(Certificate::of_secret(&own).unwrap(), one);
    }
}
