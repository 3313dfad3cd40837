//! Causes, verdicts and times as people read them.

use std::fmt::Write as _;
use std::time::Duration;

use foreshore_model::Verdict;
use foreshore_model::outcome::Cause;

/// Says what a check found, in one line.
pub(crate) fn verdict_text(verdict: &Verdict) -> String {
    let mut text = format!(
        "{} {} in {}",
        verdict.check,
        verdict.word(),
        verdict.environment
    );
    if !verdict.summary.is_empty() {
        write!(text, ": {}", printable(&verdict.summary)).expect("writing to a string cannot fail");
    }
    text
}

/// Says a cause in one line: object, container, reason, message; `others` pods stand as this one does.
pub(super) fn cause_text(cause: &Cause, others: usize) -> String {
    let mut text = cause.object.clone();
    if others > 0 {
        write!(text, " and {others} more").expect("writing to a string cannot fail");
    }
    if let Some(container) = &cause.container {
        write!(text, " container {container}").expect("writing to a string cannot fail");
    }
    write!(text, ": {}", cause.reason).expect("writing to a string cannot fail");
    if let Some(code) = cause.exit_code {
        write!(text, " (exit code {code})").expect("writing to a string cannot fail");
    }
    if !cause.message.is_empty() {
        write!(text, ": {}", printable(&cause.message)).expect("writing to a string cannot fail");
    }
    text
}

/// The same with the last lines of the log, indented.
pub(crate) fn cause_with_log(cause: &Cause) -> String {
    let mut text = cause_text(cause, 0);
    for line in &cause.log {
        text.push('\n');
        text.push_str(&log_line(line));
    }
    text
}

/// One line of a log, as it stands below what it explains.
pub(super) fn log_line(line: &str) -> String {
    format!("    | {}", printable(line))
}

/// Takes control characters out, which a log may hold to deceive a terminal.
fn printable(text: &str) -> String {
    text.chars()
        .map(|c| {
            if c.is_control() && c != '\t' {
                '\u{fffd}'
            } else {
                c
            }
        })
        .collect()
}

/// A time as short as it can be told: `0.4s`, `12s`, `2m05s`, `1h02m`.
pub(super) fn short(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..10 => format!("{seconds}.{}s", time.subsec_millis() / 100),
        10..60 => format!("{seconds}s"),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h{:02}m", seconds / 3600, seconds / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_in_the_unit_that_fits() {
        for (millis, expected) in [
            (0, "0.0s"),
            (490, "0.4s"),
            (12_900, "12s"),
            (125_000, "2m05s"),
            (3_725_000, "1h02m"),
        ] {
            assert_eq!(short(Duration::from_millis(millis)), expected);
        }
    }

    #[test]
    fn a_log_cannot_deceive_a_terminal() {
        assert_eq!(log_line("a\u{1b}[2Jb\r"), "    | a\u{fffd}[2Jb\u{fffd}");
    }
}
