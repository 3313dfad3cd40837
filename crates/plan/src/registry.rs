//! Plans as artifacts in a registry: one layer, a tar of the files.

use std::collections::BTreeMap;
use std::io::Read as _;

use foreshore_image::{
    ClientError, Descriptor, Manifest, Reference, ReferenceError, RegistryClient, media_type,
};
use foreshore_model::Digest;

use crate::content::{BYTES_MAX, Content, ContentError, FILE_BYTES_MAX, File};

/// Media type of a plan (`artifactType` of its OCI manifest).
pub const PLAN_TYPE: &str = "application/vnd.foreshore.plan.v1.tar";

/// A tar has a header of 512 bytes for each file, and fills up the last block.
const TAR_BYTES_MAX: u64 = BYTES_MAX + 2000 * 2048;

/// Why a plan could not be taken from a registry, or brought there.
#[derive(Debug, thiserror::Error)]
pub enum OciPlanError {
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error(transparent)]
    Content(#[from] ContentError),
    #[error("`{reference}` is no plan, but {found}")]
    Type { reference: String, found: String },
    #[error("the files of plan `{reference}` cannot be read: {what}")]
    Archive { reference: String, what: String },
}

/// Takes a plan from a registry; every byte is checked.
pub(crate) async fn pull(
    client: &RegistryClient,
    reference: &Reference,
) -> Result<(Digest, Content), OciPlanError> {
    let fetched = client
        .manifest(reference.repository(), reference.target())
        .await?;
    let shown = reference.to_string();
    let manifest: Manifest =
        serde_json::from_slice(&fetched.content).map_err(|error| OciPlanError::Archive {
            reference: shown.clone(),
            what: error.to_string(),
        })?;
    let layer = match manifest.layers.as_slice() {
        [layer] if manifest.artifact_type.as_deref() == Some(PLAN_TYPE) => layer,
        _ => {
            let found = manifest.artifact_type.unwrap_or(manifest.config.media_type);
            return Err(OciPlanError::Type {
                reference: shown,
                found: format!("a `{found}`"),
            });
        }
    };
    let bytes = client
        .blob_content(reference.repository(), &layer.digest, TAR_BYTES_MAX)
        .await?;
    Ok((fetched.digest, unpack(&shown, &bytes)?))
}

/// Brings a plan to a registry under a tag; the tag appears last.
pub async fn push(
    client: &RegistryClient,
    repository: &str,
    tag: &str,
    content: &Content,
) -> Result<Digest, OciPlanError> {
    let archive = pack(content);
    let configuration = b"{}";
    client.push_content(repository, configuration).await?;
    client.push_content(repository, &archive).await?;
    let manifest = Manifest {
        schema_version: 2,
        media_type: Some(media_type::MANIFEST.to_owned()),
        artifact_type: Some(PLAN_TYPE.to_owned()),
        config: Descriptor::of(media_type::EMPTY, configuration),
        layers: vec![Descriptor::of(PLAN_TYPE, &archive)],
        subject: None,
        annotations: BTreeMap::new(),
    };
    let manifest = serde_json::to_vec(&manifest).expect("strings and numbers are JSON");
    let digest = client
        .push_manifest(repository, Some(tag), media_type::MANIFEST, &manifest)
        .await?;
    Ok(digest)
}

/// Writes a tar that is the same for the same files.
fn pack(content: &Content) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (path, file) in content.files() {
        let mut header = tar::Header::new_gnu();
        header.set_size(file.bytes.len() as u64);
        header.set_mode(if file.executable { 0o755 } else { 0o644 });
        header.set_mtime(0);
        header.set_uid(0);
        header.set_gid(0);
        archive
            .append_data(&mut header, path, file.bytes.as_slice())
            .expect("writing to memory cannot fail, and the path was checked");
    }
    archive.into_inner().expect("writing to memory cannot fail")
}

fn unpack(reference: &str, bytes: &[u8]) -> Result<Content, OciPlanError> {
    let wrong = |what: String| OciPlanError::Archive {
        reference: reference.to_owned(),
        what,
    };
    let mut content = Content::default();
    let mut archive = tar::Archive::new(bytes);
    for entry in archive
        .entries()
        .map_err(|error| wrong(error.to_string()))?
    {
        let mut entry = entry.map_err(|error| wrong(error.to_string()))?;
        let path = String::from_utf8(entry.path_bytes().into_owned())
            .map_err(|_| wrong("a name is no UTF-8 text".to_owned()))?;
        match entry.header().entry_type() {
            tar::EntryType::Directory => continue,
            tar::EntryType::Regular => {}
            other => {
                return Err(wrong(format!(
                    "`{path}` is a {other:?}, only plain files are allowed"
                )));
            }
        }
        let executable = entry
            .header()
            .mode()
            .map_err(|error| wrong(error.to_string()))?
            & 0o111
            != 0;
        let mut bytes = Vec::new();
        entry
            .by_ref()
            .take(FILE_BYTES_MAX + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| wrong(error.to_string()))?;
        content.add(&path, File { bytes, executable })?;
    }
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive(entries: &[(&str, tar::EntryType)]) -> Vec<u8> {
        let mut archive = tar::Builder::new(Vec::new());
        for (path, kind) in entries {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(*kind);
            header.set_size(0);
            header.set_mode(0o644);
            // By hand: the library itself refuses to write such names.
            header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
            header.set_cksum();
            archive.append(&header, std::io::empty()).unwrap();
        }
        archive.into_inner().unwrap()
    }

    #[test]
    fn a_packed_plan_unpacks_to_itself() {
        let mut content = Content::default();
        for (path, executable) in [("plan.yaml", false), ("scripts/x.sh", true)] {
            let bytes = path.as_bytes().to_vec();
            content.add(path, File { bytes, executable }).unwrap();
        }
        assert_eq!(unpack("x", &pack(&content)).unwrap(), content);
        assert_eq!(pack(&content), pack(&content.clone()));
    }

    #[test]
    fn a_poisoned_archive_is_refused() {
        use tar::EntryType;
        for (path, kind) in [
            ("../x", EntryType::Regular),
            ("/etc/passwd", EntryType::Regular),
            ("x", EntryType::Symlink),
            ("x", EntryType::Link),
            ("x", EntryType::Char),
        ] {
            assert!(
                unpack("x", &archive(&[(path, kind)])).is_err(),
                "{path} {kind:?}"
            );
        }
        let twice = [("a", EntryType::Regular), ("a", EntryType::Regular)];
        assert!(unpack("x", &archive(&twice)).is_err());
        assert!(
            unpack(
                "x",
                b"no tar at all, but long enough to look like the start of one"
                    .repeat(20)
                    .as_slice()
            )
            .is_err()
        );
    }
}
