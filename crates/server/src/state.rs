//! What every request of the server works on.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use foreshore_config_repo::{Outcomes, Writer};
use foreshore_git::Signer;
use foreshore_identity::Store;
use foreshore_model::EnvironmentName;
use foreshore_model::api::WebhookState;
use foreshore_release::World;
use jiff::Timestamp;

use crate::access::Access;
use crate::artifacts::Artifacts;
use crate::changes::Changes;
use crate::loads::Loads;
use crate::previews::Previews;
use crate::source::{Builds, Host};

/// The server's parts, shared by all requests.
pub(crate) struct State {
    pub(crate) access: Access,
    pub(crate) identities: Arc<Store>,
    pub(crate) writer: Writer,
    pub(crate) outcomes: Outcomes,
    pub(crate) artifacts: Artifacts,
    pub(crate) changes: Changes,
    /// Whose signatures on commits count.
    pub(crate) signers: Vec<Signer>,
    pub(crate) builds: Arc<Builds>,
    /// The source repositories, if anything can build what is pushed there.
    pub(crate) source: Option<Arc<Host>>,
    pub(crate) previews: Previews,
    pub(crate) loads: Loads,
    /// `host:port` that image references carry.
    pub(crate) registry: String,
    pub(crate) ingress: Option<String>,
    /// Where things run, in words.
    pub(crate) ground: String,
    agents: Mutex<BTreeMap<EnvironmentName, Timestamp>>,
    webhook: Mutex<Option<WebhookState>>,
}

/// What a [`State`] is made of.
pub(crate) struct Parts {
    pub(crate) identities: Arc<Store>,
    pub(crate) writer: Writer,
    pub(crate) outcomes: Outcomes,
    pub(crate) artifacts: Artifacts,
    pub(crate) changes: Changes,
    pub(crate) signers: Vec<Signer>,
    pub(crate) builds: Arc<Builds>,
    pub(crate) source: Option<Arc<Host>>,
    pub(crate) registry: String,
    pub(crate) ingress: Option<String>,
    pub(crate) ground: String,
}

impl State {
    pub(crate) fn new(parts: Parts) -> Self {
        Self {
            access: Access::new(parts.identities.clone()),
            identities: parts.identities,
            writer: parts.writer,
            outcomes: parts.outcomes,
            artifacts: parts.artifacts,
            changes: parts.changes,
            signers: parts.signers,
            builds: parts.builds,
            source: parts.source,
            previews: Previews::default(),
            loads: Loads::default(),
            registry: parts.registry,
            ingress: parts.ingress,
            ground: parts.ground,
            agents: Mutex::default(),
            webhook: Mutex::default(),
        }
    }

    /// The config repository as it was last seen, with what outcomes say at this very moment.
    ///
    /// The writer takes outcomes over before it decides; whoever only looks must not see older ones.
    pub(crate) fn world(&self) -> World {
        let mut world = World::clone(&self.writer.world());
        world.verified = self.outcomes.all_verified();
        world.verdicts = self.outcomes.all_verdicts();
        world
    }

    /// Notes how far the webhook was told; everybody who waits for the status hears of it.
    pub(crate) fn note_webhook(&self, change: impl FnOnce(&mut WebhookState)) {
        let mut webhook = self.webhook.lock().unwrap_or_else(PoisonError::into_inner);
        let before = webhook.clone();
        change(webhook.get_or_insert_default());
        let problem = |state: &Option<WebhookState>| state.clone().and_then(|it| it.problem);
        let is_news = problem(&before) != problem(&webhook);
        drop(webhook);
        if is_news {
            self.changes.announce();
        }
    }

    /// How far the webhook was told, if there is one.
    pub(crate) fn webhook(&self) -> Option<WebhookState> {
        self.webhook
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Notes that an agent of this environment has spoken.
    pub(crate) fn agent_spoke(&self, environment: EnvironmentName, at: Timestamp) {
        self.agents
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(environment, at);
    }

    pub(crate) fn agents(&self) -> BTreeMap<EnvironmentName, Timestamp> {
        self.agents
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}
