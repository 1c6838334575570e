//! The access grant: the token together with what the buyer needs to use it and to prove the payment.

use key0_validator::Claims;
use serde::Serialize;

use crate::config::Config;
use crate::types::{ResourceId, UnixSeconds};

use super::token::SigningError;

/// The answer to a paid purchase.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AccessGrant<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    challenge_id: &'a str,
    request_id: &'a str,
    access_token: String,
    token_type: &'static str,
    expires_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    resource_endpoint: Option<String>,
    resource_id: &'a str,
    plan_id: &'a str,
    tx_hash: &'a str,
    explorer_url: String,
}

impl<'a> AccessGrant<'a> {
    /// The grant for claims that were fixed at delivery. Equal claims give equal grants.
    pub fn new(config: &Config, claims: &'a Claims) -> Result<Self, SigningError> {
        Ok(Self {
            kind: "AccessGrant",
            challenge_id: &claims.jti,
            request_id: &claims.sub,
            access_token: config.token_signer.sign(claims)?,
            token_type: "Bearer",
            expires_at: UnixSeconds(claims.exp).to_iso(),
            resource_endpoint: config
                .resource_endpoint
                .as_deref()
                .zip(claims.resource_id.parse().ok())
                .map(|(template, resource)| resource_endpoint(template, &resource)),
            resource_id: &claims.resource_id,
            plan_id: &claims.plan_id,
            tx_hash: &claims.tx_hash,
            explorer_url: format!("{}/tx/{}", config.network.explorer(), claims.tx_hash),
        })
    }
}

/// Fills a resource into the seller's URL template, percent-encoded as one path segment.
pub fn resource_endpoint(template: &str, resource: &ResourceId) -> String {
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
    use super::*;

    #[test]
    fn resources_are_encoded_into_the_endpoint() {
        let endpoint = resource_endpoint(
            "https://api.example/r/{resourceId}",
            &"photos/eu:1".parse().unwrap(),
        );
        assert_eq!(endpoint, "https://api.example/r/photos%2Feu%3A1");
    }
}
