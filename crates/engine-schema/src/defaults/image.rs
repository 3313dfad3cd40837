//! Image references, as far as the pull policy depends on them.

/// Whether a reference means the tag `latest`: by name, or by naming neither tag
/// nor digest.
pub(super) fn means_latest(reference: &str) -> bool {
    if reference.contains('@') {
        // A digest decides; a tag beside it counts only if it says `latest`.
        let name = reference.split('@').next().unwrap_or_default();
        return tag(name) == Some("latest");
    }
    tag(reference).is_none_or(|tag| tag == "latest")
}

/// The tag: what follows a colon in the last part of the name.
fn tag(name: &str) -> Option<&str> {
    let last = name.rsplit('/').next().unwrap_or(name);
    last.split_once(':').map(|(_, tag)| tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latest_is_meant_by_tag_or_by_silence() {
        for reference in [
            "nginx",
            "nginx:latest",
            "host:5000/nginx",
            "host:5000/a/nginx:latest",
        ] {
            assert!(means_latest(reference), "{reference}");
        }
        for reference in [
            "nginx:1",
            "host:5000/nginx:v2",
            "nginx@sha256:aa",
            "nginx:1@sha256:aa",
        ] {
            assert!(!means_latest(reference), "{reference}");
        }
    }
}
