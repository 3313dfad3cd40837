//! How long ago something was, in its largest unit.

use jiff::Timestamp;

/// Returns `42s`, `7m`, `3h` or `5d`.
pub(crate) fn age(at: Timestamp, now: Timestamp) -> String {
    let seconds = seconds(at, now);
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m", seconds / 60),
        3_600..86_400 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// Returns whole seconds; a clock that is ahead of ours counts as now.
pub(crate) fn seconds(at: Timestamp, now: Timestamp) -> i64 {
    now.duration_since(at).as_secs().max(0)
}

/// Reads a moment as Kubernetes writes it.
pub(crate) fn parse(text: Option<&str>) -> Option<Timestamp> {
    text?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_has_one_unit_and_is_never_negative() {
        let at = |seconds| Timestamp::from_second(seconds).unwrap();
        assert_eq!(age(at(0), at(59)), "59s");
        assert_eq!(age(at(0), at(3_599)), "59m");
        assert_eq!(age(at(0), at(7_200)), "2h");
        assert_eq!(age(at(0), at(90_000)), "1d");
        assert_eq!(age(at(10), at(0)), "0s");
    }
}
