//! All watched clusters, and the releases of the server beside them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use foreshore_model::{SiteName, clock};
use kube::Client;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::fold::Fold;
use crate::site::Site;
use crate::watching;

/// How often folded events are written to the cache.
const KEEP_EVERY: Duration = Duration::from_secs(30);

/// The clusters that pages show.
#[derive(Debug)]
pub(crate) struct Board {
    sites: RwLock<BTreeMap<SiteName, Arc<Site>>>,
    changed: watch::Sender<u64>,
    /// Where folded events outlive a restart; deletable at any time.
    cache: Option<PathBuf>,
}

impl Board {
    pub(crate) fn new(cache: Option<PathBuf>) -> Self {
        Self {
            sites: RwLock::default(),
            changed: watch::Sender::new(0),
            cache,
        }
    }

    /// Counts changes: whoever read this before looking knows of as many at least.
    pub(crate) fn version(&self) -> u64 {
        *self.changed.borrow()
    }

    /// Starts to watch a cluster, until shutdown.
    pub(crate) fn attach(
        &self,
        name: SiteName,
        client: Client,
        shutdown: &CancellationToken,
    ) -> Arc<Site> {
        let site = Arc::new(Site::new(name.clone(), client, self.changed.clone()));
        if let Some(path) = self.events_file(&name) {
            read_events(&site, &path);
            tokio::spawn(keep_events(site.clone(), path, shutdown.clone()));
        }
        tokio::spawn(watching::run(site.clone(), shutdown.clone()));
        self.sites
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(name, site.clone());
        self.changed.send_modify(|version| *version += 1);
        site
    }

    fn events_file(&self, name: &SiteName) -> Option<PathBuf> {
        Some(self.cache.as_ref()?.join(format!("events-{name}.json")))
    }

    pub(crate) fn sites(&self) -> Vec<Arc<Site>> {
        self.sites
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .values()
            .cloned()
            .collect()
    }

    pub(crate) fn site(&self, name: &str) -> Option<Arc<Site>> {
        self.sites()
            .into_iter()
            .find(|site| site.name.as_str() == name)
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Wakes whoever shows something.
    pub(crate) fn wake(&self) {
        self.changed.send_modify(|version| *version += 1);
    }
}

fn read_events(site: &Site, path: &std::path::Path) {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return,
        Err(error) => {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "cannot read kept events; they start anew"
            );
            return;
        }
    };
    match Fold::from_text(&text) {
        Ok(mut fold) => {
            fold.expire(clock::now());
            site.change(|kinds| kinds.events = fold);
        }
        Err(error) => {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "kept events are damaged; they start anew"
            );
        }
    }
}

/// Writes folded events now and then, and once more at the end.
async fn keep_events(site: Arc<Site>, path: PathBuf, shutdown: CancellationToken) {
    let mut written = String::new();
    loop {
        tokio::select! {
            () = tokio::time::sleep(KEEP_EVERY) => {}
            () = shutdown.cancelled() => {}
        }
        let text = site.kinds().events.to_text();
        if text != written {
            match write(&path, &text) {
                Ok(()) => written = text,
                Err(error) => tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "cannot keep events"
                ),
            }
        }
        if shutdown.is_cancelled() {
            return;
        }
    }
}

/// A cache: whole or not there, but not worth a sync.
fn write(path: &std::path::Path, text: &str) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let draft = path.with_extension("new");
    std::fs::write(&draft, text)?;
    std::fs::rename(&draft, path)
}
