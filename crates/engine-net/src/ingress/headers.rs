//! What a proxy changes in the headers of a request or an answer; pure.

use std::net::IpAddr;

use http::header::{
    CONNECTION, HOST, HeaderName, HeaderValue, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, Version};

/// Headers that speak of one connection only.
const HOP: [HeaderName; 5] = [CONNECTION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE];
const HOP_BY_NAME: [&str; 3] = ["keep-alive", "proxy-connection", "proxy-authorization"];

/// The protocol a client asks to switch to.
pub(super) fn wanted_upgrade(headers: &HeaderMap, version: Version) -> Option<HeaderValue> {
    let asks = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|token| token.trim().eq_ignore_ascii_case("upgrade"));
    (asks && version == Version::HTTP_11)
        .then(|| headers.get(UPGRADE).cloned())
        .flatten()
}

/// Removes what must not travel further, including headers `Connection` names.
pub(super) fn strip(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named.iter().chain(&HOP) {
        headers.remove(name);
    }
    for name in HOP_BY_NAME {
        headers.remove(name);
    }
}

/// Tells the endpoint who asked, and how.
///
/// The listener is the edge, so what a client claims about earlier proxies is
/// kept for the chain of addresses only.
pub(super) fn add_forwarded(headers: &mut HeaderMap, peer: IpAddr, host: &str, scheme: &str) {
    let chain = headers
        .get_all("x-forwarded-for")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .map(str::to_owned)
        .chain([peer.to_string()])
        .collect::<Vec<_>>()
        .join(", ");
    let mut set = |name: &'static str, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    };
    set("x-forwarded-for", &chain);
    set("x-forwarded-host", host);
    set("x-forwarded-proto", scheme);
    set("x-real-ip", &peer.to_string());
}

/// The host a request is for.
pub(super) fn host(request: &http::request::Parts) -> String {
    request
        .uri
        .authority()
        .map(|authority| authority.as_str().to_owned())
        .or_else(|| request.headers.get(HOST)?.to_str().ok().map(str::to_owned))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect()
    }

    #[test]
    fn headers_of_the_connection_do_not_travel() {
        let mut map = headers(&[
            ("connection", "close, X-Hop"),
            ("x-hop", "1"),
            ("keep-alive", "5"),
            ("transfer-encoding", "chunked"),
            ("accept", "*/*"),
        ]);
        strip(&mut map);
        assert_eq!(map, headers(&[("accept", "*/*")]));
    }

    #[test]
    fn the_client_is_appended_to_the_chain() {
        let mut map = headers(&[
            ("x-forwarded-for", "1.2.3.4"),
            ("x-forwarded-proto", "https"),
        ]);
        add_forwarded(
            &mut map,
            "127.0.0.1".parse().unwrap(),
            "shop.local:8080",
            "http",
        );
        assert_eq!(map["x-forwarded-for"], "1.2.3.4, 127.0.0.1");
        assert_eq!(map["x-forwarded-host"], "shop.local:8080");
        assert_eq!(map["x-forwarded-proto"], "http");
    }

    #[test]
    fn an_upgrade_needs_both_headers() {
        let both = headers(&[
            ("connection", "keep-alive, Upgrade"),
            ("upgrade", "websocket"),
        ]);
        assert_eq!(
            wanted_upgrade(&both, Version::HTTP_11).unwrap(),
            "websocket"
        );
        assert_eq!(
            wanted_upgrade(&headers(&[("upgrade", "websocket")]), Version::HTTP_11),
            None
        );
    }
}
