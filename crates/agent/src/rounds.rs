//! From commit to commit: what changed, and a worker for each service it concerns.

use std::collections::{BTreeMap, HashMap};
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use foreshore_cluster::{Cluster, Inventory, InventoryError};
use foreshore_model::config::SiteOrder;
use foreshore_model::{Environment, EnvironmentName, ServiceName};
use tokio::sync::{Notify, Semaphore, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, warn};

use crate::herald::Herald;
use crate::options::Options;
use crate::report::Reporter;
use crate::server::Server;
use crate::source::{EnvironmentFiles, SourceError};
use crate::standings::Standings;
use crate::watches::Watches;
use crate::worker::{Rules, Shared, Target, Worker};
use crate::world::{Owner, World};

mod frozen;
pub(crate) mod seats;

use seats::{Place, Seats};

/// A worker that panicked starts again after this, doubled each time.
const QUARANTINE: Duration = Duration::from_secs(1);
const QUARANTINE_MAX: Duration = Duration::from_mins(5);
/// Services that are checked at the same time: each takes a thread.
const CHECKERS: usize = 16;
/// One environment between rounds.
#[derive(Debug, Default)]
struct Known {
    namespace: Option<String>,
    /// Services whose folder existed or that have an inventory.
    services: BTreeMap<ServiceName, Option<String>>,
}

/// A running worker.
#[derive(Debug)]
struct Slot {
    target: watch::Sender<Target>,
    namespace: String,
    task: AbortHandle,
    panics: u32,
    /// When a worker that panicked may start again.
    again_at: Option<Instant>,
}

/// State that lives from round to round.
pub(crate) struct Rounds {
    shared: Arc<Shared>,
    environments: Vec<EnvironmentName>,
    /// The commit that is worked on.
    pub(crate) commit: Option<String>,
    done: HashMap<EnvironmentName, String>,
    known: HashMap<EnvironmentName, Known>,
    slots: HashMap<Owner, Slot>,
    tasks: JoinSet<()>,
    owners: HashMap<tokio::task::Id, Owner>,
    seats: Seats,
    /// Environments that are worked on, each under one lead.
    leads: HashMap<EnvironmentName, Lead>,
    _helpers: JoinSet<()>,
    /// Why the config repository is frozen, once that was said.
    alarmed: Option<String>,
}

/// What an environment is worked on with.
#[derive(Debug)]
struct Lead {
    term: u64,
    /// Writes only under this lead.
    cluster: Cluster,
}

impl Rounds {
    pub(crate) fn new(
        options: &Options,
        server: Option<Server>,
        reporter: Arc<Reporter>,
        shutdown: CancellationToken,
        wake: Arc<Notify>,
    ) -> Self {
        let cluster = Cluster::with_options(options.client.clone(), options.cluster.clone());
        let world = Arc::new(World::default());
        let (herald, speak) = Herald::new();
        let mut helpers = JoinSet::new();
        helpers.spawn(speak);
        let shared = Shared {
            watches: Watches::new(cluster.clone(), Arc::clone(&world), shutdown),
            cluster,
            world,
            source: Arc::clone(&options.source),
            reporter,
            server,
            writers: Semaphore::new(options.writers.max(1)),
            site: options.site.clone(),
            health: options.health.clone(),
            rollout_timeout: options.rollout_timeout,
            checks: options.checks.clone(),
            supply: options.supply.clone(),
            checkers: Arc::new(Semaphore::new(CHECKERS)),
            standings: Standings::default(),
            herald,
        };
        Self {
            shared: Arc::new(shared),
            environments: options.environments.clone(),
            commit: None,
            done: HashMap::new(),
            known: HashMap::new(),
            slots: HashMap::new(),
            tasks: JoinSet::new(),
            owners: HashMap::new(),
            seats: Seats::new(options, wake),
            leads: HashMap::new(),
            _helpers: helpers,
            alarmed: None,
        }
    }

    /// Ends all work and gives every lead back, so that another agent need not wait.
    pub(crate) async fn end(mut self) {
        self.tasks.shutdown().await;
        self.seats.give_back().await;
    }

    /// Fetches and hands every service its target; returns whether all went well.
    pub(crate) async fn round(&mut self) -> bool {
        self.step_down();
        let fetched = match self.shared.source.fetch().await {
            Ok(commit) => {
                self.alarmed = None;
                Ok(Some(commit))
            }
            Err(problem) => {
                if let SourceError::Frozen { why } = &problem {
                    self.sound_alarm(&problem, why);
                } else {
                    warn!(
                        error = &problem as &dyn Error,
                        "config repository not fetched; will retry"
                    );
                }
                // What was brought before is still good: after a restart the agent heals from it.
                self.shared.source.tip().await
            }
        };
        let commit = match fetched {
            Ok(commit) => commit,
            Err(problem) => {
                warn!(
                    error = &problem as &dyn Error,
                    "config repository's mirror not read; will retry"
                );
                None
            }
        };
        let Some(commit) = commit else {
            return false;
        };
        let mut complete = true;
        for environment in self.environments.clone() {
            if self.done.get(&environment) == Some(&commit) {
                continue;
            }
            match self.environment(&environment, &commit).await {
                Ok(true) => {
                    self.done.insert(environment, commit.clone());
                }
                Ok(false) => {}
                Err(problem) => {
                    complete = false;
                    warn!(error = &problem as &dyn Error, %environment, "environment not read; nothing of it is changed");
                }
            }
        }
        self.commit = Some(commit);
        complete
    }

