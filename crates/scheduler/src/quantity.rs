//! Amounts as Kubernetes writes them, in thousandths.

use foreshore_engine_schema::Quantity;

/// Parses `text` into thousandths, rounding up; none if it is no quantity.
pub fn milli(text: &str) -> Option<i128> {
    Quantity::parse(text).ok().map(Quantity::millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<i128>) {
        assert_eq!(milli(text), expected, "{text}");
    }

    #[test]
    fn every_suffix_has_its_size() {
        check("250m", Some(250));
        check("2", Some(2_000));
        check("0.5", Some(500));
        check(".5", Some(500));
        check("64Mi", Some(64 * 1024 * 1024 * 1000));
        check("1.5Gi", Some(1536 * 1024 * 1024 * 1000));
        check("1e3", Some(1_000_000));
        check("1E3", Some(1_000_000));
        check("25e-2", Some(250));
        check("1E", Some(1_000_000_000_000_000_000_000));
        check("-0.5", Some(-500));
        check("2k", Some(2_000_000));
    }

    #[test]
    fn fractions_round_up() {
        check("1n", Some(1));
        check("0.0001", Some(1));
    }

    #[test]
    fn what_is_no_quantity_is_none() {
        check("", None);
        check("lots", None);
        check("1 Gi", None);
        check("--1", None);
        check("1e99", None);
    }
}
