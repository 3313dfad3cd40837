//! Cron schedules: five fields, or a name like `@daily`.

use std::collections::BTreeSet;

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{SignedDuration, Timestamp, ToSpan};

/// Why a schedule cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScheduleError(String);

impl std::fmt::Display for ScheduleError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for ScheduleError {}

/// When something is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Schedule {
    Fields(Box<Fields>),
    /// Again and again after this time.
    Every(SignedDuration),
}

/// The values each field allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fields {
    minutes: BTreeSet<i8>,
    hours: BTreeSet<i8>,
    days: Day,
    months: BTreeSet<i8>,
}

/// A day must be in both lists if one of them says `*`, else in either.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Day {
    of_month: BTreeSet<i8>,
    of_week: BTreeSet<i8>,
    needs_both: bool,
}

/// What a field may hold.
struct Range {
    name: &'static str,
    first: i8,
    last: i8,
    names: &'static [&'static str],
}

const MINUTE: Range = range("minute", 0, 59, &[]);
const HOUR: Range = range("hour", 0, 23, &[]);
const DAY: Range = range("day of month", 1, 31, &[]);
const MONTH: Range = range(
    "month",
    1,
    12,
    &[
        "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
    ],
);
const WEEKDAY: Range = range(
    "day of week",
    0,
    6,
    &["sun", "mon", "tue", "wed", "thu", "fri", "sat"],
);

/// Days searched for the next time: a leap day may be eight years away.
const DAYS_SEARCHED: u32 = 366 * 9;

