//! Durations in two or three significant figures.

use jiff::SignedDuration;

/// Spells a duration as `kubectl get` does: `45s`, `3m12s`, `5h`, `2d3h`.
pub fn human_duration(duration: SignedDuration) -> String {
    let seconds = duration.as_secs();
    // Clocks may disagree by a second or two; then it is now.
    if seconds < -1 {
        return "<invalid>".to_owned();
    }
    if seconds <= 0 {
        return "0s".to_owned();
    }
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    let both = |whole: i64, unit: char, rest: i64, smaller: char| {
        if rest == 0 {
            format!("{whole}{unit}")
        } else {
            format!("{whole}{unit}{rest}{smaller}")
        }
    };
    match () {
        () if seconds < 120 => format!("{seconds}s"),
        () if minutes < 10 => both(minutes, 'm', seconds % 60, 's'),
        () if minutes < 180 => format!("{minutes}m"),
        () if hours < 8 => both(hours, 'h', minutes % 60, 'm'),
        () if hours < 48 => format!("{hours}h"),
        () if days < 8 => both(days, 'd', hours % 24, 'h'),
        () if days < 730 => format!("{days}d"),
        () if days < 2920 => both(days / 365, 'y', days % 365, 'd'),
        () => format!("{}y", days / 365),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_get_coarser_with_length() {
        let check = |seconds: i64, expected: &str| {
            assert_eq!(human_duration(SignedDuration::from_secs(seconds)), expected);
        };
        check(-5, "<invalid>");
        check(-1, "0s");
        check(119, "119s");
        check(120, "2m");
        check(125, "2m5s");
        check(600, "10m");
        check(3 * 3600, "3h");
        check(3 * 3600 + 60, "3h1m");
        check(8 * 3600 + 60, "8h");
        check(49 * 3600, "2d1h");
        check(9 * 86_400, "9d");
        check(731 * 86_400, "2y1d");
        check(2920 * 86_400, "8y");
    }
}
