//! What is refused, by name.

use serde_json::{Value, json};

use super::*;

#[track_caller]
fn check_container(container: Value, runtime: RuntimeKind, expected: &[&str]) {
    let container = serde_json::from_value(container).unwrap();
    assert_eq!(refused_by_container(&container, runtime), expected);
}

#[track_caller]
fn check_pod(spec: &Value, expected: &[&str]) {
    let pod = serde_json::from_value(json!({ "spec": spec })).unwrap();
    assert_eq!(refused_by_pod(&pod, RuntimeKind::Sandbox), expected);
}

#[test]
fn a_sandbox_mounts_what_a_plain_process_cannot() {
    let container = json!({
        "name": "main",
        "volumeMounts": [{ "name": "data", "mountPath": "/data" }],
        "securityContext": { "readOnlyRootFilesystem": true },
    });
    check_container(container.clone(), RuntimeKind::Sandbox, &[]);
    check_container(
        container.clone(),
        RuntimeKind::Process,
        &[
            "spec.containers[main].volumeMounts[/data] (only beneath workingDir or $(FORESHORE_ROOT))",
            "spec.containers[main].securityContext.readOnlyRootFilesystem",
        ],
    );
    check_container(container, RuntimeKind::Simulated, &[]);
}

#[test]
fn a_plain_process_has_the_volumes_it_can_find() {
    let mounts = |paths: &[&str]| -> Value {
        let mounts = paths
            .iter()
            .map(|path| json!({ "name": "data", "mountPath": path }));
        mounts.collect()
    };
    let check = |container: Value, expected: &[&str]| {
        check_container(container, RuntimeKind::Process, expected);
    };
    check(
        json!({ "name": "main", "workingDir": "/app", "volumeMounts": mounts(&["/app/data"]) }),
        &[],
    );
    check(
        json!({ "name": "main", "args": ["--data=$(FORESHORE_ROOT)/data"], "volumeMounts": mounts(&["/data"]) }),
        &[],
    );
    let env = json!([{ "name": "DATA", "value": "$(FORESHORE_ROOT)/data" }]);
    check(
        json!({ "name": "main", "env": env, "volumeMounts": mounts(&["/data", "/data/inner"]) }),
        &[
            "spec.containers[main].volumeMounts[/data/inner] (only beneath workingDir or $(FORESHORE_ROOT))",
        ],
    );
    check(
        json!({ "name": "main", "workingDir": "/application", "volumeMounts": mounts(&["/app/data"]) }),
        &[
            "spec.containers[main].volumeMounts[/app/data] (only beneath workingDir or $(FORESHORE_ROOT))",
        ],
    );
    let read_only = json!([{ "name": "data", "mountPath": "/app/data", "readOnly": true }]);
    check(
        json!({ "name": "main", "workingDir": "/app", "volumeMounts": read_only }),
        &["spec.containers[main].volumeMounts[/app/data].readOnly"],
    );
}

#[test]
fn the_token_that_admission_mounts_does_not_keep_a_plain_process_from_running() {
    let container =
        json!({ "name": "main", "volumeMounts": [{ "name": "token", "mountPath": TOKEN_MOUNT }] });
    check_container(container, RuntimeKind::Process, &[]);
}

#[test]
fn probes_of_unknown_kinds_are_refused() {
    check_container(
        json!({
            "name": "main",
            "readinessProbe": { "grpc": { "port": 1 } },
            "livenessProbe": { "httpGet": { "port": 1, "scheme": "HTTPS" } },
        }),
        RuntimeKind::Sandbox,
        &[
            "spec.containers[main].readinessProbe.grpc",
            "spec.containers[main].livenessProbe.httpGet.scheme=HTTPS",
        ],
    );
}

#[test]
fn volumes_that_cannot_be_made_are_named_by_their_kind() {
    check_pod(
        &json!({ "containers": [], "volumes": [
            { "name": "scratch", "emptyDir": {} },
            { "name": "memory", "emptyDir": { "medium": "HugePages" } },
            { "name": "disk", "persistentVolumeClaim": { "claimName": "disk" } },
            { "name": "share", "nfs": { "server": "s", "path": "/" } },
        ] }),
        &[
            "spec.volumes[memory].emptyDir.medium=HugePages",
            "spec.volumes[share].nfs",
        ],
    );
}

#[test]
fn privileges_over_the_host_are_refused() {
    check_pod(
        &json!({ "containers": [], "hostPID": true, "hostIPC": true }),
        &["spec.hostPID", "spec.hostIPC"],
    );
    check_container(
        json!({ "name": "main", "securityContext": { "privileged": true } }),
        RuntimeKind::Sandbox,
        &["spec.containers[main].securityContext.privileged"],
    );
}
