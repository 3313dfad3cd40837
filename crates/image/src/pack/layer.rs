//! One layer: a compressed archive that is the same for the same items.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use flate2::{Compression, GzBuilder};
use foreshore_model::Digest;
use sha2::{Digest as _, Sha256};
use tar::{EntryType, Header};

use super::PackError;
use super::items::{Item, Items, read_failed};
use crate::blobs::BlobError;
use crate::manifest::{Descriptor, media_type};
use crate::store::Store;

/// Passes content on while hashing it.
struct Tee<'a, T> {
    inner: &'a mut T,
    hash: Sha256,
}

impl<T: Write> Write for Tee<'_, T> {
    fn write(&mut self, content: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(content)?;
        self.hash.update(&content[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<T: Read> Read for Tee<'_, T> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.hash.update(&buffer[..count]);
        Ok(count)
    }
}

pub(super) fn write(store: &Store, items: &Items) -> Result<(Descriptor, Digest), PackError> {
    let mut blob = store.blobs().writer()?;
    // The fastest level: a program is pushed once and read from a disk nearby.
    let mut gzip = GzBuilder::new()
        .mtime(0)
        .operating_system(255)
        .write(&mut blob, Compression::fast());
    let mut tee = Tee {
        inner: &mut gzip,
        hash: Sha256::new(),
    };
    let failed = |cause| BlobError::disk("write", store.blobs().incoming())(cause);
    let mut archive = tar::Builder::new(&mut tee);
    for (path, item) in items {
        write_item(&mut archive, path, item)?;
    }
    archive.finish().map_err(failed)?;
    drop(archive);
    let diff_id = Digest::from_hash(&tee.hash.finalize());
    gzip.finish().map_err(failed)?;
    let length = blob.length();
    let digest = store.blobs().finish(blob, None)?;
    Ok((
        Descriptor::new(media_type::LAYER_GZIP, digest, length),
        diff_id,
    ))
}

fn write_item(
    archive: &mut tar::Builder<impl Write>,
    path: &str,
    item: &Item,
) -> Result<(), PackError> {
    let header = |kind, mode, length| {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_size(length);
        header
    };
    let failed = read_failed(Path::new(path));
    match item {
        Item::Directory { mode } => {
            let mut header = header(EntryType::Directory, *mode, 0);
            archive
                .append_data(&mut header, format!("{path}/"), io::empty())
                .map_err(failed)
        }
        Item::Text { mode, content } => {
            let mut header = header(EntryType::Regular, *mode, content.len() as u64);
            archive
                .append_data(&mut header, path, content.as_bytes())
                .map_err(failed)
        }
        Item::Link { target } => {
            let mut header = header(EntryType::Symlink, 0o777, 0);
            archive
                .append_link(&mut header, path, target)
                .map_err(failed)
        }
        Item::File {
            mode,
            source,
            length,
            digest,
        } => {
            let mut header = header(EntryType::Regular, *mode, *length);
            let mut file = File::open(source).map_err(read_failed(source))?;
            let mut tee = Tee {
                inner: &mut file,
                hash: Sha256::new(),
            };
            // A file that shrank would shift every later entry; so exactly the announced length is written.
            archive
                .append_data(&mut header, path, (&mut tee).take(*length))
                .map_err(read_failed(source))?;
            if Digest::from_hash(&tee.hash.finalize()) != *digest {
                return Err(PackError::Changed {
                    path: source.clone(),
                });
            }
            Ok(())
        }
    }
}
