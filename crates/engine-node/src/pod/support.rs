//! What this node cannot do, by the name of the field that asks for it.
//!
//! A pod that asks is refused with these words instead of being run as if it
//! had not asked.

use std::path::Path;

use k8s_openapi::api::core::v1::{Container, Pod, Probe, Volume};

use super::fields;
use crate::options::RuntimeKind;

/// The variable that tells a plain process where the root of its files is.
pub(crate) const PLAIN_ROOT: &str = "FORESHORE_ROOT";

/// Where the token of the service account is mounted by admission, asked for
/// or not; a plain process goes without it.
pub(crate) const TOKEN_MOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// Fields of the pod as a whole that cannot be honoured.
pub(crate) fn refused_by_pod(pod: &Pod, runtime: RuntimeKind) -> Vec<String> {
    let mut refused = Vec::new();
    if runtime == RuntimeKind::Simulated {
        return refused;
    }
    let spec = fields::spec(pod);
    let mut refuse = |asked: bool, field: &str| {
        if asked {
            refused.push(field.to_owned());
        }
    };
    refuse(spec.host_pid == Some(true), "spec.hostPID");
    refuse(spec.host_ipc == Some(true), "spec.hostIPC");
    refuse(spec.host_users == Some(false), "spec.hostUsers");
    refuse(
        spec.share_process_namespace == Some(true),
        "spec.shareProcessNamespace",
    );
    refuse(
        spec.resource_claims
            .as_ref()
            .is_some_and(|claims| !claims.is_empty()),
        "spec.resourceClaims",
    );
    refuse(
        spec.os.as_ref().is_some_and(|os| os.name != "linux"),
        "spec.os",
    );
    refuse(spec.runtime_class_name.is_some(), "spec.runtimeClassName");
    if let Some(security) = &spec.security_context {
        refuse(
            security
                .sysctls
                .as_ref()
                .is_some_and(|sysctls| !sysctls.is_empty()),
            "spec.securityContext.sysctls",
        );
        refuse(
            security.se_linux_options.is_some(),
            "spec.securityContext.seLinuxOptions",
        );
        let plain = runtime == RuntimeKind::Process;
        refuse(
            plain && security.fs_group.is_some(),
            "spec.securityContext.fsGroup",
        );
    }
    for volume in spec.volumes.iter().flatten() {
        if let Some(kind) = unsupported_volume(volume) {
            refused.push(format!("spec.volumes[{}].{kind}", volume.name));
        }
    }
    refused
}

/// Whether a container would find the token of its service account.
pub(crate) fn wants_token(pod: &Pod) -> bool {
    fields::containers(pod).any(|(_, container)| {
        let mut mounts = container.volume_mounts.iter().flatten();
        mounts.any(|mount| mount.mount_path == TOKEN_MOUNT)
    })
}

