//! Takes an image out of an archive in the OCI image layout, as container tools write it.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use foreshore_image::{Image, Index, Platform, Store, media_type};
use foreshore_model::{Digest, ExitCode};

use crate::failure::{Failure, chain};

/// Largest `index.json` that is read.
const INDEX_BYTES_MAX: u64 = 4 << 20;
/// Most bytes that are taken out of one archive.
const ARCHIVE_BYTES_MAX: u64 = 20 << 30;

/// Copies the image of an archive into the store; every byte is checked.
pub(super) fn import(store: &Store, archive: &Path) -> Result<Image, Failure> {
    let failed = |what: &str, error: &dyn std::error::Error| {
        Failure::new(
            ExitCode::Failed,
            format!(
                "cannot use the image that was built: {what}: {}",
                chain(error)
            ),
        )
    };
    let file = File::open(archive).map_err(|error| failed("cannot read it", &error))?;
    let index = read(store, file).map_err(|error| failed("its archive is damaged", &error))?;
    let index = index.ok_or_else(|| {
        Failure::new(
            ExitCode::Failed,
            "the container tool wrote an archive without `index.json`, which is no OCI layout",
        )
        .hint("docker writes one since version 25; buildah and podman always do")
    })?;
    let index: Index =
        serde_json::from_slice(&index).map_err(|error| failed("`index.json`", &error))?;
    let platform = Platform::host();
    let images = index.manifests.iter().filter(|descriptor| {
        [media_type::MANIFEST, media_type::INDEX].contains(&descriptor.media_type.as_str())
            || descriptor.media_type == media_type::DOCKER_MANIFEST
    });
    for descriptor in images {
        let image = store
            .image(&descriptor.digest, &platform)
            .map_err(|error| failed("its manifest", &error))?;
        if let Some(image) = image {
            return Ok(image);
        }
    }
    Err(Failure::new(
        ExitCode::Failed,
        "the container tool wrote an archive without an image in it",
    ))
}

/// Stores every blob and returns `index.json`.
fn read(store: &Store, file: File) -> io::Result<Option<Vec<u8>>> {
    let mut index = None;
    let mut archive = tar::Archive::new(file.take(ARCHIVE_BYTES_MAX));
    for entry in archive.entries()? {
        let mut entry = entry?;
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let path = entry.path()?.to_string_lossy().into_owned();
        let path = path.trim_start_matches("./");
        if path == "index.json" {
            let mut text = Vec::new();
            entry
                .by_ref()
                .take(INDEX_BYTES_MAX)
                .read_to_end(&mut text)?;
            index = Some(text);
        } else if let Some(hex) = path.strip_prefix("blobs/sha256/") {
            let digest: Digest = format!("sha256:{hex}").parse().map_err(io::Error::other)?;
            let mut writer = store.blobs().writer().map_err(io::Error::other)?;
            io::copy(&mut entry, &mut writer)?;
            store
                .blobs()
                .finish(writer, Some(&digest))
                .map_err(io::Error::other)?;
        }
    }
    Ok(index)
}

#[cfg(test)]
mod tests {
    use foreshore_image::{Entry, PackOptions};

    use super::*;

    fn packed(folder: &Path) -> (Store, Image) {
        let store = Store::open(&folder.join("first")).unwrap();
        std::fs::write(folder.join("program"), "program").unwrap();
        let entries = vec![Entry {
            source: folder.join("program"),
            target: "/app/web".into(),
        }];
        let options = PackOptions {
            entries,
            ..PackOptions::default()
        };
        let image = foreshore_image::pack(&store, &options).unwrap().image;
        (store, image)
    }

    /// Writes what `buildah push oci-archive:` writes.
    fn archive(store: &Store, image: &Image, path: &Path, spoil: bool) {
        let mut tar = tar::Builder::new(File::create(path).unwrap());
        let mut add = |name: &str, content: &[u8]| {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            tar.append_data(&mut header, name, content).unwrap();
        };
        add("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#);
        let size = store.blobs().size(&image.digest).unwrap().unwrap();
        let index = format!(
            r#"{{"schemaVersion":2,"manifests":[{{"mediaType":"{}","digest":"{}","size":{size}}}]}}"#,
            media_type::MANIFEST,
            image.digest
        );
        add("index.json", index.as_bytes());
        let parts = image.manifest.layers.iter().chain([&image.manifest.config]);
        let digests = parts
            .map(|part| part.digest.clone())
            .chain([image.digest.clone()]);
        for digest in digests {
            let mut content = store.blobs().read(&digest, 1 << 20).unwrap().unwrap();
            if spoil {
                content.push(b'!');
            }
            add(&format!("blobs/sha256/{}", digest.hex()), &content);
        }
        tar.finish().unwrap();
    }

    #[test]
    fn an_image_from_an_archive_keeps_its_digest() {
        let folder = tempfile::tempdir().unwrap();
        let (store, image) = packed(folder.path());
        let path = folder.path().join("image.tar");
        archive(&store, &image, &path, false);
        let other = Store::open(&folder.path().join("second")).unwrap();
        assert_eq!(import(&other, &path).unwrap().digest, image.digest);
    }

    #[test]
    fn a_damaged_archive_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (store, image) = packed(folder.path());
        let path = folder.path().join("image.tar");
        archive(&store, &image, &path, true);
        let other = Store::open(&folder.path().join("second")).unwrap();
        let failure = import(&other, &path).unwrap_err();
        assert!(failure.message.contains("damaged"), "{}", failure.message);
        std::fs::write(&path, "").unwrap();
        let failure = import(&other, &path).unwrap_err();
        assert!(
            failure.message.contains("no OCI layout"),
            "{}",
            failure.message
        );
    }
}
