//! How far and how fast a size may change.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::autoscaling::v2::{
    HPAScalingPolicy, HPAScalingRules, HorizontalPodAutoscalerSpec,
};

use super::min_replicas;

/// Time a higher recommendation is kept before the size goes down, unless the
/// spec says otherwise.
const STABILIZATION: i32 = 300;
/// Longest time anything is remembered.
const MEMORY: SignedDuration = SignedDuration::from_mins(60);

/// What earlier decisions recommended and did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    recommendations: Vec<(Timestamp, i32)>,
    /// Replicas added (or, negative, taken away) at a time.
    scalings: Vec<(Timestamp, i32)>,
}

impl Memory {
    /// An autoscaler nobody remembers starts from the size it finds.
    pub(super) fn remember_first(&mut self, current: i32, now: Timestamp) {
        if self.recommendations.is_empty() {
            self.recommendations.push((now, current));
        }
    }

    pub(super) fn remember_scaling(&mut self, from: i32, to: i32, now: Timestamp) {
        self.scalings.push((now, to - from));
        self.scalings.retain(|(at, _)| *at + MEMORY > now);
    }

    fn recommend(&mut self, replicas: i32, now: Timestamp) {
        self.recommendations.push((now, replicas));
        self.recommendations.retain(|(at, _)| *at + MEMORY > now);
    }

    fn recent(&self, seconds: i32, now: Timestamp) -> impl Iterator<Item = i32> {
        let window = SignedDuration::from_secs(seconds.into());
        let recent = self
            .recommendations
            .iter()
            .filter(move |(at, _)| *at + window > now);
        recent.map(|(_, replicas)| *replicas)
    }

    /// The size at the start of a period that ends now.
    fn size_before(&self, current: i32, seconds: i32, now: Timestamp) -> i32 {
        let period = SignedDuration::from_secs(seconds.into());
        let changed: i32 = self
            .scalings
            .iter()
            .filter(|(at, _)| *at + period > now)
            .map(|(_, change)| change)
            .sum();
        current - changed
    }
}

type Words = (&'static str, &'static str);

/// A size that is allowed, and what the conditions say of it.
pub(super) struct Limited {
    pub(super) replicas: i32,
    pub(super) able: Words,
    pub(super) bounds: Words,
}

const READY: Words = ("ReadyForNewScale", "recommended size matches current size");
const DOWN_STABILIZED: Words = (
    "ScaleDownStabilized",
    "recent recommendations were higher than current one, applying the highest recent recommendation",
);
const UP_STABILIZED: Words = (
    "ScaleUpStabilized",
    "recent recommendations were lower than current one, applying the lowest recent recommendation",
);
const WITHIN: Words = (
    "DesiredWithinRange",
    "the desired count is within the acceptable range",
);
const TOO_MANY: Words = (
    "TooManyReplicas",
    "the desired replica count is more than the maximum replica count",
);
const TOO_FEW: Words = (
    "TooFewReplicas",
    "the desired replica count is less than the minimum replica count",
);
const UP_LIMIT: Words = (
    "ScaleUpLimit",
    "the desired replica count is increasing faster than the maximum scale rate",
);
const DOWN_LIMIT: Words = (
    "ScaleDownLimit",
    "the desired replica count is decreasing faster than the maximum scale rate",
);

