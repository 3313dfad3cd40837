//! One service in one environment: brings it to its target and watches over it.
//!
//! A turn re-reads what is wanted and what is there and does the difference;
//! it never asks which event woke it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use foreshore_cluster::{Cluster, Inventory, Reference};
use foreshore_model::config::Drift;
use foreshore_model::outcome::Cause;
use foreshore_model::{Digest, Outcome, Phase, SiteName, clock};
use jiff::Timestamp;
use tokio::sync::{Notify, Semaphore, watch};
use tokio::time::Instant;
use tracing::{Instrument as _, debug, info_span, warn};

use crate::checks::CheckOptions;
use crate::dependencies::Reached;
use crate::desired::{Desired, desired};
use crate::herald::Herald;
use crate::hooks::Moment;
use crate::phase::Course;
use crate::report::Reporter;
use crate::server::Server;
use crate::source::{Source, SourceError};
use crate::standings::Standings;
use crate::supply::{Supply, located};
use crate::watches::Watches;
use crate::world::{Owner, World};

mod checking;
mod drift;
mod execute;
mod failure;
mod hooks;
mod observe;
mod order;
mod retire;
mod sites;
mod tell;
mod trust;

pub(crate) use failure::Failure;

/// How soon a worker looks again whether it may write.
const FENCED_PAUSE: Duration = Duration::from_millis(500);

/// What all workers share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) cluster: Cluster,
    pub(crate) world: Arc<World>,
    pub(crate) watches: Watches,
    pub(crate) source: Arc<dyn Source>,
    pub(crate) reporter: Arc<Reporter>,
    /// Where outcomes of other sites are asked for.
    pub(crate) server: Option<Server>,
    /// Services that may write at the same time.
    pub(crate) writers: Semaphore,
    pub(crate) site: SiteName,
    pub(crate) health: foreshore_health::Options,
    pub(crate) rollout_timeout: Duration,
    /// Whether and where from releases are checked.
    pub(crate) checks: Option<CheckOptions>,
    /// Where artifacts are, and what says that they are genuine.
    pub(crate) supply: Option<Arc<Supply>>,
    /// Services whose checks may run at the same time.
    pub(crate) checkers: Arc<Semaphore>,
    /// What services wait for each other.
    pub(crate) standings: Standings,
    pub(crate) herald: Herald,
}

/// What a service shall be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    /// The commit in which the tree was first seen.
    pub(crate) commit: String,
    /// Tree of the service's folder; none when the service was ended.
    pub(crate) tree: Option<String>,
    /// What may go with a service that was ended, although it keeps something.
    pub(crate) confirmed: Vec<String>,
    pub(crate) rules: Rules,
}

/// What the environment says about every service in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Rules {
    /// Sites that must be healthy with a release before this one takes it.
    pub(crate) sites_before: Vec<SiteName>,
    pub(crate) drift: Drift,
    /// Account of the namespace to act as.
    pub(crate) service_account: Option<String>,
}

/// When to look again if nothing happens before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    At(Instant),
    /// Only when something changes.
    OnChange,
    /// There is nothing left to do for ever.
    Done,
}

impl Next {
    pub(crate) fn after(pause: Duration) -> Self {
        Self::At(Instant::now() + pause)
    }

    /// Looks again after `pause` at the latest.
    fn at_latest(self, pause: Duration) -> Self {
        let latest = Instant::now() + pause;
        match self {
            Self::At(time) => Self::At(time.min(latest)),
            Self::OnChange => Self::At(latest),
            Self::Done => Self::Done,
        }
    }
}

/// A write of this process, to tell fresh copies of an object from old ones.
#[derive(Debug, Clone)]
struct Written {
    resource_version: String,
    at: Instant,
    /// Whether a watch has shown the object since.
    shown: bool,
}

/// Pauses between tries of what failed.
#[derive(Debug, Default)]
struct Retry {
    tries: u32,
    due: Option<Instant>,
}

impl Retry {
    fn failed(&mut self, first: Duration, most: Duration) {
        let pause = first.saturating_mul(1 << self.tries.min(16)).min(most);
        self.tries += 1;
        self.due = Some(Instant::now() + pause);
    }

    fn reset(&mut self) {
        *self = Self::default();
    }

    /// Returns when the next try may start.
    fn next(&self) -> Next {
        Next::At(self.due.unwrap_or_else(Instant::now))
    }

    /// Returns the time to wait for, none if the next try may start.
    fn waits(&self) -> Option<Instant> {
        self.due.filter(|due| *due > Instant::now())
    }
}

