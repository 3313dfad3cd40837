//! Tokens of service accounts, renewed before they expire.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Pod, ServiceAccount};
use kube::api::PostParams;
use kube::{Api, Client};

use super::{SourceError, ask};
use crate::pod::backoff::later;
use crate::pod::fields;
use crate::pod::volumes::TokenWish;

/// The tokens one pod has at the moment.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    known: BTreeMap<TokenWish, Token>,
}

#[derive(Debug, Clone)]
struct Token {
    text: String,
    renew_at: Timestamp,
}

impl Tokens {
    /// All that are wished for; those that are not due are not asked for again.
    pub(crate) async fn get(
        &mut self,
        client: &Client,
        pod: &Pod,
        wishes: &[TokenWish],
        now: Timestamp,
    ) -> Result<BTreeMap<TokenWish, String>, SourceError> {
        for wish in wishes {
            if self
                .known
                .get(wish)
                .is_none_or(|token| token.renew_at <= now)
            {
                let fresh = request(client, pod, wish, now).await?;
                self.known.insert(wish.clone(), fresh);
            }
        }
        let text = |(wish, token): (&TokenWish, &Token)| (wish.clone(), token.text.clone());
        Ok(self.known.iter().map(text).collect())
    }
}

async fn request(
    client: &Client,
    pod: &Pod,
    wish: &TokenWish,
    now: Timestamp,
) -> Result<Token, SourceError> {
    let account = fields::spec(pod)
        .service_account_name
        .as_deref()
        .unwrap_or("default");
    let request = TokenRequest {
        spec: Some(TokenRequestSpec {
            audiences: Some(wish.audience.iter().cloned().collect()),
            expiration_seconds: Some(wish.seconds),
            bound_object_ref: Some(BoundObjectReference {
                api_version: Some("v1".to_owned()),
                kind: Some("Pod".to_owned()),
                name: pod.metadata.name.clone(),
                uid: pod.metadata.uid.clone(),
            }),
        }),
        ..TokenRequest::default()
    };
    let api: Api<ServiceAccount> = Api::namespaced(client.clone(), fields::namespace(pod));
    let what = format!("a token for service account `{account}`");
    let parameters = PostParams::default();
    let answer = ask(
        what,
        api.create_token_request(account, &parameters, &request),
    )
    .await?;
    let missing = || SourceError::NoToken(account.to_owned());
    let status = answer.status.ok_or_else(missing)?;
    let text = status.token.filter(|text| !text.is_empty());
    // A token that does not say when it expires is asked for as often as we look.
    let expires = status.expiration_timestamp.map_or(now, |time| time.0);
    Ok(Token {
        renew_at: renewal(now, expires),
        text: text.ok_or_else(missing)?,
    })
}

/// When four fifths of a token's life are over, as kubelet has it.
fn renewal(now: Timestamp, expires: Timestamp) -> Timestamp {
    let life = expires.duration_since(now).max(SignedDuration::ZERO);
    later(now, life / 5 * 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_renewed_before_it_expires() {
        let at = |second| Timestamp::from_second(second).unwrap();
        assert_eq!(renewal(at(0), at(3600)), at(2880));
        assert_eq!(renewal(at(10), at(5)), at(10));
    }
}
