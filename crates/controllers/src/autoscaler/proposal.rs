//! How many replicas one metric calls for.

use std::collections::BTreeMap;

use foreshore_scheduler::quantity_milli;
use jiff::Timestamp;
use k8s_openapi::api::autoscaling::v2::{
    ContainerResourceMetricStatus, MetricSpec, MetricStatus, MetricTarget, MetricValueStatus,
    ResourceMetricStatus,
};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::Inputs;
use super::usage::{self, Groups};
use crate::change::name;

/// Deviations from the target that change nothing.
const TOLERANCE: f64 = 0.1;

/// What one metric calls for.
pub(super) struct Proposal {
    pub(super) replicas: i32,
    /// The metric in words.
    pub(super) metric: String,
    pub(super) status: MetricStatus,
}

/// Why a metric calls for nothing.
pub(super) struct Refused {
    pub(super) reason: &'static str,
    pub(super) message: String,
}

/// A resource to be measured, of whole pods or of one container.
struct Question<'a> {
    resource: &'a str,
    container: Option<&'a str>,
    target: &'a MetricTarget,
}

pub(super) fn of(
    inputs: &Inputs<'_>,
    metric: &MetricSpec,
    current: i32,
    now: Timestamp,
) -> Result<Proposal, Refused> {
    let (question, reason) = question(metric)?;
    let refused = |message: String| Refused { reason, message };
    let resource = question.resource;
    let failed = |why: String| {
        let what = if question.target.average_utilization.is_some() {
            "utilization"
        } else {
            "usage"
        };
        refused(format!("failed to get {resource} {what}: {why}"))
    };
    let measured = inputs.usage.map_err(|why| {
        failed(format!(
            "unable to get metrics for resource {resource}: {why}"
        ))
    })?;
    if inputs.pods.is_empty() {
        let why = "no pods returned by selector while calculating replica count";
        return Err(failed(why.to_owned()));
    }
    let groups = usage::group(inputs.pods, measured, resource, question.container, now);
    if groups.measured.is_empty() {
        let why = "did not receive metrics for targeted pods (pods might be unready)";
        return Err(failed(why.to_owned()));
    }
    let goal = goal(&question, inputs.pods).map_err(failed)?;
    let tolerance = Tolerance::of(inputs);
    let replicas = replicas(&groups, &goal, current, &tolerance);
    let average =
        groups.measured.values().sum::<i128>() / i128::try_from(groups.measured.len()).unwrap_or(1);
    let value = MetricValueStatus {
        average_utilization: goal.utilization(&groups.measured),
        average_value: Some(Quantity(quantity(average, resource))),
        value: None,
    };
    let words = match question.target.average_utilization {
        Some(_) => format!("{resource} resource utilization (percentage of request)"),
        None => format!("{resource} resource"),
    };
    Ok(Proposal {
        replicas,
        metric: match question.container {
            Some(_) => words.replacen("resource", "container resource", 1),
            None => words,
        },
        status: status(&question, value),
    })
}

fn question(metric: &MetricSpec) -> Result<(Question<'_>, &'static str), Refused> {
    if let Some(source) = &metric.resource {
        let question = Question {
            resource: &source.name,
            container: None,
            target: &source.target,
        };
        return Ok((question, "FailedGetResourceMetric"));
    }
    if let Some(source) = &metric.container_resource {
        let question = Question {
            resource: &source.name,
            container: Some(&source.container),
            target: &source.target,
        };
        return Ok((question, "FailedGetContainerResourceMetric"));
    }
    Err(Refused {
        reason: match metric.type_.as_str() {
            "Pods" => "FailedGetPodsMetric",
            "Object" => "FailedGetObjectMetric",
            "External" => "FailedGetExternalMetric",
            _ => "InvalidMetricSourceType",
        },
        message: format!(
            "metrics of type {:?} are not served here; use \"Resource\" or \"ContainerResource\"",
            metric.type_
        ),
    })
}

/// What usage is compared with, per pod.
enum Goal<'a> {
    /// A share of what each pod requested.
    Share {
        percent: i32,
        requests: BTreeMap<&'a str, i128>,
    },
    /// The same amount for each.
    Amount(i128),
}

fn goal<'a>(question: &Question<'_>, pods: &'a [std::sync::Arc<Pod>]) -> Result<Goal<'a>, String> {
    let target = question.target;
    let Some(percent) = target.average_utilization else {
        let amount = target
            .average_value
            .as_ref()
            .and_then(|amount| quantity_milli(&amount.0));
        let missing = "invalid resource metric source: neither a utilization target nor a value \
                       target was set";
        return amount.map(Goal::Amount).ok_or_else(|| missing.to_owned());
    };
    let mut requests = BTreeMap::new();
    for pod in pods {
        requests.insert(name(pod.as_ref()), requested(question, pod)?);
    }
    Ok(Goal::Share { percent, requests })
}

