//! The accidents: what is done to the machine, and undone.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use kube::Client;
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::NODE;

const LOST: &[u8] = b"this was a database\n";

/// What was done to the machine and not undone yet, kept in the data directory.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Damage {
    /// `namespace/name` of pods whose database was overwritten.
    #[serde(default)]
    pub(crate) databases: Vec<String>,
    /// The node is out of service.
    #[serde(default)]
    pub(crate) node: bool,
}

/// Why the machine could not be broken or mended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MachineError {
    #[error("cannot use `{path}`")]
    File {
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    #[error("`{path}` is damaged")]
    Format {
        path: PathBuf,
        #[source]
        cause: serde_json::Error,
    },
    #[error("the cluster refused to {doing}")]
    Cluster {
        doing: &'static str,
        #[source]
        cause: Box<kube::Error>,
    },
    #[error("no pod of {service} runs in `{namespace}`")]
    NoPod { service: String, namespace: String },
    #[error("no database of a pod of {service} is on this machine")]
    NoDatabase { service: String },
}

fn refused(doing: &'static str) -> impl FnOnce(kube::Error) -> MachineError {
    move |cause| MachineError::Cluster {
        doing,
        cause: Box::new(cause),
    }
}

fn file(path: &Path) -> impl FnOnce(io::Error) -> MachineError + '_ {
    |cause| MachineError::File {
        path: path.to_owned(),
        cause,
    }
}

fn core(kind: &str) -> ApiResource {
    ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", kind))
}

fn pods(client: &Client, namespace: &str) -> Api<DynamicObject> {
    Api::namespaced_with(client.clone(), namespace, &core("Pod"))
}

fn nodes(client: &Client) -> Api<DynamicObject> {
    Api::all_with(client.clone(), &core("Node"))
}

async fn pods_of(
    client: &Client,
    namespace: &str,
    service: &str,
) -> Result<Vec<DynamicObject>, MachineError> {
    let list = ListParams::default().labels(&format!("app.kubernetes.io/name={service}"));
    let found = pods(client, namespace).list(&list).await;
    let found = found.map_err(refused("list pods"))?.items;
    if found.is_empty() {
        return Err(MachineError::NoPod {
            service: service.to_owned(),
            namespace: namespace.to_owned(),
        });
    }
    Ok(found)
}

async fn delete_pods(
    client: &Client,
    namespace: &str,
    names: impl IntoIterator<Item = String>,
) -> Result<(), MachineError> {
    for name in names {
        let deleted = pods(client, namespace)
            .delete(&name, &DeleteParams::default())
            .await;
        match deleted {
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            Err(error) => return Err(refused("delete a pod")(error)),
            Ok(_) => {}
        }
    }
    Ok(())
}

impl Damage {
    fn path(data: &Path) -> PathBuf {
        data.join("demo.json")
    }

