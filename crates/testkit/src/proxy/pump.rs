//! Carries the bytes of one connection, with its faults.

use std::{io, time::Duration};

use tokio::{
    net::TcpStream,
    sync::mpsc,
    time::{Instant, sleep, sleep_until},
};

use super::Faults;

/// Small pieces, so that a limited rate flows instead of jumping.
const PIECE: usize = 4096;

/// Pieces under way in one direction. Together with [`PIECE`] this bounds what
/// the proxy holds; past it the sender feels back-pressure, as on a real line.
const UNDER_WAY: usize = 256;

/// How a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Orderly,
    Reset,
}

struct Piece {
    due: Instant,
    bytes: Vec<u8>,
}

/// Carries bytes both ways until both directions have ended or one fails.
pub(super) async fn carry(client: &TcpStream, server: &TcpStream, faults: &Faults) -> End {
    let up = async {
        if faults.half_open {
            std::future::pending().await
        } else {
            direction(client, server, faults, None).await
        }
    };
    let limit = match (faults.reset_after, faults.stall_after) {
        (None, None) => None,
        (reset, stall) => Some(Limit { reset, stall }),
    };
    let down = direction(server, client, faults, limit);
    match tokio::try_join!(up, down) {
        Ok(_) => End::Orderly,
        Err(_reset) => End::Reset,
    }
}

/// Bytes to the client after which something happens.
#[derive(Clone, Copy)]
struct Limit {
    reset: Option<u64>,
    stall: Option<u64>,
}

/// Carries one direction to its end. An error means: reset the connection.
async fn direction(
    from: &TcpStream,
    to: &TcpStream,
    faults: &Faults,
    limit: Option<Limit>,
) -> io::Result<()> {
    let (sender, receiver) = mpsc::channel(UNDER_WAY);
    tokio::try_join!(
        receive(from, sender, faults.latency),
        deliver(to, receiver, faults.rate, limit)
    )?;
    Ok(())
}

async fn receive(
    from: &TcpStream,
    pieces: mpsc::Sender<Piece>,
    latency: Duration,
) -> io::Result<()> {
    let mut buffer = vec![0; PIECE];
    loop {
        from.readable().await?;
        match from.try_read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(length) => {
                let piece = Piece {
                    due: Instant::now() + latency,
                    bytes: buffer[..length].to_vec(),
                };
                if pieces.send(piece).await.is_err() {
                    return Ok(());
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}

async fn deliver(
    to: &TcpStream,
    mut pieces: mpsc::Receiver<Piece>,
    rate: Option<u64>,
    limit: Option<Limit>,
) -> io::Result<()> {
    let mut delivered = 0_u64;
    while let Some(piece) = pieces.recv().await {
        sleep_until(piece.due).await;
        let length = piece.bytes.len() as u64;
        if let Some(Limit { reset, stall }) = limit {
            let until = |bytes: u64| usize::try_from(bytes - delivered).unwrap_or(usize::MAX);
            if let Some(bytes) = reset.filter(|bytes| delivered + length > *bytes) {
                write(to, &piece.bytes[..until(bytes)]).await?;
                return Err(io::ErrorKind::ConnectionReset.into());
            }
            if let Some(bytes) = stall.filter(|bytes| delivered + length > *bytes) {
                write(to, &piece.bytes[..until(bytes)]).await?;
                return std::future::pending().await;
            }
        }
        write(to, &piece.bytes).await?;
        delivered += length;
        if let Some(rate) = rate {
            sleep(Duration::from_micros(length * 1_000_000 / rate)).await;
        }
    }
    // Says to the other side that this direction has ended.
    rustix::net::shutdown(to, rustix::net::Shutdown::Write)?;
    Ok(())
}

async fn write(to: &TcpStream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        to.writable().await?;
        match to.try_write(bytes) {
            Ok(length) => bytes = &bytes[length..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
