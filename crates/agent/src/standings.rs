//! What the services of this agent know of each other: who is to become what, and has.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use foreshore_model::{EnvironmentName, ServiceName};

use crate::dependencies::{Answer, Reached, Standing, decide};
use crate::world::Owner;

/// The services of each environment.
#[derive(Debug, Default)]
pub(crate) struct Standings {
    inner: Mutex<HashMap<EnvironmentName, BTreeMap<ServiceName, Standing>>>,
}

impl Standings {
    fn lock(&self) -> MutexGuard<'_, HashMap<EnvironmentName, BTreeMap<ServiceName, Standing>>> {
        // Entries are replaced one by one, so the map is whole even after a panic.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets what the services of an environment are to become, before any of them hears of it.
    pub(crate) fn aim(
        &self,
        environment: &EnvironmentName,
        targets: &BTreeMap<ServiceName, String>,
    ) {
        let mut inner = self.lock();
        let known = inner.entry(environment.clone()).or_default();
        known.retain(|service, _| targets.contains_key(service));
        for (service, tree) in targets {
            match known.get_mut(service) {
                Some(standing) if standing.tree == *tree => {}
                Some(standing) => {
                    // The old dependencies stand until the new files are read.
                    tree.clone_into(&mut standing.tree);
                    standing.reached = Reached::OnItsWay;
                }
                None => {
                    known.insert(service.clone(), Standing::new(tree));
                }
            }
        }
    }

    /// Forgets an environment that another agent leads.
    pub(crate) fn forget(&self, environment: &EnvironmentName) {
        self.lock().remove(environment);
    }

    /// Says whether a service that depends on these may be written.
    pub(crate) fn ask(&self, owner: &Owner, dependencies: &[ServiceName]) -> Answer {
        let mut inner = self.lock();
        let known = inner.entry(owner.environment.clone()).or_default();
        decide(&owner.service, dependencies, known)
    }

    /// Notes what a service depends on; returns who may be waiting for that.
    pub(crate) fn read(&self, owner: &Owner, dependencies: &[ServiceName]) -> Vec<Owner> {
        self.change(owner, |standing| {
            let is_news = standing.dependencies != dependencies;
            standing.dependencies = dependencies.to_vec();
            is_news
        })
    }

    /// Notes how far a service has come with a tree; returns whom it concerns.
    pub(crate) fn reach(&self, owner: &Owner, tree: &str, reached: Reached) -> Vec<Owner> {
        self.change(owner, |standing| {
            let is_news = standing.tree == tree && standing.reached != reached;
            if is_news {
                standing.reached = reached;
            }
            is_news
        })
    }

    fn change(&self, owner: &Owner, change: impl FnOnce(&mut Standing) -> bool) -> Vec<Owner> {
        let mut inner = self.lock();
        let Some(known) = inner.get_mut(&owner.environment) else {
            return Vec::new();
        };
        if !known.get_mut(&owner.service).is_some_and(change) {
            return Vec::new();
        }
        let depends = |standing: &Standing| standing.dependencies.contains(&owner.service);
        known
            .iter()
            .filter(|(_, standing)| depends(standing))
            .map(|(service, _)| Owner {
                environment: owner.environment.clone(),
                service: service.clone(),
            })
            .collect()
    }
}
