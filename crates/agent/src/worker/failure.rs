//! Why a write did not happen, and whether waiting helps.

use std::time::Duration;

use foreshore_cluster::{CallError, InventoryError, Reference};
use foreshore_model::outcome::Cause;

use crate::steps::Refusal;

/// The most causes that are reported.
const CAUSES_MAX: usize = 3;

/// What ended a write.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Failure {
    /// A newer target has come, or another agent leads now; the next turn tells.
    Preempted,
    /// The cluster does not answer or asks for time.
    Transient(Vec<Cause>),
    /// The release itself cannot be written as things are.
    Permanent(Vec<Cause>),
}

impl Failure {
    pub(crate) fn cause(object: &str, reason: &str, message: impl Into<String>) -> Cause {
        Cause {
            object: object.to_owned(),
            container: None,
            reason: reason.to_owned(),
            message: message.into(),
            exit_code: None,
            log: Vec::new(),
        }
    }

    pub(crate) fn of_call(reference: &Reference, error: &CallError) -> Self {
        if matches!(error, CallError::Fenced) {
            return Self::Preempted;
        }
        let mut message = error.chain();
        if let CallError::Invalid { fields, .. } = error {
            let named: Vec<&str> = fields
                .iter()
                .map(|problem| problem.field.as_str())
                .filter(|field| !message.contains(*field))
                .collect();
            if !named.is_empty() {
                message = format!("{}: {message}", named.join(", "));
            }
        }
        let causes = vec![Self::cause(&reference.to_string(), error.reason(), message)];
        if error.is_transient() {
            Self::Transient(causes)
        } else {
            Self::Permanent(causes)
        }
    }

    pub(crate) fn of_inventory(error: &InventoryError) -> Self {
        match error {
            InventoryError::Call(CallError::Fenced) => Self::Preempted,
            InventoryError::Call(call) => {
                let causes = vec![Self::cause("inventory", call.reason(), call.chain())];
                if call.is_transient() {
                    Self::Transient(causes)
                } else {
                    Self::Permanent(causes)
                }
            }
            other => Self::Permanent(vec![Self::cause(
                "inventory",
                "Inventory",
                other.to_string(),
            )]),
        }
    }

    pub(crate) fn of_refusal(refusal: &Refusal) -> Self {
        Self::Permanent(vec![Self::cause(
            "release",
            refusal.reason(),
            refusal.to_string(),
        )])
    }

    /// Joins the failures of one stage: what waiting cannot cure comes first.
    pub(crate) fn joined(failures: Vec<Self>) -> Option<Self> {
        let mut permanent = Vec::new();
        let mut transient = Vec::new();
        let mut preempted = false;
        for failure in failures {
            match failure {
                Self::Preempted => preempted = true,
                Self::Transient(causes) => transient.extend(causes),
                Self::Permanent(causes) => permanent.extend(causes),
            }
        }
        permanent.truncate(CAUSES_MAX);
        transient.truncate(CAUSES_MAX);
        if !permanent.is_empty() {
            Some(Self::Permanent(permanent))
        } else if !transient.is_empty() {
            Some(Self::Transient(transient))
        } else {
            preempted.then_some(Self::Preempted)
        }
    }

    /// Returns the first and the longest pause before another try.
    ///
    /// A permanent failure is tried again too: quota is raised, a definition
    /// is installed, a right is granted, without anybody touching the release.
    pub(crate) fn pauses(&self) -> (Duration, Duration) {
        match self {
            Self::Preempted => (Duration::ZERO, Duration::ZERO),
            Self::Transient(_) => (Duration::from_secs(1), Duration::from_secs(30)),
            Self::Permanent(_) => (Duration::from_secs(30), Duration::from_mins(10)),
        }
    }
}
