//! What ties a credential to its challenge: the repeated members, and the nonce, which follows from the challenge's id
//! and realm.
//!
//! Two ways to derive the nonce are in use. The draft hashes both texts one after the other; newer clients hash them as a
//! JSON list, because the first form does not say where the id ends. Here it does: the id is sealed and the realm is ours.
//! One challenge so has two nonces. A purchase takes one payment whatever its nonce is, so only one of them is charged.

use crate::json;
use alloy_primitives::{B256, keccak256};
use serde_json::Value;

use super::challenge::{Challenge, encoded};
use super::credential::Credential;
use super::names::{INTENT, METHOD};
use crate::types::Address;
use crate::x402::read_address;

/// The nonces that belong to a challenge, in both derivations.
pub fn nonces(id: &str, realm: &str) -> [B256; 2] {
    [
        keccak256([id, realm].concat()),
        keccak256(json!([id, realm]).to_string()),
    ]
}

impl Credential {
    /// The members that contradict this challenge: first what is repeated of it; if that agrees, what follows from it.
    pub fn mismatches(&self, challenge: &Challenge) -> Vec<&'static str> {
        let repeated = |name: &str| self.challenge.get(name).filter(|value| !value.is_null());
        let expected = [
            ("id", Some(challenge.id.as_str())),
            ("realm", Some(&challenge.realm)),
            ("method", Some(METHOD)),
            ("intent", Some(INTENT)),
            ("expires", Some(&challenge.expires)),
            ("digest", challenge.digest.as_deref()),
            ("opaque", None),
            ("header", challenge.field.parameter()),
        ];
        let mut wrong: Vec<&'static str> = expected
            .into_iter()
            .filter(|(name, ours)| {
                let theirs = repeated(name);
                theirs.and_then(Value::as_str) != *ours || (ours.is_none() && theirs.is_some())
            })
            .map(|(name, _)| name)
            .collect();
        if !repeated("request").is_some_and(|request| is_request(request, &challenge.request)) {
            wrong.push("request");
        }
        if !wrong.is_empty() {
            return wrong;
        }
        if !nonces(&challenge.id, &challenge.realm).contains(&self.authorization.nonce) {
            wrong.push("nonce");
        }
        let chain = challenge.request.pointer("/methodDetails/chainId");
        let is_payer = |source: &String| {
            chain
                .and_then(Value::as_u64)
                .is_some_and(|chain| payer_of(source) == Some((chain, self.authorization.from)))
        };
        if !self.source.as_ref().is_none_or(is_payer) {
            wrong.push("source");
        }
        wrong
    }
}

/// Whether what is repeated is our request: as the text that we sent, or with the same content, because some clients
/// write it anew.
fn is_request(theirs: &Value, ours: &Value) -> bool {
    match theirs {
        Value::String(text) => {
            *text == encoded(ours)
                || crate::x402::header::decode(text).is_some_and(|request| request == *ours)
        }
        object => object == ours,
    }
}

/// Chain and address of a payer's identifier, `did:pkh:eip155:<chain>:<address>`.
fn payer_of(source: &str) -> Option<(u64, Address)> {
    let (chain, address) = source.strip_prefix("did:pkh:eip155:")?.split_once(':')?;
    Some((chain.parse().ok()?, read_address(address)?))
}
