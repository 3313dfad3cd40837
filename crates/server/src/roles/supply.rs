//! Where an agent takes artifacts from and whose signature it believes, from what was chosen and what is usual.

use std::path::Path;

use foreshore_agent::{ServerOptions, Supply, SupplyOptions, Trust};
use foreshore_artifact::PublicKey;
use url::Url;

use super::RoleError;

/// What a person says about it; the rest is usual.
#[derive(Debug, Clone, Default)]
pub struct SupplyChoice {
    /// `host[:port]`; where the server answers, if not given.
    pub registry: Option<String>,
    /// Whose signature counts; the first key that the server names, if there are none.
    pub trusted_keys: Vec<PublicKey>,
}

/// Makes the supply of an agent whose own files are in `folder`.
pub(super) fn make(
    choice: SupplyChoice,
    server: &ServerOptions,
    folder: &Path,
) -> Result<Supply, RoleError> {
    let trust = if choice.trusted_keys.is_empty() {
        Trust::First {
            server: server.clone(),
            pin: folder.join("trusted.key"),
        }
    } else {
        Trust::Keys(choice.trusted_keys)
    };
    Ok(Supply::new(SupplyOptions {
        registry: choice.registry.unwrap_or_else(|| authority(&server.url)),
        token: server.token.clone(),
        trust,
    })?)
}

/// `host[:port]` of an address.
fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port()
        .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_registry_is_where_the_server_answers() {
        for (url, expected) in [
            ("http://127.0.0.1:7070", "127.0.0.1:7070"),
            ("http://[::1]:7070/", "[::1]:7070"),
            ("https://deploy.example.org/", "deploy.example.org"),
        ] {
            assert_eq!(authority(&url.parse().unwrap()), expected, "{url}");
        }
    }
}
