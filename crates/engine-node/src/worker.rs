//! Looks after one pod: decides, carries out, listens, decides again.
//!
//! One task per pod owns everything about it. What takes time runs in tasks
//! of its own that report back as [`News`].

mod act;
mod ended;
mod hear;
mod probe;
mod publish;
mod refresh;
mod restore;
mod simulate;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use foreshore_model::chain;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, PodStatus};
use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::container::RunningContainer;
use crate::context::Context;
use crate::folders::{PodFolder, PodRecord};
use crate::pod::decide::decide;
use crate::pod::fields;
use crate::pod::probe::ProbeKind;
use crate::pod::state::{Finished, PodState};
use crate::pod::status::{self, Place};
use crate::sources::Tokens;
use crate::start::NotCreated;

/// News waiting for the worker; tasks wait when it is full.
const NEWS_QUEUE: usize = 16;

/// How soon a pod is taken on again after the node lacked something for it.
const TAKE_ON_AGAIN_AFTER: Duration = Duration::from_secs(10);

/// What the API says of the pod.
#[derive(Debug, Clone)]
pub(crate) enum Told {
    Pod(Arc<Pod>),
    /// The pod is no longer in the API.
    Gone,
}

/// Something that runs.
#[derive(Debug, Clone)]
enum Live {
    Real(Arc<RunningContainer>),
    Simulated(CancellationToken),
}

/// What a start led to.
#[derive(Debug)]
enum Begun {
    Running { live: Live, since: Timestamp },
    Ended(Finished),
}

#[derive(Debug)]
enum News {
    Prepared(Result<(), String>),
    Begun {
        container: String,
        image_id: String,
        begun: Begun,
    },
    NotCreated {
        container: String,
        why: NotCreated,
    },
    Ended {
        container: String,
        finished: Finished,
    },
    Verdict {
        container: String,
        attempt: u32,
        kind: ProbeKind,
        success: bool,
    },
    ProbeFailed {
        container: String,
        kind: ProbeKind,
        message: String,
    },
    HookFailed {
        container: String,
        reason: &'static str,
        message: String,
    },
    /// Why the pod must end, if it must.
    Refreshed(Result<Option<String>, String>),
    Published(Result<Box<PodStatus>, String>),
}

/// What belongs to one running container.
#[derive(Debug)]
struct Attended {
    live: Live,
    /// Waits for its end, probes it.
    tasks: Vec<AbortHandle>,
    /// Carries out a stop.
    stop: Option<AbortHandle>,
}

#[derive(Debug)]
pub(crate) struct Worker {
    context: Arc<Context>,
    pod: Arc<Pod>,
    folder: PodFolder,
    address: String,
    state: PodState,
    saved: Option<PodState>,
    attended: HashMap<String, Attended>,
    tasks: JoinSet<()>,
    news: mpsc::Sender<News>,
    publishing: publish::Publishing,
    refreshing: refresh::Refreshing,
    tokens: Arc<tokio::sync::Mutex<Tokens>>,
    /// Cancelled when no container is to be started any more.
    unwanted: CancellationToken,
    /// The pod vanished from the API, so there is nobody to tell.
    is_gone: bool,
}

/// Why a worker ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WorkerEnd {
    /// The pod is gone, here and in the API.
    Removed,
    /// The node shuts down; containers keep running.
    Left,
}

