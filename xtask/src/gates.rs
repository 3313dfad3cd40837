//! The tally of a run: every gate counts as one, every test as one.

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::terminal;

/// Passed and failed, of tests or gates.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
}

impl Tally {
    pub(crate) const PASSED: Self = Self {
        passed: 1,
        failed: 0,
    };
    pub(crate) const FAILED: Self = Self {
        passed: 0,
        failed: 1,
    };
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} passed, {} failed", self.passed, self.failed)
    }
}

/// The sections of a run; a failed one does not stop the next.
#[derive(Debug, Default)]
pub(crate) struct Gates {
    sections: Vec<(String, Tally, Duration)>,
}

impl Gates {
    /// Runs a section that passes or fails as a whole.
    pub(crate) fn gate(&mut self, name: &str, work: impl FnOnce() -> Result<()>) {
        self.section(name, || match work() {
            Ok(()) => Tally::PASSED,
            Err(error) => {
                terminal::error(&error);
                Tally::FAILED
            }
        });
    }

    /// Runs a section that counts for itself.
    pub(crate) fn section(&mut self, name: &str, work: impl FnOnce() -> Tally) {
        terminal::line(&format!("== {name}"));
        let started = Instant::now();
        let tally = work();
        self.sections
            .push((name.to_owned(), tally, started.elapsed()));
    }

    /// Prints the sections and, as the last line, the sum. True if none failed.
    pub(crate) fn conclude(&self) -> bool {
        let width = self
            .sections
            .iter()
            .map(|(name, ..)| name.len())
            .max()
            .unwrap_or(0);
        terminal::line("== summary");
        let mut sum = Tally::default();
        for (name, tally, elapsed) in &self.sections {
            terminal::line(&format!(
                "{name:width$}  {tally} ({:.1} s)",
                elapsed.as_secs_f64()
            ));
            sum += *tally;
        }
        terminal::line(&sum.to_string());
        sum.failed == 0 && sum.passed > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_gate_does_not_stop_the_next() {
        let mut gates = Gates::default();
        gates.gate("first", || anyhow::bail!("no"));
        gates.gate("second", || Ok(()));
        gates.section("tests", || Tally {
            passed: 5,
            failed: 2,
        });
        assert!(!gates.conclude());
        let sum = gates
            .sections
            .iter()
            .fold(Tally::default(), |mut sum, (_, tally, _)| {
                sum += *tally;
                sum
            });
        assert_eq!(sum.to_string(), "6 passed, 3 failed");
    }

    #[test]
    fn a_run_without_any_gate_is_no_success() {
        assert!(!Gates::default().conclude());
    }
}
