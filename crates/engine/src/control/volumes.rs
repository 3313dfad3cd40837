//! Gives volume claims their directories, and takes them back.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use foreshore_controllers::{Change, EventKind, Kind, volume};
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::api::storage::v1::StorageClass;
use tracing::warn;

use super::cache::{Cache, ObjectKey, key_of};
use super::execute::Executor;
use super::queue::Queue;
use super::work::workers;
use super::{Informers, Task, after_sync, request};

/// Wait before the class is made again, should the API refuse it.
const RETRY: Duration = Duration::from_secs(5);

struct World {
    claims: Arc<Cache<PersistentVolumeClaim>>,
    volumes: Arc<Cache<PersistentVolume>>,
    folder: PathBuf,
}

pub(super) fn tasks(informers: &mut Informers, executor: &Executor, folder: &Path) -> Vec<Task> {
    let world = Arc::new(World {
        claims: informers.claims.cache(),
        volumes: informers.volumes.cache(),
        folder: folder.to_owned(),
    });
    let claims = Arc::new(Queue::<ObjectKey>::new());
    let volumes = Arc::new(Queue::<String>::new());
    let (of_claims, of_volumes) = (Arc::clone(&claims), Arc::clone(&volumes));
    informers.claims.on_change(move |delta| {
        of_claims.add(key_of(&delta.latest().metadata));
        of_volumes.add(volume::volume_name(delta.latest()));
    });
    let (of_claims, of_volumes) = (Arc::clone(&claims), Arc::clone(&volumes));
    informers.volumes.on_change(move |delta| {
        let volume = delta.latest();
        if let Some(claim) = claim_of(volume) {
            of_claims.add(claim);
        }
        of_volumes.add(volume.metadata.name.clone().unwrap_or_default());
    });
    let known = Arc::clone(&world);
    let ready = move || {
        let known = Arc::clone(&known);
        async move {
            tokio::join!(known.claims.synced(), known.volumes.synced());
        }
    };
    let executor = executor.of("persistentvolume-controller");
    let deciding = Arc::clone(&world);
    let bind = move |key: &ObjectKey| deciding.decide_claim(key);
    let release = move |name: &String| world.decide_volume(name);
    vec![
        offer_class(&executor),
        after_sync(ready(), workers(2, &claims, &executor, bind, |_, _| ())),
        after_sync(ready(), workers(1, &volumes, &executor, release, |_, _| ())),
    ]
}

/// Makes sure the class of directories exists when the engine starts.
fn offer_class(executor: &Executor) -> Task {
    let client = executor.client.clone();
    Box::pin(async move {
        let class = volume::class();
        let kind = Kind::of::<StorageClass>();
        let body = serde_json::to_value(&class).expect("a class has string keys only");
        while let Err(error) = request::create(&client, &kind, None, &body).await {
            if error.code() == Some(409) {
                break;
            }
            warn!(
                error = &error as &dyn std::error::Error,
                "storage class was not made; will retry"
            );
            tokio::time::sleep(RETRY).await;
        }
        std::future::pending::<()>().await;
    })
}

fn claim_of(volume: &PersistentVolume) -> Option<ObjectKey> {
    let claimed = volume.spec.as_ref()?.claim_ref.as_ref()?;
    Some((claimed.namespace.clone()?, claimed.name.clone()?))
}

impl World {
    fn decide_claim(&self, (namespace, name): &ObjectKey) -> Vec<Change> {
        let Some(claim) = self.claims.get(namespace, name) else {
            return Vec::new();
        };
        let volume = self.volumes.get("", &volume::volume_name(&claim));
        let inputs = volume::Inputs {
            claim: &claim,
            volume: volume.as_deref(),
            folder: &self.folder.to_string_lossy(),
        };
        if let Some(directory) = volume::needs_directory(&inputs)
            && let Err(error) = make(&self.folder.join(directory))
        {
            let message = format!("cannot make the directory of the volume: {error}");
            let kind = EventKind::Warning;
            return vec![Change::event(
                claim.as_ref(),
                kind,
                "ProvisioningFailed",
                message,
            )];
        }
        volume::decide_claim(&inputs)
    }

    fn decide_volume(&self, name: &str) -> Vec<Change> {
        let Some(volume) = self.volumes.get("", name) else {
            return Vec::new();
        };
        let claim =
            claim_of(&volume).and_then(|(namespace, name)| self.claims.get(&namespace, &name));
        let folder = self.folder.to_string_lossy();
        let is_emptied = match volume::to_remove(&volume, claim.as_deref(), &folder) {
            None => false,
            Some(entry) => match remove(&self.folder, entry) {
                Ok(()) => true,
                Err(error) => {
                    let message = format!("cannot remove the directory of the volume: {error}");
                    let kind = EventKind::Warning;
                    return vec![Change::event(
                        volume.as_ref(),
                        kind,
                        "VolumeFailedDelete",
                        message,
                    )];
                }
            },
        };
        volume::decide_volume(&volume, claim.as_deref(), is_emptied)
    }
}

/// Makes a directory any pod may write to: its user is not known here.
fn make(path: &Path) -> io::Result<()> {
    fs::create_dir_all(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o777))
}

/// Removes one directory of the folder. Links are never followed: not one in
/// its place, and not one inside.
fn remove(folder: &Path, entry: &str) -> io::Result<()> {
    if fs::symlink_metadata(folder)?.is_symlink() {
        return Err(io::Error::other(format!(
            "`{}` is a link",
            folder.display()
        )));
    }
    let path = folder.join(entry);
    match fs::symlink_metadata(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(found) if !found.is_dir() => Err(io::Error::other(format!(
            "`{}` is not a directory",
            path.display()
        ))),
        Ok(_) => fs::remove_dir_all(&path),
    }
}

#[cfg(test)]
mod tests {
    use super::remove;
    use std::fs;

    #[test]
    fn links_are_never_followed() {
        let data = tempfile::tempdir().unwrap();
        let (folder, outside) = (data.path().join("volumes"), data.path().join("outside"));
        fs::create_dir_all(folder.join("one")).unwrap();
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("kept"), "").unwrap();
        std::os::unix::fs::symlink(&outside, folder.join("one/link")).unwrap();
        std::os::unix::fs::symlink(&outside, folder.join("two")).unwrap();
        remove(&folder, "one").unwrap();
        assert!(!folder.join("one").exists());
        let error = remove(&folder, "two").unwrap_err();
        assert!(error.to_string().ends_with("is not a directory"), "{error}");
        remove(&folder, "gone").unwrap();
        assert!(outside.join("kept").exists());
    }
}
