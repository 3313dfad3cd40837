//! Images on this machine: an OCI layout, and the roots unpacked from it.
//!
//! ```text
//! oci-layout, index.json, blobs/sha256/   as the OCI image layout says
//! incoming/                               unfinished content
//! roots/<boot>/<manifest>/                unpacked images, read-only for their users
//! packed/                                 what was packed from which inputs, a cache
//! lock                                    held while index.json changes
//! ```
//!
//! The store is a cache: what a power cut takes is noticed when it is read, and
//! pulled or packed again. Roots are not checked when they are used; so they
//! count only until the machine starts anew.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use foreshore_model::Digest;

use crate::blobs::{BlobError, BlobStore, Durability};
use crate::manifest::{
    Configuration, Descriptor, Document, Index, Manifest, ManifestError, Platform, media_type,
};
use crate::reference::Reference;

/// Largest manifest or configuration that is read (the distribution specification asks for 4 MiB).
pub(crate) const DOCUMENT_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// The annotation under which `index.json` keeps an image's name.
const NAME: &str = "org.opencontainers.image.ref.name";

/// An image that is completely on this machine.
#[derive(Debug, Clone)]
pub struct Image {
    /// Digest of the manifest for this machine's platform.
    pub digest: Digest,
    pub manifest: Manifest,
    pub configuration: Configuration,
}

/// Why the store could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error(transparent)]
    Blob(#[from] BlobError),
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    #[error("image `{image}` went away while it was being stored")]
    Vanished { image: String },
}

/// What [`Store::collect_garbage`] removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Garbage {
    pub blobs: usize,
    pub roots: usize,
    pub unfinished: usize,
}

/// A directory of images; clones share it.
#[derive(Debug, Clone)]
pub struct Store {
    pub(crate) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    directory: PathBuf,
    pub(crate) blobs: BlobStore,
    roots: PathBuf,
    /// One pull or unpacking of a thing at a time; the others wait and find it done.
    flights: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
}

fn boot_id() -> String {
    // Without it every root would still be right after a crash of a program, only not after one of the machine.
    fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map_or_else(|_| "boot".to_owned(), |id| id.trim().to_owned())
}