const fn range(name: &'static str, first: i8, last: i8, names: &'static [&'static str]) -> Range {
    Range {
        name,
        first,
        last,
        names,
    }
}

impl Schedule {
    pub(super) fn parse(text: &str) -> Result<Self, ScheduleError> {
        let text = text.trim();
        if let Some(named) = text.strip_prefix('@') {
            return Self::named(named);
        }
        let fields: Vec<&str> = text.split_whitespace().collect();
        let [minute, hour, day, month, weekday] = fields.as_slice() else {
            let found = fields.len();
            return Err(ScheduleError(format!(
                "expected exactly 5 fields, found {found}: [{}]",
                fields.join(" ")
            )));
        };
        let is_any = |field: &str| field.split(',').any(|part| part.starts_with(['*', '?']));
        Ok(Self::Fields(Box::new(Fields {
            minutes: values(minute, &MINUTE)?,
            hours: values(hour, &HOUR)?,
            months: values(month, &MONTH)?,
            days: Day {
                of_month: values(day, &DAY)?,
                of_week: values(weekday, &WEEKDAY)?,
                needs_both: is_any(day) || is_any(weekday),
            },
        })))
    }

    fn named(name: &str) -> Result<Self, ScheduleError> {
        let fields = match name {
            "yearly" | "annually" => "0 0 1 1 *",
            "monthly" => "0 0 1 * *",
            "weekly" => "0 0 * * 0",
            "daily" | "midnight" => "0 0 * * *",
            "hourly" => "0 * * * *",
            other => {
                let every = other
                    .strip_prefix("every ")
                    .and_then(|wait| wait.parse::<SignedDuration>().ok())
                    .map(|wait| SignedDuration::from_secs(wait.as_secs().max(1)));
                return every
                    .map(Self::Every)
                    .ok_or_else(|| ScheduleError(format!("unrecognized descriptor: @{other}")));
            }
        };
        Self::parse(fields)
    }

    /// The first time after `after`; none if there is no such day.
    pub(super) fn next(&self, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let fields = match self {
            Self::Every(wait) => {
                let whole = Timestamp::from_second(after.as_second()).ok()?;
                return whole.checked_add(*wait).ok();
            }
            Self::Fields(fields) => fields,
        };
        let local = zone.to_datetime(after);
        let (mut date, mut hour) = (local.date(), local.hour());
        for _ in 0..DAYS_SEARCHED {
            if fields.allows(date) {
                let hours = fields.hours.range(hour..);
                let times = hours.map(|&hour| fields.times(date, hour, zone));
                let mut found = times.filter_map(|times| {
                    let mut later = times.range(after..);
                    later.find(|&&at| at > after).copied()
                });
                if let Some(found) = found.next() {
                    return Some(found);
                }
            }
            date = date.checked_add(1.day()).ok()?;
            hour = 0;
        }
        None
    }
}

impl Fields {
    fn allows(&self, date: Date) -> bool {
        let day = self.days.of_month.contains(&date.day());
        let weekday = date.weekday().to_sunday_zero_offset();
        let weekday = self.days.of_week.contains(&weekday);
        let is_day = if self.days.needs_both {
            day && weekday
        } else {
            day || weekday
        };
        is_day && self.months.contains(&date.month())
    }

    /// All times of an hour, in order. A time the clocks skip is left out; one
    /// they show twice counts twice.
    fn times(&self, date: Date, hour: i8, zone: &TimeZone) -> BTreeSet<Timestamp> {
        let mut times = BTreeSet::new();
        for &minute in &self.minutes {
            let Ok(time) = Time::new(hour, minute, 0, 0) else {
                continue;
            };
            let local = DateTime::from_parts(date, time);
            let offsets = match zone.to_ambiguous_timestamp(local).offset() {
                AmbiguousOffset::Unambiguous { offset } => vec![offset],
                AmbiguousOffset::Gap { .. } => Vec::new(),
                AmbiguousOffset::Fold { before, after } => vec![before, after],
            };
            let instants = offsets
                .into_iter()
                .filter_map(|offset| offset.to_timestamp(local).ok());
            times.extend(instants);
        }
        times
    }
}

/// Reads a list of values, ranges and steps.
fn values(field: &str, range: &Range) -> Result<BTreeSet<i8>, ScheduleError> {
    let mut all = BTreeSet::new();
    for part in field.split(',') {
        let (span, step) = match part.split_once('/') {
            Some((span, step)) => (span, Some(number(step, range, &[])?)),
            None => (part, None),
        };
        let (first, last) = match span.split_once('-') {
            _ if span == "*" || span == "?" => (range.first, range.last),
            Some((first, last)) => (
                number(first, range, range.names)?,
                number(last, range, range.names)?,
            ),
            None => {
                let only = number(span, range, range.names)?;
                // A single value with a step runs to the end.
                (only, if step.is_some() { range.last } else { only })
            }
        };
        let refused = |why: String| ScheduleError(format!("{}: {why}: {part}", range.name));
        if first < range.first {
            let minimum = range.first;
            return Err(refused(format!(
                "beginning of range ({first}) below minimum ({minimum})"
            )));
        }
        if last > range.last {
            let maximum = range.last;
            return Err(refused(format!(
                "end of range ({last}) above maximum ({maximum})"
            )));
        }
        if first > last {
            return Err(refused(format!(
                "beginning of range ({first}) beyond end of range ({last})"
            )));
        }
        let step = step.unwrap_or(1);
        if step == 0 {
            return Err(refused(
                "step of range should be a positive number".to_owned(),
            ));
        }
        all.extend((first..=last).step_by(usize::from(step.unsigned_abs())));
    }
    Ok(all)
}

fn number(text: &str, range: &Range, names: &[&str]) -> Result<i8, ScheduleError> {
    let lower = text.to_lowercase();
    if let Some(index) = names.iter().position(|name| *name == lower) {
        let offset = i8::try_from(index).unwrap_or(i8::MAX);
        return Ok(range.first + offset);
    }
    let is_plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_plain
        .then(|| text.parse().ok())
        .flatten()
        .ok_or_else(|| ScheduleError(format!("{}: failed to parse int from {text}", range.name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(schedule: &str, zone: &str, after: &str, expected: &[&str]) {
        let schedule = Schedule::parse(schedule).unwrap();
        let zone = TimeZone::posix(zone).unwrap();
        let mut at: Timestamp = after.parse().unwrap();
        for wanted in expected {
            at = schedule.next(at, &zone).unwrap();
            let local = at.to_zoned(zone.clone());
            assert_eq!(local.strftime("%Y-%m-%dT%H:%M%:z").to_string(), *wanted);
        }
    }

    const UTC: &str = "UTC0";
    /// New York: forward on 2026-03-08 at 2:00, back on 2026-11-01 at 2:00.
    const NEW_YORK: &str = "EST5EDT,M3.2.0,M11.1.0";

    #[test]
    fn fields_lists_ranges_steps_and_names() {
        let start = "2026-01-01T00:00:30Z";
        check(
            "*/20 * * * *",
            UTC,
            start,
            &[
                "2026-01-01T00:20+00:00",
                "2026-01-01T00:40+00:00",
                "2026-01-01T01:00+00:00",
            ],
        );
        check(
            "5,10-12/2 3 * * *",
            UTC,
            start,
            &[
                "2026-01-01T03:05+00:00",
                "2026-01-01T03:10+00:00",
                "2026-01-01T03:12+00:00",
                "2026-01-02T03:05+00:00",
            ],
        );
        check("0 0 29 2 *", UTC, start, &["2028-02-29T00:00+00:00"]);
        check(
            "0 12 * jul MON-WED",
            UTC,
            start,
            &["2026-07-01T12:00+00:00", "2026-07-06T12:00+00:00"],
        );
        check("@weekly", UTC, start, &["2026-01-04T00:00+00:00"]);
        check("@every 90m", UTC, start, &["2026-01-01T01:30+00:00"]);
    }

    #[test]
    fn two_given_kinds_of_days_are_either_one_with_a_star_both() {
        let start = "2026-01-01T00:00:30Z";
        check(
            "0 0 15 * sun",
            UTC,
            start,
            &[
                "2026-01-04T00:00+00:00",
                "2026-01-11T00:00+00:00",
                "2026-01-15T00:00+00:00",
            ],
        );
        check("0 0 * * sun", UTC, start, &["2026-01-04T00:00+00:00"]);
        check("0 0 15 * *", UTC, start, &["2026-01-15T00:00+00:00"]);
    }

    #[test]
    fn an_hour_the_clocks_skip_is_skipped_and_one_they_repeat_comes_twice() {
        check(
            "30 2 * * *",
            NEW_YORK,
            "2026-03-07T12:00:00Z",
            &["2026-03-09T02:30-04:00"],
        );
        check(
            "30 1 * * *",
            NEW_YORK,
            "2026-11-01T04:00:00Z",
            &[
                "2026-11-01T01:30-04:00",
                "2026-11-01T01:30-05:00",
                "2026-11-02T01:30-05:00",
            ],
        );
    }

    #[test]
    fn what_is_no_schedule_is_refused_with_the_reason() {
        let refused = |text: &str| Schedule::parse(text).unwrap_err().to_string();
        assert_eq!(
            refused("* * *"),
            "expected exactly 5 fields, found 3: [* * *]"
        );
        assert_eq!(
            refused("60 * * * *"),
            "minute: end of range (60) above maximum (59): 60"
        );
        assert_eq!(
            refused("* * * * 7"),
            "day of week: end of range (7) above maximum (6): 7"
        );
        assert_eq!(refused("x * * * *"), "minute: failed to parse int from x");
        assert_eq!(
            refused("*/0 * * * *"),
            "minute: step of range should be a positive number: */0"
        );
        assert_eq!(refused("@sometimes"), "unrecognized descriptor: @sometimes");
        assert_eq!(
            Schedule::parse("0 0 31 2 *")
                .unwrap()
                .next(Timestamp::UNIX_EPOCH, &TimeZone::UTC),
            None
        );
    }
}