/// What was last said about the service.
#[derive(Debug)]
struct Told {
    sequence: u64,
    artifact: Digest,
    commit: String,
    phase: Phase,
    causes: Vec<Cause>,
    operations: u64,
    at: Instant,
}

/// The reconciler of one service.
#[derive(Debug)]
pub(crate) struct Worker {
    shared: Arc<Shared>,
    /// The cluster as the agent may use it; closed to writes once another agent leads.
    base: Cluster,
    /// What the service's objects are read and written through.
    cluster: Cluster,
    owner: Owner,
    namespace: String,
    target: watch::Receiver<Target>,
    inventory: Option<Inventory>,
    desired: Option<Arc<Desired>>,
    written: HashMap<Reference, Written>,
    course: Course,
    /// When the present release was last written.
    since: Timestamp,
    retry: Retry,
    prune_retry: Retry,
    heals: HashMap<Reference, Vec<Instant>>,
    told: Option<Told>,
    /// The tree that was read last, and whether it can never be desired.
    tried: Option<(String, bool)>,
    /// Number of the operations that are carried out.
    operated: u64,
    rules: Rules,
    /// When replicas can be set that could not be set yet.
    rescale_due: Option<Instant>,
    checking: checking::Checking,
    /// Tells that checks have ended.
    checked: Arc<Notify>,
    /// Services that depend on each other in a circle with this one.
    circle: Option<String>,
}

impl Worker {
    pub(crate) fn new(
        shared: Arc<Shared>,
        base: Cluster,
        owner: Owner,
        namespace: String,
        target: watch::Receiver<Target>,
        inventory: Option<Inventory>,
    ) -> Self {
        Self {
            cluster: base.clone(),
            base,
            shared,
            owner,
            namespace,
            target,
            inventory,
            desired: None,
            written: HashMap::new(),
            course: Course::default(),
            since: clock::now(),
            retry: Retry::default(),
            prune_retry: Retry::default(),
            heals: HashMap::new(),
            told: None,
            tried: None,
            operated: 0,
            rules: Rules::default(),
            rescale_due: None,
            checking: checking::Checking::default(),
            checked: Arc::default(),
            circle: None,
        }
    }

    /// Works until the service is retired; whoever spawned it may abort it at any await.
    pub(crate) async fn run(mut self) {
        let span = info_span!("service.reconcile", environment = %self.owner.environment, service = %self.owner.service);
        async move {
            let mut changes = self.shared.world.listen(&self.owner);
            loop {
                let target = self.target.borrow_and_update().clone();
                changes.borrow_and_update();
                let wait = async {
                    match self.turn(&target).await {
                        Next::At(time) => Some(time),
                        Next::OnChange => Some(Instant::now() + Duration::from_hours(1)),
                        Next::Done => None,
                    }
                };
                let Some(time) = wait.await else { return };
                tokio::select! {
                    moved = self.target.changed() => if moved.is_err() { return },
                    moved = changes.changed() => if moved.is_err() { return },
                    () = self.checked.notified() => {}
                    () = tokio::time::sleep_until(time) => {}
                }
            }
        }
        .instrument(span)
        .await;
    }

    async fn turn(&mut self, target: &Target) -> Next {
        if !self.base.may_write() {
            // The lead comes back soon or never; nothing is said of what others may be changing.
            return Next::after(FENCED_PAUSE);
        }
        if self.inventory.is_none() {
            if let Some(due) = self.retry.waits() {
                return Next::At(due);
            }
            let (environment, service) = (&self.owner.environment, &self.owner.service);
            match self
                .base
                .inventory(&self.namespace, environment, service)
                .await
            {
                Ok(found) => {
                    let empty = || Inventory::empty(environment.clone(), service.clone());
                    self.inventory = Some(found.unwrap_or_else(empty));
                    self.retry.reset();
                }
                Err(error) => {
                    warn!(
                        error = &error as &dyn std::error::Error,
                        "inventory not read; will retry"
                    );
                    self.retry
                        .failed(Duration::from_secs(1), Duration::from_secs(30));
                    return self.retry.next();
                }
            }
        }
        if self.rules != target.rules {
            self.rules = target.rules.clone();
            self.cluster = acting(&self.base, &self.namespace, &self.rules);
        }
        match &target.tree {
            None => self.retire(&target.commit, &target.confirmed).await,
            Some(tree) => self.keep(&target.commit, tree).await,
        }
    }

