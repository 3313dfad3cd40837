//! Rule of pods, and the overlay that finds a broken pod under a workload.

use std::time::Duration;

use foreshore_model::outcome::Cause;

use crate::assess::{Context, or};
use crate::object::{Object, age};
use crate::state::{CAUSES_MAX, Health, State};

/// Annotation of a pod that is meant to run for ever although it may end.
const LONG_RUNNING: &str = "foreshore.local/long-running";

/// Whether a workload's revision has been complete before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Revision {
    /// Nobody depends on it yet: fail fast.
    New,
    /// It worked once: a crash may pass.
    Proven,
}

/// Something that keeps a pod from being ready.
#[derive(Debug)]
pub(crate) struct Trouble {
    pub(crate) fatal: bool,
    pub(crate) cause: Cause,
}

pub(crate) fn pod(object: Object<'_>, context: &Context<'_>) -> Health {
    let phase = object.text("/status/phase").unwrap_or_default();
    match phase {
        "Succeeded" => Health::current(),
        "Failed" => failed(object),
        "Running" => running(object, context),
        "Pending" => judged(
            object,
            troubles(object, Revision::New, context),
            "Pending",
            "the pod is not running yet",
        ),
        _ => {
            let message = format!("the pod is in phase `{phase}`");
            Health::new(State::Unknown, object.cause("UnknownPhase", message))
        }
    }
}

fn failed(object: Object<'_>) -> Health {
    let ended = statuses(object).find(|status| status.count("/state/terminated/exitCode") != 0);
    let mut cause = object.cause(
        or(
            object.text("/status/reason").unwrap_or_default(),
            "PodFailed",
        ),
        object
            .text("/status/message")
            .unwrap_or("the pod ended with an error"),
    );
    if let Some(status) = ended {
        cause.container = Some(status.text("/name").unwrap_or_default().to_owned());
        cause.exit_code = exit_code(status, "/state/terminated/exitCode");
    }
    Health::new(State::Failed, cause)
}

fn running(object: Object<'_>, context: &Context<'_>) -> Health {
    let ends = matches!(
        object.text("/spec/restartPolicy"),
        Some("Never" | "OnFailure")
    );
    if ends && object.annotation(LONG_RUNNING) != Some("true") {
        return Health::new(
            State::InProgress,
            object.cause("Running", "the pod has not ended yet"),
        );
    }
    if is_ready(object) {
        return Health::current();
    }
    judged(
        object,
        troubles(object, Revision::New, context),
        "NotReady",
        "the pod is not ready",
    )
}

fn judged(object: Object<'_>, troubles: Vec<Trouble>, reason: &str, message: &str) -> Health {
    let (state, mut causes) = verdict(troubles);
    if causes.is_empty() {
        causes.push(object.cause(reason, message));
    }
    Health { state, causes }
}

/// Folds troubles into a state and its causes, fatal ones first.
pub(crate) fn verdict(mut troubles: Vec<Trouble>) -> (State, Vec<Cause>) {
    troubles.sort_by_key(|trouble| !trouble.fatal);
    let fatal = troubles.first().is_some_and(|trouble| trouble.fatal);
    let state = if fatal {
        State::Failed
    } else {
        State::InProgress
    };
    (
        state,
        troubles
            .into_iter()
            .map(|trouble| trouble.cause)
            .take(CAUSES_MAX)
            .collect(),
    )
}

pub(crate) fn is_ready(object: Object<'_>) -> bool {
    object
        .condition("Ready")
        .is_some_and(|found| found.is_true())
}

/// Returns all that keeps one pod from being ready.
///
/// Init and sidecar containers count as well: they are often what hangs.
pub(crate) fn troubles(
    object: Object<'_>,
    revision: Revision,
    context: &Context<'_>,
) -> Vec<Trouble> {
    if object.is_terminating() {
        return Vec::new();
    }
    let mut found: Vec<Trouble> = statuses(object)
        .filter_map(|status| container(object, status, revision, context))
        .collect();
    found.extend(unschedulable(object, context));
    if context.options.tolerate_until_deadline {
        for trouble in &mut found {
            trouble.fatal = false;
        }
    }
    found
}

