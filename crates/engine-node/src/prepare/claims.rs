//! Volumes by claim: the claim's persistent volume must be a folder of this
//! machine.

use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Pod};
use kube::{Api, Client};

use super::{PrepareError, check_host_path, disk};
use crate::pod::fields;
use crate::sources::ask;

/// Makes `link` lead to the folder behind the claim.
pub(super) async fn link(
    client: &Client,
    pod: &Pod,
    claim: &str,
    link: &Path,
) -> Result<(), PrepareError> {
    let target = folder_of(client, pod, claim).await?;
    if std::fs::read_link(link).is_ok_and(|now| now == target) {
        return Ok(());
    }
    if let Some(parent) = link.parent() {
        std::fs::create_dir_all(parent).map_err(disk(parent))?;
    }
    match std::fs::remove_file(link) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(disk(link)(error)),
        _ => {}
    }
    symlink(&target, link).map_err(disk(link))
}

async fn folder_of(client: &Client, pod: &Pod, claim: &str) -> Result<PathBuf, PrepareError> {
    let failed = |problem: String| PrepareError::Claim {
        claim: claim.to_owned(),
        problem,
    };
    let claims: Api<PersistentVolumeClaim> =
        Api::namespaced(client.clone(), fields::namespace(pod));
    let what = format!("persistent volume claim `{claim}`");
    let found = ask(what, claims.get_opt(claim)).await?;
    let found =
        found.ok_or_else(|| failed(format!("persistentvolumeclaim \"{claim}\" not found")))?;
    let name = found.spec.and_then(|spec| spec.volume_name);
    let name = name
        .filter(|name| !name.is_empty())
        .ok_or_else(|| failed("it is not bound to a volume yet".to_owned()))?;
    let volumes: Api<PersistentVolume> = Api::all(client.clone());
    let volume = ask(
        format!("persistent volume `{name}`"),
        volumes.get_opt(&name),
    )
    .await?;
    let spec = volume
        .and_then(|volume| volume.spec)
        .ok_or_else(|| failed(format!("persistentvolume \"{name}\" not found")))?;
    if let Some(source) = &spec.host_path {
        check_host_path(source)?;
        return Ok(PathBuf::from(&source.path));
    }
    match &spec.local {
        Some(source) => Ok(PathBuf::from(&source.path)),
        None => Err(failed(format!(
            "volume `{name}` is neither `hostPath` nor `local`, the kinds this node can mount"
        ))),
    }
}
