//! Where requests go: names are resolved and certificates read before the start.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use foreshore_scenario::{Address, Setup};
use rustls::client::Resumption;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};

use crate::error::RunError;

/// A resolver that needs longer than this does not answer.
const RESOLVE_SECONDS: u64 = 10;
/// Hosts times ports that redirects and captured addresses can lead to.
const ENDPOINTS_MAX: usize = 256;

/// Something that can be connected to.
#[derive(Debug, Clone)]
pub(crate) struct Endpoint {
    pub(crate) address: SocketAddr,
    pub(crate) host: String,
    pub(crate) port: u16,
    /// Value of the `Host` header.
    pub(crate) authority: String,
    pub(crate) tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
}

/// Every host the run may talk to.
#[derive(Debug, Clone)]
pub(crate) struct Endpoints {
    hosts: BTreeMap<String, IpAddr>,
    configurations: BTreeMap<String, Arc<ClientConfig>>,
    usual: Arc<ClientConfig>,
    list: Vec<Endpoint>,
}

impl Endpoints {
    /// Resolves every allowed host; `folder` is where the scenario lies.
    pub(crate) fn resolve(
        setup: &Setup,
        folder: &Path,
        known: &BTreeMap<String, IpAddr>,
    ) -> Result<Self, RunError> {
        let mut hosts = BTreeMap::new();
        for host in &setup.hosts {
            let ip = known.get(host).copied().map_or_else(|| resolve(host), Ok)?;
            hosts.insert(host.clone(), ip);
        }
        let resume = setup.profile.resume_tls;
        let needs_tls = setup.targets.iter().any(|target| target.address.tls)
            || setup.program.steps.iter().any(|step| {
                step.url
                    .constant()
                    .is_none_or(|url| url.starts_with("https:"))
            });
        let roots = if needs_tls {
            native_roots()
        } else {
            RootCertStore::empty()
        };
        let mut configurations = BTreeMap::new();
        for target in &setup.targets {
            if let Some(ca) = &target.ca {
                let roots = own_roots(&folder.join(ca))?;
                configurations.insert(target.address.host.clone(), configuration(roots, resume));
            }
        }
        Ok(Self {
            hosts,
            configurations,
            usual: configuration(roots, resume),
            list: Vec::new(),
        })
    }

    pub(crate) fn get(&self, index: usize) -> &Endpoint {
        &self.list[index]
    }

    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }

    /// Place of an address; the error says why it is not gone to.
    pub(crate) fn place(&mut self, address: &Address) -> Result<usize, String> {
        let known = self.list.iter().position(|known| {
            known.host == address.host
                && known.port == address.port
                && known.tls.is_some() == address.tls
        });
        if let Some(known) = known {
            return Ok(known);
        }
        let Some(ip) = self.hosts.get(&address.host) else {
            return Err(format!(
                "`{}` is not among the hosts of this run; allow it with `hosts \"{}\"`",
                address.host, address.host
            ));
        };
        if self.list.len() == ENDPOINTS_MAX {
            return Err("the run has led to too many ports".to_owned());
        }
        let tls = if address.tls {
            let name = ServerName::try_from(address.host.clone())
                .map_err(|_| format!("`{}` cannot be the name in a certificate", address.host))?;
            let configuration = self
                .configurations
                .get(&address.host)
                .unwrap_or(&self.usual);
            Some((Arc::clone(configuration), name))
        } else {
            None
        };
        self.list.push(Endpoint {
            address: SocketAddr::new(*ip, address.port),
            host: address.host.clone(),
            port: address.port,
            authority: address.authority(),
            tls,
        });
        Ok(self.list.len() - 1)
    }
}

/// Asks the resolver in a thread of its own, because it cannot be told to hurry.
fn resolve(host: &str) -> Result<IpAddr, RunError> {
    if let Ok(ip) = host.parse() {
        return Ok(ip);
    }
    if host.ends_with(".localhost") {
        // By RFC 6761 these names never leave the machine; not every resolver knows.
        return Ok(IpAddr::V4(Ipv4Addr::LOCALHOST));
    }
    let (sender, receiver) = mpsc::sync_channel(1);
    let name = host.to_owned();
    thread::spawn(move || {
        let found = (name.as_str(), 0_u16).to_socket_addrs().map(|all| {
            // Who has both is reached by IPv4, which every host listens on that has names such as `localhost`.
            let all: Vec<IpAddr> = all.map(|address| address.ip()).collect();
            all.iter()
                .find(|ip| ip.is_ipv4())
                .or_else(|| all.first())
                .copied()
        });
        // Nobody waits any more when the time is over.
        drop(sender.send(found));
    });
    let host = host.to_owned();
    match receiver.recv_timeout(Duration::from_secs(RESOLVE_SECONDS)) {
        Ok(Ok(Some(ip))) => Ok(ip),
        Ok(Ok(None)) => Err(RunError::Resolve {
            host,
            cause: io::Error::new(io::ErrorKind::NotFound, "it has no address"),
        }),
        Ok(Err(cause)) => Err(RunError::Resolve { host, cause }),
        Err(_) => Err(RunError::ResolveTimeout {
            host,
            seconds: RESOLVE_SECONDS,
        }),
    }
}

/// The machine's own certificates; what cannot be read is missed at the handshake, by name.
fn native_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::warn!(
            error = error as &dyn std::error::Error,
            "cannot read a certificate of this machine"
        );
    }
    let (_, ignored) = roots.add_parsable_certificates(found.certs);
    tracing::debug!(ignored, "certificates of this machine read");
    roots
}

fn own_roots(path: &Path) -> Result<RootCertStore, RunError> {
    let pem = fs::read(path).map_err(|cause| RunError::Certificates {
        path: path.to_owned(),
        cause,
    })?;
    let mut roots = RootCertStore::empty();
    let readable = CertificateDer::pem_slice_iter(&pem)
        .filter_map(Result::ok)
        .filter_map(|certificate| roots.add(certificate).ok())
        .count();
    if readable == 0 {
        return Err(RunError::NoCertificates {
            path: path.to_owned(),
        });
    }
    Ok(roots)
}

fn configuration(roots: RootCertStore, resume: bool) -> Arc<ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut configuration = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring has the ciphers of both versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    if !resume {
        // A new user has never been here: every handshake is a full one.
        configuration.resumption = Resumption::disabled();
    }
    Arc::new(configuration)
}
