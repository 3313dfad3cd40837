//! Secrets never stand in a file: what looks like one is refused, and the rest is a reference.

use foreshore_model::ServiceName;

/// Names that end like this hold secrets.
const NAMES: [&str; 8] = [
    "PASSWORD",
    "PASSWD",
    "SECRET",
    "TOKEN",
    "API_KEY",
    "APIKEY",
    "PRIVATE_KEY",
    "ACCESS_KEY",
];

/// Values that start like this are secrets, whatever they are called.
const VALUES: [&str; 12] = [
    "-----BEGIN ",
    "AGE-SECRET-KEY-",
    "AKIA",
    "eyJhbGciOi",
    "fsh_",
    "ghp_",
    "gho_",
    "ghs_",
    "github_pat_",
    "glpat-",
    "sk_live_",
    "xoxb-",
];

/// Says why a named value looks like a secret, if it does.
pub fn looks_secret(name: &str, value: &str) -> Option<&'static str> {
    if value.is_empty() {
        return None;
    }
    if VALUES.iter().any(|start| value.starts_with(start))
        && !value.contains("-----BEGIN CERTIFICATE")
    {
        return Some("its value starts like a key or a token");
    }
    if has_password(value) {
        return Some("its value is an address with a password");
    }
    let name = name.to_ascii_uppercase().replace('-', "_");
    let named = NAMES.iter().any(|end| name.ends_with(end));
    // A path or a name of a file is where the secret is, not the secret.
    let elsewhere =
        value.starts_with('/') || matches!(value, "true" | "false") || value.parse::<f64>().is_ok();
    (named && !elsewhere).then_some("its name says so")
}

/// Whether a text is `scheme://user:password@host`.
fn has_password(value: &str) -> bool {
    let Some((scheme, rest)) = value.split_once("://") else {
        return false;
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    let user = authority.rsplit_once('@').map(|(user, _)| user);
    let password = user
        .and_then(|user| user.split_once(':'))
        .map(|(_, password)| password);
    !scheme.is_empty() && password.is_some_and(|password| !password.is_empty())
}

/// Returns the name of the Kubernetes Secret that holds a service's values.
///
/// Those from the config repository and those from a secret store are kept
/// apart, because two different programs write them.
pub fn secret_object(service: &ServiceName, external: bool) -> String {
    let end = if external {
        "external-secrets"
    } else {
        "secrets"
    };
    format!("{service}-{end}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_a_secret_is_found() {
        for (name, value) in [
            ("DB_PASSWORD", "hunter2"),
            ("session-secret", "abc"),
            ("X", "-----BEGIN PRIVATE KEY-----"),
            ("X", "ghp_0123456789"),
            ("DATABASE_URL", "postgres://shop:hunter2@db/shop"),
        ] {
            assert!(looks_secret(name, value).is_some(), "{name}");
        }
    }

    #[test]
    fn what_is_none_is_left_alone() {
        for (name, value) in [
            ("DB_PASSWORD_FILE", "/run/secrets/db"),
            ("TOKEN", "/var/run/token"),
            ("TOKEN_SECONDS", "60"),
            ("API_KEY", ""),
            ("DATABASE_URL", "postgres://shop@db/shop"),
            ("URL", "http://api:8080/a@b"),
            ("CA", "-----BEGIN CERTIFICATE-----"),
        ] {
            assert_eq!(looks_secret(name, value), None, "{name}");
        }
    }
}
