//! Content on disk, named by its digest.
//!
//! A blob appears under its name only when it is complete and verified, and
//! where it must last, durable: it is written beside, synced, renamed, and the
//! directory synced. So several processes may share one directory, and a torn
//! write is invisible.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use bytes::Bytes;
use foreshore_model::Digest;
use futures::{Stream, StreamExt};
use sha2::{Digest as _, Sha256};

/// Chunks between the network and the disk; at 64 KiB each this is half a mebibyte.
const CHUNKS_IN_FLIGHT_MAX: usize = 8;

/// Why the blob store could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    #[error("cannot {action} `{path}`")]
    Disk {
        action: &'static str,
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    #[error("content has digest `{found}`, `{expected}` was announced")]
    Mismatch { expected: Digest, found: Digest },
    #[error("content has more than the allowed {limit} bytes")]
    TooLarge { limit: u64 },
    #[error("`{path}` is damaged: its content has digest `{found}`")]
    Damaged { path: PathBuf, found: Digest },
}

impl BlobError {
    pub(crate) fn disk(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |cause| Self::Disk {
            action,
            path,
            cause,
        }
    }

    /// Tells whether the disk is full.
    pub fn is_full_disk(&self) -> bool {
        matches!(self, Self::Disk { cause, .. } if is_full(cause))
    }
}

