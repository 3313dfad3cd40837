//! What every request handler shares.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use foreshore_engine_store::{Object, Resource, Snapshot, Store};
use jiff::Timestamp;
use rand::RngExt;
use tokio::sync::{MutexGuard, Notify};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::catalog::{Catalog, CustomCatalog, Entry};
use crate::definition;
use crate::metrics::Metrics;
use crate::options::{Clock, Dialer, ServiceNetwork};
use crate::pki::Pki;
use crate::rbac::Policy;
use crate::token::Signer;
use crate::usage::Usage;
use crate::user::UserInfo;

const RBAC: &str = "rbac.authorization.k8s.io";

/// Roles and bindings as of some revisions of their collections.
struct CachedPolicy {
    versions: [u64; 4],
    policy: Arc<Policy>,
}

pub(crate) struct Core {
    pub(crate) store: Store,
    pub(crate) catalog: Catalog,
    pub(crate) pki: Pki,
    pub(crate) signer: Signer,
    pub(crate) clock: Clock,
    pub(crate) network: ServiceNetwork,
    pub(crate) dialer: Arc<dyn Dialer>,
    pub(crate) body_limit: Duration,
    pub(crate) tokens: HashMap<[u8; 32], UserInfo>,
    pub(crate) metrics: Metrics,
    /// Held while a Service is given addresses and ports, until it is stored.
    services: tokio::sync::Mutex<()>,
    /// Ends all watches and log streams.
    pub(crate) closing: CancellationToken,
    policy: Mutex<Option<CachedPolicy>>,
    custom: Mutex<Arc<CustomCatalog>>,
    /// Wakes whoever removes the objects of deleted definitions.
    pub(crate) cleanup: Arc<Notify>,
    /// Ends with the server.
    ended: CancellationToken,
    _ended: DropGuard,
    pub(crate) usage: Usage,
    /// Roles, cluster roles, and the bindings of either.
    access_rows: [Resource; 4],
}

pub(crate) struct Parts {
    pub(crate) store: Store,
    pub(crate) pki: Pki,
    pub(crate) signer: Signer,
    pub(crate) clock: Clock,
    pub(crate) network: ServiceNetwork,
    pub(crate) dialer: Arc<dyn Dialer>,
    pub(crate) body_limit: Duration,
    pub(crate) tokens: HashMap<[u8; 32], UserInfo>,
}

impl Core {
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts {
            store,
            pki,
            signer,
            clock,
            network,
            dialer,
            body_limit,
            tokens,
        } = parts;
        let ended = CancellationToken::new();
        Self {
            store,
            catalog: Catalog::builtin(),
            pki,
            signer,
            clock,
            network,
            dialer,
            body_limit,
            tokens,
            metrics: Metrics::default(),
            services: tokio::sync::Mutex::new(()),
            closing: CancellationToken::new(),
            policy: Mutex::new(None),
            custom: Mutex::default(),
            cleanup: Arc::default(),
            _ended: ended.clone().drop_guard(),
            ended,
            usage: Usage::default(),
            access_rows: [
                "roles",
                "clusterroles",
                "rolebindings",
                "clusterrolebindings",
            ]
            .map(|plural| Resource::new(format!("{plural}.{RBAC}"))),
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The stored roles and bindings, read again only when one has changed.
    pub(crate) fn policy(&self) -> Arc<Policy> {
        let snapshot = self.store.snapshot();
        let collections = &self.access_rows;
        let versions = collections.each_ref().map(|rows| snapshot.changed_at(rows));
        let mut cached = self.policy.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(cached) = cached.as_ref().filter(|cached| cached.versions == versions) {
            return Arc::clone(&cached.policy);
        }
        let [roles, cluster_roles, bindings, cluster_bindings] =
            collections.each_ref().map(|rows| bytes_of(&snapshot, rows));
        let policy = Arc::new(Policy::new(
            roles,
            cluster_roles,
            bindings,
            cluster_bindings,
        ));
        *cached = Some(CachedPolicy {
            versions,
            policy: Arc::clone(&policy),
        });
        policy
    }

    /// What the stored definitions make, compiled again only when one has changed.
    pub(crate) fn custom(&self) -> Arc<CustomCatalog> {
        let rows = &definition::entry(self).rows;
        let snapshot = self.store.snapshot();
        let changed = snapshot.changed_at(rows);
        let mut cached = self.custom.lock().unwrap_or_else(PoisonError::into_inner);
        if !cached.is_of(changed) {
            *cached = Arc::new(cached.renewed(changed, snapshot.list(rows, None, None)));
        }
        Arc::clone(&cached)
    }

    /// A resource that is served, built in or custom.
    pub(crate) fn find(&self, group: &str, version: &str, plural: &str) -> Option<Arc<Entry>> {
        let builtin = self.catalog.find(group, version, plural);
        if builtin.is_some() || group.is_empty() {
            return builtin.cloned();
        }
        self.custom().find(group, version, plural).cloned()
    }

    /// Fires when the last handle to the server is dropped.
    pub(crate) fn ended_token(&self) -> CancellationToken {
        self.ended.clone()
    }

    /// The lock under which Services are written; nothing for other kinds.
    pub(crate) async fn allocating(&self, entry: &Entry) -> Option<MutexGuard<'_, ()>> {
        if entry.is("", "services") {
            Some(self.services.lock().await)
        } else {
            None
        }
    }

    /// An object the server itself looks at.
    pub(crate) fn peek(
        &self,
        group: &str,
        plural: &str,
        namespace: &str,
        name: &str,
    ) -> Option<Arc<Object>> {
        self.store
            .get(&self.catalog.known(group, plural).key(namespace, name))
    }
}

fn bytes_of<'a>(
    snapshot: &'a Snapshot,
    rows: &Resource,
) -> impl Iterator<Item = &'a [u8]> + use<'a> {
    snapshot
        .list(rows, None, None)
        .map(|object| &object.bytes[..])
}

/// A random identifier in the form of a version 4 UUID.
pub(crate) fn new_uid() -> String {
    let mut bytes: [u8; 16] = rand::rng().random();
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let text = hex::encode(bytes);
    format!(
        "{}-{}-{}-{}-{}",
        &text[..8],
        &text[8..12],
        &text[12..16],
        &text[16..20],
        &text[20..]
    )
}

/// Letters that spell no words, as the real server picks them.
const SUFFIX_LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
const SUFFIX_LEN: usize = 5;
const NAME_MAX: usize = 63;

/// A name made from a prefix.
pub(crate) fn generated_name(prefix: &str) -> String {
    let mut random = rand::rng();
    let letters = (0..SUFFIX_LEN)
        .map(|_| char::from(SUFFIX_LETTERS[random.random_range(0..SUFFIX_LETTERS.len())]));
    let kept = prefix.chars().take(NAME_MAX - SUFFIX_LEN);
    kept.chain(letters).collect()
}
