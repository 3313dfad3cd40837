//! Amounts as Kubernetes writes them, in thousandths.

/// Parses `text` into thousandths, rounding up; none if it is no quantity.
pub fn milli(text: &str) -> Option<i128> {
    let end = text
        .char_indices()
        .find(|&(index, letter)| {
            !(letter.is_ascii_digit() || letter == '.' || (index == 0 && "+-".contains(letter)))
        })
        .map_or(text.len(), |(index, _)| index);
    let (number, suffix) = text.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits: i128 = format!("{whole}{fraction}").parse().ok()?;
    let decimals = i32::try_from(fraction.len()).ok()?;
    let (two, ten) = scale(suffix)?;
    let ten = ten - decimals + 3;
    let scaled = digits.checked_mul(1_i128.checked_shl(two)?)?;
    let power = 10_i128.checked_pow(ten.unsigned_abs())?;
    if ten >= 0 {
        scaled.checked_mul(power)
    } else {
        Some(scaled.div_euclid(power) + i128::from(scaled.rem_euclid(power) > 0))
    }
}

/// The powers of two and of ten a suffix stands for.
fn scale(suffix: &str) -> Option<(u32, i32)> {
    Some(match suffix {
        "n" => (0, -9),
        "u" => (0, -6),
        "m" => (0, -3),
        "" => (0, 0),
        "k" => (0, 3),
        "M" => (0, 6),
        "G" => (0, 9),
        "T" => (0, 12),
        "P" => (0, 15),
        "E" => (0, 18),
        "Ki" => (10, 0),
        "Mi" => (20, 0),
        "Gi" => (30, 0),
        "Ti" => (40, 0),
        "Pi" => (50, 0),
        "Ei" => (60, 0),
        exponent => {
            let power = exponent.strip_prefix(['e', 'E'])?.parse().ok()?;
            (0, power)
        }
    })
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
