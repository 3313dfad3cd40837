//! What a test program's output and exit code amount to.

use crate::gates::Tally;

/// Judges one program.
///
/// The last summary line counts, for tests may print such lines themselves. A
/// program without one counts as a single test by its exit code. One that says
/// all passed but exits badly has failed once more than it says.
pub(super) fn judge(output: &str, success: bool) -> Tally {
    let said = output.lines().rev().find_map(summary);
    let mut tally = settle(said, success);
    tally.passed = tally.passed.saturating_sub(not_run(output).len() as u64);
    tally
}

/// What the program says it did not run, though it counts it as passed.
pub(super) fn not_run(output: &str) -> Vec<&str> {
    output
        .lines()
        .filter_map(|line| {
            // A name of a test that runs at the same time may be before it.
            let (_, rest) = line.split_once("testkit: not run: ")?;
            Some(rest)
        })
        .collect()
}

/// Judges a run that prints one summary per program.
pub(crate) fn judge_many(output: &str, success: bool) -> Tally {
    let mut sum = None;
    for tally in output.lines().filter_map(summary) {
        *sum.get_or_insert_with(Tally::default) += tally;
    }
    settle(sum, success)
}

fn settle(said: Option<Tally>, success: bool) -> Tally {
    match (said, success) {
        (Some(tally), true) => tally,
        (None, true) => Tally::PASSED,
        (Some(mut tally), false) => {
            if tally.failed == 0 {
                tally += Tally::FAILED;
            }
            tally
        }
        (None, false) => Tally::FAILED,
    }
}

/// `test result: ok. 3 passed; 0 failed; …`
fn summary(line: &str) -> Option<Tally> {
    let (_, counts) = line.strip_prefix("test result: ")?.split_once(". ")?;
    let count = |what: &str| {
        let part = counts
            .split("; ")
            .find_map(|part| part.strip_suffix(what))?;
        part.trim().parse().ok()
    };
    Some(Tally {
        passed: count(" passed")?,
        failed: count(" failed")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(output: &str, success: bool, passed: u64, failed: u64) {
        assert_eq!(judge(output, success), Tally { passed, failed });
    }

    const GOOD: &str = "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s\n";
    const BAD: &str = "test result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s\n";

    #[test]
    fn the_summary_line_is_counted() {
        check(GOOD, true, 3, 0);
        check(BAD, false, 2, 1);
    }

    #[test]
    fn a_program_that_crashes_after_its_summary_has_failed() {
        check(GOOD, false, 3, 1);
    }

    #[test]
    fn a_program_that_crashes_before_its_summary_has_failed() {
        check("running 3 tests\ntest one ... ok\n", false, 0, 1);
    }

    #[test]
    fn a_program_without_summary_is_one_test() {
        check("all well\n", true, 1, 0);
    }

    #[test]
    fn a_summary_that_a_test_printed_does_not_count() {
        check(&format!("{BAD}{GOOD}"), true, 3, 0);
    }

    #[test]
    fn a_test_that_says_it_did_not_run_has_not_passed() {
        let said = "test a ... testkit: not run: the story: no containerd\n";
        check(&format!("{said}{GOOD}"), true, 2, 0);
        assert_eq!(not_run(said), ["the story: no containerd"]);
    }

    #[test]
    fn many_summaries_are_added_up() {
        assert_eq!(
            judge_many(&format!("{GOOD}{BAD}"), false),
            Tally {
                passed: 5,
                failed: 1
            }
        );
    }
}
