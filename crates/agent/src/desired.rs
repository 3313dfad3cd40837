//! What one service shall be in one environment, checked before anything is asked of a cluster.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::{Value, json};

use foreshore_cluster::{
    ARTIFACT_ANNOTATION, ENVIRONMENT_LABEL, RELEASE_ANNOTATION, Reference, SERVICE_LABEL,
};
use foreshore_model::operations::Bounds;
use foreshore_model::yaml::{self, YamlError};
use foreshore_model::{Check, EnvironmentName, Operations, ReleaseFile, ServiceName};

use crate::dependencies::DEPENDS_ON;
use crate::hooks::{Hook, HookError, hook};
use crate::source::ServiceFiles;

/// The most objects one service may have.
const OBJECTS_MAX: usize = foreshore_cluster::ENTRIES_MAX;

/// The desired state of a service, ready to be applied.
#[derive(Debug, Clone, PartialEq)]
pub struct Desired {
    pub namespace: String,
    /// Tree id of the service's folder.
    pub tree: String,
    /// Commit it was read from.
    pub commit: String,
    pub release: ReleaseFile,
    pub operations: Operations,
    /// Objects that it may take away although they keep something.
    pub confirmed: Vec<String>,
    /// Tree id of the manifests alone.
    pub manifests_tree: String,
    /// What is measured once it is healthy.
    pub checks: Vec<Check>,
    /// Services that must be well before it is written, if they are released here.
    pub dependencies: Vec<ServiceName>,
    /// Objects with namespace, ownership labels and release annotations.
    pub objects: Vec<Value>,
    /// Jobs that run around it.
    pub hooks: Vec<Hook>,
}

/// Why the files of a service are no desired state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DesiredError {
    #[error(transparent)]
    Yaml(#[from] YamlError),
    #[error(
        "`{path}` has a document that is no object with `apiVersion`, `kind` and `metadata.name`"
    )]
    NotAnObject { path: String },
    #[error("`{path}` has a `List`; write its items as documents of their own")]
    IsList { path: String },
    #[error(
        "{object} in `{path}` is for namespace `{namespace}`; the environment's is `{expected}`"
    )]
    OtherNamespace {
        path: String,
        object: String,
        namespace: String,
        expected: String,
    },
    #[error("{object} is in `{path}` and in `{other}`")]
    Duplicate {
        object: String,
        path: String,
        other: String,
    },
    #[error("{object} in `{path}` says to which {what} it belongs; only the agent does")]
    ForeignOwner {
        object: String,
        path: String,
        what: &'static str,
    },
    #[error("{object} in `{path}` says that it depends on `{word}`, which is no name of a service")]
    NoService {
        object: String,
        path: String,
        word: String,
    },
    #[error(transparent)]
    Hook(#[from] HookError),
    #[error("`release.yaml` is of {found}, its folder is of {expected}")]
    OtherRelease { found: String, expected: String },
    #[error("the service has {count} objects, at most {OBJECTS_MAX} are supported")]
    TooMany { count: usize },
}

