//! The extensions in an offer: how to call what is sold, for catalogues (`bazaar`), and a name for a payment that its
//! client may choose (`payment-identifier`). Neither is ever required.
//! <https://github.com/x402-foundation/x402/tree/main/specs/extensions>

use crate::json;
use alloy_primitives::B256;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::unreadable::Unreadable;
use crate::offer::Target;
use crate::types::PlanId;

pub(super) const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";
pub(super) const BAZAAR: &str = "bazaar";
const IDENTIFIER: &str = "payment-identifier";

/// The `extensions` of an offer.
pub fn advertised(target: &Target) -> Value {
    let mut extensions = for_catalogues(target);
    extensions.extend(for_clients());
    Value::Object(extensions)
}

/// The extensions in an offer for a client that does not use HTTP.
pub fn for_clients() -> Map<String, Value> {
    let identifier = json!({
        "info": {"required": false},
        "schema": {
            "$schema": DIALECT,
            "type": "object",
            "properties": {
                "required": {"type": "boolean"},
                "id": {"type": "string", "minLength": 16, "maxLength": 128, "pattern": "^[A-Za-z0-9_-]+$"},
            },
            "required": ["required"],
        },
    });
    Map::from_iter([(IDENTIFIER.to_owned(), identifier)])
}

/// The extensions that catalogues read: how to call what is sold, and nothing about a purchase.
pub(super) fn for_catalogues(target: &Target) -> Map<String, Value> {
    match target {
        Target::Plan(plan) | Target::TopUp { plan, .. } => {
            Map::from_iter([(BAZAAR.to_owned(), bazaar(plan))])
        }
        // The catalog, and not the target, has the description of a route: see `Description`.
        Target::Route { .. } => Map::new(),
    }
}

/// The description of how a plan is bought.
fn bazaar(plan: &PlanId) -> Value {
    json!({
        "info": {
            "input": {"type": "http", "method": "POST", "bodyType": "json", "body": {"planId": plan}},
            "output": {"type": "json", "example": {
                "type": "AccessGrant", "accessToken": "eyJ...", "tokenType": "Bearer", "planId": plan,
            }},
        },
        "schema": {
            "$schema": DIALECT,
            "type": "object",
            "properties": {
                "input": {
                    "type": "object",
                    "properties": {
                        "type": {"const": "http"},
                        "method": {"const": "POST"},
                        "bodyType": {"const": "json"},
                        "body": {
                            "type": "object",
                            "properties": {
                                "planId": {"type": "string"},
                                "requestId": {"type": "string", "format": "uuid"},
                                "resourceId": {"type": "string"},
                            },
                            "required": ["planId"],
                        },
                    },
                    "required": ["type", "method", "bodyType", "body"],
                },
                "output": {
                    "type": "object",
                    "properties": {
                        "type": {"type": "string"},
                        "example": {
                            "type": "object",
                            "required": ["accessToken", "tokenType"],
                        },
                    },
                },
            },
            "required": ["input"],
        },
    })
}

/// The digest of the name that the client gave to its payment. Only the digest is ever needed.
pub fn identifier(payment: &Value) -> Result<Option<B256>, Unreadable> {
    let id = payment
        .get("extensions")
        .and_then(|extensions| extensions.get(IDENTIFIER))
        .and_then(|extension| extension.get("info"))
        .and_then(|info| info.get("id"));
    match id {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(id)) if is_identifier(id) => {
            let digest = Sha256::new()
                .chain_update(b"key0 payment identifier v1\0")
                .chain_update(id)
                .finalize();
            Ok(Some(B256::from_slice(&digest)))
        }
        found => Err(Unreadable::member(
            "extensions.payment-identifier.info.id",
            found,
            "a text of 16 to 128 letters, digits, _ and -",
        )),
    }
}

fn is_identifier(id: &str) -> bool {
    (16..=128).contains(&id.len())
        && id
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(id: Value) -> Result<Option<B256>, Unreadable> {
        identifier(&json!({"extensions": {IDENTIFIER: {"info": {"required": false, "id": id}}}}))
    }

    #[test]
    fn an_identifier_is_optional_and_has_its_alphabet_and_length() {
        assert_eq!(identifier(&json!({})), Ok(None));
        assert_eq!(identifier(&json!({"extensions": null})), Ok(None));
        assert_eq!(named(Value::Null), Ok(None));
        let good = "pay_0123456789-A".to_owned();
        assert!(named(json!(good)).unwrap().is_some());
        assert!(named(json!("a".repeat(128))).unwrap().is_some());
        assert_ne!(named(json!(good)), named(json!(good.to_lowercase())));
        for bad in [
            json!(&good[1..]),
            json!("a".repeat(129)),
            json!(format!("{good} ")),
            json!(format!("{good}\u{e9}")),
            json!(1),
            json!({}),
        ] {
            assert!(named(bad.clone()).is_err(), "{bad}");
        }
    }
}
