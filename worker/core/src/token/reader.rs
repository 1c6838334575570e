//! Reads access tokens that this gateway has signed. Where calls pass through the gateway, it checks their tokens
//! itself.

use core::fmt;
use core::future::Future;
use core::pin::Pin;

use jwt_compact::alg::{Hs256, Hs256Key};
use jwt_compact::{AlgorithmExt, Claims, UntrustedToken};
use serde::Deserialize;

use super::rsa_key::RsaPublicKey;
use super::signer::TokenSigner;
use crate::meter::Limits;
use crate::types::{Network, PlanId, Secret, UnixSeconds};

/// The limit for a token's length; every token that we sign is shorter.
const MAX_TOKEN_CHARS: usize = 4_096;

/// The content of a good token.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Access {
    /// The purchase that the token was sold in.
    pub purchase: String,
    /// The plan.
    pub plan: PlanId,
    /// The wallet that paid, as the token writes it.
    pub payer: Option<String>,
    /// From this time on the token is no longer good.
    pub ends_at: UnixSeconds,
    /// The grant whose calls are counted: the request id of the purchase that founded it. `None` for a plan without limits.
    pub grant: Option<String>,
    /// What the plan promised of its calls, as the token tells it. What counts is what the grant's purchase sold.
    pub limits: Limits,
    /// Whether the token has expired. Only a token with a grant is read then: the grant may have been topped up since.
    pub has_expired: bool,
}

/// The keys that a token may be signed with.
pub struct TokenReader {
    secrets: Vec<(TokenSigner, Hs256Key)>,
    public_keys: Vec<RsaPublicKey>,
}

/// A future that tells whether a signature is that of the key.
pub type Verdict<'a> = Pin<Box<dyn Future<Output = bool> + 'a>>;

/// The platform's RSA, for checking signatures.
pub trait RsaVerifier {
    /// Checks a signature of RSASSA-PKCS1-v1_5 with SHA-256 (RFC 8017).
    fn is_signed<'a>(
        &'a self,
        key: &'a RsaPublicKey,
        message: &'a [u8],
        signature: &'a [u8],
    ) -> Verdict<'a>;
}

/// The claims that are read from a token, besides `exp`, which the library reads.
#[derive(Deserialize)]
struct Said {
    sub: String,
    #[serde(rename = "planId")]
    plan_id: PlanId,
    payer: Option<String>,
    #[serde(rename = "chainId")]
    chain_id: u64,
    grant: Option<String>,
    limits: Option<Limits>,
}

impl TokenReader {
    /// Reads tokens that were signed with one of these secrets or keys.
    pub fn new<'s>(
        secrets: impl IntoIterator<Item = &'s Secret>,
        public_keys: Vec<RsaPublicKey>,
    ) -> Self {
        let keyed = |secret: &Secret| {
            let key = Hs256Key::new(secret.expose());
            (TokenSigner::hs256(secret), key)
        };
        Self {
            secrets: secrets.into_iter().map(keyed).collect(),
            public_keys,
        }
    }

    /// The content of a token, if one of the keys has signed it, it is for this network, and it has not expired or names a
    /// grant.
    pub async fn read(
        &self,
        token: &str,
        network: Network,
        now: UnixSeconds,
        rsa: &dyn RsaVerifier,
    ) -> Option<Access> {
        if token.len() > MAX_TOKEN_CHARS {
            return None;
        }
        let untrusted = UntrustedToken::new(token).ok()?;
        let header = untrusted.header();
        // What else we sign says in its type that it is no access token.
        if header.token_type.as_deref() != Some("JWT") {
            return None;
        }
        let key_id = header.key_id.as_deref()?;
        let claims: Claims<Said> = match untrusted.algorithm() {
            "HS256" => {
                let is_named = |(signer, _): &&(TokenSigner, _)| signer.key_id() == key_id;
                let (_, key) = self.secrets.iter().find(is_named)?;
                let checked = Hs256.validator(key).validate(&untrusted).ok()?;
                checked.into_parts().1
            }
            "RS256" => {
                let key = self.public_keys.iter().find(|key| key.key_id() == key_id)?;
                let (signed, _) = token.rsplit_once('.')?;
                let signature = untrusted.signature_bytes();
                let is_signed = rsa.is_signed(key, signed.as_bytes(), signature).await;
                is_signed.then(|| untrusted.deserialize_claims_unchecked().ok())??
            }
            _ => return None,
        };
        let expiry = claims.expiration?.timestamp();
        let ends_at = UnixSeconds(u64::try_from(expiry).ok()?);
        let is_alive = now < ends_at;
        let Said {
            sub,
            plan_id,
            payer,
            chain_id,
            grant,
            limits,
        } = claims.custom;
        // We write both or neither. A token with limits that names no grant would be good for any number of calls.
        let is_whole = grant.is_some() == limits.is_some_and(|limits| !limits.is_none());
        let is_read = is_alive || grant.is_some();
        (is_read && is_whole && chain_id == network.chain_id()).then_some(Access {
            has_expired: !is_alive,
            purchase: sub,
            plan: plan_id,
            payer,
            ends_at,
            grant,
            limits: limits.unwrap_or_default(),
        })
    }
}

