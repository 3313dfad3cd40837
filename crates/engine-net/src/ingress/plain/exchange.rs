//! One request: sent to an endpoint, its answer passed back as it comes.

use std::future::poll_fn;
use std::io::Write as _;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::Poll;

use http::StatusCode;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tracing::{debug, warn};

use super::answer::{self, Answer, Body, Heard};
use super::buffer::Filled;
use super::endpoints::Desk;
use super::request::write;
use super::{Ask, Connection};
use crate::ingress::forward::{ANSWER, Refusal, nobody};

/// What came of sending a request to one endpoint.
enum Outcome {
    /// The client has its answer; whether its connection goes on.
    Answered(bool),
    ClientGone,
    /// Nothing was sent.
    NoConnection,
    /// The connection had waited, and ended before the endpoint said a word.
    Stale,
    /// Sent, and nobody knows what became of it.
    Broken,
    Late,
    Malformed(&'static str),
}

/// What there is to do after waiting for an endpoint.
enum Event {
    Bytes,
    End,
    /// It did not end, it broke.
    Failed,
    Full,
    Late,
    ClientGone,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<'_, S> {
    /// Answers a request, if need be with the reason why it cannot be passed
    /// on; tells whether the connection goes on.
    pub(super) async fn answer(&mut self, ask: &Ask, desk: &mut Desk) -> bool {
        let way = match &ask.way {
            Ok(way) => way,
            Err(refusal) => return self.refuse(refusal, ask.is_head, desk, ask.keeps).await,
        };
        let refusal = |code, what: &str| (code, nobody(&way.destination, what));
        for endpoint in way.endpoints() {
            let mut outcome = self.try_one(endpoint, ask, desk, false).await;
            if matches!(outcome, Outcome::Stale) && ask.is_repeatable {
                outcome = self.try_one(endpoint, ask, desk, true).await;
            }
            let refusal = match outcome {
                Outcome::Answered(goes_on) => return goes_on,
                Outcome::ClientGone => return false,
                Outcome::NoConnection => continue,
                // Who only asks may ask another endpoint, once each.
                Outcome::Stale | Outcome::Broken if ask.is_repeatable => {
                    debug!(%endpoint, "endpoint broke off; asking another");
                    continue;
                }
                Outcome::Stale | Outcome::Broken => {
                    warn!(%endpoint, "endpoint broke off");
                    refusal(StatusCode::BAD_GATEWAY, "broke off before it answered")
                }
                Outcome::Malformed(what) => {
                    warn!(%endpoint, what, "endpoint was not understood");
                    refusal(StatusCode::BAD_GATEWAY, what)
                }
                Outcome::Late => {
                    let what = "did not begin its answer in time";
                    refusal(StatusCode::GATEWAY_TIMEOUT, what)
                }
            };
            return self.refuse(&refusal, ask.is_head, desk, ask.keeps).await;
        }
        let refusal = refusal(
            StatusCode::SERVICE_UNAVAILABLE,
            "has no endpoint that answers",
        );
        self.refuse(&refusal, ask.is_head, desk, ask.keeps).await
    }

    /// Says why a request was not passed on; tells whether the connection goes on.
    pub(super) async fn refuse(
        &mut self,
        (code, what): &Refusal,
        is_head: bool,
        desk: &mut Desk,
        keeps: bool,
    ) -> bool {
        let keeps = keeps && !self.shutdown.is_cancelled();
        let out = &mut desk.answer;
        out.clear();
        let reason = code.canonical_reason().unwrap_or_default();
        let length = (what.len() + 1).to_string();
        write(
            out,
            &[
                b"HTTP/1.1 ",
                code.as_str().as_bytes(),
                b" ",
                reason.as_bytes(),
            ],
        );
        write(
            out,
            &[b"\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: "],
        );
        write(
            out,
            &[
                length.as_bytes(),
                b"\r\ndate: ",
                answer::now().as_bytes(),
                b"\r\n",
            ],
        );
        if *code == StatusCode::SERVICE_UNAVAILABLE {
            write(out, &[b"retry-after: 1\r\n"]);
        }
        end_head(out, keeps);
        if !is_head {
            write(out, &[what.as_bytes(), b"\n"]);
        }
        send(&mut self.stream, out).await && keeps
    }

