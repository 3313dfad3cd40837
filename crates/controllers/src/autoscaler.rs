//! What a `HorizontalPodAutoscaler` asks for: as many replicas as the measured
//! usage calls for, within its limits and not too fast.

mod limits;
mod proposal;
mod status;
#[cfg(test)]
mod tests;
mod usage;

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::autoscaling::v2::{HorizontalPodAutoscaler, HorizontalPodAutoscalerSpec};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::json;

use crate::change::{Change, EventKind, Part, Target};
use limits::Limited;
use proposal::Proposal;
use status::Report;

pub use limits::Memory;
pub use usage::{PodUsage, Usage};

/// Time between two looks at the same autoscaler.
pub const PERIOD: SignedDuration = SignedDuration::from_secs(15);

/// The scale subresource of the target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scale {
    /// The object that is scaled.
    pub target: Target,
    /// The replicas its spec asks for.
    pub wanted: i32,
    /// The replicas its status reports.
    pub current: i32,
}

/// What is known about one autoscaler.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a> {
    pub autoscaler: &'a HorizontalPodAutoscaler,
    /// The scale of the target, or why it cannot be read.
    pub scale: Result<&'a Scale, &'a str>,
    /// The pods the scale selects.
    pub pods: &'a [Arc<Pod>],
    /// What they use, or why that is not known.
    pub usage: Result<&'a Usage, &'a str>,
    /// What earlier decisions about this autoscaler left behind.
    pub memory: &'a Memory,
}

/// The changes, and what the next decision should know.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    pub changes: Vec<Change>,
    pub memory: Memory,
}

/// Returns the scale and the status the autoscaler asks for.
pub fn decide(inputs: &Inputs<'_>, now: Timestamp) -> Decision {
    let mut report = Report::new(inputs.autoscaler, now);
    let mut memory = inputs.memory.clone();
    let mut changes = match inputs.scale {
        Ok(scale) => {
            let said = "the HPA controller was able to get the target's current scale";
            report.set("AbleToScale", true, "SucceededGetScale", said);
            rescale(inputs, scale, &mut report, &mut memory, now)
        }
        Err(why) => {
            let said =
                format!("the HPA controller was unable to get the target's current scale: {why}");
            report.set("AbleToScale", false, "FailedGetScale", &said);
            vec![warn(inputs, "FailedGetScale", why.to_owned())]
        }
    };
    changes.extend(report.into_change());
    changes.push(Change::Requeue {
        after: PERIOD.unsigned_abs(),
    });
    Decision { changes, memory }
}

fn min_replicas(spec: &HorizontalPodAutoscalerSpec) -> i32 {
    spec.min_replicas.unwrap_or(1)
}

fn warn(inputs: &Inputs<'_>, reason: &'static str, message: String) -> Change {
    Change::event(inputs.autoscaler, EventKind::Warning, reason, message)
}

fn rescale(
    inputs: &Inputs<'_>,
    scale: &Scale,
    report: &mut Report<'_>,
    memory: &mut Memory,
    now: Timestamp,
) -> Vec<Change> {
    let spec = &inputs.autoscaler.spec;
    let current = scale.wanted;
    memory.remember_first(current, now);
    report.status.current_replicas = Some(scale.current);
    let (desired, reason) = if current == 0 && min_replicas(spec) != 0 {
        let said = "scaling is disabled since the replica count of the target is zero";
        report.set("ScalingActive", false, "ScalingDisabled", said);
        (0, String::new())
    } else if current > spec.max_replicas {
        let reason = "Current number of replicas above Spec.MaxReplicas";
        (spec.max_replicas, reason.to_owned())
    } else if current < min_replicas(spec) {
        let reason = "Current number of replicas below Spec.MinReplicas";
        (min_replicas(spec), reason.to_owned())
    } else {
        match from_metrics(inputs, current, report, memory, now) {
            Ok(found) => found,
            Err(told) => {
                report.status.desired_replicas = current;
                return told;
            }
        }
    };
    report.status.desired_replicas = desired;
    if desired == current || current == 0 {
        return Vec::new();
    }
    memory.remember_scaling(current, desired, now);
    let said = format!("the HPA controller was able to update the target scale to {desired}");
    report.set("AbleToScale", true, "SucceededRescale", &said);
    report.status.last_scale_time = Some(Time(now));
    let told = format!("New size: {desired}; reason: {reason}");
    let kind = EventKind::Normal;
    vec![
        Change::Patch {
            target: scale.target.clone(),
            part: Part::Scale,
            body: json!({"spec": {"replicas": desired}}),
        },
        Change::event(inputs.autoscaler, kind, "SuccessfulRescale", told),
    ]
}

/// The size all metrics together call for, and why; or what to tell when none
/// can be relied on.
fn from_metrics(
    inputs: &Inputs<'_>,
    current: i32,
    report: &mut Report<'_>,
    memory: &mut Memory,
    now: Timestamp,
) -> Result<(i32, String), Vec<Change>> {
    let spec = &inputs.autoscaler.spec;
    let metrics = spec.metrics.as_deref().unwrap_or_default();
    let mut best: Option<Proposal> = None;
    let mut refused = Vec::new();
    let mut statuses = Vec::new();
    for metric in metrics {
        match proposal::of(inputs, metric, current, now) {
            Ok(proposal) => {
                statuses.push(proposal.status.clone());
                if best
                    .as_ref()
                    .is_none_or(|best| proposal.replicas > best.replicas)
                {
                    best = Some(proposal);
                }
            }
            Err(why) => refused.push(why),
        }
    }
    report.status.current_metrics = (!statuses.is_empty()).then_some(statuses);
    let count = (refused.len(), metrics.len());
    // One metric that is missing must not make the target smaller.
    let relied_on = best.filter(|best| refused.is_empty() || best.replicas >= current);
    let Some(best) = relied_on else {
        return Err(cannot_compute(inputs, refused, count, report));
    };
    let said = format!(
        "the HPA was able to successfully calculate a replica count from {}",
        best.metric
    );
    report.set("ScalingActive", true, "ValidMetricFound", &said);
    let reason = match best.replicas.cmp(&current) {
        std::cmp::Ordering::Greater => format!("{} above target", best.metric),
        _ => "All metrics below target".to_owned(),
    };
    let Limited {
        replicas,
        able,
        bounds,
    } = limits::apply(spec, memory, current, best.replicas, now);
    report.set("AbleToScale", true, able.0, able.1);
    let is_limited = bounds.0 != "DesiredWithinRange";
    report.set("ScalingLimited", is_limited, bounds.0, bounds.1);
    Ok((replicas, reason))
}

fn cannot_compute(
    inputs: &Inputs<'_>,
    refused: Vec<proposal::Refused>,
    (invalid, all): (usize, usize),
    report: &mut Report<'_>,
) -> Vec<Change> {
    let mut told: Vec<Change> = refused
        .iter()
        .map(|one| warn(inputs, one.reason, one.message.clone()))
        .collect();
    let Some(first) = refused.into_iter().next() else {
        return told;
    };
    let said = format!(
        "the HPA was unable to compute the replica count: {}",
        first.message
    );
    report.set("ScalingActive", false, first.reason, &said);
    let message = format!(
        "invalid metrics ({invalid} invalid out of {all}), first error is: {}",
        first.message
    );
    told.push(warn(inputs, "FailedComputeMetricsReplicas", message));
    told
}
