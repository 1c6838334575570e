//! The challenge that a wallet signs, and what it has signed (the x402 extension sign-in-with-x, CAIP-122, EIP-4361).
//!
//! <https://github.com/x402-foundation/x402/blob/main/specs/extensions/sign-in-with-x.md>
//!
//! Nothing is stored for a challenge: its nonce is sealed, together with the action that it is for and its end. The whole text
//! that is signed follows from nonce and wallet, so that nothing of what a client sends back needs to be believed.

use alloy_primitives::hex;
use serde_json::Value;

use super::action::Action;
use crate::checkout::SignedNonce;
use crate::offer::SealKeys;
use crate::types::{Address, HttpUrl, Network, UnixSeconds};
use crate::x402::header::decode;

/// The header with what a wallet has signed.
pub(super) const SIGN_IN: &str = "sign-in-with-x";
/// For how long a challenge is good.
const GOOD_SECONDS: u64 = 300;
/// The bytes of a nonce: its end, random bytes, and the seal.
const END_BYTES: usize = 8;
const RANDOM_BYTES: usize = 8;
const SEAL_BYTES: usize = 16;

/// What is asked for. All empty texts are filled in.
const TEMPLATE: &str = r#"{
    "x402Version": 2, "error": "Sign in with the wallet that has paid",
    "resource": {"url": "", "description": "", "mimeType": "application/json"}, "accepts": [],
    "extensions": {"sign-in-with-x": {
        "info": {
            "domain": "", "uri": "", "version": "1", "nonce": "", "issuedAt": "", "expirationTime": "", "statement": "", "resources": [""]
        },
        "supportedChains": [{"chainId": "", "type": "eip191"}],
        "schema": {
            "$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object",
            "properties": {
                "domain": {"type": "string"}, "address": {"type": "string"}, "statement": {"type": "string"},
                "uri": {"type": "string", "format": "uri"}, "version": {"type": "string"}, "chainId": {"type": "string"},
                "type": {"type": "string"}, "nonce": {"type": "string"}, "issuedAt": {"type": "string", "format": "date-time"},
                "expirationTime": {"type": "string", "format": "date-time"},
                "resources": {"type": "array", "items": {"type": "string", "format": "uri"}}, "signature": {"type": "string"}
            },
            "required": ["domain", "address", "uri", "version", "chainId", "type", "nonce", "issuedAt", "signature"]
        }
    }}
}"#;

/// What a client has signed, as it says.
#[derive(Debug)]
pub(super) struct SignIn {
    pub(super) wallet: Address,
    pub(super) nonce: String,
    pub(super) signature: Vec<u8>,
}

impl SignIn {
    /// Reads the header.
    pub(super) fn read(header: &str) -> Option<Self> {
        let said = decode(header)?;
        let text = |name: &str| said.get(name).and_then(Value::as_str);
        Some(Self {
            wallet: text("address")?.parse().ok()?,
            nonce: text("nonce")?.to_owned(),
            signature: hex::decode(text("signature")?).ok()?,
        })
    }
}

/// Where challenges are made and read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    pub(super) keys: &'a SealKeys,
    pub(super) origin: &'a HttpUrl,
    pub(super) network: Network,
}

impl Place<'_> {
    /// What the seal of a nonce covers.
    fn sealed(action: &Action, head: &[u8]) -> Vec<u8> {
        // Neither method nor path has a line break.
        let action = format!("{}\n{}\n", action.method(), action.path());
        [action.as_bytes(), head].concat()
    }

    /// A new nonce for an action. (Wallets take letters and digits only.)
    fn nonce(&self, action: &Action, random: [u8; 16], now: UnixSeconds) -> SignedNonce {
        let until = now.plus(GOOD_SECONDS);
        let mut nonce = until.0.to_be_bytes().to_vec();
        nonce.extend(random.iter().take(RANDOM_BYTES));
        let seal = self.keys.stamp(&Self::sealed(action, &nonce));
        nonce.extend(seal);
        SignedNonce {
            nonce: hex::encode(nonce),
            until,
        }
    }

    /// Reads a nonce. `None` if we have not made it, or for another action, or if its time is over.
    pub(super) fn open(
        &self,
        action: &Action,
        nonce: &str,
        now: UnixSeconds,
    ) -> Option<SignedNonce> {
        let is_long = nonce.len() == 2 * (END_BYTES + RANDOM_BYTES + SEAL_BYTES);
        let bytes = is_long.then(|| hex::decode(nonce).ok())??;
        let (head, seal) = bytes.split_at_checked(END_BYTES + RANDOM_BYTES)?;
        let until = UnixSeconds(u64::from_be_bytes(*head.first_chunk()?));
        let is_ours = self.keys.is_stamp(&Self::sealed(action, head), seal);
        (is_ours && now < until).then(|| SignedNonce {
            // The same nonce in other letters is the same nonce.
            nonce: hex::encode(&bytes),
            until,
        })
    }

    fn domain(&self) -> &str {
        let url = self.origin.as_str();
        let (_, rest) = url.split_once("://").unwrap_or(("", url));
        rest.split('/').next().unwrap_or_default()
    }

    /// The text that a wallet signs (EIP-4361).
    pub(super) fn text(&self, action: &Action, signed: &SignedNonce, wallet: Address) -> String {
        let (domain, uri) = (self.domain(), self.origin.join(&action.path()));
        let (statement, chain) = (action.statement(), self.network.chain_id());
        let (from, until) = times(signed);
        let SignedNonce { nonce, .. } = signed;
        format!(
            "{domain} wants you to sign in with your Ethereum account:\n{wallet}\n\n{statement}\n\nURI: {uri}\nVersion: 1\n\
             Chain ID: {chain}\nNonce: {nonce}\nIssued At: {from}\nExpiration Time: {until}\nResources:\n- {uri}"
        )
    }

    /// What is asked for, as x402 asks for a payment.
    pub(super) fn required(&self, action: &Action, random: [u8; 16], now: UnixSeconds) -> Value {
        let signed = self.nonce(action, random, now);
        let (from, until) = times(&signed);
        let uri = self.origin.join(&action.path());
        // Code that builds it would be much larger.
        let mut required: Value = serde_json::from_str(TEMPLATE).unwrap_or_default();
        for (place, text) in [
            ("/resource/url", uri.clone()),
            ("/resource/description", action.statement()),
            (
                "/extensions/sign-in-with-x/info/domain",
                self.domain().to_owned(),
            ),
            ("/extensions/sign-in-with-x/info/uri", uri.clone()),
            ("/extensions/sign-in-with-x/info/nonce", signed.nonce),
            ("/extensions/sign-in-with-x/info/issuedAt", from),
            ("/extensions/sign-in-with-x/info/expirationTime", until),
            (
                "/extensions/sign-in-with-x/info/statement",
                action.statement(),
            ),
            ("/extensions/sign-in-with-x/info/resources/0", uri),
            (
                "/extensions/sign-in-with-x/supportedChains/0/chainId",
                self.network.caip2().to_owned(),
            ),
        ] {
            if let Some(value) = required.pointer_mut(place) {
                *value = Value::String(text);
            }
        }
        required
    }
}

/// From when and until when a challenge is good.
fn times(signed: &SignedNonce) -> (String, String) {
    let from = UnixSeconds(signed.until.0.saturating_sub(GOOD_SECONDS));
    (from.to_iso(), signed.until.to_iso())
}
