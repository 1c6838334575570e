//! A client's payment, in either version of x402. It is read member by member: an error names the member that cannot be
//! read, and what belongs there.

use core::ops::Range;

use crate::json;
use alloy_primitives::{Address, B256, U256};
use serde_json::Value;

use super::authorization::Authorization;
use super::dialect::Dialect;
use super::extensions;
use super::objects::PaymentRequirements;
use super::refusal::Refusal;
use super::unreadable::Unreadable;
use super::v1;
use crate::offer::Offer;

/// A client's payment, read but not yet checked.
#[derive(Clone, Debug)]
pub struct PaymentPayload {
    /// The version of x402 in which the payment is written.
    pub dialect: Dialect,
    /// The offer that the client says it accepted; in version 1, the payment's own scheme and network.
    pub accepted: Value,
    /// The authorization that the client says the payer has signed.
    pub authorization: Authorization,
    /// The claimed signature.
    pub signature: Vec<u8>,
    /// The digest of the name that the client gave to the payment, if it gave one.
    pub identifier: Option<B256>,
}

const OBJECT: &str = "an object";
const ADDRESS: &str = "a text of 0x and 40 hex digits";
const DIGITS: &str = "a text of decimal digits";
const HASH: &str = "a text of 0x and 64 hex digits";
const HEX: &str = "a text of 0x and an even number of hex digits";

/// Times in this range are milliseconds, from 2001 to far beyond the year 9999. Read as seconds, they would keep the
/// authorization valid for tens of thousands of years, which the payer did not mean. Larger times mean "for ever".
const MILLISECONDS: Range<u64> = 1_000_000_000_000..1_000_000_000_000_000;

/// Where a payment has its authorization's members: by their full paths, which errors name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Paths {
    pub(crate) from: &'static str,
    pub(crate) to: &'static str,
    pub(crate) value: &'static str,
    pub(crate) valid_after: &'static str,
    pub(crate) valid_before: &'static str,
    pub(crate) nonce: &'static str,
    pub(crate) signature: &'static str,
}

const X402: Paths = Paths {
    from: "payload.authorization.from",
    to: "payload.authorization.to",
    value: "payload.authorization.value",
    valid_after: "payload.authorization.validAfter",
    valid_before: "payload.authorization.validBefore",
    nonce: "payload.authorization.nonce",
    signature: "payload.signature",
};

/// Reads an authorization, whose members are in this object.
pub(crate) fn authorization(object: &Value, paths: &Paths) -> Result<Authorization, Unreadable> {
    let signed = Members(Some(object));
    let valid_before = signed.text(paths.valid_before, DIGITS, decimal)?;
    if MILLISECONDS.contains(&valid_before.saturating_to::<u64>()) {
        let expected = "in seconds since 1970";
        return Err(Unreadable::wrong(
            paths.valid_before,
            "is in milliseconds",
            expected,
        ));
    }
    Ok(Authorization {
        from: signed.text(paths.from, ADDRESS, address)?,
        to: signed.text(paths.to, ADDRESS, address)?,
        value: signed.text(paths.value, DIGITS, decimal)?,
        valid_after: signed.text(paths.valid_after, DIGITS, decimal)?,
        valid_before,
        nonce: signed.text(paths.nonce, HASH, fixed_hex)?,
    })
}

/// Reads a signature, which is a member of this object.
pub(crate) fn signature(object: &Value, paths: &Paths) -> Result<Vec<u8>, Unreadable> {
    Members(Some(object)).text(paths.signature, HEX, |text| {
        alloy_primitives::hex::decode(text.strip_prefix("0x")?).ok()
    })
}

/// One object of a payment. Its members are read by their full path, which errors name.
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
    /// Reads a payment. `null` counts as absent and `2.0` as `2`, since some clients write them so.
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
        let payload = payment.object("payload")?;
        let signed = Members(Some(payload)).object("payload.authorization")?;
        let authorization = authorization(signed, &X402)?;
        let signature = signature(payload, &X402)?;
        Ok(Self {
            dialect,
            accepted,
            authorization,
            signature,
            identifier: extensions::identifier(value)?,
        })
    }

    /// The members of the payment that contradict this offer; empty when there are none.
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

pub(crate) fn address(text: &str) -> Option<Address> {
    (text.len() == 42 && text.starts_with("0x"))
        .then(|| text.parse().ok())
        .flatten()
}

fn fixed_hex(text: &str) -> Option<B256> {
    (text.len() == 66 && text.starts_with("0x"))
        .then(|| text.parse().ok())
        .flatten()
}

/// Reads a `uint256` that consists of decimal digits only.
fn decimal(text: &str) -> Option<U256> {
    let digits = (1..=78).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    digits
        .then(|| U256::from_str_radix(text, 10).ok())
        .flatten()
}

#[cfg(test)]
mod tests;