fn requested(question: &Question<'_>, pod: &Pod) -> Result<i128, String> {
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    let mut sum = 0;
    for container in containers {
        if question
            .container
            .is_some_and(|named| named != container.name)
        {
            continue;
        }
        let amount = container
            .resources
            .as_ref()
            .and_then(|resources| resources.requests.as_ref()?.get(question.resource))
            .and_then(|amount| quantity_milli(&amount.0));
        sum += amount.ok_or_else(|| {
            let resource = question.resource;
            format!(
                "missing request for {resource} in container {} of Pod {}",
                container.name,
                name(pod)
            )
        })?;
    }
    Ok(sum)
}

impl Goal<'_> {
    /// The usage of a pod that is exactly at its goal, or at all of its
    /// request if that is more.
    fn full(&self, pod: &str) -> i128 {
        match self {
            Self::Share { percent, requests } => {
                let request = requests.get(pod).copied().unwrap_or(0);
                request * i128::from((*percent).max(100)) / 100
            }
            Self::Amount(amount) => *amount,
        }
    }

    fn utilization(&self, measured: &BTreeMap<&str, i128>) -> Option<i32> {
        let Self::Share { requests, .. } = self else {
            return None;
        };
        let requested: i128 = measured.keys().filter_map(|pod| requests.get(pod)).sum();
        let used: i128 = measured.values().sum();
        if requested == 0 {
            return Some(0);
        }
        Some(i32::try_from(used * 100 / requested).unwrap_or(i32::MAX))
    }

    /// Usage in relation to the goal.
    fn ratio(&self, measured: &BTreeMap<&str, i128>) -> f64 {
        match self {
            Self::Share { percent, .. } => {
                let utilization = self.utilization(measured).unwrap_or(0);
                f64::from(utilization) / f64::from((*percent).max(1))
            }
            Self::Amount(amount) => {
                let count = i128::try_from(measured.len()).unwrap_or(1).max(1);
                as_float(measured.values().sum::<i128>() / count) / as_float((*amount).max(1))
            }
        }
    }
}

/// How far from the goal is still near enough.
struct Tolerance {
    up: f64,
    down: f64,
}

impl Tolerance {
    fn of(inputs: &Inputs<'_>) -> Self {
        let behavior = inputs.autoscaler.spec.behavior.as_ref();
        let given = |tolerance: Option<&Quantity>| {
            tolerance
                .and_then(|tolerance| quantity_milli(&tolerance.0))
                .map_or(TOLERANCE, |milli| as_float(milli) / 1000.0)
        };
        let up = behavior.and_then(|behavior| behavior.scale_up.as_ref());
        let down = behavior.and_then(|behavior| behavior.scale_down.as_ref());
        Self {
            up: given(up.and_then(|rules| rules.tolerance.as_ref())),
            down: given(down.and_then(|rules| rules.tolerance.as_ref())),
        }
    }

    fn accepts(&self, ratio: f64) -> bool {
        (1.0 - self.down) <= ratio && ratio <= (1.0 + self.up)
    }
}

fn replicas(groups: &Groups<'_>, goal: &Goal<'_>, current: i32, tolerance: &Tolerance) -> i32 {
    let ratio = goal.ratio(&groups.measured);
    let counts_unready = !groups.unready.is_empty() && ratio > 1.0;
    if !counts_unready && groups.missing.is_empty() {
        return if tolerance.accepts(ratio) {
            current
        } else {
            rounded_up(ratio, groups.measured.len())
        };
    }
    // What is not known is taken to speak against the change.
    let mut assumed = groups.measured.clone();
    for pod in &groups.missing {
        let own = name(*pod);
        if ratio < 1.0 {
            assumed.insert(own, goal.full(own));
        } else if ratio > 1.0 {
            assumed.insert(own, 0);
        }
    }
    if counts_unready {
        assumed.extend(groups.unready.iter().map(|pod| (name(*pod), 0)));
    }
    let careful = goal.ratio(&assumed);
    let has_turned = (ratio < 1.0 && careful > 1.0) || (ratio > 1.0 && careful < 1.0);
    if tolerance.accepts(careful) || has_turned {
        return current;
    }
    let replicas = rounded_up(careful, assumed.len());
    let is_backwards =
        (careful < 1.0 && replicas > current) || (careful > 1.0 && replicas < current);
    if is_backwards { current } else { replicas }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "numbers of pods are small"
)]
fn rounded_up(ratio: f64, pods: usize) -> i32 {
    (ratio * pods as f64).ceil() as i32
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a ratio of amounts needs no more digits than a float has"
)]
fn as_float(amount: i128) -> f64 {
    amount as f64
}

/// Thousandths as the API writes them.
fn quantity(milli: i128, resource: &str) -> String {
    if resource == "memory" || milli % 1000 == 0 {
        (milli / 1000).to_string()
    } else {
        format!("{milli}m")
    }
}

fn status(question: &Question<'_>, current: MetricValueStatus) -> MetricStatus {
    let name = question.resource.to_owned();
    match question.container {
        None => MetricStatus {
            type_: "Resource".to_owned(),
            resource: Some(ResourceMetricStatus { name, current }),
            ..MetricStatus::default()
        },
        Some(container) => MetricStatus {
            type_: "ContainerResource".to_owned(),
            container_resource: Some(ContainerResourceMetricStatus {
                container: container.to_owned(),
                name,
                current,
            }),
            ..MetricStatus::default()
        },
    }
}
