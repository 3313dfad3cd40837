//! Requests as nearly all are: HTTP/1.1, no upgrade, a small body or none.
//!
//! They are read, judged and passed on here, one read and one write each way.
//! Whatever else a client sends is handed to the general way with its
//! connection, from its first byte on.

mod answer;
mod buffer;
mod chunks;
mod endpoints;
mod exchange;
mod patience;
mod request;
mod rewound;
#[cfg(test)]
mod tests;

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use self::buffer::{Buffer, Filled};
use self::endpoints::Desk;
pub(super) use self::endpoints::Endpoints;
use self::patience::Patience;
use self::request::{Judgement, Peer};
use self::rewound::Rewound;
use super::forward::{Client, Forwarder, Refusal, Way};
use super::{HEADERS, IDLE};

/// Room for what a client sends at once, and the most of head and body.
const OUTBOUND: usize = 4 * 1024;
const OUTBOUND_MOST: usize = 64 * 1024;
/// A client has this long to hear that the connection ends.
const FAREWELL: Duration = Duration::from_secs(5);

/// Answers requests until the connection ends, or until one comes that is not
/// for this way: then the connection is given back with all of that request.
pub(super) async fn serve<S>(
    stream: S,
    client: Client,
    forwarder: &Forwarder,
    shutdown: &CancellationToken,
) -> Option<Rewound<S>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut connection = Connection {
        stream,
        sent: Buffer::new(OUTBOUND, OUTBOUND_MOST),
        patience: Patience::new(HEADERS),
        peer: Peer {
            address: client.address.ip().to_string(),
            scheme: if client.is_secure { "https" } else { "http" },
        },
        forwarder,
        shutdown,
        ending: Box::pin(shutdown.clone().cancelled_owned()),
    };
    let mut goes_on = true;
    while goes_on {
        if !connection.has_heard().await {
            break;
        }
        let mut desk = forwarder.endpoints.desk();
        let next = connection.next(&mut desk).await;
        goes_on = match next {
            Next::Ask(ask) => connection.answer(&ask, &mut desk).await,
            Next::Refused(why) => {
                let refusal = (
                    StatusCode::BAD_REQUEST,
                    format!("the request is refused: {why}"),
                );
                connection.refuse(&refusal, false, &mut desk, false).await
            }
            Next::End => false,
            Next::Unusual => {
                forwarder.endpoints.put_back(desk);
                let read = Bytes::copy_from_slice(connection.sent.unused());
                return Some(Rewound::new(read, connection.stream));
            }
        };
        forwarder.endpoints.put_back(desk);
    }
    // Whoever left already need not hear of it.
    tokio::time::timeout(FAREWELL, connection.stream.shutdown())
        .await
        .ok();
    None
}

/// One client's connection.
struct Connection<'f, S> {
    stream: S,
    /// What the client sent and nobody used yet.
    sent: Buffer,
    patience: Patience,
    peer: Peer,
    forwarder: &'f Forwarder,
    shutdown: &'f CancellationToken,
    ending: Pin<Box<WaitForCancellationFutureOwned>>,
}

/// What a client wants next.
enum Next {
    Ask(Ask),
    Refused(&'static str),
    Unusual,
    /// It left, or was too slow.
    End,
}

/// A request to pass on, apart from its bytes.
struct Ask {
    way: Result<Way, Refusal>,
    keeps: bool,
    is_head: bool,
    is_repeatable: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<'_, S> {
    /// Waits until the client has sent something; without a buffer for the
    /// rest, as most connections wait most of the time.
    async fn has_heard(&mut self) -> bool {
        self.sent.shrink(OUTBOUND);
        self.patience.restart(IDLE);
        if !self.sent.unused().is_empty() {
            return !self.shutdown.is_cancelled();
        }
        let (sent, stream) = (&mut self.sent, &mut self.stream);
        let (patience, ending) = (&mut self.patience, &mut self.ending);
        poll_fn(|context| {
            // First of all: who just asked is answered even at the end.
            match sent.poll_fill(Pin::new(&mut *stream), context) {
                Poll::Ready(heard) => return Poll::Ready(matches!(heard, Ok(Filled::Bytes))),
                Poll::Pending => {}
            }
            let is_over = patience.poll_over(context).is_ready();
            if is_over || ending.as_mut().poll(context).is_ready() {
                return Poll::Ready(false);
            }
            Poll::Pending
        })
        .await
    }

    /// Reads a request; as an endpoint gets it, it stands on the desk.
    async fn next(&mut self, desk: &mut Desk) -> Next {
        self.patience.restart(HEADERS);
        loop {
            let sent = self.sent.unused();
            match request::judge(sent, &self.peer, &mut desk.request) {
                Judgement::Plain(request) => {
                    let ask = Ask {
                        way: self.forwarder.find(request.host, request.path),
                        keeps: request.keeps,
                        is_head: request.is_head,
                        is_repeatable: request.is_repeatable,
                    };
                    let length = request.length;
                    self.sent.use_up(length);
                    return Next::Ask(ask);
                }
                Judgement::Refused(why) => return Next::Refused(why),
                Judgement::Unusual => return Next::Unusual,
                Judgement::Partial => {}
            }
            let (sent, stream, patience) = (&mut self.sent, &mut self.stream, &mut self.patience);
            let filled = poll_fn(
                |context| match sent.poll_fill(Pin::new(&mut *stream), context) {
                    Poll::Ready(Ok(filled)) => Poll::Ready(Some(filled)),
                    Poll::Ready(Err(_)) => Poll::Ready(None),
                    Poll::Pending => patience.poll_over(context).map(|()| None),
                },
            )
            .await;
            match filled {
                Some(Filled::Bytes) => {}
                Some(Filled::Full) => return Next::Unusual,
                Some(Filled::End) | None => return Next::End,
            }
        }
    }
}