/// Turns the files of a service into the objects to apply.
pub fn desired(
    files: ServiceFiles,
    environment: &EnvironmentName,
    service: &ServiceName,
    namespace: &str,
    commit: &str,
) -> Result<Desired, DesiredError> {
    let release = files.release;
    if release.service != *service || release.environment != *environment {
        return Err(DesiredError::OtherRelease {
            found: format!("`{}` in `{}`", release.service, release.environment),
            expected: format!("`{service}` in `{environment}`"),
        });
    }
    let sequence = release.sequence;
    let mut dependencies = BTreeSet::new();
    let (mut objects, mut hooks) = (Vec::new(), Vec::new());
    let mut places: BTreeMap<Reference, String> = BTreeMap::new();
    for manifest in &files.manifests {
        for mut object in yaml::read_manifests(&manifest.path, &manifest.text)? {
            let reference = place(&mut object, &manifest.path, namespace)?;
            check_owner(&object, &reference, &manifest.path, &release)?;
            let path = manifest.path.clone();
            if let Some(other) = places.get(&reference) {
                return Err(DesiredError::Duplicate {
                    object: reference.to_string(),
                    path,
                    other: other.clone(),
                });
            }
            dependencies.extend(depends_on(&object, &reference, &manifest.path)?);
            let hook = hook(&object, &release)?;
            mark(&mut object, &release);
            if let Some(mut hook) = hook {
                mark(&mut hook.job, &release);
                places.insert(reference, path);
                hooks.push(hook);
                continue;
            }
            let operations = &files.operations;
            if operations.replicas.contains_key(&reference.name)
                || operations.bounds.contains_key(&reference.name)
            {
                leave_replicas(&mut object);
            }
            places.insert(reference, path);
            objects.push(object);
        }
    }
    if objects.len() > OBJECTS_MAX {
        return Err(DesiredError::TooMany {
            count: objects.len(),
        });
    }
    Ok(Desired {
        namespace: namespace.to_owned(),
        tree: files.tree,
        commit: commit.to_owned(),
        release,
        operations: files.operations,
        // A consent is for one release, not for those that follow it.
        confirmed: files
            .removals
            .filter(|removals| removals.sequence == sequence)
            .map(|removals| removals.objects)
            .unwrap_or_default(),
        manifests_tree: files.manifests_tree,
        checks: files.checks,
        dependencies: dependencies.into_iter().collect(),
        objects,
        hooks,
    })
}

/// Checks that a document is one object and puts it into the namespace.
fn place(object: &mut Value, path: &str, namespace: &str) -> Result<Reference, DesiredError> {
    let not_an_object = || DesiredError::NotAnObject {
        path: path.to_owned(),
    };
    let reference = Reference::of(object).ok_or_else(not_an_object)?;
    if reference.kind.ends_with("List") && object.get("items").is_some() {
        return Err(DesiredError::IsList {
            path: path.to_owned(),
        });
    }
    for field in ["labels", "annotations"] {
        let written = &object["metadata"][field];
        if !written.is_null() && !written.is_object() {
            return Err(not_an_object());
        }
    }
    if !reference.namespace.is_empty() && reference.namespace != namespace {
        return Err(DesiredError::OtherNamespace {
            path: path.to_owned(),
            object: reference.to_string(),
            namespace: reference.namespace,
            expected: namespace.to_owned(),
        });
    }
    object["metadata"]["namespace"] = json!(namespace);
    Reference::of(object).ok_or_else(not_an_object)
}

/// The services that an object's annotation names.
fn depends_on(
    object: &Value,
    reference: &Reference,
    path: &str,
) -> Result<Vec<ServiceName>, DesiredError> {
    let written = &object["metadata"]["annotations"][DEPENDS_ON];
    let words = written
        .as_str()
        .unwrap_or_default()
        .split(',')
        .map(str::trim);
    words
        .filter(|word| !word.is_empty())
        .map(|word| {
            ServiceName::new(word).map_err(|_| DesiredError::NoService {
                object: reference.to_string(),
                path: path.to_owned(),
                word: word.to_owned(),
            })
        })
        .collect()
}

/// A manifest may repeat the labels of its own service, but not claim another's.
fn check_owner(
    object: &Value,
    reference: &Reference,
    path: &str,
    release: &ReleaseFile,
) -> Result<(), DesiredError> {
    let ours = [
        (SERVICE_LABEL, release.service.as_str(), "service"),
        (
            ENVIRONMENT_LABEL,
            release.environment.as_str(),
            "environment",
        ),
    ];
    for (label, expected, what) in ours {
        let written = object["metadata"]["labels"].get(label);
        if written.is_some_and(|written| written != expected) {
            return Err(DesiredError::ForeignOwner {
                object: reference.to_string(),
                path: path.to_owned(),
                what,
            });
        }
    }
    Ok(())
}

/// Writes who owns the object and which release it is of.
///
/// Only on the object itself, never in a pod template: the same bytes
/// released again must not restart anything.
fn mark(object: &mut Value, release: &ReleaseFile) {
    let metadata = &mut object["metadata"];
    metadata["labels"][SERVICE_LABEL] = json!(release.service.as_str());
    metadata["labels"][ENVIRONMENT_LABEL] = json!(release.environment.as_str());
    metadata["annotations"][RELEASE_ANNOTATION] = json!(release.sequence.to_string());
    metadata["annotations"][ARTIFACT_ANNOTATION] = json!(release.artifact.as_str());
}

