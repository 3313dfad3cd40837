//! Pod failure policies: what a failed pod means for its Job.

use k8s_openapi::api::batch::v1::{Job, PodFailurePolicyRule};
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};

use crate::change::name;

/// What a failure means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// It counts towards the backoff limit.
    Counts,
    /// It is as if it had not happened.
    Ignored,
    /// The Job fails for this reason, in words.
    FailsJob(String),
}

/// Returns what the first rule that fits says about a failed pod.
pub(super) fn meaning(job: &Job, pod: &Pod) -> Meaning {
    let rules = job
        .spec
        .as_ref()
        .and_then(|spec| spec.pod_failure_policy.as_ref())
        .map_or(&[][..], |policy| &policy.rules);
    for (index, rule) in rules.iter().enumerate() {
        let Some(what) = fits(rule, pod) else {
            continue;
        };
        return match rule.action.as_str() {
            "Ignore" => Meaning::Ignored,
            "FailJob" => {
                Meaning::FailsJob(format!("{what} matching FailJob rule at index {index}"))
            }
            _ => Meaning::Counts,
        };
    }
    Meaning::Counts
}

/// Returns in words why the rule fits.
fn fits(rule: &PodFailurePolicyRule, pod: &Pod) -> Option<String> {
    let place = format!(
        "{}/{}",
        pod.metadata.namespace.as_deref().unwrap_or_default(),
        name(pod)
    );
    if let Some(codes) = &rule.on_exit_codes {
        let container = containers(pod).find(|container| {
            let named = codes.container_name.as_ref();
            let code = exit_code(container).unwrap_or(0);
            let listed = codes.values.contains(&code);
            named.is_none_or(|named| *named == container.name)
                && code != 0
                && match codes.operator.as_str() {
                    "In" => listed,
                    "NotIn" => !listed,
                    _ => false,
                }
        })?;
        return Some(format!(
            "Container {} for pod {place} failed with exit code {}",
            container.name,
            exit_code(container).unwrap_or(0)
        ));
    }
    let pattern = rule.on_pod_conditions.iter().flatten().find(|pattern| {
        crate::pod::condition(pod, &pattern.type_)
            .is_some_and(|known| known.status == *pattern.status.as_deref().unwrap_or("True"))
    })?;
    Some(format!("Pod {place} has condition {}", pattern.type_))
}

fn containers(pod: &Pod) -> impl Iterator<Item = &ContainerStatus> {
    pod.status.iter().flat_map(|status| {
        let own = status.container_statuses.iter().flatten();
        own.chain(status.init_container_statuses.iter().flatten())
    })
}

fn exit_code(container: &ContainerStatus) -> Option<i32> {
    let terminated = container.state.as_ref()?.terminated.as_ref()?;
    Some(terminated.exit_code)
}
