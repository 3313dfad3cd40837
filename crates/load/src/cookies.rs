//! Cookies of one user: by host and path, until they end.

/// More than a browser keeps for one site.
const COOKIES_MAX: usize = 50;

#[derive(Debug, Clone, PartialEq, Eq)]
struct Cookie {
    name: String,
    value: String,
    host: String,
    /// Also sent to hosts below.
    below: bool,
    path: String,
    secure: bool,
}

/// What one user was given.
#[derive(Debug, Default)]
pub(crate) struct Jar {
    cookies: Vec<Cookie>,
}

impl Jar {
    pub(crate) fn clear(&mut self) {
        self.cookies.clear();
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.cookies.is_empty()
    }

    /// Takes the value of a `Set-Cookie` header that came from `host`.
    pub(crate) fn set(&mut self, host: &str, header: &str) {
        let mut parts = header.split(';');
        let Some((name, value)) = parts.next().and_then(|pair| pair.split_once('=')) else {
            return;
        };
        let mut cookie = Cookie {
            name: name.trim().to_owned(),
            value: value.trim().to_owned(),
            host: host.to_owned(),
            below: false,
            path: "/".to_owned(),
            secure: false,
        };
        if cookie.name.is_empty() || cookie.value.contains(['\r', '\n']) {
            return;
        }
        let mut ended = false;
        for part in parts {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            let value = value.trim();
            match key.trim().to_ascii_lowercase().as_str() {
                "domain" => {
                    let domain = value.trim_start_matches('.').to_ascii_lowercase();
                    // A host gives cookies for itself and those above it only.
                    if !within(host, &domain) {
                        return;
                    }
                    cookie.host = domain;
                    cookie.below = true;
                }
                "path" if value.starts_with('/') => value.clone_into(&mut cookie.path),
                "secure" => cookie.secure = true,
                "max-age" => ended = value.parse::<i64>().is_ok_and(|seconds| seconds <= 0),
                // Servers delete with a date in the past; none writes a far one that matters within a run.
                "expires" => ended |= value.contains("1970"),
                _ => {}
            }
        }
        self.cookies.retain(|known| {
            (&known.name, &known.host, &known.path) != (&cookie.name, &cookie.host, &cookie.path)
        });
        if !ended && self.cookies.len() < COOKIES_MAX {
            self.cookies.push(cookie);
        }
    }

    /// Value of the `Cookie` header for a request.
    pub(crate) fn header(&self, host: &str, path: &str, tls: bool) -> Option<String> {
        let pairs: Vec<String> = self
            .cookies
            .iter()
            .filter(|cookie| {
                let host_fits = if cookie.below {
                    within(host, &cookie.host)
                } else {
                    host == cookie.host
                };
                let path_fits = path
                    .strip_prefix(cookie.path.trim_end_matches('/'))
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?']));
                host_fits && path_fits && (tls || !cookie.secure)
            })
            .map(|cookie| format!("{}={}", cookie.name, cookie.value))
            .collect();
        (!pairs.is_empty()).then(|| pairs.join("; "))
    }
}

fn within(host: &str, domain: &str) -> bool {
    host == domain
        || host
            .strip_suffix(domain)
            .is_some_and(|rest| rest.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(set: &[&str], request: (&str, &str, bool), expected: Option<&str>) {
        let mut jar = Jar::default();
        for header in set {
            jar.set("shop.example.org", header);
        }
        assert_eq!(
            jar.header(request.0, request.1, request.2).as_deref(),
            expected
        );
    }

    #[test]
    fn cookies_go_back_to_where_they_came_from_and_nowhere_else() {
        let here = ("shop.example.org", "/a/b", false);
        check(&["a=1", "b=2; HttpOnly"], here, Some("a=1; b=2"));
        check(&["a=1", "a=2"], here, Some("a=2"));
        check(&["a=1"], ("other.example.org", "/", false), None);
        check(
            &["a=1; Domain=.example.org"],
            ("other.example.org", "/", false),
            Some("a=1"),
        );
        check(&["a=1; Domain=evil.org"], ("evil.org", "/", false), None);
        check(&["a=1; Path=/a"], here, Some("a=1"));
        check(&["a=1; Path=/ab"], here, None);
        check(&["a=1; Secure"], here, None);
        check(
            &["a=1; Secure"],
            ("shop.example.org", "/", true),
            Some("a=1"),
        );
        check(&["a=1", "a=; Max-Age=0"], here, None);
        check(
            &["a=1", "a=; Expires=Thu, 01 Jan 1970 00:00:00 GMT"],
            here,
            None,
        );
        check(&["nonsense", "=x"], here, None);
    }
}