impl fmt::Debug for TokenReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenReader(…)")
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use crate::json;
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use futures_util::FutureExt as _;
    use key0_validator::Claims as AccessClaims;
    use serde_json::Value;

    use super::*;
    use crate::token::{NoRsa, RsaPrivateKey};

    const NOW: UnixSeconds = UnixSeconds(1_800_000_000);

    /// Gives the same verdict on every signature, and counts the questions.
    struct Says(bool, Cell<u32>);

    impl RsaVerifier for Says {
        fn is_signed<'a>(&'a self, _: &'a RsaPublicKey, _: &'a [u8], _: &'a [u8]) -> Verdict<'a> {
            self.1.set(self.1.get() + 1);
            Box::pin(async { self.0 })
        }
    }

    fn secret(letter: &str) -> Secret {
        Secret::new(letter.repeat(32))
    }

    fn claims() -> AccessClaims {
        AccessClaims {
            sub: "550e8400-e29b-41d4-a716-446655440000".to_owned(),
            jti: "offer".to_owned(),
            resource_id: "default".to_owned(),
            plan_id: "basic".to_owned(),
            tx_hash: format!("0x{}", "ab".repeat(32)),
            iat: NOW.0 - 60,
            exp: NOW.0 + 1,
            iss: Some("https://shop.example".to_owned()),
            payer: Some("0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf".to_owned()),
            chain_id: Some(84_532),
            grant: None,
            limits: None,
        }
    }

    fn signed(claims: &AccessClaims, by: &Secret) -> String {
        let signer = TokenSigner::hs256(by);
        signer.sign(claims, &NoRsa).now_or_never().unwrap().unwrap()
    }

    fn read(token: &str, rsa: &Says) -> Option<Access> {
        let pem = include_str!("test_keys/rsa.pem");
        let public = RsaPrivateKey::from_pem(pem).unwrap().public().clone();
        let secrets = [secret("a"), secret("b")];
        let reader = TokenReader::new(&secrets, vec![public]);
        let reading = reader.read(token, Network::BaseSepolia, NOW, rsa);
        reading.now_or_never().unwrap()
    }

    fn hs256(token: &str) -> Option<Access> {
        let rsa = Says(true, Cell::default());
        let access = read(token, &rsa);
        assert_eq!(rsa.1.get(), 0, "a secret's token is no matter for RSA");
        access
    }

    #[test]
    fn a_token_of_the_current_or_an_older_secret_says_what_was_sold() {
        for by in ["a", "b"] {
            let access = hs256(&signed(&claims(), &secret(by))).unwrap();
            assert_eq!(access.plan.as_str(), "basic");
            assert_eq!(access.purchase, claims().sub);
            assert_eq!(access.payer, claims().payer);
            assert_eq!((access.grant, access.limits.is_none()), (None, true));
        }
    }

    #[test]
    fn a_token_of_a_plan_with_limits_names_its_grant_and_no_other_token_does() {
        let told: Limits =
            serde_json::from_str(r#"{"quota":{"calls":1650},"concurrency":10}"#).unwrap();
        let metered = AccessClaims {
            grant: Some("2f1d0a52".to_owned()),
            limits: Some(told.into()),
            ..claims()
        };
        let access = hs256(&signed(&metered, &secret("a"))).unwrap();
        assert_eq!(access.grant, metered.grant);
        assert_eq!(access.limits, told);
        for halved in [
            AccessClaims {
                grant: None,
                ..metered.clone()
            },
            AccessClaims {
                limits: None,
                ..metered.clone()
            },
            AccessClaims {
                limits: Some(Limits::default().into()),
                ..metered.clone()
            },
        ] {
            assert_eq!(hs256(&signed(&halved, &secret("a"))), None, "{halved:?}");
        }
    }

    #[test]
    fn a_token_of_another_key_or_network_or_of_an_earlier_time_opens_nothing() {
        assert_eq!(hs256(&signed(&claims(), &secret("c"))), None);
        let expired = AccessClaims {
            exp: NOW.0,
            ..claims()
        };
        let elsewhere = AccessClaims {
            chain_id: Some(8_453),
            ..claims()
        };
        let anywhere = AccessClaims {
            chain_id: None,
            ..claims()
        };
        for claims in [expired, elsewhere, anywhere] {
            assert_eq!(hs256(&signed(&claims, &secret("a"))), None, "{claims:?}");
        }
    }

    #[test]
    fn what_else_we_sign_is_no_access_token() {
        let signer = TokenSigner::hs256(&secret("a"));
        let text = serde_json::to_vec(&claims()).unwrap();
        for (kind, is_good) in [("JWT", true), ("revoked+jwt", false), ("", false)] {
            let token = signer.sign_as(kind, &text, &NoRsa).now_or_never();
            let token = token.unwrap().unwrap();
            assert_eq!(hs256(&token).is_some(), is_good, "{kind}");
        }
    }

    #[test]
    fn a_changed_or_foreign_token_opens_nothing() {
        let good = signed(&claims(), &secret("a"));
        let (signed_part, signature) = good.rsplit_once('.').unwrap();
        let (header, payload) = signed_part.split_once('.').unwrap();
        let payload = URL_SAFE_NO_PAD.decode(payload).unwrap();
        let mut bent: Value = serde_json::from_slice(&payload).unwrap();
        bent["planId"] = json!("pro");
        let bent = URL_SAFE_NO_PAD.encode(bent.to_string());
        let unsigned = URL_SAFE_NO_PAD.encode(json!({"alg": "none", "kid": "x"}).to_string());
        for token in [
            format!("{header}.{bent}.{signature}"),
            format!("{unsigned}.{bent}."),
            format!("{signed_part}."),
            String::new(),
            ".".repeat(9),
            "a".repeat(9_999),
        ] {
            assert_eq!(hs256(&token), None, "{token}");
        }
    }

    #[test]
    fn an_rsa_token_is_as_good_as_the_platform_says_of_the_key_that_it_names() {
        let pem = include_str!("test_keys/rsa.pem");
        let own = RsaPrivateKey::from_pem(pem).unwrap();
        let token = |key_id: &str| {
            let header = json!({"alg": "RS256", "kid": key_id, "typ": "JWT"}).to_string();
            let payload = serde_json::to_vec(&claims()).unwrap();
            let part = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
            format!(
                "{}.{}.{}",
                part(header.as_bytes()),
                part(&payload),
                part(&[7; 256])
            )
        };
        for is_signed in [true, false] {
            let rsa = Says(is_signed, Cell::default());
            let access = read(&token(own.public().key_id()), &rsa);
            assert_eq!(access.is_some(), is_signed);
            assert_eq!(rsa.1.get(), 1);
        }
        let rsa = Says(true, Cell::default());
        assert_eq!(read(&token("another"), &rsa), None);
        assert_eq!(rsa.1.get(), 0);
    }
}
