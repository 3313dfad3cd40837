//! Callers of a service: requests at a steady rate over kept connections, and
//! what came of each.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

/// A request that takes longer is lost.
const REQUEST_LIMIT: Duration = Duration::from_secs(30);
/// Failures told in words; the rest only count.
const WORDS_MAX: usize = 5;

/// Whom to call, and how often.
#[derive(Debug, Clone)]
pub(crate) struct Wish {
    pub address: SocketAddr,
    /// The name the ingress knows the service by.
    pub host: String,
    pub per_second: u32,
    pub connections: u32,
}

/// What came of all requests.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub answered: usize,
    pub failed: usize,
    pub words: Vec<String>,
    pub slowest: Duration,
}

/// Callers at work.
#[derive(Debug)]
pub(crate) struct Callers {
    stop: CancellationToken,
    tasks: JoinSet<Tally>,
}

impl Callers {
    pub(crate) fn start(wish: &Wish) -> Self {
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        for _ in 0..wish.connections {
            tasks.spawn(call(wish.clone(), stop.clone()));
        }
        Self { stop, tasks }
    }

    /// Ends the calls; those under way finish.
    pub(crate) async fn stop(mut self) -> Tally {
        self.stop.cancel();
        let mut all = Tally::default();
        while let Some(tally) = self.tasks.join_next().await {
            let tally = tally.expect("a caller does not panic");
            all.answered += tally.answered;
            all.failed += tally.failed;
            all.slowest = all.slowest.max(tally.slowest);
            all.words.extend(tally.words);
        }
        all.words.truncate(WORDS_MAX);
        all
    }
}

async fn call(wish: Wish, stop: CancellationToken) -> Tally {
    let mut tally = Tally::default();
    let pause = Duration::from_secs(1) * wish.connections / wish.per_second;
    let mut turns = tokio::time::interval(pause);
    // A caller that was held up catches up, so that the rate stays what it is.
    turns.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut kept = None;
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return tally,
            _ = turns.tick() => {}
        }
        let began = Instant::now();
        let asked = tokio::time::timeout(REQUEST_LIMIT, ask(&wish, &mut kept)).await;
        let outcome = asked.unwrap_or_else(|_| Err(format!("no answer within {REQUEST_LIMIT:?}")));
        tally.slowest = tally.slowest.max(began.elapsed());
        match outcome {
            Ok(()) => tally.answered += 1,
            Err(words) => {
                kept = None;
                tally.failed += 1;
                if tally.words.len() < WORDS_MAX {
                    tally.words.push(words);
                }
            }
        }
    }
}

/// A connection that can be used again.
pub(crate) type Sender = SendRequest<Empty<Bytes>>;

/// Asks once, over the kept connection if there is one.
pub(crate) async fn ask(wish: &Wish, kept: &mut Option<Sender>) -> Result<(), String> {
    let good = match kept.take() {
        Some(mut sender) => sender.ready().await.is_ok().then_some(sender),
        None => None,
    };
    let mut sender = match good {
        Some(sender) => sender,
        None => connect(wish.address).await?,
    };
    let request = http::Request::get("/")
        .header("host", &wish.host)
        .body(Empty::new())
        .map_err(|error| error.to_string())?;
    let answer = sender
        .send_request(request)
        .await
        .map_err(|error| format!("{error:?}"))?;
    let status = answer.status();
    let body = answer.into_body().collect().await;
    let body = body.map_err(|error| format!("{error:?}"))?.to_bytes();
    if !status.is_success() {
        return Err(format!("{status}: {}", String::from_utf8_lossy(&body)));
    }
    *kept = Some(sender);
    Ok(())
}

async fn connect(address: SocketAddr) -> Result<Sender, String> {
    let stream = tokio::net::TcpStream::connect(address)
        .await
        .map_err(|error| error.to_string())?;
    let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| error.to_string())?;
    // It ends with the sender, and what broke it the request tells.
    tokio::spawn(async move { drop(connection.await) });
    Ok(sender)
}
