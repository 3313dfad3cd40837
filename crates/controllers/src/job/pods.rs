//! The pods of a Job: their index, and the finalizer that keeps them until
//! they are counted.

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Container, EnvVar, EnvVarSource, ObjectFieldSelector, Pod};

use crate::change::{Change, name};
use crate::pod;
use crate::template::new_pod;

/// Keeps an ended pod until it is counted, so that none is lost or counted twice.
pub(super) const FINALIZER: &str = "batch.kubernetes.io/job-tracking";
/// The annotation and label with the index of a pod of an Indexed Job.
const INDEX: &str = "batch.kubernetes.io/job-completion-index";
const INDEX_VARIABLE: &str = "JOB_COMPLETION_INDEX";
/// Longest prefix of a generated name: the API adds five characters.
const PREFIX_MAX: usize = 58;

pub(super) fn is_tracked(pod: &Pod) -> bool {
    let mut finalizers = pod.metadata.finalizers.iter().flatten();
    finalizers.any(|finalizer| finalizer == FINALIZER)
}

/// Lets a counted pod go.
pub(super) fn release(pod: &Pod) -> Option<Change> {
    let mut released = pod.clone();
    if let Some(finalizers) = &mut released.metadata.finalizers {
        finalizers.retain(|finalizer| finalizer != FINALIZER);
        if finalizers.is_empty() {
            released.metadata.finalizers = None;
        }
    }
    Change::update(pod, &released)
}

/// On its way out without having ended.
pub(super) fn is_terminating(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_some() && !pod::is_terminal(pod)
}

/// Tells whether the pod counts as failed. A pod that is deleted counts at
/// once, unless the Job replaces only what has failed in full.
pub(super) fn is_failed(job: &Job, pod: &Pod) -> bool {
    match pod::phase(pod) {
        "Failed" => true,
        "Succeeded" => false,
        _ => pod.metadata.deletion_timestamp.is_some() && !replaces_only_failed(job),
    }
}

pub(super) fn replaces_only_failed(job: &Job) -> bool {
    job.spec
        .as_ref()
        .and_then(|spec| spec.pod_replacement_policy.as_deref())
        == Some("Failed")
}

/// The completion index of a pod, below `limit`.
pub(super) fn index(pod: &Pod, limit: i32) -> Option<i32> {
    pod.metadata
        .annotations
        .as_ref()?
        .get(INDEX)?
        .parse()
        .ok()
        .filter(|index| (0..limit).contains(index))
}

/// The next pod of the Job; with its index where the Job has indexes.
pub(super) fn create(job: &Job, index: Option<i32>) -> Pod {
    let template = job.spec.as_ref().map(|spec| spec.template.clone());
    let mut pod = new_pod(&template.unwrap_or_default(), job);
    let finalizers = pod.metadata.finalizers.get_or_insert_default();
    if !finalizers.iter().any(|finalizer| finalizer == FINALIZER) {
        finalizers.push(FINALIZER.to_owned());
    }
    let Some(index) = index else {
        return pod;
    };
    let number = index.to_string();
    let meta = &mut pod.metadata;
    for marks in [&mut meta.annotations, &mut meta.labels] {
        let marks = marks.get_or_insert_default();
        marks.insert(INDEX.to_owned(), number.clone());
    }
    let own = format!("{}-{number}", name(job));
    let prefix: String = format!("{own}-").chars().take(PREFIX_MAX).collect();
    meta.generate_name = Some(prefix);
    let spec = pod.spec.get_or_insert_default();
    spec.hostname = Some(own);
    let starting = spec.init_containers.iter_mut().flatten();
    for container in starting.chain(&mut spec.containers) {
        tell_index(container);
    }
    pod
}

fn tell_index(container: &mut Container) {
    let variables = container.env.get_or_insert_default();
    if variables.iter().any(|one| one.name == INDEX_VARIABLE) {
        return;
    }
    variables.push(EnvVar {
        name: INDEX_VARIABLE.to_owned(),
        value: None,
        value_from: Some(EnvVarSource {
            field_ref: Some(ObjectFieldSelector {
                api_version: None,
                field_path: format!("metadata.labels['{INDEX}']"),
            }),
            ..EnvVarSource::default()
        }),
    });
}
