//! Exit codes of the whole product; a number never changes its meaning.

/// How a command ended, as its exit code says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum ExitCode {
    /// Done, or no difference.
    Done = 0,
    /// A check or gate breached, a rollout failed, differences found.
    Failed = 1,
    /// Wrong usage or configuration.
    Usage = 2,
    /// Refused by policy.
    Refused = 3,
    /// Unreachable, or login needed.
    Unreachable = 4,
    /// Someone else moved first.
    Conflict = 5,
    /// Not found.
    NotFound = 6,
    /// The measurement itself is invalid.
    Invalid = 7,
    /// Waited too long; the work goes on.
    TimedOut = 8,
    /// A mistake of ours.
    Bug = 70,
    /// Interrupted.
    Interrupted = 130,
}

impl ExitCode {
    pub const ALL: [Self; 11] = [
        Self::Done,
        Self::Failed,
        Self::Usage,
        Self::Refused,
        Self::Unreachable,
        Self::Conflict,
        Self::NotFound,
        Self::Invalid,
        Self::TimedOut,
        Self::Bug,
        Self::Interrupted,
    ];

    pub fn code(self) -> u8 {
        self as u8
    }

    pub fn meaning(self) -> &'static str {
        match self {
            Self::Done => "done, or no difference",
            Self::Failed => "failed: a check or gate breached, a rollout failed, differences found",
            Self::Usage => "usage or configuration",
            Self::Refused => "refused by policy",
            Self::Unreachable => "unreachable, or login needed",
            Self::Conflict => "conflict: someone else moved first",
            Self::NotFound => "not found",
            Self::Invalid => "invalid measurement: the generator limited the run",
            Self::TimedOut => "waited too long; the work goes on",
            Self::Bug => "a mistake of ours",
            Self::Interrupted => "interrupted",
        }
    }
}