    /// Leaves every environment that another agent leads now.
    fn step_down(&mut self) {
        let lost: Vec<EnvironmentName> = self
            .leads
            .iter()
            .filter(|(name, lead)| !self.seats.still_leads(name, lead.term))
            .map(|(name, _)| name.clone())
            .collect();
        for name in lost {
            warn!(environment = %name, "lost the lead; everything of it is left to the other agent");
            self.leads.remove(&name);
            self.shared.standings.forget(&name);
            self.done.remove(&name);
            self.known.remove(&name);
            self.owners.retain(|_, owner| owner.environment != name);
            self.slots.retain(|owner, slot| {
                let stays = owner.environment != name;
                if !stays {
                    slot.task.abort();
                }
                stays
            });
        }
    }

    /// Takes the lead if it can be had; returns whether the environment is this agent's to work on.
    fn take_lead(&mut self, name: &EnvironmentName, namespace: &str) -> bool {
        if self.leads.contains_key(name) {
            return true;
        }
        let Place::Leads { term, fence } = self.seats.place(name, namespace) else {
            return false;
        };
        let cluster = match fence {
            Some(fence) => self.shared.cluster.fenced(fence),
            None => self.shared.cluster.clone(),
        };
        self.leads.insert(name.clone(), Lead { term, cluster });
        true
    }

    /// Hands the services of an environment their targets; returns whether it is this agent's to do so.
    async fn environment(
        &mut self,
        name: &EnvironmentName,
        commit: &str,
    ) -> Result<bool, RoundError> {
        let files = self.shared.source.environment(commit, name).await?;
        let site = &self.shared.site;
        if !files.environment.sites.contains(site) {
            warn!(environment = %name, %site, "environment does not name this site; left alone");
            return Ok(true);
        }
        let namespace = files.environment.namespace.clone();
        let moved = self
            .known
            .get(name)
            .and_then(|known| known.namespace.clone());
        if let Some(before) = moved.filter(|before| *before != namespace) {
            return Err(RoundError::NamespaceMoved {
                before,
                after: namespace,
            });
        }
        if !self.take_lead(name, &namespace) {
            return Ok(false);
        }
        // All of a commit is known before the first service acts on it.
        self.shared.standings.aim(name, &files.services);
        if !self.known.contains_key(name) {
            self.shared.watches.ensure_family(&namespace);
            let inventories = self.shared.cluster.inventories(&namespace, name).await?;
            let known = Known {
                namespace: Some(namespace.clone()),
                services: BTreeMap::new(),
            };
            self.known.insert(name.clone(), known);
            for inventory in inventories {
                let service = inventory.service.clone();
                self.known
                    .entry(name.clone())
                    .or_default()
                    .services
                    .insert(service.clone(), None);
                // A folder that is there now is the target; one that is not was removed while nobody watched.
                let tree = files.services.get(&service).cloned();
                let owner = Owner {
                    environment: name.clone(),
                    service,
                };
                if tree.is_some() {
                    let target = Target {
                        commit: commit.to_owned(),
                        tree,
                        confirmed: Vec::new(),
                        rules: self.rules(&files.environment),
                    };
                    self.start(&owner, &namespace, target, Some(inventory));
                }
            }
        }
        self.targets(name, &namespace, commit, &files);
        Ok(true)
    }

    fn rules(&self, environment: &Environment) -> Rules {
        let sites = environment.sites.iter();
        let before = sites.take_while(|site| **site != self.shared.site);
        Rules {
            sites_before: match environment.site_order {
                SiteOrder::Parallel => Vec::new(),
                SiteOrder::InOrder => before.cloned().collect(),
            },
            drift: environment.drift,
            service_account: environment.service_account.clone(),
        }
    }

