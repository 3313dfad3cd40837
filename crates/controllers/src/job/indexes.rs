//! Sets of completion indexes, written as `0-2,5`.

use std::collections::BTreeSet;
use std::fmt;

/// Completion indexes of an Indexed Job.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Indexes(pub(super) BTreeSet<i32>);

impl Indexes {
    /// Reads what the status says; what is not below `limit` is dropped.
    pub(super) fn parse(text: Option<&str>, limit: i32) -> Self {
        let bounds = text.unwrap_or_default().split(',').filter_map(|part| {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            Some((first.parse::<i32>().ok()?, last.parse::<i32>().ok()?))
        });
        let indexes = bounds.flat_map(|(first, last)| first..=last.min(limit - 1));
        Self(indexes.filter(|&index| index < limit).collect())
    }

    pub(super) fn contains(&self, index: i32) -> bool {
        self.0.contains(&index)
    }

    pub(super) fn text(&self) -> Option<String> {
        (!self.0.is_empty()).then(|| self.to_string())
    }
}

impl fmt::Display for Indexes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut runs: Vec<(i32, i32)> = Vec::new();
        for &index in &self.0 {
            match runs.last_mut() {
                Some((_, last)) if *last + 1 == index => *last = index,
                _ => runs.push((index, index)),
            }
        }
        for (number, (first, last)) in runs.iter().enumerate() {
            if number > 0 {
                formatter.write_str(",")?;
            }
            // Two in a row are written as two, longer runs as a range.
            match last - first {
                0 => write!(formatter, "{first}")?,
                1 => write!(formatter, "{first},{last}")?,
                _ => write!(formatter, "{first}-{last}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Indexes;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(Indexes::parse(Some(text), 10).to_string(), expected);
    }

    #[test]
    fn runs_are_written_short_and_read_back() {
        check("", "");
        check("3", "3");
        check("0,1", "0,1");
        check("0-1", "0,1");
        check("0,1,2,5,7-9", "0-2,5,7-9");
    }

    #[test]
    fn what_is_out_of_range_or_no_number_is_dropped() {
        check("8-4000000", "8,9");
        check("12,x,-,3", "3");
    }
}
