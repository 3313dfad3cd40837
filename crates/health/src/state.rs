//! The answer: a state and its causes, and the worst of several.

use foreshore_model::outcome::Cause;

/// The most causes that an aggregated answer lists.
pub const CAUSES_MAX: usize = 3;

/// What state an object is in; the order is from best to worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    Current,
    Suspended,
    InProgress,
    Terminating,
    Missing,
    /// Works less well than it should; does not end a rollout by itself.
    Degraded,
    /// Will not become current without a change; ends a rollout.
    Failed,
    Unknown,
}

impl State {
    pub fn word(self) -> &'static str {
        match self {
            Self::Current => "current",
            Self::Suspended => "suspended",
            Self::InProgress => "in progress",
            Self::Terminating => "terminating",
            Self::Missing => "missing",
            Self::Degraded => "degraded",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
        }
    }
}

/// A state and why, most important cause first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    pub state: State,
    pub causes: Vec<Cause>,
}

impl Health {
    pub(crate) fn current() -> Self {
        Self {
            state: State::Current,
            causes: Vec::new(),
        }
    }

    pub(crate) fn new(state: State, cause: Cause) -> Self {
        Self {
            state,
            causes: vec![cause],
        }
    }

    /// Whether a rollout has succeeded as far as this object is concerned.
    pub fn is_settled(&self) -> bool {
        matches!(self.state, State::Current | State::Suspended)
    }
}

/// Returns the worst state with its first causes.
///
/// A failure ends a rollout even while another object is unknown, so `Failed`
/// wins over `Unknown` here. Causes of worse states come first, equal ones are
/// named once.
pub fn aggregate<'a>(answers: impl IntoIterator<Item = &'a Health>) -> Health {
    let mut answers: Vec<&Health> = answers.into_iter().collect();
    answers.sort_by_key(|health| std::cmp::Reverse(health.state));
    let state = match answers.first() {
        None => State::Current,
        Some(worst) if worst.state == State::Unknown => {
            let failed = answers.iter().any(|health| health.state == State::Failed);
            if failed {
                State::Failed
            } else {
                State::Unknown
            }
        }
        Some(worst) => worst.state,
    };
    let mut causes: Vec<Cause> = Vec::new();
    for cause in answers.iter().flat_map(|health| &health.causes) {
        if causes.len() == CAUSES_MAX {
            break;
        }
        if !causes.contains(cause) {
            causes.push(cause.clone());
        }
    }
    Health { state, causes }
}
