//! The mistakes: what each fault changes in the manifests of a release.

use foreshore_model::artifact::Manifests;
use foreshore_model::{ArtifactId, ArtifactRecord, Digest, EnvironmentName, yaml};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Fault, MARK};

/// So that nobody waits two minutes for what is seen after ten seconds.
const PROGRESS_DEADLINE_SECONDS: u64 = 20;
/// More than a pod of the sample may use.
const TOO_MANY_MIB: &str = "4096";

/// Why a release could not be broken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ChangeError {
    #[error("artifact `{id}` has no manifests for `{environment}`")]
    NoEnvironment {
        id: ArtifactId,
        environment: EnvironmentName,
    },
    #[error("artifact `{id}` has no Deployment with a container that could be broken")]
    NoContainer { id: ArtifactId },
    #[error("cannot read manifest `{file}`")]
    Read {
        file: String,
        #[source]
        cause: yaml::YamlError,
    },
    #[error("cannot write manifest `{file}`")]
    Write {
        file: String,
        #[source]
        cause: yaml::WriteError,
    },
}

/// Returns the artifact that somebody who makes this mistake would push.
///
/// `unique` is eight or more letters and digits that no artifact was named by before.
pub(crate) fn broken(
    good: &ArtifactRecord,
    environment: &EnvironmentName,
    fault: Fault,
    unique: &str,
    now: Timestamp,
) -> Result<ArtifactRecord, ChangeError> {
    let mut record = good.clone();
    record.source.commit = format!("demo{}", unique.to_ascii_lowercase());
    record.source.message = format!("{MARK}{}", fault.deed());
    "demo".clone_into(&mut record.source.author);
    record.source.committed_at = now;
    record.id = ArtifactId::from_parts(
        &record.source.branch,
        &record.source.commit,
        record.plan.hash.hex(),
    );
    let files =
        record
            .manifests
            .get_mut(environment)
            .ok_or_else(|| ChangeError::NoEnvironment {
                id: good.id.clone(),
                environment: environment.clone(),
            })?;
    if change_files(files, fault)? {
        Ok(record)
    } else {
        Err(ChangeError::NoContainer {
            id: good.id.clone(),
        })
    }
}

/// Changes every Deployment; false if there is none.
fn change_files(files: &mut Manifests, fault: Fault) -> Result<bool, ChangeError> {
    let mut changed = false;
    for (file, text) in files.iter_mut() {
        let objects = yaml::read_manifests(file, text).map_err(|cause| ChangeError::Read {
            file: file.clone(),
            cause,
        })?;
        let [object] = objects.as_slice() else {
            continue;
        };
        if object["kind"] != "Deployment" {
            continue;
        }
        let mut object = object.clone();
        if change(&mut object, fault) {
            *text = yaml::write(&object).map_err(|cause| ChangeError::Write {
                file: file.clone(),
                cause,
            })?;
            changed = true;
        }
    }
    Ok(changed)
}

fn change(deployment: &mut Value, fault: Fault) -> bool {
    let Some(container) = deployment.pointer_mut("/spec/template/spec/containers/0") else {
        return false;
    };
    match fault {
        Fault::Image => {
            let image = container["image"].as_str().unwrap_or_default();
            let repository = image.split('@').next().unwrap_or_default();
            container["image"] =
                format!("{repository}@{}", Digest::of(b"nobody pushed this")).into();
        }
        Fault::Crash => set(
            container,
            json!({"name": "DATABASE_URL", "value": "sqlite:///nowhere/api.db"}),
        ),
        Fault::Config => set(
            container,
            json!({"name": "PAYMENT_KEY", "valueFrom": {"secretKeyRef": {
                "name": "payment", "key": "PAYMENT_KEY"
            }}}),
        ),
        Fault::Readiness => {
            container["readinessProbe"]["httpGet"]["path"] = "/healthz-of-somebody-else".into();
            deployment["spec"]["progressDeadlineSeconds"] = PROGRESS_DEADLINE_SECONDS.into();
        }
        Fault::Memory => set(
            container,
            json!({"name": "CACHE_MIB", "value": TOO_MANY_MIB}),
        ),
        // Nobody releases these.
        Fault::Database | Fault::Node => return false,
    }
    true
}

/// Sets a variable of the container, which wins over the same one from settings.
fn set(container: &mut Value, variable: Value) {
    let name = variable["name"].clone();
    if let Value::Array(variables) = &mut container["env"] {
        variables.retain(|known| known["name"] != name);
        variables.push(variable);
    } else {
        container["env"] = json!([variable]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deployment() -> Value {
        json!({
            "kind": "Deployment",
            "spec": {"template": {"spec": {"containers": [{
                "name": "api",
                "image": "127.0.0.1:7070/api@sha256:aa",
                "env": [{"name": "DATABASE_URL", "value": "sqlite:///state/api.db"}],
                "readinessProbe": {"httpGet": {"path": "/health"}},
            }]}}}
        })
    }

    #[track_caller]
    fn check(fault: Fault, pointer: &str, expected: &str) {
        let mut object = deployment();
        assert!(change(&mut object, fault));
        let found = object.pointer(pointer).unwrap_or(&Value::Null);
        assert!(
            found.as_str().is_some_and(|found| found.contains(expected)),
            "{found} at {pointer}"
        );
        assert_ne!(object, deployment());
    }

    #[test]
    fn each_mistake_changes_what_it_says() {
        let container = "/spec/template/spec/containers/0";
        check(
            Fault::Image,
            &format!("{container}/image"),
            "127.0.0.1:7070/api@sha256:",
        );
        check(
            Fault::Crash,
            &format!("{container}/env/0/value"),
            "/nowhere/",
        );
        check(
            Fault::Config,
            &format!("{container}/env/1/valueFrom/secretKeyRef/name"),
            "payment",
        );
        check(
            Fault::Readiness,
            &format!("{container}/readinessProbe/httpGet/path"),
            "somebody-else",
        );
        check(
            Fault::Memory,
            &format!("{container}/env/1/name"),
            "CACHE_MIB",
        );
    }

    #[test]
    fn what_befalls_a_machine_is_no_release() {
        for fault in [Fault::Database, Fault::Node] {
            assert!(!change(&mut deployment(), fault));
        }
        assert!(!change(&mut json!({"kind": "Deployment"}), Fault::Crash));
    }

    #[test]
    fn only_deployments_are_touched() {
        let service = "kind: Service\nmetadata:\n  name: api\n";
        let mut files = Manifests::from([("service-api.yaml".to_owned(), service.to_owned())]);
        assert!(!change_files(&mut files, Fault::Crash).unwrap());
        assert_eq!(files["service-api.yaml"], service);
    }
}
