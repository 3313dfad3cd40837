//! The server's certificate and key: files that may change while it runs.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use foreshore_model::Digest;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::crypto::ring::sign::any_supported_type;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio_util::sync::CancellationToken;

/// How often the files are looked at; they are small, and mounts change them without a word.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Where certificate and key are.
#[derive(Debug, Clone)]
pub struct CertificateFiles {
    /// PEM, the server's own certificate first.
    pub certificate: PathBuf,
    /// PEM, PKCS#8, PKCS#1 or SEC1.
    pub key: PathBuf,
}

/// Why certificate and key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("cannot read `{path}`")]
    Read {
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    #[error("`{path}` holds no certificate in PEM form")]
    Certificate { path: PathBuf },
    #[error("`{path}` holds no private key in PEM form")]
    Key { path: PathBuf },
    #[error("the private key in `{path}` cannot be used")]
    KeyKind {
        path: PathBuf,
        #[source]
        cause: rustls::Error,
    },
    #[error("the private key in `{key}` does not belong to the certificate in `{certificate}`")]
    Mismatch { certificate: PathBuf, key: PathBuf },
    #[error("cannot set up TLS")]
    Setup(#[source] rustls::Error),
}

/// What was read last and could be used.
struct Current {
    key: Arc<CertifiedKey>,
    read: Digest,
}

/// A certificate that follows its files.
pub(crate) struct Certificates {
    files: CertificateFiles,
    current: RwLock<Current>,
}

impl fmt::Debug for Certificates {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Certificates")
            .field("files", &self.files)
            .finish_non_exhaustive()
    }
}

impl CertificateFiles {
    fn read(&self) -> Result<(Vec<u8>, Vec<u8>), TlsError> {
        let read = |path: &PathBuf| {
            std::fs::read(path).map_err(|cause| TlsError::Read {
                path: path.clone(),
                cause,
            })
        };
        Ok((read(&self.certificate)?, read(&self.key)?))
    }

    fn certified(&self, certificate: &[u8], key: &[u8]) -> Result<CertifiedKey, TlsError> {
        let missing = || TlsError::Certificate {
            path: self.certificate.clone(),
        };
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(certificate)
            .collect::<Result<_, _>>()
            .map_err(|_| missing())?;
        if chain.is_empty() {
            return Err(missing());
        }
        let parsed = PrivateKeyDer::from_pem_slice(key).map_err(|_| TlsError::Key {
            path: self.key.clone(),
        })?;
        let parsed = any_supported_type(&parsed).map_err(|cause| TlsError::KeyKind {
            path: self.key.clone(),
            cause,
        })?;
        let certified = CertifiedKey::new(chain, parsed);
        certified.keys_match().map_err(|_| TlsError::Mismatch {
            certificate: self.certificate.clone(),
            key: self.key.clone(),
        })?;
        Ok(certified)
    }
}

fn digest(certificate: &[u8], key: &[u8]) -> Digest {
    Digest::of(&[certificate, b"\0", key].concat())
}

impl Certificates {
    /// Reads the files; they must be right when the server starts.
    pub(crate) fn load(files: CertificateFiles) -> Result<Arc<Self>, TlsError> {
        let (certificate, key) = files.read()?;
        let current = Current {
            key: Arc::new(files.certified(&certificate, &key)?),
            read: digest(&certificate, &key),
        };
        Ok(Arc::new(Self {
            files,
            current: RwLock::new(current),
        }))
    }

