//! When a series of probe results means something.

use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, Probe};

/// What a probe decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum ProbeKind {
    Startup,
    Readiness,
    Liveness,
}

impl ProbeKind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Startup => "Startup",
            Self::Readiness => "Readiness",
            Self::Liveness => "Liveness",
        }
    }

    pub(crate) fn of(self, container: &Container) -> Option<&Probe> {
        match self {
            Self::Startup => container.startup_probe.as_ref(),
            Self::Readiness => container.readiness_probe.as_ref(),
            Self::Liveness => container.liveness_probe.as_ref(),
        }
    }
}

/// Timing of a probe with kubelet's defaults.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Timing {
    pub initial_delay: Duration,
    pub period: Duration,
    pub limit: Duration,
    pub successes_needed: u32,
    pub failures_needed: u32,
}

impl Timing {
    pub(crate) fn of(probe: &Probe) -> Self {
        let at_least_one = |value: Option<i32>, default: u32| {
            value
                .and_then(|value| u32::try_from(value).ok())
                .filter(|value| *value > 0)
                .unwrap_or(default)
        };
        let seconds = |value: Option<i32>, default| {
            Duration::from_secs(u64::from(at_least_one(value, default)))
        };
        let delay = probe
            .initial_delay_seconds
            .and_then(|value| u64::try_from(value).ok())
            .unwrap_or(0);
        Self {
            initial_delay: Duration::from_secs(delay),
            period: seconds(probe.period_seconds, 10),
            limit: seconds(probe.timeout_seconds, 1),
            successes_needed: at_least_one(probe.success_threshold, 1),
            failures_needed: at_least_one(probe.failure_threshold, 3),
        }
    }
}

/// Counts results until there are enough of one kind.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Series {
    last: Option<bool>,
    length: u32,
}

impl Series {
    /// Takes one result; answers with a verdict each time the series is long
    /// enough for one.
    pub(crate) fn take(&mut self, success: bool, timing: &Timing) -> Option<bool> {
        if self.last == Some(success) {
            self.length = self.length.saturating_add(1);
        } else {
            *self = Self {
                last: Some(success),
                length: 1,
            };
        }
        let needed = if success {
            timing.successes_needed
        } else {
            timing.failures_needed
        };
        (self.length >= needed).then_some(success)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(results: &str, verdicts: &str) {
        let probe = Probe {
            success_threshold: Some(2),
            failure_threshold: Some(3),
            ..Probe::default()
        };
        let timing = Timing::of(&probe);
        let mut series = Series::default();
        let seen: String = results
            .chars()
            .map(|result| match series.take(result == '+', &timing) {
                Some(true) => '+',
                Some(false) => '-',
                None => '.',
            })
            .collect();
        assert_eq!(seen, verdicts);
    }

    #[test]
    fn a_verdict_needs_enough_equal_results_in_a_row() {
        check("++", ".+");
        check("---", "..-");
        check("--+-", "....");
        check("+++---++", ".++..-.+");
    }

    #[test]
    fn unset_and_zero_timing_means_kubelets_defaults() {
        let probe = Probe {
            timeout_seconds: Some(0),
            ..Probe::default()
        };
        let timing = Timing::of(&probe);
        assert_eq!(timing.period, Duration::from_secs(10));
        assert_eq!(timing.limit, Duration::from_secs(1));
        assert_eq!((timing.successes_needed, timing.failures_needed), (1, 3));
    }
}
