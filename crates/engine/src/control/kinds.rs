//! Which kinds the API serves, shared by those who ask.

use std::sync::{Arc, RwLock};

use foreshore_controllers::Kind;
use kube::Client;
use kube::discovery::{Discovery, Scope, verbs};

/// Kinds that hold no state anybody owns: events come and go by themselves.
const IGNORED: [&str; 1] = ["Event"];

/// A kind with its scope.
#[derive(Clone, Debug)]
pub(crate) struct Served {
    pub(crate) kind: Kind,
    pub(crate) is_namespaced: bool,
    pub(crate) resource: kube::discovery::ApiResource,
}

/// The kinds that can be listed, watched and deleted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Kinds {
    served: Arc<RwLock<Vec<Served>>>,
}

impl Kinds {
    /// Asks the API for its kinds.
    pub(crate) async fn discover(&self, client: &Client) -> Result<(), kube::Error> {
        let discovery = Discovery::new(client.clone()).run().await?;
        let mut found = Vec::new();
        for group in discovery.groups() {
            for (resource, capabilities) in group.recommended_resources() {
                let complete = [verbs::LIST, verbs::WATCH, verbs::DELETE]
                    .iter()
                    .all(|verb| capabilities.supports_operation(verb));
                if !complete {
                    continue;
                }
                let kind = Kind {
                    api_version: resource.api_version.clone().into(),
                    kind: resource.kind.clone().into(),
                    plural: resource.plural.clone().into(),
                };
                let is_namespaced = capabilities.scope == Scope::Namespaced;
                found.push(Served {
                    kind,
                    is_namespaced,
                    resource,
                });
            }
        }
        *self
            .served
            .write()
            .expect("no code panics while it holds the kinds") = found;
        Ok(())
    }

    /// The kinds whose objects take part in ownership.
    pub(crate) fn owned(&self) -> Vec<Served> {
        self.all()
            .into_iter()
            .filter(|served| !IGNORED.contains(&served.kind.kind.as_ref()))
            .collect()
    }

    /// The kinds whose objects keep a namespace alive.
    pub(crate) fn namespaced(&self) -> Vec<Kind> {
        self.owned()
            .into_iter()
            .filter(|served| served.is_namespaced)
            .map(|served| served.kind)
            .collect()
    }

    /// Every kind, events included.
    pub(crate) fn all(&self) -> Vec<Served> {
        self.served
            .read()
            .expect("no code panics while it holds the kinds")
            .clone()
    }
}