    /// Takes over what is in the files now; says whether that is something new.
    fn refresh(&self) -> Result<bool, TlsError> {
        let (certificate, key) = self.files.read()?;
        let read = digest(&certificate, &key);
        let same = |current: &Current| current.read == read;
        if same(&self.current.read().unwrap_or_else(PoisonError::into_inner)) {
            return Ok(false);
        }
        let fresh = Arc::new(self.files.certified(&certificate, &key)?);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) =
            Current { key: fresh, read };
        Ok(true)
    }

    /// Follows the files until shutdown; while they are wrong, the last good pair serves on.
    pub(crate) async fn follow(self: Arc<Self>, shutdown: CancellationToken) {
        let mut told = String::new();
        loop {
            tokio::select! {
                () = tokio::time::sleep(LOOK_EVERY) => {}
                () = shutdown.cancelled() => return,
            }
            match self.refresh() {
                Ok(false) => told.clear(),
                Ok(true) => {
                    told.clear();
                    tracing::info!(path = %self.files.certificate.display(), "the certificate was replaced");
                }
                Err(error) => {
                    let words = foreshore_model::chain(&error);
                    if words != told {
                        tracing::warn!(
                            error = words,
                            "the new certificate cannot be used; the old one serves on"
                        );
                        told = words;
                    }
                }
            }
        }
    }

    /// The TLS settings whose certificate is looked up at each handshake.
    pub(crate) fn config(self: &Arc<Self>) -> Result<Arc<ServerConfig>, TlsError> {
        let provider = Arc::new(ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Setup)?
            .with_no_client_auth()
            .with_cert_resolver(self.clone());
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        Some(current.key.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Made {
        folder: tempfile::TempDir,
        files: CertificateFiles,
    }

    fn write(files: &CertificateFiles, name: &str) -> (String, String) {
        let issued = rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
        let (certificate, key) = (issued.cert.pem(), issued.signing_key.serialize_pem());
        std::fs::write(&files.certificate, &certificate).unwrap();
        std::fs::write(&files.key, &key).unwrap();
        (certificate, key)
    }

    fn made() -> Made {
        let folder = tempfile::tempdir().unwrap();
        let files = CertificateFiles {
            certificate: folder.path().join("tls.crt"),
            key: folder.path().join("tls.key"),
        };
        write(&files, "one.example");
        Made { folder, files }
    }

    #[test]
    fn files_that_change_are_taken_over_and_wrong_ones_are_not() {
        let made = made();
        let certificates = Certificates::load(made.files.clone()).unwrap();
        let served = || certificates.current.read().unwrap().key.cert[0].to_vec();
        let first = served();
        assert!(!certificates.refresh().unwrap());
        write(&made.files, "two.example");
        assert!(certificates.refresh().unwrap());
        let second = served();
        assert_ne!(first, second);
        // Half of a change: the new certificate with the key of the old one.
        let (_, key) = write(&made.files, "three.example");
        write(&made.files, "four.example");
        std::fs::write(&made.files.key, &key).unwrap();
        assert!(matches!(
            certificates.refresh(),
            Err(TlsError::Mismatch { .. })
        ));
        std::fs::write(&made.files.certificate, "nonsense").unwrap();
        assert!(matches!(
            certificates.refresh(),
            Err(TlsError::Certificate { .. })
        ));
        std::fs::remove_file(&made.files.certificate).unwrap();
        assert!(matches!(certificates.refresh(), Err(TlsError::Read { .. })));
        assert_eq!(served(), second, "the last good pair serves on");
        assert!(certificates.config().is_ok());
    }

    #[test]
    fn what_cannot_be_served_is_refused_by_its_file() {
        let made = made();
        let good = std::fs::read(&made.files.key).unwrap();
        std::fs::write(
            &made.files.key,
            "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        )
        .unwrap();
        assert!(matches!(
            Certificates::load(made.files.clone()),
            Err(TlsError::KeyKind { .. })
        ));
        std::fs::write(&made.files.key, "").unwrap();
        assert!(matches!(
            Certificates::load(made.files.clone()),
            Err(TlsError::Key { .. })
        ));
        std::fs::write(&made.files.key, good).unwrap();
        std::fs::write(&made.files.certificate, "").unwrap();
        let error = Certificates::load(made.files.clone()).unwrap_err();
        assert!(error.to_string().contains("tls.crt"), "{error}");
        drop(made.folder);
    }
}
