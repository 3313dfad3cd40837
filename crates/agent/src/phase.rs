//! From the health of a service's objects to the phase that is reported.

use std::time::Duration;

use jiff::Timestamp;

use foreshore_health::State;
use foreshore_model::Phase;

/// A service that was healthy may be unsettled this long (a pod moves, a
/// scale-up starts) before it counts as degraded.
pub(crate) const UNSETTLED_GRACE: Duration = Duration::from_secs(10);

/// What is remembered of one release between two looks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Course {
    was_healthy: bool,
    failed: bool,
    unsettled_since: Option<Timestamp>,
}

impl Course {
    /// Whether nothing but an event can change the phase.
    pub(crate) fn is_settled(&self) -> bool {
        self.unsettled_since.is_none()
    }

    /// Returns the phase after one look.
    ///
    /// Failed sticks until the service is well or a new release comes: a
    /// container in a crash loop is in progress again and again. After a
    /// release was healthy once it can only degrade.
    pub(crate) fn look(&mut self, state: State, now: Timestamp) -> Phase {
        if matches!(state, State::Current | State::Suspended) {
            *self = Self {
                was_healthy: true,
                failed: false,
                unsettled_since: None,
            };
            return Phase::Healthy;
        }
        let since = *self.unsettled_since.get_or_insert(now);
        let unsettled = Duration::try_from(now.duration_since(since)).unwrap_or(Duration::ZERO);
        if self.was_healthy {
            let bad = matches!(state, State::Failed | State::Degraded);
            return if bad || unsettled >= UNSETTLED_GRACE {
                Phase::Degraded
            } else {
                Phase::Healthy
            };
        }
        self.failed |= state == State::Failed;
        if self.failed {
            Phase::Failed
        } else {
            Phase::Progressing
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Looks once a second.
    #[track_caller]
    fn check(states: &[State], expected: &[Phase]) {
        let start: Timestamp = "2026-11-20T12:00:00Z".parse().unwrap();
        let mut course = Course::default();
        let mut second = 0;
        let phases: Vec<Phase> = states
            .iter()
            .map(|state| {
                second += 1;
                course.look(*state, start + Duration::from_secs(second))
            })
            .collect();
        assert_eq!(phases, expected);
    }

    #[test]
    fn a_rollout_progresses_until_it_is_healthy_or_failed() {
        use State::{Current, Degraded, Failed, InProgress, Missing, Suspended, Unknown};
        check(
            &[Missing, InProgress, Current],
            &[Phase::Progressing, Phase::Progressing, Phase::Healthy],
        );
        check(&[InProgress, Failed], &[Phase::Progressing, Phase::Failed]);
        check(
            &[Degraded, Unknown, Suspended],
            &[Phase::Progressing, Phase::Progressing, Phase::Healthy],
        );
    }

    #[test]
    fn failed_sticks_until_it_is_well() {
        use State::{Current, Failed, InProgress};
        check(
            &[Failed, InProgress, Failed, Current],
            &[Phase::Failed, Phase::Failed, Phase::Failed, Phase::Healthy],
        );
    }

    #[test]
    fn after_healthy_there_is_only_degraded() {
        use State::{Current, Degraded, Failed};
        check(
            &[Current, Failed, Current],
            &[Phase::Healthy, Phase::Degraded, Phase::Healthy],
        );
        check(
            &[Current, Degraded, Current],
            &[Phase::Healthy, Phase::Degraded, Phase::Healthy],
        );
    }

    #[test]
    fn a_short_unrest_of_a_healthy_service_is_not_told() {
        let mut states = vec![State::Current];
        states.extend([State::InProgress; 11]);
        let mut expected = vec![Phase::Healthy; 11];
        expected.push(Phase::Degraded);
        check(&states, &expected);
    }
}