pub(crate) fn is_full(cause: &io::Error) -> bool {
    matches!(
        cause.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

/// Why a stream did not become a blob.
#[derive(Debug, thiserror::Error)]
pub enum ReceiveError<E: std::error::Error + 'static> {
    #[error(transparent)]
    Blob(#[from] BlobError),
    #[error("the transfer broke off")]
    Stream(#[source] E),
}

/// Makes names created in `directory` durable.
pub fn sync_directory(directory: &Path) -> Result<(), BlobError> {
    File::open(directory)
        .and_then(|file| file.sync_all())
        .map_err(BlobError::disk("sync directory", directory))
}

/// What a power cut may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// Nothing that was stored.
    Synced,
    /// Anything: what is read is checked, and what is lost can be had again.
    Cache,
}

/// A directory of blobs.
#[derive(Debug, Clone)]
pub struct BlobStore {
    durability: Durability,
    blobs: PathBuf,
    incoming: PathBuf,
}

impl BlobStore {
    /// Opens the store in `directory`, and creates what is missing.
    pub fn open(directory: &Path, durability: Durability) -> Result<Self, BlobError> {
        let store = Self {
            durability,
            blobs: directory.join("blobs/sha256"),
            incoming: directory.join("incoming"),
        };
        for folder in [&store.blobs, &store.incoming] {
            fs::create_dir_all(folder).map_err(BlobError::disk("create directory", folder))?;
        }
        sync_directory(&directory.join("blobs"))?;
        sync_directory(directory)?;
        Ok(store)
    }

    /// Returns where `digest` is or would be.
    pub fn path(&self, digest: &Digest) -> PathBuf {
        self.blobs.join(digest.hex())
    }

    /// Returns where unfinished content may be kept; same file system, never read as a blob.
    pub fn incoming(&self) -> &Path {
        &self.incoming
    }

    /// Returns the size of the blob, if it is there.
    pub fn size(&self, digest: &Digest) -> Result<Option<u64>, BlobError> {
        let path = self.path(digest);
        match fs::metadata(&path) {
            Ok(metadata) => Ok(Some(metadata.len())),
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(cause) => Err(BlobError::disk("look up", path)(cause)),
        }
    }

    /// Opens the blob unverified, if it is there.
    pub fn file(&self, digest: &Digest) -> Result<Option<File>, BlobError> {
        let path = self.path(digest);
        match File::open(&path) {
            Ok(file) => Ok(Some(file)),
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(cause) => Err(BlobError::disk("open", path)(cause)),
        }
    }

    /// Returns the whole blob, verified, if it is there.
    pub fn read(&self, digest: &Digest, limit: u64) -> Result<Option<Vec<u8>>, BlobError> {
        let Some(file) = self.file(digest)? else {
            return Ok(None);
        };
        let path = self.path(digest);
        let mut content = Vec::new();
        file.take(limit + 1)
            .read_to_end(&mut content)
            .map_err(BlobError::disk("read", &path))?;
        if content.len() as u64 > limit {
            return Err(BlobError::TooLarge { limit });
        }
        let found = Digest::of(&content);
        if found != *digest {
            return Err(BlobError::Damaged { path, found });
        }
        Ok(Some(content))
    }

    /// Stores `content`.
    pub fn put(&self, content: &[u8]) -> Result<Digest, BlobError> {
        let digest = Digest::of(content);
        if self.size(&digest)? == Some(content.len() as u64) {
            return Ok(digest);
        }
        let mut writer = self.writer()?;
        writer
            .write_all(content)
            .map_err(BlobError::disk("write", writer.file.path()))?;
        self.finish(writer, Some(&digest))
    }

    /// Starts a blob whose digest is not known yet.
    pub fn writer(&self) -> Result<BlobWriter, BlobError> {
        let file = tempfile::Builder::new()
            .prefix("blob-")
            .tempfile_in(&self.incoming)
            .map_err(BlobError::disk("create a file in", &self.incoming))?;
        Ok(BlobWriter {
            file,
            hash: Sha256::new(),
            length: 0,
        })
    }

    /// Makes what was written a blob; refuses it when it is not `expected`.
    pub fn finish(
        &self,
        writer: BlobWriter,
        expected: Option<&Digest>,
    ) -> Result<Digest, BlobError> {
        let digest = Digest::from_hash(&writer.hash.finalize());
        if let Some(expected) = expected.filter(|expected| **expected != digest) {
            return Err(BlobError::Mismatch {
                expected: expected.clone(),
                found: digest,
            });
        }
        let path = self.path(&digest);
        if self.durability == Durability::Synced {
            let synced = writer.file.as_file().sync_all();
            synced.map_err(BlobError::disk("sync", writer.file.path()))?;
        }
        writer
            .file
            .persist(&path)
            .map_err(|error| BlobError::disk("create", &path)(error.error))?;
        if self.durability == Durability::Synced {
            sync_directory(&self.blobs)?;
        }
        Ok(digest)
    }

    /// Writes a stream to disk while hashing it; it becomes a blob only when it is `expected`.
    pub async fn receive<S, E>(
        &self,
        chunks: S,
        expected: &Digest,
        limit: u64,
    ) -> Result<u64, ReceiveError<E>>
    where
        S: Stream<Item = Result<Bytes, E>> + Unpin,
        E: std::error::Error + 'static,
    {
        let (writer, poured) = self.writer()?.pour(chunks, limit).await;
        poured?;
        let length = writer.length;
        self.finish_later(writer, Some(expected.clone())).await?;
        Ok(length)
    }

    /// As [`Self::finish`], away from the threads that serve requests.
    pub async fn finish_later(
        &self,
        writer: BlobWriter,
        expected: Option<Digest>,
    ) -> Result<Digest, BlobError> {
        let store = self.clone();
        tokio::task::spawn_blocking(move || store.finish(writer, expected.as_ref()))
            .await
            .expect("the finishing task neither panics nor is aborted")
    }

    /// Removes the blob; tells whether it was there.
    pub fn remove(&self, digest: &Digest) -> Result<bool, BlobError> {
        let path = self.path(digest);
        match fs::remove_file(&path) {
            Ok(()) => Ok(true),
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(cause) => Err(BlobError::disk("remove", path)(cause)),
        }
    }

    /// Returns every blob with the time of its last change.
    pub fn list(&self) -> Result<Vec<(Digest, SystemTime)>, BlobError> {
        let listed = |cause| BlobError::disk("list", &self.blobs)(cause);
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.blobs).map_err(listed)? {
            let entry = entry.map_err(listed)?;
            let digest = entry
                .file_name()
                .to_str()
                .and_then(|hex| format!("sha256:{hex}").parse().ok());
            // A file with another name is not ours; a file that went away meanwhile is no blob any more.
            if let (Some(digest), Ok(metadata)) = (digest, entry.metadata()) {
                let changed = metadata
                    .modified()
                    .map_err(BlobError::disk("look up", entry.path()))?;
                found.push((digest, changed));
            }
        }
        Ok(found)
    }

    /// Removes unfinished content that has not changed since `before`.
    pub fn remove_stale(&self, before: SystemTime) -> Result<usize, BlobError> {
        let listed = |cause| BlobError::disk("list", &self.incoming)(cause);
        let mut removed = 0;
        for entry in fs::read_dir(&self.incoming).map_err(listed)? {
            let path = entry.map_err(listed)?.path();
            let stale = fs::metadata(&path)
                .and_then(|metadata| metadata.modified())
                .is_ok_and(|at| at < before);
            let is_directory = path.is_dir();
            if stale {
                let gone = if is_directory {
                    fs::remove_dir_all(&path)
                } else {
                    fs::remove_file(&path)
                };
                gone.map_err(BlobError::disk("remove", &path))?;
                removed += 1;
            }
        }
        Ok(removed)
    }
}

/// Reads to the end; returns digest and length.
pub(crate) fn hash(content: &mut impl Read) -> io::Result<(Digest, u64)> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 128 * 1024];
    let mut length = 0;
    loop {
        let count = content.read(&mut buffer)?;
        if count == 0 {
            return Ok((Digest::from_hash(&hash.finalize()), length));
        }
        hash.update(&buffer[..count]);
        length += count as u64;
    }
}

