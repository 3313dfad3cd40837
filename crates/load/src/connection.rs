//! One connection: not blocking, with or without TLS.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use rustls::ClientConnection;

use crate::endpoint::Endpoint;

/// Why a connection broke.
#[derive(Debug)]
pub(crate) enum Broken {
    Connect(io::Error),
    Tls(rustls::Error),
    /// The other side ended it, or the network did.
    Closed(Option<io::Error>),
}

/// A connection to one endpoint.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    tls: Option<Box<ClientConnection>>,
    connecting: bool,
    /// Bytes the network did not take yet.
    unsent: Vec<u8>,
    /// Where the connection leads.
    pub(crate) endpoint: usize,
    pub(crate) user: Option<u32>,
    /// The only user that may have it; `None` if it is shared.
    pub(crate) owner: Option<u32>,
    /// Answers that came over it.
    pub(crate) answers: u64,
    /// Whether the poller also waits for room to write.
    pub(crate) waits_to_write: bool,
}

impl Connection {
    /// Starts to connect; that goes on when the socket can be written.
    pub(crate) fn open(endpoint: &Endpoint, place: usize) -> Result<Self, Broken> {
        let stream = socket(endpoint.address).map_err(|errno| Broken::Connect(errno.into()))?;
        let tls = match &endpoint.tls {
            None => None,
            Some((configuration, name)) => {
                let mut connection = ClientConnection::new(configuration.clone(), name.clone())
                    .map_err(Broken::Tls)?;
                // A request is written whole, before the handshake is done.
                connection.set_buffer_limit(None);
                Some(Box::new(connection))
            }
        };
        Ok(Self {
            stream,
            tls,
            connecting: true,
            unsent: Vec::new(),
            endpoint: place,
            user: None,
            owner: None,
            answers: 0,
            waits_to_write: true,
        })
    }

    /// Sends a request; what the network does not take follows later.
    pub(crate) fn send(&mut self, request: &[u8]) -> Result<(), Broken> {
        if let Some(tls) = &mut self.tls {
            tls.writer()
                .write_all(request)
                .map_err(|error| Broken::Closed(Some(error)))?;
            return self.flush();
        }
        if self.connecting || !self.unsent.is_empty() {
            self.unsent.extend_from_slice(request);
            return self.flush();
        }
        let written = match self.stream.write(request) {
            Ok(written) => written,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Err(error) => return Err(Broken::Closed(Some(error))),
        };
        if written < request.len() {
            self.unsent.extend_from_slice(&request[written..]);
        }
        Ok(())
    }

    /// Sends on what is left, if the connection stands.
    pub(crate) fn flush(&mut self) -> Result<(), Broken> {
        if self.connecting {
            return Ok(());
        }
        if let Some(tls) = &mut self.tls {
            while tls.wants_write() {
                match tls.write_tls(&mut self.stream) {
                    Ok(_) => {}
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                    Err(error) => return Err(Broken::Closed(Some(error))),
                }
            }
            return Ok(());
        }
        while !self.unsent.is_empty() {
            match self.stream.write(&self.unsent) {
                Ok(written) => {
                    self.unsent.drain(..written);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(Broken::Closed(Some(error))),
            }
        }
        self.unsent.shrink_to(0);
        Ok(())
    }

    /// Whether room to write must be waited for.
    pub(crate) fn wants_to_write(&self) -> bool {
        self.connecting
            || !self.unsent.is_empty()
            || self.tls.as_ref().is_some_and(|tls| tls.wants_write())
    }

    /// The socket can be written: connecting ended, or there is room.
    pub(crate) fn writable(&mut self) -> Result<(), Broken> {
        if self.connecting {
            if let Err(errno) =
                rustix::net::sockopt::socket_error(&self.stream).and_then(|result| result)
            {
                return Err(Broken::Connect(errno.into()));
            }
            self.connecting = false;
        }
        self.flush()
    }

    pub(crate) fn is_connecting(&self) -> bool {
        self.connecting
    }

    /// Reads what is there; `None` when nothing more is right now, 0 bytes at the end.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> Result<Option<usize>, Broken> {
        let Some(tls) = &mut self.tls else {
            return match self.stream.read(buffer) {
                Ok(read) => Ok(Some(read)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
                Err(error) => Err(Broken::Closed(Some(error))),
            };
        };
        loop {
            match tls.reader().read(buffer) {
                Ok(read) => return Ok(Some(read)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // Closed without saying so: a body without length may have been cut.
                Err(error) => return Err(Broken::Closed(Some(error))),
            }
            match tls.read_tls(&mut self.stream) {
                Ok(0) if tls.is_handshaking() => {
                    return Err(Broken::Closed(Some(io::ErrorKind::UnexpectedEof.into())));
                }
                Ok(_) => {
                    if let Err(error) = tls.process_new_packets() {
                        // The alert tells the other side why; if it does not arrive, nothing is lost.
                        drop(tls.write_tls(&mut self.stream));
                        return Err(Broken::Tls(error));
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) => return Err(Broken::Closed(Some(error))),
            }
        }
    }

    /// Whether reading again may find more without waiting for the network.
    pub(crate) fn may_hold_more(&self) -> bool {
        self.tls.is_some()
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

fn socket(address: SocketAddr) -> Result<TcpStream, Errno> {
    let family = if address.is_ipv4() {
        AddressFamily::INET
    } else {
        AddressFamily::INET6
    };
    let socket = rustix::net::socket_with(
        family,
        SocketType::STREAM,
        SocketFlags::NONBLOCK | SocketFlags::CLOEXEC,
        None,
    )?;
    rustix::net::sockopt::set_tcp_nodelay(&socket, true)?;
    match rustix::net::connect(&socket, &address) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(TcpStream::from(socket)),
        Err(errno) => Err(errno),
    }
}
