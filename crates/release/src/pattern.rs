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

#[cfg(test)]
mod tests {
    use super::*;

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
