//! Sprig's functions of time; a time is a number of seconds here, and always UTC.

use jiff::{Timestamp, tz::TimeZone};

use super::arguments::{Arguments, to_int};
use super::{Answer, Function};
use crate::value::Value;

pub(crate) const FUNCTIONS: &[(&str, Function)] = &[
    ("now", |a| {
        a.count(0)?;
        let now = a
            .options
            .now
            .ok_or("is refused: what is rendered must be the same every time")?;
        Ok(Value::Int(now.as_second()))
    }),
    ("unixEpoch", |a| {
        a.count(1)?;
        Ok(Value::text(to_int(a.any(0)?).to_string()))
    }),
    ("date", |a| {
        a.count(2)?;
        format(a.text(0)?, a.any(1)?)
    }),
    ("htmlDate", |a| {
        a.count(1)?;
        format("2006-01-02", a.any(0)?)
    }),
    ("dateInZone", |a| in_zone(a)),
    ("date_in_zone", |a| in_zone(a)),
    ("duration", |a| {
        a.count(1)?;
        Ok(Value::text(duration(to_int(a.any(0)?))))
    }),
];

fn in_zone(arguments: &Arguments<'_>) -> Answer {
    arguments.count(3)?;
    match arguments.text(2)? {
        "UTC" | "" => format(arguments.text(0)?, arguments.any(1)?),
        other => Err(format!("zone `{other}` is not supported, only UTC")),
    }
}

/// Go's layout words and what they stand for in `strftime`.
const WORDS: [(&str, &str); 22] = [
    ("January", "%B"),
    ("Jan", "%b"),
    ("Monday", "%A"),
    ("Mon", "%a"),
    ("MST", "UTC"),
    ("2006", "%Y"),
    ("Z07:00", "Z"),
    ("-07:00", "+00:00"),
    ("-0700", "+0000"),
    ("01", "%m"),
    ("02", "%d"),
    ("03", "%I"),
    ("04", "%M"),
    ("05", "%S"),
    ("06", "%y"),
    ("15", "%H"),
    ("PM", "%p"),
    ("_2", "%e"),
    ("1", "%-m"),
    ("2", "%-d"),
    ("3", "%-I"),
    ("%", "%%"),
];

fn format(layout: &str, time: &Value) -> Answer {
    let time = Timestamp::from_second(to_int(time)).map_err(|error| error.to_string())?;
    let mut pattern = String::new();
    let mut rest = layout;
    while let Some(first) = rest.chars().next() {
        let known = WORDS.iter().find(|(word, _)| rest.starts_with(word));
        if let Some((word, meaning)) = known {
            pattern.push_str(meaning);
            rest = &rest[word.len()..];
        } else {
            pattern.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    Ok(Value::text(
        time.to_zoned(TimeZone::UTC).strftime(&pattern).to_string(),
    ))
}

/// Seconds as Go prints a duration: `1h2m3s`.
fn duration(seconds: i64) -> String {
    let sign = if seconds < 0 { "-" } else { "" };
    let seconds = seconds.unsigned_abs();
    let (hours, minutes, rest) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 {
        format!("{sign}{hours}h{minutes}m{rest}s")
    } else if minutes > 0 {
        format!("{sign}{minutes}m{rest}s")
    } else {
        format!("{sign}{rest}s")
    }
}
