//! Thresholds after which a stall counts as a failure.

use std::time::Duration;

/// How patient the rules are; the default fails fast.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Restarts after which a container in `CrashLoopBackOff` has failed.
    pub crash_restarts: u32,
    /// The same while its revision has never been complete: a release that
    /// cannot start is told at once, not after a minute of back-off. Only exit
    /// codes other than zero count.
    pub crash_restarts_new: u32,
    /// Restarts after which a container that ran out of memory has failed.
    pub oom_restarts: u32,
    /// How long a missing key or object may keep a container from being made.
    pub config_error_after: Duration,
    /// How long an image pull may fail.
    pub image_pull_after: Duration,
    /// An image that its registry says does not exist fails at once.
    pub missing_image_fails: bool,
    /// How long no node may fit a pod; longer than a node takes to be added.
    pub unschedulable_after: Duration,
    /// How long quota or admission may refuse the pods of a workload.
    pub replica_failure_after: Duration,
    /// How long an autoscaler may miss its metrics after a change.
    pub metrics_after: Duration,
    /// How long an empty status of a custom resource counts as in progress.
    pub empty_status_for: Duration,
    /// How long a pod without readiness probe must have been ready before its
    /// workload counts as complete, so that a process which dies at once is
    /// not taken for a healthy one. Kubernetes cuts times to seconds, so two
    /// seconds here are at least one in truth.
    pub unprobed_ready_for: Duration,
    /// Never fail before the workload's own deadline.
    pub tolerate_until_deadline: bool,
    /// A load balancer without address for this long is degraded.
    pub load_balancer_after: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            crash_restarts: 3,
            crash_restarts_new: 1,
            oom_restarts: 2,
            config_error_after: Duration::from_secs(30),
            image_pull_after: Duration::from_secs(90),
            missing_image_fails: true,
            unschedulable_after: Duration::from_mins(5),
            replica_failure_after: Duration::from_mins(1),
            metrics_after: Duration::from_mins(5),
            empty_status_for: Duration::from_secs(10),
            unprobed_ready_for: Duration::from_secs(2),
            tolerate_until_deadline: false,
            load_balancer_after: Duration::from_mins(10),
        }
    }
}

impl Options {
    /// The thresholds of the published rules, without the fast path for new revisions.
    pub fn patient() -> Self {
        Self {
            crash_restarts_new: 3,
            missing_image_fails: false,
            unprobed_ready_for: Duration::ZERO,
            ..Self::default()
        }
    }
}