/// Replicas that people set by operation are not the manifest's to say.
fn leave_replicas(object: &mut Value) {
    if let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) {
        spec.remove("replicas");
    }
}

impl Desired {
    pub fn references(&self) -> impl Iterator<Item = Reference> {
        self.objects.iter().filter_map(Reference::of)
    }

    /// Returns the objects as they are to be written at this moment.
    ///
    /// They differ from the released ones only in the bounds of autoscalers,
    /// which people set by operation.
    pub fn objects_at(&self, now: Timestamp) -> Vec<Value> {
        let mut objects = self.objects.clone();
        for object in &mut objects {
            if let Some(bounds) = self.bounds_of(object, now) {
                object["spec"]["minReplicas"] = json!(bounds.min);
                object["spec"]["maxReplicas"] = json!(bounds.max);
            }
        }
        objects
    }

    /// Returns the bounds that an autoscaler shall have at this moment, if people set them.
    pub fn bounds_of(&self, object: &Value, now: Timestamp) -> Option<Bounds> {
        if object["kind"] != AUTOSCALER {
            return None;
        }
        let target = object["spec"]["scaleTargetRef"]["name"].as_str()?;
        self.operations.bounds_at(target, now)
    }

    /// Returns the workloads whose replicas are set by operation, with what they shall have at this moment.
    pub fn scaled(&self, now: Timestamp) -> Vec<(Reference, u32)> {
        self.references()
            .filter(|reference| is_scalable(&reference.kind))
            .filter_map(|reference| {
                let replicas = self.operations.replicas_at(&reference.name, now)?;
                Some((reference, replicas))
            })
            .collect()
    }

    /// Returns the names in `operations.yaml` that are no workload here.
    pub fn unknown_workloads(&self) -> Vec<&str> {
        let known: Vec<Reference> = self
            .references()
            .filter(|reference| is_scalable(&reference.kind))
            .collect();
        self.operations
            .workloads()
            .into_iter()
            .filter(|name| !known.iter().any(|reference| reference.name == *name))
            .collect()
    }
}

/// The kind that moves replicas by itself.
const AUTOSCALER: &str = "HorizontalPodAutoscaler";

