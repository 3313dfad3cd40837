//! Continue tokens: where a paged list goes on, and at which revision.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use crate::status::Failure;

const VERSION: &str = "meta.k8s.io/v1";
/// Longest token that is looked at; ours are far shorter.
const TOKEN_MAX: usize = 4 << 10;

/// The place after which the next page starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    /// Revision of the list; `None` goes on with the newest state.
    pub(crate) revision: Option<u64>,
    pub(crate) namespace: String,
    pub(crate) name: String,
}

#[derive(Serialize, Deserialize)]
struct Token {
    v: String,
    rv: i64,
    start: String,
}

impl Position {
    pub(crate) fn encode(&self) -> String {
        let token = Token {
            v: VERSION.to_owned(),
            rv: self
                .revision
                .and_then(|revision| revision.try_into().ok())
                .unwrap_or(-1),
            start: format!("{}/{}", self.namespace, self.name),
        };
        let text = serde_json::to_vec(&token).expect("three plain fields");
        BASE64_URL_SAFE_NO_PAD.encode(text)
    }

    pub(crate) fn decode(text: &str) -> Result<Self, Failure> {
        let invalid = || Failure::bad_request("continue key is not valid");
        if text.len() > TOKEN_MAX {
            return Err(invalid());
        }
        let bytes = BASE64_URL_SAFE_NO_PAD
            .decode(text.trim_end_matches('='))
            .map_err(|_| invalid())?;
        let token: Token = serde_json::from_slice(&bytes).map_err(|_| invalid())?;
        let (namespace, name) = token.start.split_once('/').ok_or_else(invalid)?;
        let revision = match token.rv {
            -1 => None,
            rv if rv > 0 => rv.try_into().ok(),
            _ => return Err(invalid()),
        };
        if token.v != VERSION || name.is_empty() || token.start.contains('\0') {
            return Err(invalid());
        }
        Ok(Self {
            revision,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn tokens_come_back_as_they_went(
            revision in prop::option::of(1..i64::MAX.cast_unsigned()),
            namespace in "[a-z0-9-]{0,10}",
            name in "[a-z0-9.:-]{1,20}",
        ) {
            let position = Position { revision, namespace, name };
            prop_assert_eq!(Position::decode(&position.encode()), Ok(position));
        }

        #[test]
        fn no_token_panics(text in "\\PC*", json in "\\PC*") {
            drop(Position::decode(&text));
            drop(Position::decode(&BASE64_URL_SAFE_NO_PAD.encode(json)));
        }
    }

    #[test]
    fn foreign_tokens_are_refused() {
        for text in [
            r#"{"v":"other","rv":1,"start":"a/b"}"#,
            r#"{"v":"meta.k8s.io/v1","rv":0,"start":"a/b"}"#,
            "{}",
            "",
        ] {
            assert!(
                Position::decode(&BASE64_URL_SAFE_NO_PAD.encode(text)).is_err(),
                "{text}"
            );
        }
    }
}
