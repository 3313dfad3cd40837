//! The certificate authority of one engine and the keys that hang on it.
//! The authority and the token key are kept; everything else is issued anew at start.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, SanType, date_time_ymd,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::private_file;

/// Years the authority is valid; longer than anybody keeps a one-machine ground.
const AUTHORITY_YEARS: i16 = 20;
/// Years an issued certificate is valid. Client credentials are written at each start.
const CERTIFICATE_YEARS: i16 = 5;

/// Why keys could not be made or read.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    #[error("cannot read key material `{path}`")]
    Read {
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    #[error("cannot write key material `{path}`")]
    Write {
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    #[error("key material `{path}` is damaged; remove the directory to start with a new authority")]
    Damaged { path: PathBuf },
    #[error("a certificate carries one group, more were asked for `{name}`")]
    Groups { name: String },
    #[error("cannot issue a certificate for `{name}`")]
    Issue {
        name: String,
        #[source]
        cause: rcgen::Error,
    },
}

/// A client certificate with its key.
#[derive(Clone)]
pub struct Credential {
    pub certificate_pem: String,
    pub key_pem: String,
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Credential(..)")
    }
}

/// What the server shows to its clients.
pub(crate) struct Serving {
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) key: PrivateKeyDer<'static>,
}

struct Inner {
    authority_pem: String,
    issuer: Issuer<'static, KeyPair>,
    token_key_der: Vec<u8>,
    now: Timestamp,
}

/// The authority and the token key of one engine; clones share them.
#[derive(Clone)]
pub struct Pki {
    inner: Arc<Inner>,
}

impl Pki {
    /// Reads the keys under `directory`, or makes them when there are none.
    pub fn load_or_create(directory: &Path, now: Timestamp) -> Result<Self, PkiError> {
        let ca_path = directory.join("ca.crt");
        let ca_key_path = directory.join("ca.key");
        let token_path = directory.join("service-account.key");
        let (authority_pem, key) = match (read(&ca_path)?, read(&ca_key_path)?) {
            (Some(certificate), Some(key)) => (certificate, parse_key(&key, &ca_key_path)?),
            (None, _) => {
                let (certificate, key) = new_authority(now)?;
                // The certificate comes last: without it both are made anew.
                write(&ca_key_path, &key.serialize_pem())?;
                write(&ca_path, &certificate)?;
                (certificate, key)
            }
            (Some(_), None) => return Err(PkiError::Damaged { path: ca_key_path }),
        };
        let issuer = Issuer::from_ca_cert_pem(&authority_pem, key)
            .map_err(|_| PkiError::Damaged { path: ca_path })?;
        let token_key = if let Some(key) = read(&token_path)? {
            parse_key(&key, &token_path)?
        } else {
            let key = new_key("service-account tokens")?;
            write(&token_path, &key.serialize_pem())?;
            key
        };
        let token_key_der = token_key.serialize_der();
        Ok(Self {
            inner: Arc::new(Inner {
                authority_pem,
                issuer,
                token_key_der,
                now,
            }),
        })
    }

    /// The authority's certificate.
    pub fn ca_pem(&self) -> &str {
        &self.inner.authority_pem
    }

    /// PKCS#8 of the key that signs service-account tokens.
    pub(crate) fn token_key_der(&self) -> &[u8] {
        &self.inner.token_key_der
    }

    /// Issues a client certificate: `user` becomes the user name, `groups` its groups.
    pub fn credential(&self, user: &str, groups: &[&str]) -> Result<Credential, PkiError> {
        let mut params = self.params(user, CERTIFICATE_YEARS);
        match groups {
            [] => {}
            [group] => params
                .distinguished_name
                .push(DnType::OrganizationName, *group),
            // The certificate library keeps one value per attribute.
            _ => {
                return Err(PkiError::Groups {
                    name: user.to_owned(),
                });
            }
        }
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let (certificate_pem, key) = self.issue(user, &params)?;
        Ok(Credential {
            certificate_pem,
            key_pem: key.serialize_pem(),
        })
    }