/// Returns what may become of a recommendation now.
pub(super) fn apply(
    spec: &HorizontalPodAutoscalerSpec,
    memory: &mut Memory,
    current: i32,
    recommended: i32,
    now: Timestamp,
) -> Limited {
    let behavior = spec.behavior.clone().unwrap_or_default();
    let window = |rules: Option<&HPAScalingRules>, fallback| {
        rules
            .and_then(|rules| rules.stabilization_window_seconds)
            .unwrap_or(fallback)
    };
    let up_window = window(behavior.scale_up.as_ref(), 0);
    let down_window = window(behavior.scale_down.as_ref(), STABILIZATION);
    let lowest = memory.recent(up_window, now).fold(recommended, i32::min);
    let highest = memory.recent(down_window, now).fold(recommended, i32::max);
    memory.recommend(recommended, now);
    let stable = current.max(lowest).min(highest);
    let able = match stable.cmp(&recommended) {
        std::cmp::Ordering::Less => UP_STABILIZED,
        std::cmp::Ordering::Equal => READY,
        std::cmp::Ordering::Greater => DOWN_STABILIZED,
    };
    let (least, most) = (min_replicas(spec), spec.max_replicas);
    let rate = Rate {
        memory,
        current,
        now,
    };
    let (replicas, bounds) = if stable > current {
        let allowed = match &behavior.scale_up {
            Some(rules) => rate.highest(rules),
            None if spec.behavior.is_some() => rate.highest(&HPAScalingRules::default()),
            None => (2 * current).max(4),
        };
        let allowed = allowed.max(current);
        if stable <= allowed.min(most) {
            (stable, WITHIN)
        } else if allowed < most {
            (allowed, UP_LIMIT)
        } else {
            (most, TOO_MANY)
        }
    } else {
        let allowed = match &behavior.scale_down {
            Some(rules) => rate.lowest(rules).min(current),
            None => 0,
        };
        if stable >= allowed.max(least) {
            (stable, WITHIN)
        } else if allowed > least {
            (allowed, DOWN_LIMIT)
        } else {
            (least, TOO_FEW)
        }
    };
    Limited {
        replicas,
        able,
        bounds,
    }
}

/// What the policies allow from here.
struct Rate<'a> {
    memory: &'a Memory,
    current: i32,
    now: Timestamp,
}

impl Rate<'_> {
    fn highest(&self, rules: &HPAScalingRules) -> i32 {
        let fallback = [policy("Percent", 100), policy("Pods", 4)];
        let sizes = self.sizes(rules, &fallback, |before, policy| {
            if policy.type_ == "Pods" {
                before + policy.value
            } else {
                share(before, 100 + policy.value, 99)
            }
        });
        match rules.select_policy.as_deref() {
            Some("Disabled") => self.current,
            Some("Min") => sizes.min().unwrap_or(self.current),
            _ => sizes.max().unwrap_or(self.current),
        }
    }

    fn lowest(&self, rules: &HPAScalingRules) -> i32 {
        let fallback = [policy("Percent", 100)];
        let sizes = self.sizes(rules, &fallback, |before, policy| {
            if policy.type_ == "Pods" {
                before - policy.value
            } else {
                share(before, (100 - policy.value).max(0), 0)
            }
        });
        match rules.select_policy.as_deref() {
            Some("Disabled") => self.current,
            Some("Min") => sizes.max().unwrap_or(self.current),
            _ => sizes.min().unwrap_or(self.current),
        }
    }

    fn sizes(
        &self,
        rules: &HPAScalingRules,
        fallback: &[HPAScalingPolicy],
        size: impl Fn(i32, &HPAScalingPolicy) -> i32,
    ) -> std::vec::IntoIter<i32> {
        let policies = rules.policies.as_deref().filter(|list| !list.is_empty());
        let sizes: Vec<i32> = policies
            .unwrap_or(fallback)
            .iter()
            .map(|policy| {
                let seconds = policy.period_seconds;
                let before = self.memory.size_before(self.current, seconds, self.now);
                size(before, policy)
            })
            .collect();
        sizes.into_iter()
    }
}

fn policy(kind: &str, value: i32) -> HPAScalingPolicy {
    HPAScalingPolicy {
        type_: kind.to_owned(),
        value,
        period_seconds: 15,
    }
}

/// A share of a size in percent, rounded up by `rounding` hundredths.
fn share(size: i32, percent: i32, rounding: i64) -> i32 {
    let hundredths = i64::from(size) * i64::from(percent) + rounding;
    i32::try_from(hundredths.div_euclid(100)).unwrap_or(i32::MAX)
}