/// Kinds that have a `scale` subresource.
fn is_scalable(kind: &str) -> bool {
    matches!(kind, "Deployment" | "StatefulSet" | "ReplicaSet")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    fn read(manifests: &[&str]) -> Result<Desired, DesiredError> {
        let files = fixture::files(3, manifests);
        desired(
            files,
            &fixture::dev(),
            &fixture::web(),
            "shop-dev",
            "c0ffee",
        )
    }

    #[test]
    fn what_a_release_depends_on_is_named_once_each() {
        let object = |name: &str, on: &str| {
            format!(
                "{{apiVersion: v1, kind: ConfigMap, metadata: {{name: {name}, annotations: {{foreshore.local/depends-on: '{on}'}}}}}}"
            )
        };
        let (one, two) = (object("a", "db, api"), object("b", "api,"));
        let made = read(&[&one, &two]).unwrap();
        let names: Vec<&str> = made.dependencies.iter().map(ServiceName::as_str).collect();
        assert_eq!(names, ["api", "db"]);
        refused(
            &[&object("a", "Api!")],
            "depends on `Api!`, which is no name of a service",
        );
    }

    #[track_caller]
    fn refused(manifests: &[&str], part: &str) {
        let message = read(manifests).expect_err("is refused").to_string();
        assert!(message.contains(part), "`{part}` is not in: {message}");
    }

    #[test]
    fn objects_get_namespace_owner_and_release_outside_the_pod_template() {
        let made = read(&[
            "{apiVersion: apps/v1, kind: Deployment, metadata: {name: web}, spec: {template: {}}}",
        ])
        .unwrap();
        let object = &made.objects[0];
        assert_eq!(object["metadata"]["namespace"], "shop-dev");
        assert_eq!(
            object["metadata"]["labels"],
            json!({SERVICE_LABEL: "web", ENVIRONMENT_LABEL: "dev"})
        );
        assert_eq!(object["metadata"]["annotations"][RELEASE_ANNOTATION], "3");
        assert_eq!(object["spec"], json!({"template": {}}));
    }

    #[test]
    fn what_is_no_object_of_this_environment_is_refused() {
        refused(&["[1, 2]"], "no object");
        refused(
            &["{apiVersion: v1, kind: ConfigMap, metadata: {generateName: x}}"],
            "no object",
        );
        refused(
            &["{apiVersion: v1, kind: ConfigMap, metadata: {name: x, labels: [a]}}"],
            "no object",
        );
        refused(
            &["{apiVersion: v1, kind: List, metadata: {name: x}, items: []}"],
            "`List`",
        );
        refused(
            &["{apiVersion: v1, kind: ConfigMap, metadata: {name: x, namespace: kube-system}}"],
            "`kube-system`",
        );
        let twice = "{apiVersion: v1, kind: ConfigMap, metadata: {name: x}}";
        refused(&[twice, twice], "`manifests/0.yaml`");
        refused(
            &[
                "{apiVersion: v1, kind: ConfigMap, metadata: {name: x, labels: {foreshore.local/service: api}}}",
            ],
            "which service",
        );
        refused(&["a: [\n"], "manifests/0.yaml:");
    }

    #[test]
    fn a_release_of_another_service_is_refused() {
        let files = fixture::files(1, &[]);
        let other = ServiceName::new("api").unwrap();
        let error = desired(files, &fixture::dev(), &other, "ns", "c").unwrap_err();
        assert!(matches!(error, DesiredError::OtherRelease { .. }));
    }

    #[test]
    fn replicas_set_by_operation_are_taken_out_of_the_manifest() {
        let mut files = fixture::files(
            1,
            &[
                "{apiVersion: apps/v1, kind: Deployment, metadata: {name: web}, spec: {replicas: 1}}",
                "{apiVersion: apps/v1, kind: Deployment, metadata: {name: job}, spec: {replicas: 2}}",
            ],
        );
        files.operations.replicas = [("web".to_owned(), 4), ("gone".to_owned(), 1)].into();
        let made = desired(files, &fixture::dev(), &fixture::web(), "ns", "c").unwrap();
        assert_eq!(made.objects[0]["spec"], json!({}));
        assert_eq!(made.objects[1]["spec"], json!({"replicas": 2}));
        assert_eq!(
            made.scaled(Timestamp::UNIX_EPOCH),
            [(Reference::new("apps/v1", "Deployment", "ns", "web"), 4)]
        );
        assert_eq!(made.unknown_workloads(), ["gone"]);
    }

    #[test]
    fn bounds_and_floors_reach_the_autoscaler_of_their_workload_alone() {
        let autoscaler = |name: &str| {
            format!(
                "{{apiVersion: autoscaling/v2, kind: HorizontalPodAutoscaler, metadata: {{name: {name}}}, \
                 spec: {{minReplicas: 1, maxReplicas: 3, scaleTargetRef: {{kind: Deployment, name: {name}}}}}}}"
            )
        };
        let mut files = fixture::files(1, &[&autoscaler("web"), &autoscaler("job")]);
        files.operations.bounds = [("web".to_owned(), Bounds { min: 2, max: 5 })].into();
        files.operations.floors = vec![foreshore_model::operations::Floor {
            workload: "web".into(),
            replicas: 9,
            from: Timestamp::from_second(100).unwrap(),
            until: Timestamp::from_second(200).unwrap(),
        }];
        let made = desired(files, &fixture::dev(), &fixture::web(), "ns", "c").unwrap();
        for (second, min, max) in [(0, 2, 5), (100, 9, 9), (200, 2, 5)] {
            let objects = made.objects_at(Timestamp::from_second(second).unwrap());
            assert_eq!(objects[0]["spec"]["minReplicas"], min);
            assert_eq!(objects[0]["spec"]["maxReplicas"], max);
            assert_eq!(objects[1]["spec"]["maxReplicas"], 3);
        }
    }
}