/// Content on its way into the store; dropped, it leaves nothing behind.
#[derive(Debug)]
pub struct BlobWriter {
    file: tempfile::NamedTempFile,
    hash: Sha256,
    length: u64,
}

impl BlobWriter {
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Appends a stream, until it ends or the blob would have more than `limit` bytes.
    ///
    /// What came before a failure stays written, so a sender can go on from there.
    pub async fn pour<S, E>(
        mut self,
        mut chunks: S,
        limit: u64,
    ) -> (Self, Result<(), ReceiveError<E>>)
    where
        S: Stream<Item = Result<Bytes, E>> + Unpin,
        E: std::error::Error + 'static,
    {
        let (sender, mut receiver) = tokio::sync::mpsc::channel::<Bytes>(CHUNKS_IN_FLIGHT_MAX);
        let disk = tokio::task::spawn_blocking(move || {
            while let Some(chunk) = receiver.blocking_recv() {
                if self.length + chunk.len() as u64 > limit {
                    return (self, Err(BlobError::TooLarge { limit }));
                }
                if let Err(cause) = self.write_all(&chunk) {
                    let error = BlobError::disk("write", self.file.path())(cause);
                    return (self, Err(error));
                }
            }
            (self, Ok(()))
        });
        let mut broken = Ok(());
        while let Some(chunk) = chunks.next().await {
            match chunk {
                Ok(chunk) => {
                    // A closed channel means that the disk side has failed; it says why below.
                    if sender.send(chunk).await.is_err() {
                        break;
                    }
                }
                Err(error) => {
                    broken = Err(ReceiveError::Stream(error));
                    break;
                }
            }
        }
        drop(sender);
        let (writer, written) = disk
            .await
            .expect("the writing task neither panics nor is aborted");
        (writer, written.map_err(ReceiveError::Blob).and(broken))
    }
}

impl Write for BlobWriter {
    fn write(&mut self, content: &[u8]) -> io::Result<usize> {
        let count = self.file.write(content)?;
        self.hash.update(&content[..count]);
        self.length += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    fn store() -> (tempfile::TempDir, BlobStore) {
        let directory = tempfile::tempdir().unwrap();
        let store = BlobStore::open(directory.path(), Durability::Synced).unwrap();
        (directory, store)
    }

    fn files(path: &Path) -> usize {
        fs::read_dir(path).unwrap().count()
    }

    #[test]
    fn content_reads_back_by_its_digest() {
        let (_directory, store) = store();
        let digest = store.put(b"content").unwrap();
        assert_eq!(store.read(&digest, 100).unwrap().unwrap(), b"content");
        assert_eq!(store.size(&digest).unwrap(), Some(7));
        assert_eq!(store.read(&Digest::of(b"other"), 100).unwrap(), None);
        assert!(matches!(
            store.read(&digest, 6),
            Err(BlobError::TooLarge { limit: 6 })
        ));
    }

    #[test]
    fn damage_on_disk_is_told_and_never_handed_out() {
        let (_directory, store) = store();
        let digest = store.put(b"content").unwrap();
        fs::write(store.path(&digest), b"CONTENT").unwrap();
        assert!(matches!(
            store.read(&digest, 100),
            Err(BlobError::Damaged { .. })
        ));
    }

    #[tokio::test]
    async fn a_stream_with_other_content_leaves_no_trace() {
        let (_directory, store) = store();
        let chunks = |content: &'static [u8]| {
            futures::stream::iter([Ok::<_, Infallible>(Bytes::from_static(content))])
        };
        let expected = Digest::of(b"right");
        let error = store
            .receive(chunks(b"wrong"), &expected, 100)
            .await
            .unwrap_err();
        assert!(
            matches!(error, ReceiveError::Blob(BlobError::Mismatch { .. })),
            "{error}"
        );
        let error = store
            .receive(chunks(b"right"), &expected, 4)
            .await
            .unwrap_err();
        assert!(
            matches!(error, ReceiveError::Blob(BlobError::TooLarge { .. })),
            "{error}"
        );
        assert_eq!((files(&store.blobs), files(&store.incoming)), (0, 0));
        assert_eq!(
            store.receive(chunks(b"right"), &expected, 5).await.unwrap(),
            5
        );
        assert_eq!((files(&store.blobs), files(&store.incoming)), (1, 0));
    }

    #[tokio::test]
    async fn a_broken_transfer_leaves_no_trace() {
        let (_directory, store) = store();
        let chunks = futures::stream::iter([
            Ok(Bytes::from_static(b"ri")),
            Err(io::Error::other("reset")),
        ]);
        let error = store
            .receive(chunks, &Digest::of(b"right"), 100)
            .await
            .unwrap_err();
        assert!(matches!(error, ReceiveError::Stream(_)), "{error}");
        assert_eq!((files(&store.blobs), files(&store.incoming)), (0, 0));
    }
}
