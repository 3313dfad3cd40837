//! Which environments this agent leads, and who it is among several.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::Path;
use std::sync::Arc;

use foreshore_cluster::{Cluster, Fence};
use foreshore_model::{Digest, EnvironmentName, SiteName, clock};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::leader::{Candidate, Seat};
use crate::lease::{Tenure, Terms};
use crate::options::Options;

/// How an agent works beside others of its kind.
#[derive(Debug, Clone)]
pub struct LeaseOptions {
    /// Name among the agents of one site; the same after a restart, never the same in two processes.
    pub identity: String,
    pub terms: Terms,
    /// Keeps other processes from the same name.
    _lock: Option<Arc<File>>,
}

impl LeaseOptions {
    pub fn new(identity: impl Into<String>) -> Self {
        Self {
            identity: identity.into(),
            terms: Terms::default(),
            _lock: None,
        }
    }

    /// Takes the name that is kept in a folder, or makes one and keeps it.
    ///
    /// Whoever starts again after a kill is known by it and need not wait for
    /// its own lease to end. A second process on the same folder gets a name
    /// of its own.
    pub fn kept_in(folder: &Path) -> io::Result<Self> {
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(folder.join("identity"))?;
        if file.try_lock().is_err() {
            return Ok(Self::new(drawn()));
        }
        let mut kept = String::new();
        file.read_to_string(&mut kept)?;
        let kept = kept.trim();
        let identity = if kept.is_empty() {
            let identity = drawn();
            file.rewind()?;
            file.write_all(identity.as_bytes())?;
            identity
        } else {
            kept.to_owned()
        };
        Ok(Self {
            _lock: Some(Arc::new(file)),
            ..Self::new(identity)
        })
    }
}

/// A name that no other process has: machine, process and moment.
fn drawn() -> String {
    let machine = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let process = std::process::id();
    let seed = format!("{machine} {process} {}", clock::now());
    format!("{}-{}", machine.trim(), Digest::of(seed.as_bytes()).short())
}

/// What an agent may do in an environment.
#[derive(Debug)]
pub(super) enum Place {
    /// It works, and writes as long as the fence lets it.
    Leads {
        term: u64,
        fence: Option<Fence>,
    },
    StandsBy,
}

/// The leads this agent has or works for.
#[derive(Debug)]
pub(super) struct Seats {
    options: Option<LeaseOptions>,
    /// With a pace of its own: a cluster that is slow to write to must not cost the lead.
    cluster: Cluster,
    site: SiteName,
    moved: Arc<Notify>,
    shutdown: CancellationToken,
    taken: HashMap<EnvironmentName, Seat>,
    tasks: JoinSet<()>,
}

impl Seats {
    pub(super) fn new(options: &Options, moved: Arc<Notify>) -> Self {
        let lease = options.lease.clone();
        // One try at a time: what was not renewed in time is renewed anew, not again.
        let patience = lease
            .as_ref()
            .map_or(options.cluster.try_timeout, |lease| lease.terms.renew_every);
        Self {
            options: lease,
            cluster: Cluster::with_options(
                options.client.clone(),
                foreshore_cluster::Options {
                    try_timeout: patience.min(options.cluster.try_timeout),
                    total_timeout: patience,
                    ..options.cluster.clone()
                },
            ),
            site: options.site.clone(),
            moved,
            shutdown: CancellationToken::new(),
            taken: HashMap::new(),
            tasks: JoinSet::new(),
        }
    }

    /// Says what may be done in an environment; the first question is an application for it.
    pub(super) fn place(&mut self, environment: &EnvironmentName, namespace: &str) -> Place {
        let Some(options) = &self.options else {
            return Place::Leads {
                term: 0,
                fence: None,
            };
        };
        let seat = self.taken.entry(environment.clone()).or_insert_with(|| {
            let name = format!("foreshore-agent.{environment}.{}", self.site);
            let candidate = Candidate::new(
                self.cluster.clone(),
                (namespace.to_owned(), name),
                Tenure::new(options.identity.clone(), options.terms),
                Arc::clone(&self.moved),
            );
            let seat = candidate.seat();
            self.tasks.spawn(candidate.run(self.shutdown.clone()));
            seat
        });
        match seat.term() {
            Some(term) => Place::Leads {
                term,
                fence: Some(seat.fence(term)),
            },
            None => Place::StandsBy,
        }
    }

    /// Whether a lead that was had is still the present one.
    pub(super) fn still_leads(&self, environment: &EnvironmentName, term: u64) -> bool {
        self.options.is_none()
            || self
                .taken
                .get(environment)
                .is_some_and(|seat| seat.term() == Some(term))
    }

    /// Gives every lead back; nothing may be written from then on.
    pub(super) async fn give_back(mut self) {
        self.shutdown.cancel();
        while self.tasks.join_next().await.is_some() {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_outlives_its_process_but_is_never_had_by_two() {
        let folder = tempfile::tempdir().unwrap();
        let first = LeaseOptions::kept_in(folder.path()).unwrap();
        let second = LeaseOptions::kept_in(folder.path()).unwrap();
        assert_ne!(first.identity, second.identity);
        let kept = first.identity.clone();
        drop(first);
        let again = LeaseOptions::kept_in(folder.path()).unwrap();
        assert_eq!(again.identity, kept);
    }
}