    /// Hands every service of an environment its target.
    fn targets(
        &mut self,
        name: &EnvironmentName,
        namespace: &str,
        commit: &str,
        files: &EnvironmentFiles,
    ) {
        let rules = self.rules(&files.environment);
        let known = self.known.entry(name.clone()).or_default();
        let vanished: Vec<ServiceName> = known
            .services
            .keys()
            .filter(|service| !files.services.contains_key(*service))
            .cloned()
            .collect();
        // A folder that is gone without a word may be a slip of whoever edited by hand.
        let (ended, lost): (Vec<ServiceName>, Vec<ServiceName>) = vanished
            .into_iter()
            .partition(|service| files.retired.contains_key(service));
        for service in &lost {
            warn!(environment = %name, %service, "folder of the service is gone without a tombstone; what runs is left alone");
        }
        let present = files
            .services
            .iter()
            .map(|(service, tree)| (service.clone(), Some(tree.clone())));
        known.services = present
            .clone()
            .chain(lost.into_iter().map(|service| (service, None)))
            .collect();
        let targets: Vec<(ServiceName, Option<String>)> = present
            .chain(ended.into_iter().map(|service| (service, None)))
            .collect();
        for (service, tree) in targets {
            let confirmed = files.retired.get(&service).filter(|_| tree.is_none());
            let target = Target {
                commit: commit.to_owned(),
                tree,
                confirmed: confirmed
                    .map(|stone| stone.confirmed.clone())
                    .unwrap_or_default(),
                rules: rules.clone(),
            };
            let owner = Owner {
                environment: name.clone(),
                service,
            };
            if let Some(slot) = self.slots.get(&owner) {
                // The same tree under another commit is the same work.
                slot.target.send_if_modified(|current| {
                    let differs = (&current.tree, &current.confirmed, &current.rules)
                        != (&target.tree, &target.confirmed, &target.rules);
                    if differs {
                        *current = target;
                    }
                    differs
                });
            } else {
                self.start(&owner, namespace, target, None);
            }
        }
    }

    fn start(
        &mut self,
        owner: &Owner,
        namespace: &str,
        target: Target,
        inventory: Option<Inventory>,
    ) {
        let (sender, receiver) = watch::channel(target);
        let task = self.spawn(owner, namespace, receiver, inventory);
        let slot = Slot {
            target: sender,
            namespace: namespace.to_owned(),
            task,
            panics: 0,
            again_at: None,
        };
        self.slots.insert(owner.clone(), slot);
    }

    fn spawn(
        &mut self,
        owner: &Owner,
        namespace: &str,
        target: watch::Receiver<Target>,
        inventory: Option<Inventory>,
    ) -> AbortHandle {
        let lead = self.leads.get(&owner.environment);
        let cluster = lead.map_or(&self.shared.cluster, |lead| &lead.cluster);
        let worker = Worker::new(
            Arc::clone(&self.shared),
            cluster.clone(),
            owner.clone(),
            namespace.to_owned(),
            target,
            inventory,
        );
        let task = self.tasks.spawn(worker.run());
        self.owners.insert(task.id(), owner.clone());
        task
    }

    /// Waits for a worker that ended, and starts those again that panicked.
    pub(crate) async fn tend(&mut self) {
        let next = self.slots.values().filter_map(|slot| slot.again_at).min();
        tokio::select! {
            Some(ended) = self.tasks.join_next_with_id() => self.ended(&ended),
            () = sleep_until_some(next) => self.restart_due(),
            else => std::future::pending().await,
        }
    }

    fn ended(&mut self, ended: &Result<(tokio::task::Id, ()), tokio::task::JoinError>) {
        let (id, panic) = match ended {
            Ok((id, ())) => (*id, None),
            Err(problem) => (problem.id(), Some(problem)),
        };
        let Some(owner) = self.owners.remove(&id) else {
            return;
        };
        let Some(panic) = panic else {
            debug!(environment = %owner.environment, service = %owner.service, "service has nothing left here");
            self.shared.world.forget_listener(&owner);
            self.slots.remove(&owner);
            return;
        };
        let Some(slot) = self.slots.get_mut(&owner) else {
            return;
        };
        slot.panics += 1;
        let pause = QUARANTINE
            .saturating_mul(1 << slot.panics.min(10))
            .min(QUARANTINE_MAX);
        slot.again_at = Some(Instant::now() + pause);
        error!(
            error = panic as &dyn Error,
            environment = %owner.environment,
            service = %owner.service,
            attempt = slot.panics,
            "worker panicked; quarantined"
        );
    }

    fn restart_due(&mut self) {
        let now = Instant::now();
        let due: Vec<(Owner, String, watch::Receiver<Target>)> = self
            .slots
            .iter_mut()
            .filter(|(_, slot)| slot.again_at.is_some_and(|time| time <= now))
            .map(|(owner, slot)| {
                slot.again_at = None;
                (
                    owner.clone(),
                    slot.namespace.clone(),
                    slot.target.subscribe(),
                )
            })
            .collect();
        for (owner, namespace, target) in due {
            let task = self.spawn(&owner, &namespace, target, None);
            if let Some(slot) = self.slots.get_mut(&owner) {
                slot.task = task;
            }
        }
    }
}

async fn sleep_until_some(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

/// Why an environment was left as it is in one round.
#[derive(Debug, thiserror::Error)]
enum RoundError {
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error("cannot read the inventories")]
    Inventories(#[from] InventoryError),
    #[error("the environment moved from namespace `{before}` to `{after}`; that is not supported")]
    NamespaceMoved { before: String, after: String },
}