/// Fields of one container that cannot be honoured.
pub(crate) fn refused_by_container(container: &Container, runtime: RuntimeKind) -> Vec<String> {
    let mut refused = Vec::new();
    if runtime == RuntimeKind::Simulated {
        return refused;
    }
    let prefix = format!("spec.containers[{}]", container.name);
    let plain = runtime == RuntimeKind::Process;
    let mut refuse = |asked: bool, field: &str| {
        if asked {
            refused.push(format!("{prefix}.{field}"));
        }
    };
    refuse(container.tty == Some(true), "tty");
    refuse(container.stdin == Some(true), "stdin");
    refuse(
        container
            .volume_devices
            .as_ref()
            .is_some_and(|devices| !devices.is_empty()),
        "volumeDevices",
    );
    refuse(
        container
            .restart_policy_rules
            .as_ref()
            .is_some_and(|rules| !rules.is_empty()),
        "restartPolicyRules",
    );
    let probes = [
        (container.startup_probe.as_ref(), "startupProbe"),
        (container.readiness_probe.as_ref(), "readinessProbe"),
        (container.liveness_probe.as_ref(), "livenessProbe"),
    ];
    for (probe, name) in probes {
        for field in probe.map(unsupported_probe).unwrap_or_default() {
            refuse(true, &format!("{name}.{field}"));
        }
    }
    for mount in container.volume_mounts.iter().flatten() {
        let path = &mount.mount_path;
        refuse(
            plain && !is_reached(container, path),
            &format!("volumeMounts[{path}] (only beneath workingDir or $({PLAIN_ROOT}))"),
        );
        refuse(
            plain && path != TOKEN_MOUNT && mount.read_only == Some(true),
            &format!("volumeMounts[{path}].readOnly"),
        );
        refuse(
            mount
                .mount_propagation
                .as_deref()
                .is_some_and(|mode| mode != "None"),
            "volumeMounts.mountPropagation",
        );
    }
    if let Some(security) = &container.security_context {
        refuse(
            security.privileged == Some(true),
            "securityContext.privileged",
        );
        refuse(
            security.se_linux_options.is_some(),
            "securityContext.seLinuxOptions",
        );
        refuse(
            security
                .proc_mount
                .as_deref()
                .is_some_and(|mode| mode != "Default"),
            "securityContext.procMount",
        );
        refuse(
            plain && security.read_only_root_filesystem == Some(true),
            "securityContext.readOnlyRootFilesystem",
        );
    }
    refused
}

/// Whether a plain process, which sees the host's files, can find a volume: by
/// a path relative to where it starts, or because it asks where its files are.
fn is_reached(container: &Container, mount_path: &str) -> bool {
    if mount_path == TOKEN_MOUNT {
        return true;
    }
    let mut mounts = container.volume_mounts.iter().flatten();
    // A volume in a volume would be a link in it, for all who share it.
    if mounts.any(|other| {
        other.mount_path != mount_path && Path::new(mount_path).starts_with(&other.mount_path)
    }) {
        return false;
    }
    let root = format!("$({PLAIN_ROOT})");
    let words = container.command.iter().chain(&container.args).flatten();
    let values = container.env.iter().flatten();
    let is_asked = words
        .chain(values.filter_map(|variable| variable.value.as_ref()))
        .any(|word| word.contains(&root));
    let directory = container.working_dir.as_deref().unwrap_or_default();
    is_asked || (directory.starts_with('/') && Path::new(mount_path).starts_with(directory))
}

fn unsupported_probe(probe: &Probe) -> Vec<&'static str> {
    let https = probe
        .http_get
        .as_ref()
        .and_then(|get| get.scheme.as_deref())
        == Some("HTTPS");
    let checks = [
        (probe.grpc.is_some(), "grpc"),
        (https, "httpGet.scheme=HTTPS"),
    ];
    checks
        .into_iter()
        .filter(|(asked, _)| *asked)
        .map(|(_, field)| field)
        .collect()
}

/// The kind of a volume that this node cannot make.
fn unsupported_volume(volume: &Volume) -> Option<String> {
    let medium = volume
        .empty_dir
        .as_ref()
        .and_then(|source| source.medium.as_deref());
    if let Some(medium) = medium.filter(|medium| !matches!(*medium, "" | "Memory")) {
        return Some(format!("emptyDir.medium={medium}"));
    }
    let known = volume.empty_dir.is_some()
        || volume.config_map.is_some()
        || volume.secret.is_some()
        || volume.downward_api.is_some()
        || volume.projected.is_some()
        || volume.host_path.is_some()
        || volume.persistent_volume_claim.is_some();
    if known {
        return None;
    }
    let fields = serde_json::to_value(volume).expect("a volume is JSON");
    let kind = fields
        .as_object()
        .and_then(|map| map.keys().find(|key| *key != "name").cloned());
    Some(kind.unwrap_or_else(|| "(no source)".to_owned()))
}

#[cfg(test)]
mod tests;
