//! Turns an image's layers into a directory tree.
//!
//! Layers come from strangers. Every path is resolved inside the new root
//! ([`root`]), so a link in a layer can point anywhere and still leads nowhere
//! outside; `..` and absolute paths are refused, device nodes are left out.

mod root;

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::io::{self, BufReader, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

use foreshore_model::Digest;
use sha2::{Digest as _, Sha256};
use tar::EntryType;

use crate::blobs::{self, BlobError};
use crate::manifest::{Descriptor, media_type};
use crate::store::{Image, Store, StoreError};
use root::{Attributes, Root};

const WHITEOUT: &[u8] = b".wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";

/// How much one image may unpack to.
#[derive(Debug, Clone, Copy)]
pub struct UnpackLimits {
    pub bytes_max: u64,
    pub entries_max: u64,
}

impl Default for UnpackLimits {
    /// Twice what the largest public base images need.
    fn default() -> Self {
        Self {
            bytes_max: 16 << 30,
            entries_max: 1_000_000,
        }
    }
}

/// Why an image could not be unpacked.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("layer `{layer}` is not in the store")]
    Missing { layer: Digest },
    #[error("layer `{layer}` is damaged; it is removed and has to be pulled again")]
    Damaged { layer: Digest },
    #[error("layer `{layer}` unpacks to `{found}`, the image says `{expected}`")]
    DiffId {
        layer: Digest,
        expected: Digest,
        found: Digest,
    },
    #[error("layer `{layer}` has the media type `{media_type}`, which is not supported")]
    MediaType { layer: Digest, media_type: String },
    #[error("cannot read layer `{layer}`")]
    Archive {
        layer: Digest,
        #[source]
        cause: io::Error,
    },
    #[error("layer `{layer}` has an entry `{path}` that leaves the image")]
    Escape { layer: Digest, path: String },
    #[error("layer `{layer}` has an entry `{path}` of an unknown kind")]
    Kind { layer: Digest, path: String },
    #[error("the image unpacks to more than {bytes_max} bytes or {entries_max} entries")]
    TooLarge { bytes_max: u64, entries_max: u64 },
    #[error("cannot {action} `{path}` of layer `{layer}`")]
    Write {
        action: &'static str,
        path: PathBuf,
        layer: Digest,
        #[source]
        cause: io::Error,
    },
}

impl UnpackError {
    /// Tells whether the disk is full.
    pub fn is_full_disk(&self) -> bool {
        match self {
            Self::Store(StoreError::Blob(error)) => error.is_full_disk(),
            Self::Write { cause, .. } => blobs::is_full(cause),
            _ => false,
        }
    }
}

impl Store {
    /// Returns the image's root directory; unpacks it when that has not been done since the machine started.
    ///
    /// Everyone who runs the image shares the directory and must not write to it.
    pub async fn unpacked(&self, image: &Image) -> Result<PathBuf, UnpackError> {
        self.unpacked_within(image, UnpackLimits::default()).await
    }

    /// As [`Self::unpacked`], with other limits.
    pub async fn unpacked_within(
        &self,
        image: &Image,
        limits: UnpackLimits,
    ) -> Result<PathBuf, UnpackError> {
        let path = self.root_path(&image.digest);
        let _flight = self.flight(&format!("unpack {}", image.digest)).await;
        if path.is_dir() {
            return Ok(path);
        }
        let (store, image) = (self.clone(), image.clone());
        tokio::task::spawn_blocking(move || store.unpack(&image, limits))
            .await
            .expect("the unpacking task neither panics nor is aborted")
    }

