//! x402 version 1, for the clients that still speak it.
//! <https://github.com/x402-foundation/x402/blob/main/specs/x402-specification-v1.md>
//!
//! Version 1 differs in the wrapping only: the payer signs the same. So behind the door there is no difference, and
//! facilitators are asked in version 2, which all of them speak, Coinbase's included.
//!
//! A payment of version 1 names neither its offer nor its purchase: the body of the request says what it pays for.

use serde_json::Value;

use crate::json;

use super::dialect::Dialect;
use super::objects::MAX_TIMEOUT_SECONDS;
use super::resource::Resource;
use crate::offer::Terms;

const V1: Dialect = Dialect::X402V1;

/// The `accepts` of a 402's body, for clients of version 1, which ignore our own members of that body.
///
/// These clients check each entry against a schema, and an entry that does not fit makes all of them useless. So every
/// member is present, and none is `null`.
pub fn accepts(terms: &Terms, resource: &Resource) -> Value {
    let network = terms.network;
    json!([{
        "scheme": "exact",
        "network": V1.name_of(network),
        "maxAmountRequired": terms.amount.units().to_string(),
        "resource": resource.url,
        "description": resource.description,
        "mimeType": resource.mime_type,
        "payTo": terms.pay_to.to_checksum(None),
        "maxTimeoutSeconds": MAX_TIMEOUT_SECONDS,
        "asset": network.usdc().to_checksum(None),
        "extra": {"name": network.usdc_domain_name(), "version": network.usdc_domain_version()},
    }])
}

/// The members of a payment of version 1 that contradict these terms. (Amount, asset and recipient are checked with the
/// signature.)
pub fn mismatches(terms: &Terms, payment: &Value) -> Vec<&'static str> {
    [("scheme", "exact"), ("network", V1.name_of(terms.network))]
        .into_iter()
        .filter(|(name, ours)| payment.get(*name).and_then(Value::as_str) != Some(*ours))
        .map(|(name, _)| name)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::purchase::test_offer;

    #[test]
    fn the_offer_is_what_the_published_client_demands() {
        let url = "https://shop.example/x402/access";
        let resource = Resource::json(url, "An hour \u{2014} \u{1f4f7}");
        let offer = accepts(&test_offer().terms, &resource);
        assert_eq!(
            offer,
            json!([{
                "scheme": "exact",
                "network": "base-sepolia",
                "maxAmountRequired": "15000",
                "resource": "https://shop.example/x402/access",
                "description": "An hour - ?",
                "mimeType": "application/json",
                "payTo": "0x209693Bc6afc0C5328bA36FaF03C514EF312287C",
                "maxTimeoutSeconds": 300,
                "asset": "0x036CbD53842c5426634e7929541eC2318f3dCF7e",
                "extra": {"name": "USDC", "version": "2"},
            }])
        );
    }

    #[test]
    fn scheme_and_network_must_be_ours() {
        let terms = test_offer().terms;
        let of = |scheme: Value, network: Value| {
            mismatches(&terms, &json!({"scheme": scheme, "network": network}))
        };
        assert!(of(json!("exact"), json!("base-sepolia")).is_empty());
        assert_eq!(of(json!("upto"), json!("base-sepolia")), ["scheme"]);
        assert_eq!(of(json!("exact"), json!("base")), ["network"]);
        assert_eq!(of(json!("exact"), json!("eip155:84532")), ["network"]);
        assert_eq!(of(Value::Null, json!(1)), ["scheme", "network"]);
    }
}