impl Store {
    /// Opens the store in `directory`, and creates what is missing.
    pub fn open(directory: &Path) -> Result<Self, StoreError> {
        fs::create_dir_all(directory).map_err(BlobError::disk("create directory", directory))?;
        let blobs = BlobStore::open(directory, Durability::Cache)?;
        let roots = directory.join("roots").join(boot_id());
        fs::create_dir_all(&roots).map_err(BlobError::disk("create directory", &roots))?;
        let directory = directory.to_owned();
        let store = Self {
            inner: Arc::new(Inner {
                directory,
                blobs,
                roots,
                flights: Mutex::default(),
            }),
        };
        store.replace_file("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)?;
        Ok(store)
    }

    pub fn blobs(&self) -> &BlobStore {
        &self.inner.blobs
    }

    pub(crate) fn root_path(&self, manifest: &Digest) -> PathBuf {
        self.inner.roots.join(manifest.hex())
    }

    /// Makes sure that only one caller in this process works on `what`.
    pub(crate) async fn flight(&self, what: &str) -> tokio::sync::OwnedMutexGuard<()> {
        let lock = {
            let mut flights = self
                .inner
                .flights
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            flights.retain(|_, lock| Arc::strong_count(lock) > 1);
            Arc::clone(flights.entry(what.to_owned()).or_default())
        };
        lock.lock_owned().await
    }

    /// Returns the image that `reference` names, if all of it is here.
    pub fn find(
        &self,
        reference: &Reference,
        platform: &Platform,
    ) -> Result<Option<Image>, StoreError> {
        let digest = match reference.digest() {
            Some(digest) => Some(digest.clone()),
            None => self.names()?.remove(&reference.to_string()),
        };
        match digest {
            Some(digest) => self.image(&digest, platform),
            None => Ok(None),
        }
    }

    /// Returns the image under a manifest's or an index's digest, if all of it is here.
    pub fn image(&self, digest: &Digest, platform: &Platform) -> Result<Option<Image>, StoreError> {
        let Some(content) = self.document(digest)? else {
            return Ok(None);
        };
        let manifest = match Document::parse(digest, &content)? {
            Document::Manifest(manifest) => manifest,
            Document::Index(index) => {
                let chosen = index.select(digest, platform)?.digest.clone();
                return if chosen == *digest {
                    Ok(None)
                } else {
                    self.image(&chosen, platform)
                };
            }
        };
        let Some(configuration) = self.document(&manifest.config.digest)? else {
            return Ok(None);
        };
        let configuration = parse_configuration(&manifest, &configuration)?;
        for layer in &manifest.layers {
            if self.inner.blobs.size(&layer.digest)? != Some(layer.size) {
                return Ok(None);
            }
        }
        Ok(Some(Image {
            digest: digest.clone(),
            manifest,
            configuration,
        }))
    }

    /// A damaged document counts as missing: it is removed, so that a pull replaces it.
    fn document(&self, digest: &Digest) -> Result<Option<Vec<u8>>, StoreError> {
        match self.inner.blobs.read(digest, DOCUMENT_BYTES_MAX) {
            Err(BlobError::Damaged { path, found }) => {
                tracing::warn!(path = %path.display(), %found, "damaged blob removed");
                self.inner.blobs.remove(digest)?;
                Ok(None)
            }
            other => Ok(other?),
        }
    }

    /// Returns every name in the index with what it stands for.
    pub fn names(&self) -> Result<BTreeMap<String, Digest>, StoreError> {
        let named = |descriptor: Descriptor| {
            let Descriptor {
                digest,
                mut annotations,
                ..
            } = descriptor;
            annotations.remove(NAME).map(|name| (name, digest))
        };
        Ok(self
            .index()?
            .manifests
            .into_iter()
            .filter_map(named)
            .collect())
    }

    fn index(&self) -> Result<Index, StoreError> {
        let path = self.inner.directory.join("index.json");
        let content = match fs::read(&path) {
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => None,
            read => Some(read.map_err(BlobError::disk("read", &path))?),
        };
        // The index may be lost in a power cut. A name that is missing only costs asking a registry.
        let read = content.map(|content| serde_json::from_slice(&content));
        if let Some(Err(error)) = &read {
            let error: &dyn std::error::Error = error;
            tracing::warn!(path = %path.display(), error, "index of images is damaged; starting a new one");
        }
        Ok(read.and_then(Result::ok).unwrap_or_else(|| Index {
            schema_version: 2,
            media_type: Some(media_type::INDEX.to_owned()),
            artifact_type: None,
            manifests: Vec::new(),
            subject: None,
            annotations: BTreeMap::new(),
        }))
    }

    /// Gives `digest` a name in the index; the name's earlier meaning is forgotten.
    pub(crate) fn set_name(
        &self,
        name: &str,
        media_type: &str,
        digest: &Digest,
        size: u64,
    ) -> Result<(), StoreError> {
        self.change_index(|index| {
            let is_it = |descriptor: &Descriptor| {
                descriptor.annotations.get(NAME).map(String::as_str) == Some(name)
            };
            if index
                .manifests
                .iter()
                .any(|known| is_it(known) && known.digest == *digest)
            {
                return false;
            }
            index.manifests.retain(|descriptor| !is_it(descriptor));
            let mut descriptor = Descriptor::new(media_type, digest.clone(), size);
            descriptor
                .annotations
                .insert(NAME.to_owned(), name.to_owned());
            index.manifests.push(descriptor);
            true
        })
    }

    fn change_index(&self, change: impl FnOnce(&mut Index) -> bool) -> Result<(), StoreError> {
        let path = self.inner.directory.join("lock");
        let lock = File::create(&path).map_err(BlobError::disk("open", &path))?;
        lock.lock().map_err(BlobError::disk("lock", &path))?;
        let mut index = self.index()?;
        if change(&mut index) {
            let content =
                serde_json::to_vec(&index).expect("an index of strings and numbers is JSON");
            self.replace_file("index.json", &content)?;
        }
        Ok(())
    }

    /// Returns what was packed from the inputs that `key` stands for.
    pub(crate) fn packed(
        &self,
        key: &Digest,
        platform: &Platform,
    ) -> Result<Option<Image>, StoreError> {
        let path = self.inner.directory.join("packed").join(key.hex());
        let digest = fs::read_to_string(&path)
            .ok()
            .and_then(|text| text.parse::<Digest>().ok());
        // An entry that is missing or torn only costs packing again.
        digest.map_or(Ok(None), |digest| self.image(&digest, platform))
    }

    pub(crate) fn remember_packed(&self, key: &Digest, digest: &Digest) -> Result<(), StoreError> {
        let folder = self.inner.directory.join("packed");
        let path = folder.join(key.hex());
        fs::create_dir_all(&folder)
            .and_then(|()| fs::write(&path, digest.as_str()))
            .map_err(BlobError::disk("write", &path))?;
        Ok(())
    }

    fn replace_file(&self, name: &str, content: &[u8]) -> Result<(), BlobError> {
        let path = self.inner.directory.join(name);
        if fs::read(&path).is_ok_and(|existing| existing == content) {
            return Ok(());
        }
        let write = || -> io::Result<()> {
            let mut file = tempfile::NamedTempFile::new_in(self.inner.blobs.incoming())?;
            file.write_all(content)?;
            file.persist(&path).map_err(|error| error.error)?;
            Ok(())
        };
        write().map_err(BlobError::disk("write", &path))
    }

    /// Removes what neither `keep` nor a name in it needs and what has not changed since `before`.
    ///
    /// `keep` holds the digests of images in use, `before` protects transfers
    /// that are under way. Names are forgotten with their images.
    pub fn collect_garbage(
        &self,
        keep: &BTreeSet<Digest>,
        before: SystemTime,
    ) -> Result<Garbage, StoreError> {
        let mut needed = BTreeSet::new();
        for digest in keep {
            self.mark(digest, &mut needed)?;
        }
        self.change_index(|index| {
            let count = index.manifests.len();
            index
                .manifests
                .retain(|descriptor| needed.contains(&descriptor.digest));
            index.manifests.len() != count
        })?;
        let mut garbage = Garbage {
            unfinished: self.inner.blobs.remove_stale(before)?,
            ..Garbage::default()
        };
        for (digest, changed) in self.inner.blobs.list()? {
            if changed < before && !needed.contains(&digest) && self.inner.blobs.remove(&digest)? {
                garbage.blobs += 1;
            }
        }
        garbage.roots = self.collect_roots(keep, before)?;
        Ok(garbage)
    }

    fn mark(&self, digest: &Digest, needed: &mut BTreeSet<Digest>) -> Result<(), StoreError> {
        if !needed.insert(digest.clone()) {
            return Ok(());
        }
        let Some(content) = self.document(digest)? else {
            return Ok(());
        };
        match Document::parse(digest, &content)? {
            Document::Manifest(manifest) => {
                needed.insert(manifest.config.digest);
                needed.extend(manifest.layers.into_iter().map(|layer| layer.digest));
            }
            Document::Index(index) => {
                for descriptor in index.manifests {
                    self.mark(&descriptor.digest, needed)?;
                }
            }
        }
        Ok(())
    }

    fn collect_roots(
        &self,
        keep: &BTreeSet<Digest>,
        before: SystemTime,
    ) -> Result<usize, StoreError> {
        let all = self.inner.directory.join("roots");
        let mut removed = 0;
        let entries = |path: &Path| -> Result<Vec<PathBuf>, BlobError> {
            let listed = fs::read_dir(path)
                .and_then(|entries| entries.map(|entry| entry.map(|e| e.path())).collect());
            listed.map_err(BlobError::disk("list", path))
        };
        for boot in entries(&all)? {
            let current = boot == self.inner.roots;
            for root in entries(&boot)? {
                let used = keep.iter().any(|digest| root == self.root_path(digest));
                let fresh = fs::metadata(&root)
                    .and_then(|m| m.modified())
                    .is_ok_and(|at| at >= before);
                if current && (used || fresh) {
                    continue;
                }
                fs::remove_dir_all(&root).map_err(BlobError::disk("remove", &root))?;
                removed += 1;
            }
            if !current {
                fs::remove_dir(&boot).map_err(BlobError::disk("remove", &boot))?;
            }
        }
        Ok(removed)
    }
}

pub(crate) fn parse_configuration(
    manifest: &Manifest,
    content: &[u8],
) -> Result<Configuration, ManifestError> {
    let digest = &manifest.config.digest;
    let configuration: Configuration =
        serde_json::from_slice(content).map_err(|cause| ManifestError::Parse {
            what: "configuration",
            digest: digest.clone(),
            cause,
        })?;
    let (diff_ids, layers) = (configuration.rootfs.diff_ids.len(), manifest.layers.len());
    if diff_ids != layers {
        return Err(ManifestError::Layers {
            digest: digest.clone(),
            diff_ids,
            layers,
        });
    }
    Ok(configuration)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_index_costs_its_names_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        let image = crate::pack::tests::image(&store, directory.path());
        store
            .set_name("a", media_type::MANIFEST, &image.digest, 1)
            .unwrap();
        store
            .set_name("b", media_type::MANIFEST, &image.digest, 1)
            .unwrap();
        assert_eq!(store.names().unwrap().len(), 2);
        for damage in ["", "{", "[]"] {
            fs::write(directory.path().join("index.json"), damage).unwrap();
            assert!(store.names().unwrap().is_empty());
        }
        assert!(
            store
                .image(&image.digest, &Platform::host())
                .unwrap()
                .is_some()
        );
        store
            .set_name("b", media_type::MANIFEST, &image.digest, 1)
            .unwrap();
        assert_eq!(store.names().unwrap()["b"], image.digest);
    }
}