    fn unpack(&self, image: &Image, limits: UnpackLimits) -> Result<PathBuf, UnpackError> {
        let path = self.root_path(&image.digest);
        let disk = |action, path: &Path| {
            let path = path.to_owned();
            move |cause| UnpackError::Store(BlobError::disk(action, path)(cause).into())
        };
        let incoming = self.inner.blobs.incoming();
        let unfinished = tempfile::Builder::new()
            .prefix("root-")
            .tempdir_in(incoming)
            .map_err(disk("create a directory in", incoming))?;
        let open = fs::Permissions::from_mode(0o755);
        fs::set_permissions(unfinished.path(), open).map_err(disk("open", unfinished.path()))?;
        let root = Root::open(unfinished.path()).map_err(disk("open", unfinished.path()))?;
        let mut budget = limits;
        for (layer, diff_id) in image
            .manifest
            .layers
            .iter()
            .zip(&image.configuration.rootfs.diff_ids)
        {
            let mut apply = Apply {
                root: &root,
                layer: &layer.digest,
                budget,
                limits,
                written: BTreeSet::new(),
            };
            let found = self.with_layer(layer, |archive| apply.all(archive))?;
            budget = apply.budget;
            if found != *diff_id {
                let (layer, expected) = (layer.digest.clone(), diff_id.clone());
                return Err(UnpackError::DiffId {
                    layer,
                    expected,
                    found,
                });
            }
        }
        let finished = unfinished.keep();
        match fs::rename(&finished, &path) {
            Ok(()) => Ok(path),
            // Another process was faster; what it made is the same.
            Err(_) if path.is_dir() => {
                fs::remove_dir_all(&finished).map_err(disk("remove", &finished))?;
                Ok(path)
            }
            Err(cause) => Err(disk("create", &path)(cause)),
        }
    }

    /// Opens the layer, lets `read` have it uncompressed, then checks that the blob was whole.
    fn with_layer(
        &self,
        layer: &Descriptor,
        read: impl FnOnce(&mut dyn Read) -> Result<Digest, UnpackError>,
    ) -> Result<Digest, UnpackError> {
        let digest = &layer.digest;
        let missing = || UnpackError::Missing {
            layer: digest.clone(),
        };
        let file = self
            .inner
            .blobs
            .file(digest)
            .map_err(StoreError::from)?
            .ok_or_else(missing)?;
        let mut blob = Hashing {
            inner: file,
            hash: Sha256::new(),
        };
        let broken = |cause| UnpackError::Archive {
            layer: digest.clone(),
            cause,
        };
        let result = match layer.media_type.as_str() {
            media_type::LAYER | media_type::DOCKER_LAYER => read(&mut BufReader::new(&mut blob)),
            media_type::LAYER_GZIP | media_type::DOCKER_LAYER_GZIP => read(
                &mut flate2::read::MultiGzDecoder::new(BufReader::new(&mut blob)),
            ),
            media_type::LAYER_ZSTD => read(&mut zstd::Decoder::new(&mut blob).map_err(broken)?),
            other => {
                return Err(UnpackError::MediaType {
                    layer: digest.clone(),
                    media_type: other.to_owned(),
                });
            }
        };
        io::copy(&mut blob, &mut io::sink()).map_err(broken)?;
        if Digest::from_hash(&blob.hash.finalize()) != *digest {
            self.inner.blobs.remove(digest).map_err(StoreError::from)?;
            return Err(UnpackError::Damaged {
                layer: digest.clone(),
            });
        }
        result
    }
}

/// Hashes everything that is read through it.
struct Hashing<R> {
    inner: R,
    hash: Sha256,
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.hash.update(&buffer[..count]);
        Ok(count)
    }
}

/// Applies one layer on top of what is in the root.
struct Apply<'a> {
    root: &'a Root,
    layer: &'a Digest,
    /// What is left of `limits`.
    budget: UnpackLimits,
    limits: UnpackLimits,
    /// What this layer brought; an opaque marker spares it.
    written: BTreeSet<PathBuf>,
}