    async fn try_one(
        &mut self,
        endpoint: SocketAddr,
        ask: &Ask,
        desk: &mut Desk,
        is_new: bool,
    ) -> Outcome {
        let endpoints = &self.forwarder.endpoints;
        let waiting = (!is_new)
            .then(|| endpoints.take(endpoint, !ask.is_repeatable))
            .flatten();
        let has_waited = waiting.is_some();
        let opened = match waiting {
            Some(stream) => Ok(stream),
            None => endpoints.open(endpoint).await,
        };
        let mut stream = match opened {
            Ok(stream) => stream,
            Err(error) => {
                debug!(error = &error as &dyn std::error::Error, %endpoint, "endpoint did not answer");
                return Outcome::NoConnection;
            }
        };
        desk.inbound.clear();
        let broken = if has_waited {
            Outcome::Stale
        } else {
            Outcome::Broken
        };
        if stream.write_all(&desk.request).await.is_err() {
            return broken;
        }
        self.patience.restart(ANSWER);
        let answer = loop {
            match self.event(&mut stream, desk).await {
                Event::Bytes => {}
                Event::End | Event::Failed if desk.inbound.unused().is_empty() => return broken,
                Event::End | Event::Failed => return Outcome::Broken,
                Event::Full => return Outcome::Malformed("gave an answer with too long a head"),
                Event::Late => return Outcome::Late,
                Event::ClientGone => return Outcome::ClientGone,
            }
            match hear(desk, ask.is_head) {
                Heard::Answer(answer) => break answer,
                Heard::Malformed(what) => return Outcome::Malformed(what),
                Heard::Partial | Heard::Interim(_) => {}
            }
        };
        let is_reusable = answer.keeps;
        let keeps = ask.keeps && !self.shutdown.is_cancelled();
        if !self.pass_back(answer, &mut stream, desk, keeps).await {
            return Outcome::Answered(false);
        }
        if is_reusable && desk.inbound.unused().is_empty() {
            self.forwarder.endpoints.give(endpoint, stream);
        }
        Outcome::Answered(keeps)
    }

    /// Waits for the endpoint; a client that leaves meanwhile ends it.
    async fn event(&mut self, stream: &mut TcpStream, desk: &mut Desk) -> Event {
        let (client, sent) = (&mut self.stream, &mut self.sent);
        let patience = &mut self.patience;
        poll_fn(|context| {
            match desk.inbound.poll_fill(Pin::new(&mut *stream), context) {
                Poll::Ready(Ok(Filled::Bytes)) => return Poll::Ready(Event::Bytes),
                Poll::Ready(Ok(Filled::Full)) => return Poll::Ready(Event::Full),
                Poll::Ready(Ok(Filled::End)) => return Poll::Ready(Event::End),
                Poll::Ready(Err(_)) => return Poll::Ready(Event::Failed),
                Poll::Pending => {}
            }
            loop {
                match sent.poll_fill(Pin::new(&mut *client), context) {
                    // The next request, which waits until this one is done.
                    Poll::Ready(Ok(Filled::Bytes)) => {}
                    Poll::Ready(Ok(Filled::Full)) | Poll::Pending => break,
                    Poll::Ready(Ok(Filled::End) | Err(_)) => {
                        return Poll::Ready(Event::ClientGone);
                    }
                }
            }
            patience.poll_over(context).map(|()| Event::Late)
        })
        .await
    }

    /// Passes an answer on until its end; tells whether the client has all of
    /// it. If not, the connection has to end, which is how the client knows.
    async fn pass_back(
        &mut self,
        answer: Answer,
        stream: &mut TcpStream,
        desk: &mut Desk,
        keeps: bool,
    ) -> bool {
        let mut body = answer.body;
        // An answer takes as long as it takes.
        self.patience.stop();
        end_head(&mut desk.answer, keeps);
        desk.inbound.use_up(answer.length);
        loop {
            let bytes = desk.inbound.unused();
            let Ok(length) = body.read(bytes) else {
                warn!("endpoint sent a body that is not in chunks, as it said");
                // What was right until here may go; the rest never comes.
                return false;
            };
            add(&mut desk.answer, &body, &bytes[..length]);
            desk.inbound.use_up(length);
            if !desk.answer.is_empty() && !send(&mut self.stream, &desk.answer).await {
                return false;
            }
            desk.answer.clear();
            if body.is_over() {
                return true;
            }
            match self.event(stream, desk).await {
                Event::Bytes => {}
                Event::End if body == Body::UntilEnd => {
                    return send(&mut self.stream, b"0\r\n\r\n").await;
                }
                _ => return false,
            }
        }
    }
}

/// Judges what is on the desk, after any words on the way to the answer.
fn hear(desk: &mut Desk, is_head: bool) -> Heard {
    loop {
        let heard = answer::hear(desk.inbound.unused(), is_head, &mut desk.answer);
        let Heard::Interim(length) = heard else {
            return heard;
        };
        desk.inbound.use_up(length);
    }
}

/// Adds bytes of a body; those without an end of their own get one.
fn add(out: &mut Vec<u8>, body: &Body, bytes: &[u8]) {
    if *body == Body::UntilEnd {
        if !bytes.is_empty() {
            write!(out, "{:x}\r\n", bytes.len()).expect("memory takes all bytes");
            write(out, &[bytes, b"\r\n"]);
        }
    } else {
        write(out, &[bytes]);
    }
}

fn end_head(out: &mut Vec<u8>, keeps: bool) {
    if !keeps {
        write(out, &[b"connection: close\r\n"]);
    }
    write(out, &[b"\r\n"]);
}

/// Sends all of it; tells whether the client took it.
async fn send(client: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> bool {
    let sent = async {
        client.write_all(bytes).await?;
        client.flush().await
    };
    sent.await.is_ok()
}
