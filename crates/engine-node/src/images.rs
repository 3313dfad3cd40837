//! Images on the node's disk: which are in use, and which go when room runs out.

mod choice;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use foreshore_image::{Image, Platform, Store, StoreError};
use foreshore_model::{Digest, chain};
use jiff::Timestamp;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use crate::context::Context;
use crate::shim::{read_document, write_document};

use choice::Seen;

/// When each image was last used, as far as it is known here.
#[derive(Debug)]
pub(crate) struct Images {
    path: PathBuf,
    /// Held while images are removed too: what is about to be used stays.
    last_used: Mutex<BTreeMap<Digest, Timestamp>>,
}

impl Images {
    pub(crate) fn open(root: &Path) -> Self {
        let path = root.join("images.json");
        let known = read_document(&path).unwrap_or_else(|error| {
            tracing::warn!(error = chain(&error), "use of images is counted anew");
            None
        });
        Self {
            path,
            last_used: Mutex::new(known.unwrap_or_default()),
        }
    }

    /// Notes that an image is being used. It may have been removed a moment
    /// ago, so whoever calls this looks once more whether it is there.
    pub(crate) async fn touch(&self, image: &Digest, now: Timestamp) {
        let mut known = self.last_used.lock().await;
        known.insert(image.clone(), now);
        self.keep(&known);
    }

    fn keep(&self, known: &BTreeMap<Digest, Timestamp>) {
        if let Err(error) = write_document(&self.path, known) {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "use of images is not kept for the next start");
        }
    }
}

/// Looks at the disk now and then until `shutdown`.
pub(crate) async fn keep_room(context: &Context, shutdown: CancellationToken) {
    let every = context.options.image_limits.every;
    while shutdown
        .run_until_cancelled(tokio::time::sleep(every))
        .await
        .is_some()
    {
        if let Err(error) = make_room(context).await {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "images cannot be removed; will retry");
        }
    }
}

/// Removes images until there is room, those first that were used longest ago.
async fn make_room(context: &Context) -> Result<(), RoomError> {
    let limits = &context.options.image_limits;
    if used_percent(context)? < limits.high_percent {
        return Ok(());
    }
    let now = context.now();
    let mut known = context.images.last_used.lock().await;
    let in_use = in_use(context);
    let store = context.options.images.clone();
    let platform = context.options.pull.platform.clone();
    // Of others that share the store, or of earlier runs: used when first seen.
    for digest in store.names()?.values() {
        if let Some(image) = store.image(digest, &platform)? {
            known.entry(image.digest).or_insert(now);
        }
    }
    for digest in &in_use {
        known.insert(digest.clone(), now);
    }
    loop {
        // First what no image needs, then one image after the other.
        remove_others(&store, &platform, &known, now, limits.unused_min).await?;
        let used = used_percent(context)?;
        if used <= limits.low_percent {
            break;
        }
        let seen = known.iter().map(|(digest, last_used)| Seen {
            digest,
            last_used: *last_used,
            is_in_use: in_use.contains(digest),
        });
        let Some(oldest) = choice::next_to_go(seen, now, limits.unused_min).cloned() else {
            tracing::warn!(
                used_percent = used,
                "the disk is full and every image is in use"
            );
            break;
        };
        tracing::info!(image = %oldest, used_percent = used, "image removed to make room");
        known.remove(&oldest);
    }
    context.images.keep(&known);
    Ok(())
}

/// Why there is no more room than before.
#[derive(Debug, thiserror::Error)]
enum RoomError {
    #[error("cannot tell how full the disk is")]
    Disk(#[source] io::Error),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Digests of the images of pods on this node.
fn in_use(context: &Context) -> BTreeSet<Digest> {
    let records = context.records();
    let containers = records
        .iter()
        .flat_map(|record| record.state.containers.values());
    let ids = containers.filter_map(|container| container.image_id.as_deref());
    let digest = |id: &str| id.rsplit('@').next()?.parse().ok();
    ids.filter_map(digest).collect()
}

fn used_percent(context: &Context) -> Result<u8, RoomError> {
    let place = context.options.images.blobs().incoming();
    let about = rustix::fs::statvfs(place).map_err(|errno| RoomError::Disk(errno.into()))?;
    Ok(choice::used_percent(about.f_blocks, about.f_bavail))
}

async fn remove_others(
    store: &Store,
    platform: &Platform,
    known: &BTreeMap<Digest, Timestamp>,
    now: Timestamp,
    unused_min: Duration,
) -> Result<(), StoreError> {
    let (store, platform) = (store.clone(), platform.clone());
    let mut keep: BTreeSet<Digest> = known.keys().cloned().collect();
    let before = SystemTime::from(now) - unused_min;
    let removed = tokio::task::spawn_blocking(move || {
        // A name may stand for a list of images, of which one is for this machine.
        for digest in store.names()?.into_values() {
            let image: Option<Image> = store.image(&digest, &platform)?;
            if image.is_some_and(|image| keep.contains(&image.digest)) {
                keep.insert(digest);
            }
        }
        store.collect_garbage(&keep, before)
    });
    let removed = removed.await.expect("the collecting task does not panic")?;
    tracing::debug!(?removed, "content that no image needs removed");
    Ok(())
}
