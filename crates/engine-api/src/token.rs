//! Service-account tokens: signed JSON web tokens, ES256.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jiff::Timestamp;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair,
    UnparsedPublicKey,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// Who issues, and the audience the API itself accepts.
pub(crate) const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";
/// Longest token that is looked at.
const TOKEN_MAX: usize = 16 << 10;

/// Something a token is bound to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Bound {
    pub(crate) name: String,
    pub(crate) uid: String,
}

/// The claims only Kubernetes knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Kubernetes {
    pub(crate) namespace: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) node: Option<Bound>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pod: Option<Bound>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) secret: Option<Bound>,
    pub(crate) serviceaccount: Bound,
}

/// What a token says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Claims {
    pub(crate) aud: Vec<String>,
    pub(crate) exp: i64,
    pub(crate) iat: i64,
    pub(crate) iss: String,
    pub(crate) jti: String,
    #[serde(rename = "kubernetes.io")]
    pub(crate) kubernetes: Kubernetes,
    pub(crate) nbf: i64,
    pub(crate) sub: String,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: String,
}

/// Why a token is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TokenError {
    #[error("token is not one of this engine")]
    Foreign,
    #[error("token has expired or is not yet valid")]
    Expired,
    #[error("token audiences do not match")]
    Audience,
}

/// Signs and checks tokens.
pub(crate) struct Signer {
    key: EcdsaKeyPair,
    key_id: String,
    random: SystemRandom,
}

impl Signer {
    /// Takes the PKCS#8 form of a P-256 key.
    pub(crate) fn new(pkcs8: &[u8]) -> Result<Self, ring::error::KeyRejected> {
        let random = SystemRandom::new();
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8, &random)?;
        let key_id = encode(&Sha256::digest(key.public_key().as_ref()));
        Ok(Self {
            key,
            key_id,
            random,
        })
    }

    pub(crate) fn sign(&self, claims: &Claims) -> Result<String, ring::error::Unspecified> {
        let header = json!({"alg": "ES256", "kid": self.key_id});
        let header = serde_json::to_vec(&header).map_err(|_| ring::error::Unspecified)?;
        let claims = serde_json::to_vec(claims).map_err(|_| ring::error::Unspecified)?;
        let message = format!("{}.{}", encode(&header), encode(&claims));
        let signature = self.key.sign(&self.random, message.as_bytes())?;
        Ok(format!("{message}.{}", encode(signature.as_ref())))
    }

    /// Returns the claims of a token that we signed and that is valid now for an audience.
    ///
    /// Whether what it is bound to still exists is for the caller to check.
    pub(crate) fn verify(
        &self,
        token: &str,
        audiences: &[String],
        now: Timestamp,
    ) -> Result<Claims, TokenError> {
        if token.len() > TOKEN_MAX {
            return Err(TokenError::Foreign);
        }
        let (message, signature) = token.rsplit_once('.').ok_or(TokenError::Foreign)?;
        let (header, claims) = message.split_once('.').ok_or(TokenError::Foreign)?;
        let header: Header = decode(header)?;
        if header.alg != "ES256" || header.kid != self.key_id {
            return Err(TokenError::Foreign);
        }
        let signature = BASE64_URL_SAFE_NO_PAD
            .decode(signature)
            .map_err(|_| TokenError::Foreign)?;
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, self.key.public_key().as_ref())
            .verify(message.as_bytes(), &signature)
            .map_err(|_| TokenError::Foreign)?;
        let claims: Claims = decode(claims)?;
        let now = now.as_second();
        if claims.iss != ISSUER {
            return Err(TokenError::Foreign);
        }
        if now >= claims.exp || now < claims.nbf {
            return Err(TokenError::Expired);
        }
        if !claims
            .aud
            .iter()
            .any(|audience| audiences.contains(audience))
        {
            return Err(TokenError::Audience);
        }
        Ok(claims)
    }

    /// The public key, as `/openid/v1/jwks` shows it.
    pub(crate) fn jwks(&self) -> Value {
        // An uncompressed point: one tag byte, then both coordinates.
        let point = self.key.public_key().as_ref();
        let (x, y) = point
            .get(1..)
            .unwrap_or_default()
            .split_at(32.min(point.len() - 1));
        json!({"keys": [{
            "use": "sig", "kty": "EC", "crv": "P-256", "alg": "ES256", "kid": self.key_id,
            "x": encode(x), "y": encode(y),
        }]})
    }
}

fn encode(bytes: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

fn decode<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, TokenError> {
    let bytes = BASE64_URL_SAFE_NO_PAD
        .decode(text)
        .map_err(|_| TokenError::Foreign)?;
    serde_json::from_slice(&bytes).map_err(|_| TokenError::Foreign)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn signer() -> Signer {
        let pkcs8 =
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new());
        Signer::new(pkcs8.unwrap().as_ref()).unwrap()
    }

    fn claims() -> Claims {
        Claims {
            aud: vec![ISSUER.into()],
            exp: 200,
            iat: 100,
            iss: ISSUER.into(),
            jti: "id".into(),
            kubernetes: Kubernetes {
                namespace: "default".into(),
                node: None,
                pod: None,
                secret: None,
                serviceaccount: Bound {
                    name: "bot".into(),
                    uid: "u".into(),
                },
            },
            nbf: 100,
            sub: "system:serviceaccount:default:bot".into(),
        }
    }

    #[track_caller]
    fn check(audience: &str, second: i64, expected: Result<(), TokenError>) {
        let signer = signer();
        let token = signer.sign(&claims()).unwrap();
        let now = Timestamp::from_second(second).unwrap();
        let found = signer.verify(&token, &[audience.to_owned()], now);
        assert_eq!(found.map(drop), expected);
    }

    #[test]
    fn tokens_hold_for_their_time_and_audience() {
        check(ISSUER, 150, Ok(()));
        check(ISSUER, 99, Err(TokenError::Expired));
        check(ISSUER, 200, Err(TokenError::Expired));
        check("vault", 150, Err(TokenError::Audience));
    }

    #[test]
    fn changed_and_foreign_tokens_are_refused() {
        let (ours, theirs) = (signer(), signer());
        let now = Timestamp::from_second(150).unwrap();
        let audiences = [ISSUER.to_owned()];
        let token = theirs.sign(&claims()).unwrap();
        assert_eq!(
            ours.verify(&token, &audiences, now),
            Err(TokenError::Foreign)
        );
        let mut claims = claims();
        let token = ours.sign(&claims).unwrap();
        claims.kubernetes.namespace = "kube-system".into();
        let forged = encode(&serde_json::to_vec(&claims).unwrap());
        let parts: Vec<&str> = token.split('.').collect();
        let token = format!("{}.{forged}.{}", parts[0], parts[2]);
        assert_eq!(
            ours.verify(&token, &audiences, now),
            Err(TokenError::Foreign)
        );
    }

    proptest! {
        #[test]
        fn no_token_text_panics(text in "[a-zA-Z0-9._-]{0,60}|\\PC*") {
            let now = Timestamp::from_second(150).unwrap();
            prop_assert!(signer().verify(&text, &[ISSUER.to_owned()], now).is_err());
        }
    }
}