    /// Issues a server certificate for these names and addresses, for instance of a node.
    pub fn serving(
        &self,
        name: &str,
        names: &[&str],
        addresses: &[IpAddr],
    ) -> Result<Credential, PkiError> {
        let mut params = self.params(name, CERTIFICATE_YEARS);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let failed = |cause| PkiError::Issue {
            name: name.to_owned(),
            cause,
        };
        for name in names {
            let name = (*name).try_into().map_err(failed)?;
            params.subject_alt_names.push(SanType::DnsName(name));
        }
        params
            .subject_alt_names
            .extend(addresses.iter().map(|ip| SanType::IpAddress(*ip)));
        let (certificate_pem, key) = self.issue(name, &params)?;
        Ok(Credential {
            certificate_pem,
            key_pem: key.serialize_pem(),
        })
    }

    /// The API server's own certificate, which also answers to the address of its Service.
    pub(crate) fn api_serving(&self, service: Ipv4Addr) -> Result<Serving, PkiError> {
        let names = [
            "localhost",
            "kubernetes",
            "kubernetes.default",
            "kubernetes.default.svc",
            "kubernetes.default.svc.cluster.local",
        ];
        let addresses = [Ipv4Addr::LOCALHOST, service].map(IpAddr::V4);
        let credential = self.serving("kube-apiserver", &names, &addresses)?;
        let path = || PathBuf::from("kube-apiserver");
        let chain = CertificateDer::from_pem_slice(credential.certificate_pem.as_bytes())
            .map_err(|_| PkiError::Damaged { path: path() })?;
        let key = PrivateKeyDer::from_pem_slice(credential.key_pem.as_bytes())
            .map_err(|_| PkiError::Damaged { path: path() })?;
        Ok(Serving {
            chain: vec![chain],
            key,
        })
    }

    /// The authority's certificate as rustls wants it.
    pub(crate) fn ca_der(&self) -> Result<CertificateDer<'static>, PkiError> {
        CertificateDer::from_pem_slice(self.inner.authority_pem.as_bytes()).map_err(|_| {
            PkiError::Damaged {
                path: PathBuf::from("ca.crt"),
            }
        })
    }

    fn params(&self, name: &str, years: i16) -> CertificateParams {
        let mut params = validity(self.inner.now, years);
        params.distinguished_name.push(DnType::CommonName, name);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        params
    }

    fn issue(&self, name: &str, params: &CertificateParams) -> Result<(String, KeyPair), PkiError> {
        let key = new_key(name)?;
        let certificate = params
            .signed_by(&key, &self.inner.issuer)
            .map_err(|cause| PkiError::Issue {
                name: name.to_owned(),
                cause,
            })?;
        Ok((certificate.pem(), key))
    }
}

/// Valid from the day before yesterday, so that clocks may differ a little.
fn validity(now: Timestamp, years: i16) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    let today = now.to_zoned(TimeZone::UTC).date();
    let from = today
        .yesterday()
        .and_then(jiff::civil::Date::yesterday)
        .unwrap_or(today);
    let month = u8::try_from(from.month()).expect("months are small");
    // The 28th exists in every month of every year.
    let day = u8::try_from(from.day().min(28)).expect("days are small");
    params.not_before = date_time_ymd(from.year().into(), month, day);
    params.not_after = date_time_ymd((from.year() + years).into(), month, day);
    params
}

fn new_key(name: &str) -> Result<KeyPair, PkiError> {
    KeyPair::generate().map_err(|cause| PkiError::Issue {
        name: name.to_owned(),
        cause,
    })
}

fn new_authority(now: Timestamp) -> Result<(String, KeyPair), PkiError> {
    let name = "foreshore-ca";
    let mut params = validity(now, AUTHORITY_YEARS);
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let key = new_key(name)?;
    let certificate = params.self_signed(&key).map_err(|cause| PkiError::Issue {
        name: name.to_owned(),
        cause,
    })?;
    Ok((certificate.pem(), key))
}

fn parse_key(text: &str, path: &Path) -> Result<KeyPair, PkiError> {
    KeyPair::from_pem(text).map_err(|_| PkiError::Damaged {
        path: path.to_owned(),
    })
}

fn read(path: &Path) -> Result<Option<String>, PkiError> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(cause) => Err(PkiError::Read {
            path: path.to_owned(),
            cause,
        }),
    }
}

fn write(path: &Path, text: &str) -> Result<(), PkiError> {
    private_file::write(path, text.as_bytes()).map_err(|cause| PkiError::Write {
        path: path.to_owned(),
        cause,
    })
}
