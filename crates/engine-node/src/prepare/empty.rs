//! `emptyDir` volumes: folders of the pod's own, on disk or in memory.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use foreshore_sys::mount;
use k8s_openapi::api::core::v1::{EmptyDirVolumeSource, Pod};

use super::{PrepareError, disk};
use crate::folders::{PodFolder, is_mount_point};
use crate::pod::fields;

/// Whether the volume lives in memory.
fn in_memory(source: &EmptyDirVolumeSource) -> bool {
    source.medium.as_deref() == Some("Memory")
}

/// Whether the pod has volumes that a restart of the machine, or of the node
/// in order, takes away.
pub(crate) fn has_memory_volumes(pod: &Pod) -> bool {
    let mut volumes = fields::spec(pod).volumes.iter().flatten();
    volumes.any(|volume| volume.empty_dir.as_ref().is_some_and(in_memory))
}

fn size_limit(source: &EmptyDirVolumeSource) -> Option<u64> {
    let millis = fields::milli(&source.size_limit.as_ref()?.0)?;
    u64::try_from(millis)
        .ok()
        .map(|millis| millis.div_ceil(1000))
}

pub(super) fn make(
    source: &EmptyDirVolumeSource,
    path: &Path,
    node_memory_bytes: u64,
) -> Result<(), PrepareError> {
    fs::create_dir_all(path).map_err(disk(path))?;
    if in_memory(source) && !is_mount_point(path) {
        let size = size_limit(source)
            .unwrap_or(node_memory_bytes)
            .min(node_memory_bytes);
        let options = format!("mode=0777,size={size}");
        mount::tmpfs(path, &options).map_err(disk(path))?;
    }
    fs::set_permissions(path, fs::Permissions::from_mode(0o777)).map_err(disk(path))
}

/// A volume on disk that has outgrown its limit, in the words kubelet uses
/// when it evicts the pod. In memory the file system itself keeps the limit.
pub(crate) fn outgrown(pod: &Pod, folder: &PodFolder) -> Option<String> {
    for volume in fields::spec(pod).volumes.iter().flatten() {
        let Some(source) = volume.empty_dir.as_ref().filter(|one| !in_memory(one)) else {
            continue;
        };
        let Some(limit) = size_limit(source).filter(|limit| *limit > 0) else {
            continue;
        };
        // A folder that cannot be read is not a reason to end a pod.
        let used = used_bytes(&folder.volume(&volume.name)).unwrap_or(0);
        if used > limit {
            let limit = source.size_limit.as_ref().map_or("", |limit| &limit.0);
            return Some(format!(
                "Usage of EmptyDir volume \"{}\" exceeds the limit \"{limit}\". ",
                volume.name
            ));
        }
    }
    None
}

/// Disk taken by all below `path`, without leaving its file system.
fn used_bytes(path: &Path) -> io::Result<u64> {
    let device = fs::metadata(path)?.dev();
    let mut folders = vec![path.to_path_buf()];
    let mut sum = 0;
    while let Some(folder) = folders.pop() {
        // A file may go while we look.
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let Ok(about) = entry.metadata() else {
                continue;
            };
            sum += about.blocks() * 512;
            if about.is_dir() && about.dev() == device {
                folders.push(entry.path());
            }
        }
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_volume_beyond_its_limit_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let pod_folder = PodFolder::new(folder.path(), "uid");
        let volume = pod_folder.volume("data");
        fs::create_dir_all(volume.join("deep")).unwrap();
        let pod = |limit: &str| {
            let volumes = json!([{ "name": "data", "emptyDir": { "sizeLimit": limit } }]);
            serde_json::from_value(json!({ "spec": { "containers": [], "volumes": volumes } }))
                .unwrap()
        };
        fs::write(volume.join("deep/file"), vec![1; 200_000]).unwrap();
        assert_eq!(outgrown(&pod("10Mi"), &pod_folder), None);
        let words = outgrown(&pod("100Ki"), &pod_folder).unwrap();
        assert_eq!(
            words,
            "Usage of EmptyDir volume \"data\" exceeds the limit \"100Ki\". "
        );
    }
}