    /// What is broken now, as far as it was broken from here.
    pub(crate) fn read(data: &Path) -> Result<Self, MachineError> {
        let path = Self::path(data);
        match fs::read(&path) {
            Ok(bytes) => {
                serde_json::from_slice(&bytes).map_err(|cause| MachineError::Format { path, cause })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(cause) => Err(file(&path)(cause)),
        }
    }

    /// Keeps it; nothing is kept of nothing.
    fn keep(&self, data: &Path) -> Result<(), MachineError> {
        let path = Self::path(data);
        let kept = if *self == Self::default() {
            match fs::remove_file(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                other => other,
            }
        } else {
            let text = serde_json::to_vec(self).expect("names and a flag are JSON");
            fs::write(&path, text)
        };
        kept.map_err(file(&path))
    }

    /// Takes the node out of service and its pods of the service away.
    pub(crate) async fn lose_node(
        &mut self,
        client: &Client,
        data: &Path,
        (namespace, service): (&str, &str),
    ) -> Result<(), MachineError> {
        let found = pods_of(client, namespace, service).await?;
        // Noted first: what was begun is mended as well.
        self.node = true;
        self.keep(data)?;
        cordon(client, true).await?;
        let names = found.into_iter().filter_map(|pod| pod.metadata.name);
        delete_pods(client, namespace, names).await
    }

    /// Overwrites the database of every pod of the service, as a failing disk would.
    pub(crate) async fn lose_database(
        &mut self,
        client: &Client,
        data: &Path,
        (namespace, service): (&str, &str),
    ) -> Result<(), MachineError> {
        let mut lost = false;
        for pod in pods_of(client, namespace, service).await? {
            let (Some(name), Some(uid)) = (pod.metadata.name, pod.metadata.uid) else {
                continue;
            };
            let pod = data.join("node").join(NODE).join("pods").join(uid);
            for database in databases(&pod.join("volumes/state"))? {
                self.databases.push(format!("{namespace}/{name}"));
                self.databases.dedup();
                self.keep(data)?;
                overwrite(&database)?;
                lost = true;
            }
        }
        if lost {
            Ok(())
        } else {
            Err(MachineError::NoDatabase {
                service: service.to_owned(),
            })
        }
    }

    /// Undoes what is noted; returns what was done in words.
    pub(crate) async fn mend(
        &mut self,
        client: &Client,
        data: &Path,
    ) -> Result<Vec<String>, MachineError> {
        let mut done = Vec::new();
        if self.node {
            cordon(client, false).await?;
            self.node = false;
            done.push(format!("node {NODE} is in service again"));
        }
        for name in std::mem::take(&mut self.databases) {
            let (namespace, pod) = name.split_once('/').unwrap_or(("", &name));
            delete_pods(client, namespace, [pod.to_owned()]).await?;
            done.push(format!(
                "pod {name} is replaced by one with an empty database"
            ));
        }
        self.keep(data)?;
        Ok(done)
    }
}

async fn cordon(client: &Client, unschedulable: bool) -> Result<(), MachineError> {
    let patch = Patch::Merge(json!({"spec": {"unschedulable": unschedulable}}));
    nodes(client)
        .patch(NODE, &PatchParams::default(), &patch)
        .await
        .map_err(refused("take the node out of service, or back"))?;
    Ok(())
}

/// SQLite files of a volume.
fn databases(volume: &Path) -> Result<Vec<PathBuf>, MachineError> {
    let entries = match fs::read_dir(volume) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(cause) => return Err(file(volume)(cause)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(file(volume))?.path();
        if path.extension().is_some_and(|end| end == "db") {
            found.push(path);
        }
    }
    Ok(found)
}

/// Writes over the file, its log and its index, which the running program holds open.
fn overwrite(database: &Path) -> Result<(), MachineError> {
    let beside = |end: &str| {
        let mut name = database.as_os_str().to_owned();
        name.push(end);
        PathBuf::from(name)
    };
    let write = |path: &Path, pattern: &[u8], cut: bool| {
        let length = match fs::metadata(path) {
            Ok(found) => found.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(cause) => return Err(cause),
        };
        let mut open = OpenOptions::new().write(true).truncate(cut).open(path)?;
        if cut {
            return Ok(());
        }
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let bytes: Vec<u8> = pattern.iter().copied().cycle().take(length).collect();
        open.write_all(&bytes)
    };
    let (log, index) = (beside("-wal"), beside("-shm"));
    write(&log, LOST, true).map_err(file(&log))?;
    write(database, LOST, false).map_err(file(database))?;
    // The index is mapped into the program: cutting it short would be another fault.
    write(&index, &[0], false).map_err(file(&index))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damage_is_kept_until_it_is_undone() {
        let data = tempfile::tempdir().unwrap();
        assert_eq!(Damage::read(data.path()).unwrap(), Damage::default());
        let damage = Damage {
            databases: vec!["dev/api-1".into()],
            node: true,
        };
        damage.keep(data.path()).unwrap();
        assert_eq!(Damage::read(data.path()).unwrap(), damage);
        Damage::default().keep(data.path()).unwrap();
        Damage::default().keep(data.path()).unwrap();
        assert_eq!(fs::read_dir(data.path()).unwrap().count(), 0);
        fs::write(data.path().join("demo.json"), "{").unwrap();
        assert!(matches!(
            Damage::read(data.path()),
            Err(MachineError::Format { .. })
        ));
    }

    #[test]
    fn a_database_is_overwritten_in_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("api.db");
        for (end, content) in [("", "SQLite format 3"), ("-wal", "log"), ("-shm", "index")] {
            fs::write(folder.path().join(format!("api.db{end}")), content).unwrap();
        }
        assert_eq!(
            databases(folder.path()).unwrap(),
            std::slice::from_ref(&path)
        );
        overwrite(&path).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"this was a data");
        assert_eq!(fs::read(folder.path().join("api.db-wal")).unwrap(), b"");
        assert_eq!(fs::read(folder.path().join("api.db-shm")).unwrap(), [0; 5]);
        assert_eq!(
            databases(&folder.path().join("gone")).unwrap(),
            Vec::<PathBuf>::new()
        );
    }
}
