//! `GET /.well-known/token-info`: the format of the tokens, for backends that check them.

use serde::Serialize;

use crate::catalog::Plan;
use crate::config::Config;
use crate::token::TokenSigner;
use crate::types::HttpUrl;

/// `GET /.well-known/token-info`: what a backend must know to check the tokens.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TokenInfo<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    token_type: &'static str,
    algorithm: &'static str,
    key_id: &'a str,
    issuer: &'a str,
    jwks_url: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    public_key: Option<String>,
    expires_in: u64,
    chain_id: u64,
    claims: Vec<ClaimInfo>,
}

#[derive(Debug, Serialize)]
struct ClaimInfo {
    name: &'static str,
    description: &'static str,
}

/// The token format of this deployment, as seen at `origin`.
pub fn token_info<'a>(config: &'a Config, origin: &'a HttpUrl) -> TokenInfo<'a> {
    let claim = |name, description| ClaimInfo { name, description };
    let is_metered = |plan: &Plan| !plan.limits.is_none();
    let of_meters = match config.catalog.plans().iter().any(is_metered) {
        true => vec![
            claim(
                "grant",
                "only of a plan with limits: the grant whose calls are counted, by the request id of the purchase that founded it",
            ),
            claim(
                "limits",
                "only of a plan with limits: how many calls, how fast and how many at a time; the gateway enforces them",
            ),
        ],
        false => Vec::new(),
    };
    TokenInfo {
        kind: "JWT",
        token_type: "Bearer",
        algorithm: config.token.signer.algorithm(),
        key_id: config.token.signer.key_id(),
        issuer: origin.as_str(),
        jwks_url: origin.join("/.well-known/jwks.json"),
        public_key: match &config.token.signer {
            TokenSigner::Hs256 { .. } => None,
            TokenSigner::Rs256(key) => Some(key.public().to_pem()),
        },
        expires_in: config.token.ttl_seconds,
        chain_id: config.network.chain_id(),
        claims: [
            claim("sub", "request id of the purchase"),
            claim("jti", "challenge id of the purchase"),
            claim("resourceId", "the resource that the token opens"),
            claim("planId", "the plan that was bought"),
            claim("txHash", "the transaction that paid"),
            claim("iat", "second of issue, Unix time"),
            claim(
                "exp",
                "first second at which the token is no longer good, Unix time",
            ),
            claim("iss", "the gateway's public URL"),
            claim("payer", "address of the wallet that paid"),
            claim(
                "chainId",
                "the chain that was paid on: 8453 is Base, 84532 Base Sepolia, whose money is worth nothing",
            ),
        ]
        .into_iter()
        .chain(of_meters)
        .collect(),
    }
}
