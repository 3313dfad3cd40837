//! Branch patterns: the whole name, `*` for any run of characters.

/// Whether `pattern` covers the whole of `name`.
pub fn matches(pattern: &str, name: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else {
        return pattern == name;
    };
    let Some(mut left) = name.strip_prefix(first) else {
        return false;
    };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let last = parts.pop().unwrap_or_default();
    for part in parts {
        // The earliest fit leaves the most for the parts that follow.
        let Some(at) = left.find(part) else {
            return false;
        };
        left = &left[at + part.len()..];
    }
    left.len() >= last.len() && left.ends_with(last)
}

/// Whether some name is covered by both patterns.
pub fn overlap(one: &str, two: &str) -> bool {
    let (one, two): (Vec<char>, Vec<char>) = (one.chars().collect(), two.chars().collect());
    // `reach[j]`: the patterns' first `i` and `j` characters can cover the same text.
    let mut reach = vec![false; two.len() + 1];
    for i in 0..=one.len() {
        let mut next = vec![false; two.len() + 1];
        for j in 0..=two.len() {
            let (a, b) = (
                i.checked_sub(1).map(|i| one[i]),
                j.checked_sub(1).map(|j| two[j]),
            );
            next[j] = match (a, b) {
                (None, None) => true,
                (Some(a), Some(b)) if a != '*' && b != '*' => a == b && reach[j - 1],
                _ => {
                    // A star covers nothing, or one more character of the other side.
                    let by_one = a == Some('*') && (reach[j] || j > 0 && next[j - 1]);
                    let by_two = b == Some('*') && (next[j - 1] || i > 0 && reach[j]);
                    by_one || by_two
                }
            };
        }
        reach = next;
    }
    reach[two.len()]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn two_patterns_overlap_if_a_name_fits_both() {
        for (one, two, expected) in [
            ("main", "main", true),
            ("main", "release/*", false),
            ("release/*", "*/1", true),
            ("*", "", true),
            ("a*b", "b*a", false),
            ("a*", "*b", true),
            ("a*c", "ab", false),
            ("v*.*", "v1", false),
            ("**", "x", true),
        ] {
            assert_eq!(overlap(one, two), expected, "{one} {two}");
            assert_eq!(overlap(two, one), expected, "{two} {one}");
        }
    }

    proptest! {
        #[test]
        fn a_name_that_fits_both_makes_them_overlap(name in "[ab]{0,6}", one in "[ab*]{0,5}", two in "[ab*]{0,5}") {
            if matches(&one, &name) && matches(&two, &name) {
                prop_assert!(overlap(&one, &two));
            }
        }

        #[test]
        fn patterns_that_no_short_name_fits_do_not_overlap(one in "[ab*]{0,4}", two in "[ab*]{0,4}") {
            // Eight characters are as many as both patterns have together.
            let names = (0..=8_u32).flat_map(|length| (0..1_u32 << length).map(move |bits| {
                (0..length).map(|i| if bits >> i & 1 == 0 { 'a' } else { 'b' }).collect::<String>()
            }));
            let common = names.into_iter().any(|name| matches(&one, &name) && matches(&two, &name));
            prop_assert_eq!(overlap(&one, &two), common);
        }
    }

    #[test]
    fn a_pattern_covers_the_whole_name() {
        for (pattern, name, expected) in [
            ("main", "main", true),
            ("main", "main-2", false),
            ("main", "not-main", false),
            ("*", "", true),
            ("release/*", "release/1.2", true),
            ("release/*", "prerelease/1.2", false),
            ("v*.*", "v1.2", true),
            ("v*.*", "v12", false),
            ("*a*a", "aa", true),
            ("*a*a", "a", false),
            ("a*a", "a", false),
            ("a**b", "axb", true),
            ("a.b", "axb", false),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }
}
