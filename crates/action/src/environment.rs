//! Which variables an action gets to see.

use std::collections::BTreeMap;

/// Variables that programs of a build commonly need.
const PASSED_ON: &[&str] = &[
    "CARGO_HOME",
    "CI",
    "COLORTERM",
    "GOCACHE",
    "GOMODCACHE",
    "GOPROXY",
    "HOME",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "LANG",
    "LC_ALL",
    "LOGNAME",
    "NO_COLOR",
    "NO_PROXY",
    "PATH",
    "RUSTUP_HOME",
    "RUSTUP_TOOLCHAIN",
    "SHELL",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "TERM",
    "TMPDIR",
    "USER",
    "http_proxy",
    "https_proxy",
    "no_proxy",
];

/// Returns what an action sees: the listed variables of ours, then its own.
pub fn passed_on(
    ours: impl IntoIterator<Item = (String, String)>,
    own: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let mut variables: BTreeMap<String, String> = ours
        .into_iter()
        .filter(|(name, _)| PASSED_ON.contains(&name.as_str()))
        .collect();
    variables.extend(own.clone());
    variables
}

/// Returns everything but what is ours alone, as shuttle's scripts expect it.
pub fn whole(
    ours: impl IntoIterator<Item = (String, String)>,
    own: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let mut variables: BTreeMap<String, String> = ours
        .into_iter()
        .filter(|(name, _)| !matches!(name.as_str(), "FORESHORE_TOKEN" | "FORESHORE_GIT_TOKEN"))
        .collect();
    variables.extend(own.clone());
    variables
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_stay_outside() {
        let ours = [
            ("PATH", "/bin"),
            ("FORESHORE_TOKEN", "fsh_x"),
            ("AWS_SECRET_ACCESS_KEY", "x"),
        ];
        let ours = ours.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let own = BTreeMap::from([("RUSTFLAGS".to_owned(), "-C x".to_owned())]);
        let names: Vec<String> = passed_on(ours, &own).into_keys().collect();
        assert_eq!(names, ["PATH", "RUSTFLAGS"]);
    }
}