fn statuses(object: Object<'_>) -> impl Iterator<Item = Object<'_>> {
    let init = object.list("/status/initContainerStatuses").iter();
    init.chain(object.list("/status/containerStatuses"))
        .map(Object)
}

fn pod_age(object: Object<'_>, context: &Context<'_>) -> Duration {
    object
        .time("/metadata/creationTimestamp")
        .map_or(Duration::ZERO, |made| age(made, context.now))
}

fn unschedulable(object: Object<'_>, context: &Context<'_>) -> Option<Trouble> {
    let found = object.unmet("PodScheduled")?;
    let fatal = found.reason == "Unschedulable"
        && found.lasts(context.now, context.options.unschedulable_after);
    Some(Trouble {
        fatal,
        cause: object.cause(or(found.reason, "NotScheduled"), found.message),
    })
}

fn exit_code(status: Object<'_>, pointer: &str) -> Option<i32> {
    status
        .int(pointer)
        .and_then(|code| i32::try_from(code).ok())
}

/// The fatal table for one container of a pod.
fn container(
    object: Object<'_>,
    status: Object<'_>,
    revision: Revision,
    context: &Context<'_>,
) -> Option<Trouble> {
    let waiting = status.text("/state/waiting/reason").unwrap_or_default();
    let message = status.text("/state/waiting/message").unwrap_or_default();
    let options = context.options;
    let fatal = match waiting {
        "InvalidImageName" | "CreateContainerError" | "RunContainerError" => true,
        "CreateContainerConfigError" => pod_age(object, context) >= options.config_error_after,
        "ErrImagePull"
        | "ImagePullBackOff"
        | "ErrImageNeverPull"
        | "RegistryUnavailable"
        | "ImageInspectError" => {
            (options.missing_image_fails && says_missing(message))
                || pod_age(object, context) >= options.image_pull_after
        }
        "CrashLoopBackOff" => crashes_fatally(status, revision, context),
        _ => return ended(object, status, context),
    };
    let mut cause = named(object, status, waiting, message);
    if waiting == "CrashLoopBackOff" {
        cause.exit_code = exit_code(status, "/lastState/terminated/exitCode");
        cause.message = crash_message(status, cause.exit_code);
    }
    Some(Trouble { fatal, cause })
}

fn crashes_fatally(status: Object<'_>, revision: Revision, context: &Context<'_>) -> bool {
    let restarts = status.count("/restartCount");
    if restarts >= i64::from(context.options.crash_restarts) || out_of_memory(status, context) {
        return true;
    }
    revision == Revision::New
        && status.count("/lastState/terminated/exitCode") != 0
        && restarts >= i64::from(context.options.crash_restarts_new)
}

fn out_of_memory(status: Object<'_>, context: &Context<'_>) -> bool {
    status.text("/lastState/terminated/reason") == Some("OOMKilled")
        && status.count("/restartCount") >= i64::from(context.options.oom_restarts)
}

/// Troubles of a container that is not waiting for anything.
fn ended(object: Object<'_>, status: Object<'_>, context: &Context<'_>) -> Option<Trouble> {
    if out_of_memory(status, context) && !status.flag("/ready") {
        let mut cause = named(object, status, "OOMKilled", "");
        cause.exit_code = exit_code(status, "/lastState/terminated/exitCode");
        cause.message = crash_message(status, cause.exit_code);
        return Some(Trouble { fatal: true, cause });
    }
    let code = exit_code(status, "/state/terminated/exitCode");
    if code.is_some_and(|code| code != 0) {
        let reason = or(
            status.text("/state/terminated/reason").unwrap_or_default(),
            "Error",
        );
        let given = status.text("/state/terminated/message").unwrap_or_default();
        let mut cause = named(
            object,
            status,
            reason,
            or(given, "the container ended with an error"),
        );
        cause.exit_code = code;
        return Some(Trouble {
            fatal: false,
            cause,
        });
    }
    let is_main =
        status.has("/state/running") && status.0.get("ready").is_some() && !status.flag("/ready");
    let init = object
        .list("/status/initContainerStatuses")
        .iter()
        .any(|found| std::ptr::eq(found, status.0));
    (is_main && !init && !is_ready(object)).then(|| Trouble {
        fatal: false,
        cause: named(
            object,
            status,
            "NotReady",
            "the container runs but is not ready",
        ),
    })
}

/// Whether the registry answered that there is no such image, rather than not at all.
fn says_missing(message: &str) -> bool {
    let message = message.to_lowercase();
    [
        "not found",
        "manifest unknown",
        "name unknown",
        "does not exist",
    ]
    .iter()
    .any(|part| message.contains(part))
}

fn crash_message(status: Object<'_>, code: Option<i32>) -> String {
    let restarts = status.count("/restartCount");
    let times = if restarts == 1 {
        "once".to_owned()
    } else {
        format!("{restarts} times")
    };
    let code = code.map_or_else(String::new, |code| format!(" with exit code {code}"));
    let memory = status.text("/lastState/terminated/reason") == Some("OOMKilled");
    let why = if memory { ", out of memory," } else { "" };
    format!("the container ended{code}{why} and was restarted {times}")
}

fn named(object: Object<'_>, status: Object<'_>, reason: &str, message: &str) -> Cause {
    let mut cause = object.cause(reason, message);
    cause.container = status.text("/name").map(str::to_owned);
    cause
}
