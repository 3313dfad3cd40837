//! "Did you mean": the name most like the one that was typed.

/// Returns the candidate nearest to `typed`, if one is near enough to be a typing mistake.
pub fn nearest<'a>(typed: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(typed, candidate), candidate))
        .filter(|(likeness, _)| *likeness > 0.75)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_its_name_and_a_stranger_none() {
        assert_eq!(
            nearest("stagign", ["dev", "staging", "prod"]),
            Some("staging")
        );
        assert_eq!(
            nearest("porduction", ["dev", "staging", "production"]),
            Some("production")
        );
        assert_eq!(nearest("xyz", ["dev", "staging", "prod"]), None);
        assert_eq!(nearest("dev", std::iter::empty()), None);
    }
}