    /// Brings the service to the tree and says how it is.
    async fn keep(&mut self, commit: &str, tree: &str) -> Next {
        if self
            .desired
            .as_ref()
            .is_none_or(|desired| desired.tree != tree)
            && let Err(next) = self.load(commit, tree).await
        {
            return next;
        }
        let Some(desired) = self.desired.clone() else {
            return Next::OnChange;
        };
        let is_written = self
            .inventory
            .as_ref()
            .is_some_and(|inventory| inventory.tree == desired.tree);
        if !is_written {
            if desired.operations.paused {
                self.operated = desired.operations.number;
                self.tell_paused(&desired);
                self.reach(&desired.tree, Reached::Well);
                return Next::OnChange;
            }
            if let Some(due) = self.retry.waits() {
                return Next::At(due);
            }
            if let Err(next) = self.wait_for_dependencies(&desired) {
                return next;
            }
            if let Err(next) = self.wait_for_sites(&desired).await {
                return next;
            }
            if let Err(next) = self.trust(&desired).await {
                return next;
            }
            if let Err(next) = self.hooks(&desired, Moment::Before).await {
                return next;
            }
            if let Err(next) = self.write(&desired).await {
                return next;
            }
        }
        self.operated = desired.operations.number;
        self.observe(&desired).await
    }

    /// Reads what the tree holds.
    async fn load(&mut self, commit: &str, tree: &str) -> Result<(), Next> {
        match &self.tried {
            // Only another tree can be any better.
            Some((tried, true)) if tried == tree => return Err(Next::OnChange),
            Some((tried, false)) if tried == tree => {
                if let Some(due) = self.retry.waits() {
                    return Err(Next::At(due));
                }
            }
            _ => self.retry.reset(),
        }
        self.tried = Some((tree.to_owned(), false));
        let (environment, service) = (&self.owner.environment, &self.owner.service);
        let files = match self
            .shared
            .source
            .service(commit, environment, service)
            .await
        {
            Ok(files) => files,
            Err(error) => {
                let why = error.to_string();
                self.reach(tree, Reached::Failed { why });
                return Err(self.unreadable(&error));
            }
        };
        debug!(
            commit,
            tree,
            release = files.release.sequence,
            "release read"
        );
        let (release, operations) = (files.release.clone(), files.operations.clone());
        let manifests_tree = files.manifests_tree.clone();
        let made = desired(files, environment, service, &self.namespace, commit);
        let made = located(self.shared.supply.as_deref(), made);
        self.supersede(release.sequence);
        self.retry.reset();
        self.heals.clear();
        match made {
            Ok(mut made) => {
                // The key is the tree we were asked for, whatever the reader calls it.
                tree.clone_into(&mut made.tree);
                self.since = release.at;
                self.checking.is_about(&made);
                self.course = Course::default();
                let concerned = self.shared.standings.read(&self.owner, &made.dependencies);
                for owner in concerned {
                    self.shared.world.nudge(&owner);
                }
                self.desired = Some(Arc::new(made));
                Ok(())
            }
            Err(error) => {
                let nothing = Desired {
                    namespace: self.namespace.clone(),
                    tree: tree.to_owned(),
                    commit: commit.to_owned(),
                    release,
                    operations,
                    confirmed: Vec::new(),
                    manifests_tree,
                    checks: Vec::new(),
                    dependencies: Vec::new(),
                    objects: Vec::new(),
                    hooks: Vec::new(),
                };
                let causes = vec![Failure::cause(
                    "release",
                    "InvalidManifest",
                    error.to_string(),
                )];
                self.tell(&nothing, Phase::Failed, causes);
                self.desired = None;
                self.tried = Some((tree.to_owned(), true));
                Err(Next::OnChange)
            }
        }
    }

    /// Nothing is known of the new tree, so what runs stays as it is.
    fn unreadable(&mut self, error: &SourceError) -> Next {
        warn!(
            error = error as &dyn std::error::Error,
            "release not read; will retry"
        );
        self.desired = None;
        self.retry
            .failed(Duration::from_secs(1), Duration::from_mins(1));
        self.retry.next()
    }

    fn outcome(&self, desired: &Desired, phase: Phase, causes: Vec<Cause>) -> Outcome {
        Outcome {
            environment: self.owner.environment.clone(),
            site: self.shared.site.clone(),
            service: self.owner.service.clone(),
            sequence: desired.release.sequence,
            artifact: desired.release.artifact.clone(),
            commit: desired.commit.clone(),
            phase,
            causes,
            at: clock::now(),
            operations: self.operated,
            verdicts: self.checking.verdicts(),
        }
    }
}

/// The cluster as the service's account may use it, or as the agent itself.
fn acting(cluster: &Cluster, namespace: &str, rules: &Rules) -> Cluster {
    match &rules.service_account {
        Some(account) => cluster.acting_as(&format!("system:serviceaccount:{namespace}:{account}")),
        None => cluster.clone(),
    }
}
