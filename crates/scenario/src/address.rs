//! Addresses of targets: `http://host:port/path`, nothing else.

use std::fmt;

/// Where a request goes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Address {
    pub tls: bool,
    /// In lower case, without the brackets of an IPv6 address.
    pub host: String,
    pub port: u16,
    /// Path and query as they are sent; may be empty.
    pub path: String,
}

impl Address {
    /// Reads an address; the error says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (tls, rest) = if let Some(rest) = text.strip_prefix("http://") {
            (false, rest)
        } else if let Some(rest) = text.strip_prefix("https://") {
            (true, rest)
        } else {
            return Err(format!(
                "`{text}` is not an address; write it like `https://shop.example.org`"
            ));
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        // A fragment is never sent.
        let path = path.split('#').next().unwrap_or_default();
        if authority.contains('@') {
            return Err(format!(
                "`{text}` carries a user name; send it in an `Authorization` header"
            ));
        }
        let (host, port) = match authority.strip_prefix('[') {
            Some(inner) => match inner.split_once(']') {
                Some((host, rest)) => (host, rest.strip_prefix(':')),
                None => return Err(format!("`{text}` has a bracket that does not end")),
            },
            None => match authority.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (authority, None),
            },
        };
        let port = match port {
            None => 80 + 363 * u16::from(tls),
            Some(port) => port
                .parse()
                .ok()
                .filter(|port| *port > 0)
                .ok_or_else(|| format!("`{port}` in `{text}` is not a port"))?,
        };
        let unsafe_letter = |letter: char| letter.is_whitespace() || letter.is_control();
        if host.is_empty() || host.contains(unsafe_letter) || path.contains(unsafe_letter) {
            return Err(format!("`{}` is not an address", text.escape_debug()));
        }
        Ok(Self {
            tls,
            host: host.to_ascii_lowercase(),
            port,
            path: path.to_owned(),
        })
    }

    /// The value of the `Host` header.
    pub fn authority(&self) -> String {
        let host = if self.host.contains(':') {
            format!("[{}]", self.host)
        } else {
            self.host.clone()
        };
        if self.port == if self.tls { 443 } else { 80 } {
            host
        } else {
            format!("{host}:{}", self.port)
        }
    }

    /// Where a redirect from here leads.
    pub fn join(&self, location: &str) -> Result<Self, String> {
        if location.contains("://") {
            return Self::parse(location);
        }
        let scheme = if self.tls { "https:" } else { "http:" };
        if location.starts_with("//") {
            return Self::parse(&format!("{scheme}{location}"));
        }
        let base = format!("{scheme}//{}", self.authority());
        if location.starts_with('/') {
            return Self::parse(&format!("{base}{location}"));
        }
        let path = self.path.split('?').next().unwrap_or_default();
        let folder = path.rfind('/').map_or("/", |end| &path[..=end]);
        Self::parse(&format!("{base}{folder}{location}"))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        write!(out, "{scheme}://{}{}", self.authority(), self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_written() {
        for (text, written) in [
            ("http://Host/a?b#c", "http://host/a?b"),
            ("https://h:443", "https://h"),
            ("http://[::1]:8080/x", "http://[::1]:8080/x"),
        ] {
            assert_eq!(Address::parse(text).unwrap().to_string(), written);
        }
        for wrong in [
            "",
            "h",
            "ftp://h",
            "http://",
            "http://h:0",
            "http://h:x",
            "http://u:p@h",
            "http://a b/",
            "http://[::1",
        ] {
            assert!(Address::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn redirects_lead_on_from_where_they_are() {
        let base = Address::parse("https://h/a/b?c").unwrap();
        for (location, expected) in [
            ("http://o/x", "http://o/x"),
            ("//o/x", "https://o/x"),
            ("/x", "https://h/x"),
            ("x", "https://h/a/x"),
        ] {
            assert_eq!(base.join(location).unwrap().to_string(), expected);
        }
    }
}
