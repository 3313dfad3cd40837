//! Between the agent and the cluster: counts requests, answers badly, or stops the world.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use foreshore_cluster::Client;
use foreshore_testkit::cluster::Kind;
use http::{Method, Request, Response, StatusCode};
use kube::client::Body;
use tokio::sync::Notify;
use tower::{BoxError, service_fn};

/// What one request of the agent meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Pass,
    /// Never arrives, and its sender is told nothing.
    Lost,
    /// Arrives, but the answer never comes back.
    Unanswered,
    /// Is refused with this code by something in front of the server.
    Refused(u16),
    /// Is answered with this text by something in front of the server.
    Answered(&'static str),
}

type Decide = Box<dyn FnMut(usize, &str) -> Fate + Send>;

/// The record of requests, and the rule for the next.
#[derive(Clone)]
pub(crate) struct Wire {
    kind: Kind,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    lines: Mutex<Vec<String>>,
    decide: Mutex<Option<Decide>>,
    stuck: Notify,
    /// Requests about leases: they go by the clock, so rules by number leave them alone.
    leases: Mutex<Vec<String>>,
    cut: AtomicBool,
    /// So many watches are told that history is gone.
    forgotten: AtomicUsize,
}

impl Wire {
    pub(crate) fn new(kind: Kind) -> Self {
        Self {
            kind,
            shared: Arc::default(),
        }
    }

    /// Sets what becomes of requests from now on, by number and line.
    pub(crate) fn decide(&self, rule: impl FnMut(usize, &str) -> Fate + Send + 'static) {
        *self.shared.decide.lock().unwrap() = Some(Box::new(rule));
    }

    /// Returns the requests so far, watches left out.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.shared.lines.lock().unwrap().clone()
    }

    pub(crate) fn writes(&self) -> Vec<String> {
        let is_write = |line: &String| !line.starts_with("GET ") && !line.contains("dryRun=All");
        self.lines().into_iter().filter(is_write).collect()
    }

    pub(crate) fn clear(&self) {
        self.shared.lines.lock().unwrap().clear();
    }

    /// Lets nothing through any more but what watches tell, or everything again.
    pub(crate) fn cut(&self, is_cut: bool) {
        self.shared.cut.store(is_cut, Ordering::SeqCst);
    }

    /// Answers the next watches as a server does that has compacted its history.
    pub(crate) fn forget_history(&self, watches: usize) {
        self.shared.forgotten.store(watches, Ordering::SeqCst);
    }

    /// Returns the requests about leases so far.
    pub(crate) fn leases(&self) -> Vec<String> {
        self.shared.leases.lock().unwrap().clone()
    }

    /// Waits until a request was lost or left unanswered.
    pub(crate) async fn stuck(&self) {
        self.shared.stuck.notified().await;
    }

    /// Returns a client whose requests go through this wire.
    pub(crate) async fn client(&self) -> Client {
        let inner = foreshore_cluster::connect(crate::cluster::kubeconfig(self.kind), None)
            .await
            .unwrap();
        let wire = self.clone();
        let service = service_fn(move |request| wire.clone().carry(inner.clone(), request));
        Client::new(service, "default")
    }

    async fn carry(
        self,
        inner: Client,
        request: Request<Body>,
    ) -> Result<Response<Body>, BoxError> {
        let line = format!(
            "{} {}",
            request.method(),
            request.uri().path_and_query().unwrap()
        );
        let is_watch = request.method() == Method::GET && line.contains("watch=true");
        let one_less = |count: usize| count.checked_sub(1);
        let is_forgotten = is_watch
            && (self.shared.forgotten)
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less)
                .is_ok();
        let fate = if is_forgotten {
            Fate::Refused(410)
        } else if is_watch {
            Fate::Pass
        } else if self.shared.cut.load(Ordering::SeqCst) {
            Fate::Lost
        } else if line.contains("/leases") {
            self.shared.leases.lock().unwrap().push(line);
            Fate::Pass
        } else {
            self.fate(&line)
        };
        match fate {
            Fate::Pass => Ok(inner.send(request).await?),
            Fate::Lost => {
                self.shared.stuck.notify_one();
                std::future::pending().await
            }
            Fate::Unanswered => {
                drop(inner.send(request).await);
                self.shared.stuck.notify_one();
                std::future::pending().await
            }
            Fate::Answered(text) => Ok(Response::new(Body::from(text.as_bytes().to_vec()))),
            Fate::Refused(code) => {
                let body = format!(
                    "{{\"kind\":\"Status\",\"message\":\"refused by the test\",\"code\":{code}}}"
                );
                let mut answer = Response::new(Body::from(body.into_bytes()));
                *answer.status_mut() = StatusCode::from_u16(code).unwrap();
                Ok(answer)
            }
        }
    }

    fn fate(&self, line: &str) -> Fate {
        let mut lines = self.shared.lines.lock().unwrap();
        lines.push(line.to_owned());
        let number = lines.len();
        drop(lines);
        let mut decide = self.shared.decide.lock().unwrap();
        decide
            .as_mut()
            .map_or(Fate::Pass, |decide| decide(number, line))
    }
}
