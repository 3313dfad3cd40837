//! The ports of a platform: chosen once, then kept, because image references carry them.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::record::{RecordError, write_private};

/// Port numbers; zero asks for any free one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ports {
    pub server: u16,
    pub ingress: u16,
    pub api: u16,
}

impl Default for Ports {
    fn default() -> Self {
        Self {
            server: 7070,
            ingress: 7080,
            api: 7443,
        }
    }
}

/// What the person asked for on the command line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WantedPorts {
    pub server: Option<u16>,
    pub ingress: Option<u16>,
    pub api: Option<u16>,
}

/// Why a port could not be had.
#[derive(Debug, thiserror::Error)]
pub enum PortError {
    #[error("port {port} for the {purpose} is taken")]
    Taken { purpose: &'static str, port: u16 },
    #[error("cannot listen on port {port} for the {purpose}")]
    Listen {
        purpose: &'static str,
        port: u16,
        #[source]
        cause: io::Error,
    },
    #[error(transparent)]
    Record(#[from] RecordError),
}

fn path(data: &Path) -> PathBuf {
    data.join("ports.json")
}

impl Ports {
    /// Returns the ports to use: as asked, else as before, else the default.
    pub fn choose(data: &Path, wanted: WantedPorts) -> Result<Self, PortError> {
        let before = read(data)?.unwrap_or_default();
        Ok(Self {
            server: wanted.server.unwrap_or(before.server),
            ingress: wanted.ingress.unwrap_or(before.ingress),
            api: wanted.api.unwrap_or(before.api),
        })
    }

    /// Keeps the ports for the next start.
    pub fn keep(self, data: &Path) -> Result<(), PortError> {
        let text = serde_json::to_vec_pretty(&self).expect("three numbers are JSON");
        Ok(write_private(&path(data), &text)?)
    }
}

fn read(data: &Path) -> Result<Option<Ports>, RecordError> {
    let path = path(data);
    match fs::read(&path) {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|cause| RecordError::Format { path, cause }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(cause) => Err(RecordError::Read { path, cause }),
    }
}

/// Listens on the host's loopback.
pub fn listen(purpose: &'static str, port: u16) -> Result<(TcpListener, SocketAddr), PortError> {
    listen_at(purpose, SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
}

/// Listens at an address; the sockets do not block.
pub(crate) fn listen_at(
    purpose: &'static str,
    address: SocketAddr,
) -> Result<(TcpListener, SocketAddr), PortError> {
    let port = address.port();
    let failed = |cause: io::Error| match cause.kind() {
        io::ErrorKind::AddrInUse => PortError::Taken { purpose, port },
        _ => PortError::Listen {
            purpose,
            port,
            cause,
        },
    };
    let listener = TcpListener::bind(address).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_stay_as_they_were_unless_asked_otherwise() {
        let data = tempfile::tempdir().unwrap();
        assert_eq!(
            Ports::choose(data.path(), WantedPorts::default()).unwrap(),
            Ports::default()
        );
        let kept = Ports {
            server: 1,
            ingress: 2,
            api: 3,
        };
        kept.keep(data.path()).unwrap();
        assert_eq!(
            Ports::choose(data.path(), WantedPorts::default()).unwrap(),
            kept
        );
        let wanted = WantedPorts {
            ingress: Some(9),
            ..WantedPorts::default()
        };
        assert_eq!(
            Ports::choose(data.path(), wanted).unwrap(),
            Ports { ingress: 9, ..kept }
        );
    }

    #[test]
    fn a_taken_port_is_named() {
        let (_listener, address) = listen("server", 0).unwrap();
        let error = listen("server", address.port()).unwrap_err().to_string();
        assert_eq!(
            error,
            format!("port {} for the server is taken", address.port())
        );
    }
}
