//! Kubernetes quantities: `500m`, `1Gi`, `1e3`. Parsing, comparison, and the
//! canonical spelling the real server stores.

use std::cmp::Ordering;
use std::fmt;

/// A resource quantity, exact to the billionth.
#[derive(Debug, Clone, Copy)]
pub struct Quantity {
    /// In billionths.
    nanos: i128,
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Decimal,
    Exponent,
    Binary,
}

/// Why a text is not a quantity; the words are the real server's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    #[error(
        "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
    )]
    Format,
    #[error("unable to parse quantity's suffix")]
    Suffix,
    #[error("quantity is out of range")]
    Range,
}

const NANO: i128 = 1_000_000_000;

impl Quantity {
    /// Reads the text of a quantity.
    pub fn parse(text: &str) -> Result<Self, QuantityError> {
        let text = text.trim();
        let (negative, unsigned) = match text.as_bytes().first() {
            Some(b'-') => (true, &text[1..]),
            Some(b'+') => (false, &text[1..]),
            _ => (false, text),
        };
        let end = unsigned
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(unsigned.len());
        let (number, suffix) = unsigned.split_at(end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if fraction.contains('.') || (whole.is_empty() && fraction.is_empty()) {
            return Err(QuantityError::Format);
        }
        if !suffix
            .chars()
            .all(|c| "eEinumkKMGTP+-0123456789".contains(c))
        {
            return Err(QuantityError::Format);
        }
        let (format, base, exponent) = scale(suffix)?;
        let digits = format!("{whole}{fraction}");
        let digits = digits.trim_start_matches('0');
        // Beyond 30 digits no quantity of the API is exact any more.
        if digits.len() > 30 {
            return Err(QuantityError::Range);
        }
        let mantissa: i128 = if digits.is_empty() {
            0
        } else {
            digits.parse().map_err(|_| QuantityError::Range)?
        };
        let fraction = i32::try_from(fraction.len()).map_err(|_| QuantityError::Range)?;
        let nanos = nanos(mantissa, base, exponent, fraction).ok_or(QuantityError::Range)?;
        Ok(Self {
            nanos: if negative { -nanos } else { nanos },
            format,
        })
    }

    /// The value in thousandths, rounded up: what CPU arithmetic uses.
    pub fn millis(self) -> i128 {
        div_ceil(self.nanos, 1_000_000)
    }

    /// The value in whole units, rounded up: what memory arithmetic uses.
    pub fn units(self) -> i128 {
        div_ceil(self.nanos, NANO)
    }

    /// The same quantity without anything finer than thousandths.
    pub(crate) fn rounded_to_millis(self) -> Self {
        Self {
            nanos: self.millis() * 1_000_000,
            format: self.format,
        }
    }

    pub fn is_zero(self) -> bool {
        self.nanos == 0
    }
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.nanos == other.nanos
    }
}

impl Eq for Quantity {}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> Ordering {
        self.nanos.cmp(&other.nanos)
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.nanos == 0 {
            return f.write_str("0");
        }
        let small = self.nanos.abs() < 1024 * NANO;
        if self.format == Format::Binary && !small {
            let mut value = self.units();
            let mut power = 0;
            while value % 1024 == 0 && power < 6 {
                value /= 1024;
                power += 1;
            }
            return write!(
                f,
                "{value}{}",
                ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"][power]
            );
        }
        let mut value = self.nanos;
        let mut exponent = -9;
        while value % 1000 == 0 && exponent < 18 {
            value /= 1000;
            exponent += 3;
        }
        if self.format == Format::Exponent {
            return if exponent == 0 {
                write!(f, "{value}")
            } else {
                write!(f, "{value}e{exponent}")
            };
        }
        let suffix = match exponent {
            -9 => "n",
            -6 => "u",
            -3 => "m",
            3 => "k",
            6 => "M",
            9 => "G",
            12 => "T",
            15 => "P",
            18 => "E",
            _ => "",
        };
        write!(f, "{value}{suffix}")
    }
}

/// Format, base (2 or 10) and exponent of a suffix.
fn scale(suffix: &str) -> Result<(Format, i128, i32), QuantityError> {
    let decimal = ["n", "u", "m", "", "k", "M", "G", "T", "P", "E"];
    if let Some(index) = decimal.iter().position(|known| *known == suffix) {
        let index = i32::try_from(index).expect("ten suffixes");
        return Ok((Format::Decimal, 10, (index - 3) * 3));
    }
    let binary = ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
    if let Some(index) = binary.iter().position(|known| *known == suffix) {
        let index = i32::try_from(index).expect("six suffixes");
        return Ok((Format::Binary, 2, (index + 1) * 10));
    }
    let exponent = suffix
        .strip_prefix(['e', 'E'])
        .ok_or(QuantityError::Suffix)?;
    let exponent: i32 = exponent.parse().map_err(|_| QuantityError::Suffix)?;
    Ok((Format::Exponent, 10, exponent))
}

/// `mantissa * base^exponent / 10^fraction` in billionths, rounded up.
fn nanos(mantissa: i128, base: i128, exponent: i32, fraction: i32) -> Option<i128> {
    if mantissa == 0 {
        return Some(0);
    }
    let power = |exponent: i32| 10_i128.checked_pow(u32::try_from(exponent).ok()?);
    if base == 2 {
        let scaled = mantissa
            .checked_mul(1_i128.checked_shl(u32::try_from(exponent).ok()?)?)?
            .checked_mul(NANO)?;
        return Some(div_ceil(scaled, power(fraction)?));
    }
    let exponent = exponent.checked_add(9)?.checked_sub(fraction)?;
    if exponent >= 0 {
        mantissa.checked_mul(power(exponent)?)
    } else {
        Some(power(-exponent).map_or(1, |divisor| div_ceil(mantissa, divisor)))
    }
}

fn div_ceil(value: i128, divisor: i128) -> i128 {
    value.div_euclid(divisor) + i128::from(value.rem_euclid(divisor) != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, canonical: &str) {
        assert_eq!(Quantity::parse(text).unwrap().to_string(), canonical);
        assert_eq!(
            Quantity::parse(canonical).unwrap().to_string(),
            canonical,
            "spelling is stable"
        );
    }

    #[test]
    fn spelling_is_canonical() {
        check("0.5", "500m");
        check("1500m", "1500m");
        check("1000m", "1");
        check("1000", "1k");
        check("100", "100");
        check("12300", "12300");
        check("1024Mi", "1Gi");
        check("0.5Gi", "512Mi");
        check("1.5Gi", "1536Mi");
        check("512", "512");
        check("100Ki", "100Ki");
        check("0.5Ki", "512");
        check("1e3", "1e3");
        check("100e6", "100e6");
        check("0", "0");
        check("-1.5", "-1500m");
        check("0.0000000001", "1n");
    }

    #[test]
    fn text_that_is_no_quantity_is_refused() {
        for text in ["", "abc", "1.2.3", "1Zi", "1 Gi", "--1", "1e", "Ki"] {
            assert!(Quantity::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn order_is_by_value() {
        assert!(Quantity::parse("1Gi").unwrap() > Quantity::parse("1G").unwrap());
        assert_eq!(
            Quantity::parse("1000m").unwrap(),
            Quantity::parse("1").unwrap()
        );
    }
}