impl Worker {
    /// Takes on a pod, and whatever an earlier run of the node left of it.
    pub(crate) async fn run(
        context: Arc<Context>,
        pod: Arc<Pod>,
        mut told: watch::Receiver<Told>,
        shutdown: CancellationToken,
    ) -> WorkerEnd {
        let (news, mut heard) = mpsc::channel(NEWS_QUEUE);
        let mut worker = loop {
            let error = match Self::take_on(&context, &pod, news.clone()).await {
                Ok(worker) => break worker,
                Err(error) => error,
            };
            context.warn(&pod, None, "FailedCreatePodSandBox", error);
            tokio::select! {
                () = shutdown.cancelled() => return WorkerEnd::Left,
                () = tokio::time::sleep(TAKE_ON_AGAIN_AFTER) => {}
            }
        };
        loop {
            let (wake_at, removed) = worker.settle();
            if removed {
                return worker.remove(&shutdown).await;
            }
            let pause = pause_until(wake_at, worker.context.now());
            tokio::select! {
                () = shutdown.cancelled() => return WorkerEnd::Left,
                changed = told.changed() => match changed {
                    Ok(()) => {
                        let latest = told.borrow_and_update().clone();
                        worker.hear_api(latest);
                    }
                    Err(_closed) => return WorkerEnd::Left,
                },
                news = heard.recv() => worker.hear(news.expect("the worker itself holds a sender")),
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    async fn take_on(
        context: &Arc<Context>,
        pod: &Arc<Pod>,
        news: mpsc::Sender<News>,
    ) -> Result<Self, String> {
        let uid = fields::uid(pod);
        let folder = PodFolder::new(&context.options.root, uid);
        let address = if fields::is_host_network(pod) {
            context.node_address()
        } else {
            context.addresses.take(uid).map_err(|error| chain(&error))?
        };
        folder
            .create()
            .map_err(|error| format!("cannot create `{}`: {error}", folder.path().display()))?;
        let record = folder.record().map_err(|error| chain(&error))?;
        let state = record.map(|record| record.state);
        let mut worker = Self {
            context: Arc::clone(context),
            pod: Arc::clone(pod),
            folder,
            address: address.to_string(),
            saved: state.clone(),
            state: state.unwrap_or_default(),
            attended: HashMap::new(),
            tasks: JoinSet::new(),
            news,
            publishing: publish::Publishing::default(),
            refreshing: refresh::Refreshing::default(),
            tokens: Arc::default(),
            unwanted: CancellationToken::new(),
            is_gone: false,
        };
        worker.restore().await;
        Ok(worker)
    }

    /// Decides and carries out until there is nothing to do at once. Answers
    /// when to look again and whether the pod is to be removed.
    fn settle(&mut self) -> (Option<Timestamp>, bool) {
        let now = self.context.now();
        if fields::deletion(&self.pod).is_some() || self.state.failure.is_some() {
            self.unwanted.cancel();
        }
        let wake_at = loop {
            let decision = decide(&self.pod, &self.state, now);
            if decision.actions.is_empty() {
                break decision.wake_at;
            }
            for action in decision.actions {
                if self.carry_out(action, now) {
                    return (None, true);
                }
            }
            // Each action changes the state such that it is not decided again.
        };
        if status::is_over(&self.pod, &self.state) && !self.state.is_active() {
            self.state.is_over = true;
        }
        self.save();
        let publish_at = self.publish(now);
        let refresh_at = self.refresh(now);
        let shown_until = status::changes_at(&self.pod, &self.state, now);
        (
            [wake_at, publish_at, refresh_at, shown_until]
                .into_iter()
                .flatten()
                .min(),
            false,
        )
    }

    /// Keeps what is known, for the next run of the node.
    fn save(&mut self) {
        if self.saved.as_ref() == Some(&self.state) {
            return;
        }
        let record = PodRecord {
            namespace: fields::namespace(&self.pod).to_owned(),
            name: fields::name(&self.pod).to_owned(),
            uid: fields::uid(&self.pod).to_owned(),
            grace_seconds: fields::grace(&self.pod).as_secs(),
            state: self.state.clone(),
        };
        match self.folder.write_record(&record) {
            Ok(()) => self.saved = Some(self.state.clone()),
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(
                    error,
                    pod = record.name,
                    "state of a pod cannot be kept; will retry"
                );
            }
        }
    }

    fn place(&self) -> Place {
        Place {
            pod_address: Some(self.address.clone()),
            node_address: self.context.node_address().to_string(),
        }
    }

    /// Runs `task` beside the worker; its answer comes back as news.
    fn spawn(&mut self, task: impl Future<Output = Option<News>> + Send + 'static) -> AbortHandle {
        // Finished tasks are forgotten here, so that they do not pile up.
        while self.tasks.try_join_next().is_some() {}
        let news = self.news.clone();
        self.tasks.spawn(async move {
            if let Some(item) = task.await
                && news.send(item).await.is_err()
            {
                tracing::debug!("news of a pod that is no longer looked after");
            }
        })
    }
}

/// How long to sleep; an hour if nothing is due.
fn pause_until(wake_at: Option<Timestamp>, now: Timestamp) -> Duration {
    const LONGEST: Duration = Duration::from_hours(1);
    let Some(at) = wake_at else { return LONGEST };
    // A moment later rather than earlier: waking too early would decide nothing.
    Duration::try_from(at.duration_since(now)).map_or(Duration::ZERO, |pause| {
        (pause + Duration::from_millis(1)).min(LONGEST)
    })
}
