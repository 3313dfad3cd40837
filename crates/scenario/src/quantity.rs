//! Numbers with units as a person types them: `1.5s`, `5000/s`, `0.1%`, `64KiB`.

use std::time::Duration;

const NANOS: f64 = 1e9;
/// Longer than any run; keeps sums of durations away from overflow.
const DURATION_MAX_SECONDS: f64 = 366.0 * 86_400.0;

/// Splits into a non-negative number and the unit behind it.
fn split(text: &str) -> Option<(f64, &str)> {
    let end = text
        .find(|letter: char| !(letter.is_ascii_digit() || letter == '.' || letter == '_'))
        .unwrap_or(text.len());
    let number = text[..end].replace('_', "");
    if !number.starts_with(|letter: char| letter.is_ascii_digit()) {
        return None;
    }
    Some((number.parse().ok()?, &text[end..]))
}

/// Reads `90s`, `250ms`, `20us`, `5m`, `8h` or `1h30m`.
pub(crate) fn duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let (number, unit) = split(rest)?;
        let letters = unit
            .find(|letter: char| letter.is_ascii_digit())
            .unwrap_or(unit.len());
        let factor = match &unit[..letters] {
            "us" | "µs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" | "min" => 60.0,
            "h" => 3600.0,
            "d" => 86_400.0,
            _ => return None,
        };
        seconds += number * factor;
        rest = &unit[letters..];
    }
    if text.is_empty() || seconds > DURATION_MAX_SECONDS {
        return None;
    }
    // To the nanosecond, so that `20us` is exactly that.
    Some(Duration::from_secs_f64((seconds * NANOS).round() / NANOS))
}

/// Reads `5000/s`, `300/m` or `10/h` as so many a second.
pub(crate) fn rate(text: &str) -> Option<f64> {
    let (number, unit) = split(text)?;
    let per = match unit {
        "/s" => 1.0,
        "/m" | "/min" => 60.0,
        "/h" => 3600.0,
        _ => return None,
    };
    Some(number / per)
}

/// Reads `0.1%` as a share of one.
pub(crate) fn share(text: &str) -> Option<f64> {
    let (number, unit) = split(text)?;
    (unit == "%" && number <= 100.0).then_some(number / 100.0)
}

/// Reads `64KiB`, `1MB` or `512B` as bytes.
pub(crate) fn size(text: &str) -> Option<u64> {
    let (number, unit) = split(text)?;
    let factor = match unit {
        "B" => 1.0,
        "KiB" => 1024.0,
        "MiB" => 1024.0 * 1024.0,
        "GiB" => 1024.0 * 1024.0 * 1024.0,
        "kB" | "KB" => 1e3,
        "MB" => 1e6,
        "GB" => 1e9,
        _ => return None,
    };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "`split` gives no negative number, and `as` stops at the largest"
    )]
    Some((number * factor) as u64)
}

pub(crate) fn count(text: &str) -> Option<u64> {
    text.replace('_', "").parse().ok()
}

/// Writes a duration the way `duration` reads it, with three digits.
pub fn spell(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    let (number, unit) = if seconds == 0.0 {
        return "0s".to_owned();
    } else if seconds < 1e-3 {
        (seconds * 1e6, "us")
    } else if seconds < 1.0 {
        (seconds * 1e3, "ms")
    } else if seconds < 120.0 {
        (seconds, "s")
    } else if seconds < 7200.0 {
        (seconds / 60.0, "m")
    } else {
        (seconds / 3600.0, "h")
    };
    let digits = if number < 10.0 {
        2
    } else {
        usize::from(number < 100.0)
    };
    let text = format!("{number:.digits$}");
    let text = if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.')
    } else {
        &text
    };
    format!("{text}{unit}")
}

/// Writes a share of one as percent.
pub fn spell_share(share: f64) -> String {
    let percent = share * 100.0;
    let text = format!("{percent:.3}");
    format!("{}%", text.trim_end_matches('0').trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_read_and_nonsense_is_not() {
        assert_eq!(duration("90s"), Some(Duration::from_secs(90)));
        assert_eq!(duration("1h30m"), Some(Duration::from_mins(90)));
        assert_eq!(duration("20us"), Some(Duration::from_micros(20)));
        assert_eq!(duration("1.5s"), Some(Duration::from_millis(1500)));
        for wrong in [
            "",
            "5",
            "s",
            "5 s",
            "-1s",
            "5x",
            "1..2s",
            "1e9h",
            "400d",
            "99999999h",
        ] {
            assert_eq!(duration(wrong), None, "{wrong}");
        }
        assert_eq!(rate("60/m"), Some(1.0));
        assert_eq!(rate("5_000/s"), Some(5000.0));
        assert_eq!(rate("5000"), None);
        assert_eq!(share("0.1%"), Some(0.001));
        assert_eq!(share("101%"), None);
        assert_eq!(size("64KiB"), Some(65536));
        assert_eq!(size("64"), None);
    }

    #[test]
    fn durations_are_written_with_three_digits() {
        for (nanos, text) in [
            (0, "0s"),
            (25_000, "25us"),
            (880_000_000, "880ms"),
            (1_500_000, "1.5ms"),
            (90_000_000_000, "90s"),
            (300_000_000_000, "5m"),
            (28_800_000_000_000, "8h"),
        ] {
            assert_eq!(spell(Duration::from_nanos(nanos)), text);
        }
        assert_eq!(spell_share(0.001), "0.1%");
        assert_eq!(spell_share(1.0), "100%");
    }
}
