//! Which services a release waits for, and when it need not.
//!
//! Manifests name them in an annotation. Only services of the same environment
//! count: what is not released there is nobody's to wait for.

use std::collections::{BTreeMap, BTreeSet};

use foreshore_model::ServiceName;

/// Annotation: services that must be well before the object's service is written.
pub(crate) const DEPENDS_ON: &str = "foreshore.local/depends-on";

/// How far a service has come with what it is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reached {
    OnItsWay,
    /// Was healthy with it once, or stands still on purpose.
    Well,
    Failed {
        why: String,
    },
}

/// What others may know of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Standing {
    /// Tree of what it is to be.
    pub(crate) tree: String,
    pub(crate) reached: Reached,
    /// Empty until its files were read.
    pub(crate) dependencies: Vec<ServiceName>,
}

impl Standing {
    pub(crate) fn new(tree: &str) -> Self {
        Self {
            tree: tree.to_owned(),
            reached: Reached::OnItsWay,
            dependencies: Vec::new(),
        }
    }
}

/// Why a service is not written yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hold {
    pub(crate) service: ServiceName,
    /// What became of it, if it failed.
    pub(crate) failure: Option<String>,
}

/// What the dependencies of one service say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Answer {
    pub(crate) hold: Option<Hold>,
    /// Services in a circle, from this one to itself; they do not wait for each other.
    pub(crate) circle: Option<Vec<ServiceName>>,
}

/// Decides whether a service may be written; a failure counts before a wait.
pub(crate) fn decide(
    service: &ServiceName,
    dependencies: &[ServiceName],
    known: &BTreeMap<ServiceName, Standing>,
) -> Answer {
    let mut answer = Answer::default();
    for dependency in dependencies {
        let Some(standing) = known.get(dependency) else {
            continue;
        };
        if standing.reached == Reached::Well {
            continue;
        }
        if let Some(way) = way(dependency, service, known) {
            let mut circle = vec![service.clone()];
            circle.extend(way);
            answer.circle.get_or_insert(circle);
            continue;
        }
        let hold = match &standing.reached {
            Reached::Failed { why } => Hold {
                service: dependency.clone(),
                failure: Some(why.clone()),
            },
            _ => Hold {
                service: dependency.clone(),
                failure: None,
            },
        };
        let is_worse = answer
            .hold
            .as_ref()
            .is_none_or(|known| known.failure.is_none() && hold.failure.is_some());
        if is_worse {
            answer.hold = Some(hold);
        }
    }
    answer
}

/// Returns the services from one to another along dependencies, both named.
fn way(
    from: &ServiceName,
    to: &ServiceName,
    known: &BTreeMap<ServiceName, Standing>,
) -> Option<Vec<ServiceName>> {
    let mut seen: BTreeSet<&ServiceName> = BTreeSet::new();
    let mut open: Vec<Vec<&ServiceName>> = vec![vec![from]];
    while let Some(path) = open.pop() {
        let last = *path.last()?;
        if last == to {
            return Some(path.into_iter().cloned().collect());
        }
        if !seen.insert(last) {
            continue;
        }
        let next = known.get(last).map(|standing| &standing.dependencies);
        for service in next.into_iter().flatten() {
            let mut longer = path.clone();
            longer.push(service);
            open.push(longer);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(name: &str) -> ServiceName {
        ServiceName::new(name).unwrap()
    }

    fn names(text: &str) -> Vec<ServiceName> {
        text.split_whitespace().map(name).collect()
    }

    /// Services as `name state: dependencies`, and what `web` is told, which depends on these.
    #[track_caller]
    fn check(dependencies: &str, others: &[&str], expected: &str) {
        let mut known = BTreeMap::new();
        let mut web = Standing::new("t");
        web.dependencies = names(dependencies);
        known.insert(name("web"), web);
        for other in others {
            let (head, dependencies) = other.split_once(':').unwrap();
            let (service, state) = head.split_once(' ').unwrap();
            let reached = match state {
                "well" => Reached::Well,
                "waits" => Reached::OnItsWay,
                why => Reached::Failed {
                    why: why.to_owned(),
                },
            };
            let standing = Standing {
                tree: "t".to_owned(),
                reached,
                dependencies: names(dependencies),
            };
            known.insert(name(service), standing);
        }
        let answer = decide(&name("web"), &names(dependencies), &known);
        let mut told = Vec::new();
        if let Some(circle) = answer.circle {
            let circle: Vec<&str> = circle.iter().map(ServiceName::as_str).collect();
            told.push(circle.join(" > "));
        }
        if let Some(hold) = answer.hold {
            let why = hold.failure.unwrap_or_else(|| "on its way".to_owned());
            told.push(format!("{}: {why}", hold.service));
        }
        assert_eq!(told.join(", "), expected);
    }

    #[test]
    fn a_service_waits_for_what_is_on_its_way_and_for_nothing_else() {
        check("", &["api waits:"], "");
        check("api", &["api waits:"], "api: on its way");
        check("api db", &["api well:", "db waits:"], "db: on its way");
        check("api", &["api well:"], "");
    }

    #[test]
    fn what_is_not_released_here_is_not_waited_for() {
        check("elsewhere", &["api waits:"], "");
    }

    #[test]
    fn a_failure_is_told_before_a_wait() {
        check("a b", &["a waits:", "b broken:"], "b: broken");
        check("a b", &["a broken:", "b waits:"], "a: broken");
    }

    #[test]
    fn services_in_a_circle_do_not_wait_for_each_other_but_for_others() {
        check("web", &[], "web > web");
        check("api", &["api waits: web"], "web > api > web");
        check(
            "api",
            &["api waits: db", "db waits: web"],
            "web > api > db > web",
        );
        check(
            "api db",
            &["api waits: web", "db waits:"],
            "web > api > web, db: on its way",
        );
        check(
            "api",
            &["api waits: db", "db waits: api"],
            "api: on its way",
        );
    }

    #[test]
    fn of_any_graph_some_service_may_always_go() {
        use rand::{RngExt as _, SeedableRng as _};
        for seed in 0..300 {
            let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
            let count = random.random_range(1..12);
            let all: Vec<ServiceName> = (0..count).map(|i| name(&format!("s{i}"))).collect();
            let mut known: BTreeMap<ServiceName, Standing> = BTreeMap::new();
            for service in &all {
                let mut standing = Standing::new("t");
                standing.dependencies = all
                    .iter()
                    .filter(|_| random.random_bool(0.2))
                    .cloned()
                    .collect();
                known.insert(service.clone(), standing);
            }
            for step in 0..count {
                let free = known.iter().find(|(service, standing)| {
                    standing.reached != Reached::Well
                        && decide(service, &standing.dependencies, &known)
                            .hold
                            .is_none()
                });
                let free = free.map(|(service, _)| service.clone());
                let free = free.unwrap_or_else(|| panic!("seed {seed}, step {step}: all wait"));
                known.get_mut(&free).unwrap().reached = Reached::Well;
            }
        }
    }
}
