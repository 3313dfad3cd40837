//! What is mounted where in a sandboxed container.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::VolumeMount;

use super::Start;
use super::assemble::AssembleError;
use crate::pod::environment::expand;
use crate::pod::fields;
use crate::pod::support::TOKEN_MOUNT;
use crate::shim::MountSpec;

/// The files every container gets, and the volumes it asks for.
pub(super) fn mounts(
    start: &Start,
    folder: &Path,
    variables: &BTreeMap<String, String>,
) -> Result<Vec<MountSpec>, AssembleError> {
    let etc = |name: &str| MountSpec {
        source: start.folder.etc(name),
        target: Path::new("/etc").join(name),
        writable: true,
    };
    let mut mounts = vec![etc("hosts"), etc("hostname"), etc("resolv.conf")];
    let log = folder.join("termination-log");
    std::fs::write(&log, "").map_err(AssembleError::TerminationLog)?;
    // Whoever the container runs as may leave a last message.
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o666);
    std::fs::set_permissions(&log, open).map_err(AssembleError::TerminationLog)?;
    let target = start
        .container
        .termination_message_path
        .as_deref()
        .unwrap_or("/dev/termination-log");
    mounts.push(MountSpec {
        source: log,
        target: PathBuf::from(target),
        writable: true,
    });
    for mount in start.container.volume_mounts.iter().flatten() {
        mounts.push(volume_mount(start, mount, variables)?);
    }
    // Outer mounts first, or they would hide the inner ones.
    mounts.sort_by_key(|mount| mount.target.components().count());
    Ok(mounts)
}

/// The volumes alone, for a plain process; the token of its service account,
/// which it goes without, is not among them.
pub(super) fn volumes(
    start: &Start,
    variables: &BTreeMap<String, String>,
) -> Result<Vec<MountSpec>, AssembleError> {
    let mounts = start.container.volume_mounts.iter().flatten();
    mounts
        .filter(|mount| mount.mount_path != TOKEN_MOUNT)
        .map(|mount| volume_mount(start, mount, variables))
        .collect()
}

fn volume_mount(
    start: &Start,
    mount: &VolumeMount,
    variables: &BTreeMap<String, String>,
) -> Result<MountSpec, AssembleError> {
    let volumes = fields::spec(&start.pod).volumes.iter().flatten();
    let volume = volumes
        .into_iter()
        .find(|volume| volume.name == mount.name)
        .ok_or_else(|| AssembleError::NoVolume(mount.name.clone()))?;
    let base = match &volume.host_path {
        Some(source) => PathBuf::from(&source.path),
        None => start.folder.volume(&volume.name),
    };
    let from_objects = volume.config_map.is_some()
        || volume.secret.is_some()
        || volume.projected.is_some()
        || volume.downward_api.is_some();
    let expanded = mount
        .sub_path_expr
        .as_ref()
        .map(|expression| expand(expression, variables));
    let sub_path = expanded.or_else(|| mount.sub_path.clone());
    let source = match sub_path.as_deref().filter(|path| !path.is_empty()) {
        None => base,
        Some(sub_path) => sub_folder(&volume.name, &base, sub_path)?,
    };
    let claim = volume.persistent_volume_claim.as_ref();
    let read_only = claim.and_then(|claim| claim.read_only) == Some(true);
    Ok(MountSpec {
        source,
        target: PathBuf::from(&mount.mount_path),
        writable: mount.read_only != Some(true) && !from_objects && !read_only,
    })
}

/// Resolves a sub path; a link planted in the volume does not lead out of it.
fn sub_folder(volume: &str, base: &Path, sub_path: &str) -> Result<PathBuf, AssembleError> {
    let outside = || AssembleError::SubPath {
        volume: volume.to_owned(),
        sub_path: sub_path.to_owned(),
    };
    if sub_path.starts_with('/')
        || Path::new(sub_path)
            .components()
            .any(|part| part.as_os_str() == "..")
    {
        return Err(outside());
    }
    let path = base.join(sub_path);
    let failed = |source| AssembleError::MakeSubPath {
        volume: volume.to_owned(),
        source,
    };
    if !path.exists() {
        std::fs::create_dir_all(&path).map_err(failed)?;
    }
    let (real, base) = (
        path.canonicalize().map_err(failed)?,
        base.canonicalize().map_err(failed)?,
    );
    if real.starts_with(&base) {
        Ok(real)
    } else {
        Err(outside())
    }
}
