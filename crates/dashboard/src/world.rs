//! What the server knows of releases, kept fresh for all pages at once.

use std::sync::Arc;
use std::time::Duration;

use foreshore_identity::Principal;
use foreshore_model::api::{FreezeRow, Problem, ServiceStatus, Status};
use foreshore_model::{Environment, EnvironmentName, clock};
use jiff::Timestamp;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::board::Board;
use crate::desk::{Desk, inside};

/// The server answers earlier when something changes.
const WAIT_SECONDS: u64 = 25;
const RETRY: Duration = Duration::from_secs(2);

/// Releases, environments and freezes, as of one moment.
#[derive(Debug, Clone)]
pub(crate) struct World {
    pub(crate) status: Status,
    pub(crate) environments: Vec<Environment>,
    pub(crate) freezes: Vec<FreezeRow>,
    pub(crate) at: Option<Timestamp>,
    /// Since when the server's own API does not answer.
    pub(crate) lost: Option<(Timestamp, String)>,
}

impl Default for World {
    fn default() -> Self {
        Self {
            status: Status {
                version: String::new(),
                commit: String::new(),
                services: Vec::new(),
                requests: Vec::new(),
                agents: Vec::new(),
                builds: Vec::new(),
                webhook: None,
            },
            environments: Vec::new(),
            freezes: Vec::new(),
            at: None,
            lost: None,
        }
    }
}

impl World {
    pub(crate) fn environment(&self, name: &str) -> Option<&Environment> {
        self.environments
            .iter()
            .find(|environment| environment.name.as_str() == name)
    }

    /// Environments in the order releases move through them.
    pub(crate) fn ordered(&self) -> Vec<&Environment> {
        let mut ordered: Vec<&Environment> = Vec::new();
        let mut left: Vec<&Environment> = self.environments.iter().collect();
        while !left.is_empty() {
            let next = left
                .iter()
                .position(|environment| match &environment.promotes_from {
                    None => true,
                    Some(source) => ordered.iter().any(|done| done.name == *source),
                });
            // A ring, or a source that does not exist: keep the given order.
            ordered.push(left.remove(next.unwrap_or(0)));
        }
        ordered
    }

    pub(crate) fn is_production(&self, environment: &str) -> bool {
        self.environment(environment)
            .is_some_and(|environment| environment.production)
    }

    pub(crate) fn release(&self, environment: &str, service: &str) -> Option<&ServiceStatus> {
        self.status
            .services
            .iter()
            .find(|row| row.environment.as_str() == environment && row.service.as_str() == service)
    }

    /// The environment whose services live in a namespace.
    pub(crate) fn of_namespace(&self, namespace: &str) -> Option<&EnvironmentName> {
        let found = self
            .environments
            .iter()
            .find(|environment| environment.namespace == namespace);
        found.map(|environment| &environment.name)
    }
}

/// Follows the server until shutdown.
pub(crate) async fn follow(
    desk: Desk,
    reader: Principal,
    board: Arc<Board>,
    sender: watch::Sender<Arc<World>>,
    shutdown: CancellationToken,
) {
    loop {
        let version = sender.borrow().status.version.clone();
        let read = read(&desk, &reader, &version);
        let read = tokio::select! {
            read = read => read,
            () = shutdown.cancelled() => return,
        };
        let now = clock::now();
        match read {
            Ok((status, inside, freezes)) => {
                let changed = sender.borrow().status != status;
                sender.send_replace(Arc::new(World {
                    status,
                    environments: inside.environments,
                    freezes,
                    at: Some(now),
                    lost: None,
                }));
                if changed {
                    board.wake();
                }
            }
            Err(problem) => {
                tracing::warn!(
                    error = problem.message,
                    "pages cannot read the server's status; will retry"
                );
                sender.send_modify(|world| {
                    let mut other = World::clone(world);
                    let since = other.at.unwrap_or(now);
                    other.lost.get_or_insert((since, problem.message));
                    *world = Arc::new(other);
                });
                board.wake();
                tokio::select! {
                    () = tokio::time::sleep(RETRY) => {}
                    () = shutdown.cancelled() => return,
                }
            }
        }
    }
}

async fn read(
    desk: &Desk,
    reader: &Principal,
    version: &str,
) -> Result<(Status, inside::World, Vec<FreezeRow>), Problem> {
    let path = if version.is_empty() {
        "/api/v1/status".to_owned()
    } else {
        format!("/api/v1/status?after={version}&timeout={WAIT_SECONDS}")
    };
    let status = desk.get(reader, &path).await?;
    let inside = desk.get(reader, "/inside/world").await?;
    Ok((status, inside, desk.get(reader, "/api/v1/freezes").await?))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn world(environments: &[(&str, Option<&str>)]) -> World {
        let environments = environments.iter().map(|(name, from)| {
            serde_json::from_value(json!({"name": name, "namespace": name, "promotes_from": from}))
                .unwrap()
        });
        World {
            environments: environments.collect(),
            ..World::default()
        }
    }

    #[test]
    fn environments_stand_in_the_order_of_promotion() {
        let world = world(&[
            ("dev", None),
            ("prod", Some("staging")),
            ("staging", Some("dev")),
        ]);
        let names: Vec<&str> = world
            .ordered()
            .iter()
            .map(|environment| environment.name.as_str())
            .collect();
        assert_eq!(names, ["dev", "staging", "prod"]);
    }

    #[test]
    fn a_ring_of_promotions_is_shown_all_the_same() {
        let world = world(&[("a", Some("b")), ("b", Some("a")), ("c", Some("nowhere"))]);
        assert_eq!(world.ordered().len(), 3);
    }
}
