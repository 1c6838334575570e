//! The access grant: the token together with what the buyer needs to use it and to prove the payment.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::config::Config;
use crate::error::Code;
use crate::goods::Goods;
use crate::json::Put as _;
use crate::token::RsaSigner;
use crate::types::{ResourceId, UnixSeconds};

/// The answer to a paid purchase.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AccessGrant<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    challenge_id: &'a str,
    request_id: &'a str,
    access_token: Value,
    token_type: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resource_endpoint: Option<String>,
    resource_id: &'a str,
    plan_id: &'a str,
    /// What names the access when it is topped up: the request id of the purchase that founded it.
    #[serde(skip_serializing_if = "Option::is_none")]
    grant: Option<&'a str>,
    tx_hash: &'a str,
    explorer_url: String,
    /// Further members of the backend's answer, passed on as they are.
    #[serde(flatten)]
    passed_on: Map<String, Value>,
}

/// The grant could not be made: signing the token or reading the stored credential failed, or the purchase was paid for
/// on another network than the one that the seller uses now.
#[derive(Debug)]
pub struct GrantError;

/// Members of the grant that the gateway writes itself. A member of the same name in the backend's answer is left out.
const OWN_MEMBERS: [&str; 10] = [
    "type",
    "challengeId",
    "requestId",
    "accessToken",
    "resourceEndpoint",
    "resourceId",
    "planId",
    "grant",
    "txHash",
    "explorerUrl",
];

impl<'a> AccessGrant<'a> {
    /// The grant for these goods: a token that we sign over the claims, or the credential that the backend issued. The
    /// same delivery always gives the same grant.
    pub async fn new(
        config: &Config,
        rsa: &dyn RsaSigner,
        goods: &'a Goods,
    ) -> Result<Self, GrantError> {
        // The goods of a paid call are its answer, which has no claims and no grant.
        let claims = goods.claims().ok_or(GrantError)?;
        if claims.chain_id != Some(config.network.chain_id()) {
            return Err(GrantError);
        }
        let (access_token, token_type, expires_at, passed_on) = match goods {
            Goods::Answer { .. } => return Err(GrantError),
            Goods::Token { claims } => {
                let token = config.token.signer.sign(claims, rsa).await;
                let token = token.map_err(|_| GrantError)?;
                let expires_at = UnixSeconds(claims.exp).to_iso();
                (
                    token.into(),
                    "Bearer".into(),
                    Some(expires_at.into()),
                    Map::new(),
                )
            }
            Goods::Credential { sealed, .. } => {
                let body = config
                    .backend
                    .credential_key
                    .open(&claims.jti, sealed)
                    .ok_or(GrantError)?;
                let mut members: Map<String, Value> =
                    serde_json::from_slice(&body).map_err(|_| GrantError)?;
                let token = members.remove("token").ok_or(GrantError)?;
                let token_type = members
                    .remove("tokenType")
                    .unwrap_or_else(|| "Bearer".into());
                let expires_at = members.remove("expiresAt");
                members.retain(|name, _| !OWN_MEMBERS.contains(&name.as_str()));
                (token, token_type, expires_at, members)
            }
        };
        Ok(Self {
            kind: "AccessGrant",
            challenge_id: &claims.jti,
            request_id: &claims.sub,
            access_token,
            token_type,
            expires_at,
            resource_endpoint: config
                .backend
                .resource_endpoint
                .as_deref()
                .zip(claims.resource_id.parse().ok())
                .map(|(template, resource)| resource_endpoint(template, &resource)),
            resource_id: &claims.resource_id,
            plan_id: &claims.plan_id,
            // A credential of the backend is counted there.
            grant: match goods {
                Goods::Token { claims } => claims.grant.as_deref(),
                _ => None,
            },
            tx_hash: &claims.tx_hash,
            explorer_url: format!("{}/tx/{}", config.network.explorer(), claims.tx_hash),
            passed_on,
        })
    }
}

impl AccessGrant<'_> {
    /// Adds, for a client that presents the proof of a transfer again, that the grant was handed out before.
    #[must_use]
    pub fn redeemed_before(mut self) -> Self {
        let code = Code::ProofAlreadyRedeemed.as_str();
        self.passed_on.put("code", code.into());
        self
    }
}

/// Fills a resource into the seller's URL template, percent-encoded as one path segment.
fn resource_endpoint(template: &str, resource: &ResourceId) -> String {
    let mut encoded = String::with_capacity(resource.as_str().len());
    for byte in resource.as_str().bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    template.replace("{resourceId}", &encoded)
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use key0_validator::Claims;

    use super::*;
    use crate::config::test_config;
    use crate::purchase::test_offer;
    use crate::purchase::test_support::claims;
    use crate::token::NoRsa;

    #[test]
    fn a_backends_credential_is_passed_on_and_cannot_pose_as_the_gateway() {
        let config = test_config();
        let mut claims = claims();
        let id = test_offer().id;
        claims.jti = id.to_string();
        let answer =
            br#"{"token":"opaque","tokenType":"Key","region":"eu","txHash":"0xforged","type":"x"}"#;
        let sealed = config.backend.credential_key.seal(id.as_str(), answer);
        let goods = |sealed: String| Goods::Credential {
            claims: claims.clone(),
            sealed,
        };
        let good = goods(sealed);
        let grant = AccessGrant::new(&config, &NoRsa, &good)
            .now_or_never()
            .unwrap()
            .unwrap();
        let grant = serde_json::to_value(grant).unwrap();
        assert_eq!(grant["accessToken"], "opaque");
        assert_eq!(grant["tokenType"], "Key");
        assert_eq!(grant["region"], "eu");
        assert_eq!(grant["type"], "AccessGrant");
        assert_eq!(grant["txHash"], claims.tx_hash);
        assert!(grant.get("expiresAt").is_none());
        let nonsense = goods("nonsense".to_owned());
        let nonsense = AccessGrant::new(&config, &NoRsa, &nonsense);
        assert!(nonsense.now_or_never().unwrap().is_err());
    }

    #[test]
    fn what_was_paid_on_another_network_is_granted_to_nobody() {
        let mut config = test_config();
        let mut claims = claims();
        let is_granted = |config: &Config, claims: &Claims| {
            let claims = claims.clone();
            let goods = Goods::Token { claims };
            let grant = AccessGrant::new(config, &NoRsa, &goods);
            grant.now_or_never().unwrap().is_ok()
        };
        assert!(is_granted(&config, &claims));
        config.network = crate::types::Network::Base;
        assert!(!is_granted(&config, &claims));
        claims.chain_id = None;
        assert!(!is_granted(&config, &claims));
    }

    #[test]
    fn resources_are_encoded_into_the_endpoint() {
        let endpoint = resource_endpoint(
            "https://api.example/r/{resourceId}",
            &"photos/eu:1".parse().unwrap(),
        );
        assert_eq!(endpoint, "https://api.example/r/photos%2Feu%3A1");
    }
}