impl Apply<'_> {
    fn all(&mut self, archive: &mut dyn Read) -> Result<Digest, UnpackError> {
        let broken = |layer: &Digest| {
            let layer = layer.clone();
            move |cause| UnpackError::Archive { layer, cause }
        };
        let mut hashing = Hashing {
            inner: archive,
            hash: Sha256::new(),
        };
        let mut archive = tar::Archive::new(&mut hashing);
        let mut directories = Vec::new();
        for entry in archive.entries().map_err(broken(self.layer))? {
            let mut entry = entry.map_err(broken(self.layer))?;
            self.one(&mut entry, &mut directories)?;
        }
        // Writing into a directory changes its time, and a directory may be closed to its owner.
        for (path, attributes) in directories.iter().rev() {
            if self.root.is_directory(path) {
                self.root
                    .set_attributes(path, attributes)
                    .map_err(self.failed("set the attributes of", path))?;
            }
        }
        io::copy(&mut hashing, &mut io::sink()).map_err(broken(self.layer))?;
        Ok(Digest::from_hash(&hashing.hash.finalize()))
    }

    fn failed(&self, action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> UnpackError {
        let (path, layer) = (path.to_owned(), self.layer.clone());
        move |cause| UnpackError::Write {
            action,
            path,
            layer,
            cause,
        }
    }

    fn spend(&mut self, bytes: u64) -> Result<(), UnpackError> {
        let (Some(bytes), Some(entries)) = (
            self.budget.bytes_max.checked_sub(bytes),
            self.budget.entries_max.checked_sub(1),
        ) else {
            let UnpackLimits {
                bytes_max,
                entries_max,
            } = self.limits;
            return Err(UnpackError::TooLarge {
                bytes_max,
                entries_max,
            });
        };
        self.budget = UnpackLimits {
            bytes_max: bytes,
            entries_max: entries,
        };
        Ok(())
    }

    /// Returns the path without `.` parts; empty is the root itself.
    fn inside(&self, path: &[u8]) -> Result<PathBuf, UnpackError> {
        let escape = || UnpackError::Escape {
            layer: self.layer.clone(),
            path: String::from_utf8_lossy(path).into_owned(),
        };
        if path.contains(&0) {
            return Err(escape());
        }
        let mut inside = PathBuf::new();
        for component in Path::new(OsStr::from_bytes(path)).components() {
            match component {
                Component::Normal(part) => inside.push(part),
                Component::CurDir => {}
                Component::RootDir | Component::ParentDir | Component::Prefix(_) => {
                    return Err(escape());
                }
            }
        }
        Ok(inside)
    }

    fn one(
        &mut self,
        entry: &mut tar::Entry<'_, impl Read>,
        directories: &mut Vec<(PathBuf, Attributes)>,
    ) -> Result<(), UnpackError> {
        let kind = entry.header().entry_type();
        if kind == EntryType::XGlobalHeader {
            return Ok(());
        }
        self.spend(entry.size())?;
        let path = self.inside(&entry.path_bytes())?;
        let attributes = Attributes::of(entry.header()).map_err(|cause| UnpackError::Archive {
            layer: self.layer.clone(),
            cause,
        })?;
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            if kind == EntryType::Directory {
                self.root
                    .set_mode(&attributes)
                    .map_err(self.failed("set the attributes of", &path))?;
            }
            return Ok(());
        };
        if name.as_bytes() == OPAQUE {
            let written = &self.written;
            return self
                .root
                .clear(parent, &|path| written.contains(path))
                .map_err(self.failed("clear", parent));
        }
        if let Some(hidden) = name.as_bytes().strip_prefix(WHITEOUT) {
            if matches!(hidden, b"" | b"." | b"..") {
                let (layer, path) = (self.layer.clone(), path.display().to_string());
                return Err(UnpackError::Escape { layer, path });
            }
            let hidden = parent.join(OsStr::from_bytes(hidden));
            return self
                .root
                .remove(&hidden)
                .map_err(self.failed("remove", &hidden));
        }
        self.create(entry, kind, &path, &attributes)?;
        if kind == EntryType::Directory {
            directories.push((path.clone(), attributes));
        }
        let mut path = path;
        while path.file_name().is_some() && self.written.insert(path.clone()) {
            path.pop();
        }
        Ok(())
    }

    fn create(
        &self,
        entry: &mut tar::Entry<'_, impl Read>,
        kind: EntryType,
        path: &Path,
        attributes: &Attributes,
    ) -> Result<(), UnpackError> {
        let no_target = || UnpackError::Kind {
            layer: self.layer.clone(),
            path: path.display().to_string(),
        };
        let created = match kind {
            EntryType::Directory => self.root.create_directory(path),
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                self.root.create_file(path, entry, attributes)
            }
            EntryType::Symlink => {
                let target = entry.link_name_bytes().ok_or_else(no_target)?;
                self.root
                    .create_symlink(path, OsStr::from_bytes(&target), attributes)
            }
            EntryType::Link => {
                let target = entry.link_name_bytes().ok_or_else(no_target)?;
                // Some tools write the target of a hard link with a leading slash.
                let target = target.strip_prefix(b"/").unwrap_or(&target);
                let target = self.inside(target)?;
                self.root.create_hard_link(path, &target)
            }
            EntryType::Char | EntryType::Block | EntryType::Fifo => {
                tracing::debug!(path = %path.display(), "device left out of the unpacked image");
                Ok(())
            }
            _ => return Err(no_target()),
        };
        created.map_err(self.failed("create", path))
    }
}

#[cfg(test)]
mod tests;
