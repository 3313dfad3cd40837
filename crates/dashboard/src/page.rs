//! The pages: what each one shows.

pub(crate) mod checks;
pub(crate) mod events;
pub(crate) mod loads;
pub(crate) mod nodes;
pub(crate) mod overview;
pub(crate) mod pod;
pub(crate) mod pods;
pub(crate) mod releases;
pub(crate) mod service;
pub(crate) mod services;

use crate::listing::{self, Facts};
use crate::query::Query;
use crate::view::View;

/// A page that keeps itself up to date.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Page {
    Overview,
    Services,
    Service(String),
    Releases,
    Pods,
    Pod {
        site: String,
        namespace: String,
        name: String,
    },
    Nodes,
    Events,
    Checks,
    Loads,
    Load(String),
    /// What became of something that was confirmed.
    Done(String),
}

impl Page {
    /// Reads the path of a page, as the stream of its changes names it.
    pub(crate) fn of(path: &str) -> Option<Self> {
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        Some(match parts[..] {
            [""] => Self::Overview,
            ["services"] => Self::Services,
            ["services", name] => Self::Service(name.to_owned()),
            ["releases"] => Self::Releases,
            ["pods"] => Self::Pods,
            ["pods", site, namespace, name] => Self::Pod {
                site: site.to_owned(),
                namespace: namespace.to_owned(),
                name: name.to_owned(),
            },
            ["nodes"] => Self::Nodes,
            ["events"] => Self::Events,
            ["checks"] => Self::Checks,
            ["loads"] => Self::Loads,
            ["loads", id] => Self::Load(id.to_owned()),
            ["done", id] => Self::Done(id.to_owned()),
            _ => return None,
        })
    }

    /// Where the page is.
    pub(crate) fn path(&self) -> String {
        match self {
            Self::Overview => "/".to_owned(),
            Self::Services => "/services".to_owned(),
            Self::Service(name) => format!("/services/{name}"),
            Self::Releases => "/releases".to_owned(),
            Self::Pods => "/pods".to_owned(),
            Self::Pod {
                site,
                namespace,
                name,
            } => format!("/pods/{site}/{namespace}/{name}"),
            Self::Nodes => "/nodes".to_owned(),
            Self::Events => "/events".to_owned(),
            Self::Checks => "/checks".to_owned(),
            Self::Loads => "/loads".to_owned(),
            Self::Load(id) => format!("/loads/{id}"),
            Self::Done(id) => format!("/done/{id}"),
        }
    }

    /// The entry of the navigation it belongs to.
    pub(crate) fn section(&self) -> &'static str {
        match self {
            Self::Overview => "/",
            Self::Services | Self::Service(_) => "/services",
            Self::Releases => "/releases",
            Self::Pods | Self::Pod { .. } => "/pods",
            Self::Nodes => "/nodes",
            Self::Events => "/events",
            Self::Checks => "/checks",
            Self::Loads | Self::Load(_) => "/loads",
            Self::Done(_) => "/audit",
        }
    }

    /// Makes the page, or nothing if what it is about does not exist.
    pub(crate) fn view(&self, query: &Query, facts: &Facts) -> Option<View> {
        let (title, parts) = match self {
            Self::Overview => ("Overview".to_owned(), overview::parts(facts)),
            Self::Services => (
                "Services".to_owned(),
                listing::parts(&services::Services, query, facts),
            ),
            Self::Service(name) => (name.clone(), service::parts(name, query, facts)?),
            Self::Releases => ("Releases".to_owned(), releases::parts(query, facts)),
            Self::Pods => ("Pods".to_owned(), listing::parts(&pods::Pods, query, facts)),
            Self::Pod {
                site,
                namespace,
                name,
            } => (name.clone(), pod::parts(site, namespace, name, facts)?),
            Self::Nodes => (
                "Nodes".to_owned(),
                listing::parts(&nodes::Nodes, query, facts),
            ),
            Self::Events => (
                "Events".to_owned(),
                listing::parts(&events::Events, query, facts),
            ),
            Self::Done(id) => {
                let job = facts.jobs.get(id)?;
                (
                    job.title.clone(),
                    crate::act::jobs::parts(&job, facts.may_act),
                )
            }
            Self::Loads => ("Load".to_owned(), loads::list(facts)),
            Self::Load(id) => (loads::title(id, facts)?, loads::parts(id, facts)?),
            Self::Checks => (
                "Checks".to_owned(),
                listing::parts(&checks::Checks, query, facts),
            ),
        };
        Some(View {
            title,
            parts,
            stale: false,
        })
    }
}

/// A short form of an amount of memory.
pub(crate) fn memory(bytes: i64) -> String {
    const MEBI: i64 = 1 << 20;
    const GIBI: i64 = 1 << 30;
    if bytes >= 10 * GIBI {
        format!("{}Gi", bytes / GIBI)
    } else if bytes >= GIBI {
        format!("{}.{}Gi", bytes / GIBI, bytes % GIBI * 10 / GIBI)
    } else {
        format!("{}Mi", bytes / MEBI)
    }
}

/// A short form of an amount of processor.
pub(crate) fn cpu(millis: i64) -> String {
    if millis >= 10_000 || (millis >= 1_000 && millis % 1_000 == 0) {
        format!("{}", millis / 1_000)
    } else if millis >= 1_000 {
        format!("{}.{}", millis / 1_000, millis % 1_000 / 100)
    } else {
        format!("{millis}m")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_page_is_found_by_its_own_path() {
        for path in [
            "/",
            "/services",
            "/services/web",
            "/releases",
            "/pods",
            "/pods/local/dev/web-1",
            "/nodes",
            "/events",
            "/checks",
            "/loads",
            "/loads/r1",
            "/done/1",
        ] {
            assert_eq!(Page::of(path).unwrap().path(), path);
        }
        assert_eq!(Page::of("/nothing"), None);
        assert_eq!(Page::of("/pods/a"), None);
    }

    #[test]
    fn amounts_are_short() {
        assert_eq!(
            [memory(64 << 20), memory(3 << 29), memory(64 << 30)],
            ["64Mi", "1.5Gi", "64Gi"]
        );
        assert_eq!(
            [cpu(250), cpu(2_000), cpu(1_500), cpu(64_500)],
            ["250m", "2", "1.5", "64"]
        );
    }
}
