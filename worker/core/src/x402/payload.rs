//! A client's payment, in either version of x402, read member by member: what cannot be read is named, with what belongs there.

use alloy_primitives::{Address, B256, U256};
use serde_json::{Value, json};

use super::authorization::Authorization;
use super::dialect::Dialect;
use super::extensions;
use super::objects::PaymentRequirements;
use super::refusal::Refusal;
use super::unreadable::Unreadable;
use super::v1;
use crate::offer::Offer;

/// A client's payment, read but not yet believed.
#[derive(Clone, Debug)]
pub struct PaymentPayload {
    /// What it is written in.
    pub dialect: Dialect,
    /// What the client says it accepted; in version 1, the payment's own scheme and network.
    pub accepted: Value,
    /// What the client says the payer signed.
    pub authorization: Authorization,
    /// The claimed signature.
    pub signature: Vec<u8>,
    /// The digest of the client's own name for it, if it gave one.
    pub identifier: Option<B256>,
}

const OBJECT: &str = "an object";
const ADDRESS: &str = "a text of 0x and 40 hex digits";
const DIGITS: &str = "a text of decimal digits";
const HASH: &str = "a text of 0x and 64 hex digits";
const HEX: &str = "a text of 0x and an even number of hex digits";

/// One object of a payment. Its members are read under the full path that errors name.
struct Members<'a>(Option<&'a Value>);

impl<'a> Members<'a> {
    /// Reads the member that `path` ends in. `read` converts its value.
    fn get<T>(
        &self,
        path: &'static str,
        expected: &str,
        read: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<T, Unreadable> {
        let name = path.rsplit('.').next().unwrap_or(path);
        let found = self.0.and_then(|object| object.get(name));
        found
            .and_then(read)
            .ok_or_else(|| Unreadable::member(path, found, expected))
    }

    fn text<T>(
        &self,
        path: &'static str,
        expected: &str,
        read: impl FnOnce(&'a str) -> Option<T>,
    ) -> Result<T, Unreadable> {
        self.get(path, expected, |value| value.as_str().and_then(read))
    }

    fn object(&self, path: &'static str) -> Result<&'a Value, Unreadable> {
        self.get(path, OBJECT, |value| value.is_object().then_some(value))
    }
}

impl PaymentPayload {
    /// Reads the object. `null` counts as absent and `2.0` as `2`, as some clients write them.
    pub fn parse(dialect: Dialect, value: &Value) -> Result<Self, Unreadable> {
        let number = dialect.x402_version();
        let payment = Members(Some(value));
        let said = payment.get(
            "x402Version",
            &format!("the number {number}"),
            Value::as_f64,
        )?;
        if said != f64::from(number) {
            return Err(Refusal::InvalidX402Version.into());
        }
        let accepted = match dialect {
            Dialect::X402V1 => {
                json!({"scheme": value.get("scheme"), "network": value.get("network")})
            }
            Dialect::X402V2 => payment.get(
                "accepted",
                "the entry of `accepts` that is paid, unchanged",
                |value| value.is_object().then(|| value.clone()),
            )?,
        };
        let payload = Members(Some(payment.object("payload")?));
        let signed = Members(Some(payload.object("payload.authorization")?));
        let authorization = Authorization {
            from: signed.text("payload.authorization.from", ADDRESS, address)?,
            to: signed.text("payload.authorization.to", ADDRESS, address)?,
            value: signed.text("payload.authorization.value", DIGITS, decimal)?,
            valid_after: signed.text("payload.authorization.validAfter", DIGITS, decimal)?,
            valid_before: signed.text("payload.authorization.validBefore", DIGITS, decimal)?,
            nonce: signed.text("payload.authorization.nonce", HASH, fixed_hex)?,
        };
        let signature = payload.text("payload.signature", HEX, |text| {
            alloy_primitives::hex::decode(text.strip_prefix("0x")?).ok()
        })?;
        Ok(Self {
            dialect,
            accepted,
            authorization,
            signature,
            identifier: extensions::identifier(value)?,
        })
    }

    /// The members that contradict this offer; empty when it is paid as it was offered.
    pub fn mismatches(&self, offer: &Offer) -> Vec<&'static str> {
        match self.dialect {
            Dialect::X402V1 => v1::mismatches(&offer.terms, &self.accepted),
            Dialect::X402V2 => PaymentRequirements::new(offer).mismatches(&self.accepted),
        }
    }

    /// The challenge id that came back with the offer, if the client kept it.
    pub fn challenge_id(&self) -> Option<&str> {
        self.accepted.get("extra")?.get("challengeId")?.as_str()
    }
}

fn address(text: &str) -> Option<Address> {
    (text.len() == 42 && text.starts_with("0x"))
        .then(|| text.parse().ok())
        .flatten()
}

fn fixed_hex(text: &str) -> Option<B256> {
    (text.len() == 66 && text.starts_with("0x"))
        .then(|| text.parse().ok())
        .flatten()
}

/// A `uint256` in decimal digits and nothing else.
fn decimal(text: &str) -> Option<U256> {
    let digits = (1..=78).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    digits
        .then(|| U256::from_str_radix(text, 10).ok())
        .flatten()
}

#[cfg(test)]
mod tests;
