//! Who may come in: which host the request was for, which page it came from, who is behind it.

use std::net::SocketAddr;

use http::{HeaderMap, Uri, header};

/// Why a request is not let in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    #[error("this address belongs to somebody else: the request is for `{0}`")]
    ForeignHost(String),
    #[error("the request comes from another site, not from one of these pages")]
    CrossSite,
    #[error("the request does not say which page it comes from")]
    NoOrigin,
    #[error("`{0}` may not look at these pages")]
    MayNotLook(String),
}

/// Refuses requests that were made for another name.
///
/// A stranger's page can make its own name lead to this machine; the browser
/// then sends that name. Where a login protects the pages this is not needed.
pub(crate) fn check_host(
    headers: &HeaderMap,
    uri: &Uri,
    address: SocketAddr,
) -> Result<(), Refused> {
    let host = host(headers, uri);
    let (name, port) = split(&host);
    let ours = name == "localhost"
        || name == "127.0.0.1"
        || name == "[::1]"
        || name == address.ip().to_string()
        || name.ends_with(".localhost");
    let port_fits = port.is_none_or(|port| port == address.port().to_string());
    if ours && port_fits {
        Ok(())
    } else {
        Err(Refused::ForeignHost(host))
    }
}

fn host(headers: &HeaderMap, uri: &Uri) -> String {
    let given = headers
        .get(header::HOST)
        .and_then(|value| value.to_str().ok());
    given
        .map(str::to_owned)
        .or_else(|| uri.authority().map(ToString::to_string))
        .unwrap_or_default()
        .to_lowercase()
}

fn split(host: &str) -> (&str, Option<&str>) {
    match host.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, Some(port)),
        _ => (host, None),
    }
}

/// Refuses changes that another site asked the browser to make.
///
/// Browsers say where a request comes from, and pages cannot make them lie.
pub(crate) fn check_origin(headers: &HeaderMap, uri: &Uri) -> Result<(), Refused> {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    if let Some(site) = text("sec-fetch-site") {
        return if site == "same-origin" {
            Ok(())
        } else {
            Err(Refused::CrossSite)
        };
    }
    let Some(origin) = text("origin") else {
        return Err(Refused::NoOrigin);
    };
    let from = origin
        .split_once("://")
        .map(|(_, from)| from.to_lowercase());
    if from.is_some_and(|from| from == host(headers, uri)) {
        Ok(())
    } else {
        Err(Refused::CrossSite)
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| {
                (
                    http::HeaderName::from_static(name),
                    HeaderValue::from_str(value).unwrap(),
                )
            })
            .collect()
    }

    #[test]
    fn only_names_of_this_machine_are_let_in_without_login() {
        let address: SocketAddr = "127.0.0.1:7070".parse().unwrap();
        for (host, expected) in [
            ("127.0.0.1:7070", true),
            ("localhost:7070", true),
            ("LOCALHOST:7070", true),
            ("foreshore.localhost:7070", true),
            ("[::1]:7070", true),
            ("evil.example:7070", false),
            ("127.0.0.1.evil.example:7070", false),
            ("localhost:80", false),
            ("", false),
        ] {
            let answer = check_host(&headers(&[("host", host)]), &Uri::from_static("/"), address);
            assert_eq!(answer.is_ok(), expected, "{host}");
        }
    }

    #[test]
    fn a_change_must_come_from_one_of_our_pages() {
        let uri = Uri::from_static("/act");
        for (pairs, expected) in [
            (&[("sec-fetch-site", "same-origin")][..], Ok(())),
            (&[("sec-fetch-site", "cross-site")], Err(Refused::CrossSite)),
            (&[("sec-fetch-site", "same-site")], Err(Refused::CrossSite)),
            (&[("sec-fetch-site", "none")], Err(Refused::CrossSite)),
            (
                &[("host", "localhost:1"), ("origin", "http://localhost:1")],
                Ok(()),
            ),
            (
                &[("host", "localhost:1"), ("origin", "http://evil.example")],
                Err(Refused::CrossSite),
            ),
            (
                &[("host", "localhost:1"), ("origin", "null")],
                Err(Refused::CrossSite),
            ),
            (
                &[
                    ("host", "localhost:1"),
                    ("origin", "http://localhost:1.evil.example"),
                ],
                Err(Refused::CrossSite),
            ),
            // A lie in one place does not help where the other tells the truth.
            (
                &[
                    ("sec-fetch-site", "cross-site"),
                    ("host", "a"),
                    ("origin", "http://a"),
                ],
                Err(Refused::CrossSite),
            ),
            (&[("host", "localhost:1")], Err(Refused::NoOrigin)),
        ] {
            assert_eq!(check_origin(&headers(pairs), &uri), expected, "{pairs:?}");
        }
    }
}
