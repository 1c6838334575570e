//! The node behind the doors in their tests, and payments of buyers.

use crate::json;
use alloy_primitives::{B256, hex};
use serde_json::Value;

use crate::chain::usdc;
use crate::config::{Config, test_config};
use crate::mpp::nonces;
use crate::offer::Offer;
use crate::testing::WalletNode;
use crate::types::{Address, Network, U256, UnixMillis, UsdcAmount, WalletKey};
use crate::x402::Authorization;

const PLAN: &str = "basic";

/// The answer of a node on which no wallet has code: only a key's signature is proven there.
pub(crate) const EMPTY: Result<&str, &str> = Ok("0x");

/// A node on which no wallet has code.
pub(crate) fn node() -> WalletNode {
    WalletNode {
        about: "",
        says: Some(EMPTY),
        now: UnixMillis(1_800_000_010_000),
    }
}

pub(crate) fn buyer() -> WalletKey {
    WalletKey::from_hex(&format!("{:064x}", 0xb0b)).unwrap()
}

/// The current price.
pub(crate) fn price(config: &Config) -> UsdcAmount {
    config.catalog.plan(&PLAN.parse().unwrap()).unwrap().price
}

/// A payment of version 1, to `to` over `units`.
pub(crate) fn version1(to: Address, units: u64) -> Value {
    let authorization = Authorization {
        from: buyer().address(),
        to,
        value: U256::from(units),
        valid_after: U256::ZERO,
        valid_before: U256::from(1_800_000_300u64),
        nonce: B256::repeat_byte(1),
    };
    let digest = usdc::authorization_digest(&authorization, Network::BaseSepolia);
    let signature = buyer().sign(&digest).unwrap().as_bytes();
    json!({
        "x402Version": 1,
        "scheme": "exact",
        "network": "base-sepolia",
        "payload": {
            "signature": hex::encode_prefixed(signature),
            "authorization": {
                "from": authorization.from,
                "to": to,
                "value": units.to_string(),
                "validAfter": "0",
                "validBefore": "1800000300",
                "nonce": authorization.nonce,
            },
        },
    })
}

/// The credential with which a client of the Machine Payments Protocol pays the offer of the shop at `shop.example`.
/// `form`: which of the two nonces it signs.
pub(crate) fn credential(offer: &Offer, form: usize) -> Value {
    const REALM: &str = "shop.example";
    let terms = &offer.terms;
    let authorization = Authorization {
        from: buyer().address(),
        to: terms.pay_to,
        value: terms.amount.to_u256(),
        valid_after: U256::ZERO,
        valid_before: U256::from(terms.expires_at.0),
        nonce: nonces(offer.id.as_str(), REALM)[form],
    };
    let digest = usdc::authorization_digest(&authorization, terms.network);
    let request = json!({
        "amount": terms.amount.units().to_string(),
        "currency": terms.network.usdc().to_checksum(None),
        "recipient": terms.pay_to.to_checksum(None),
        "methodDetails": {"chainId": 84532, "credentialTypes": ["authorization"], "decimals": 6},
    });
    json!({
        "challenge": {
            "id": offer.id,
            "realm": REALM,
            "method": "evm",
            "intent": "charge",
            "request": request,
            "expires": terms.expires_at.to_rfc3339(),
        },
        "payload": {
            "type": "authorization",
            "from": authorization.from,
            "to": authorization.to,
            "value": terms.amount.units().to_string(),
            "validAfter": "0",
            "validBefore": terms.expires_at.0.to_string(),
            "nonce": authorization.nonce,
            "signature": hex::encode_prefixed(buyer().sign(&digest).unwrap().as_bytes()),
        },
        "source": format!("did:pkh:eip155:84532:{}", authorization.from),
    })
}

/// A payment of version 2, by a client that sends back this part (`extra`) of the offer that it has accepted.
pub(crate) fn version2(to: Address, units: u64, extra: &Value) -> Value {
    let config = test_config();
    let mut payment = version1(to, units);
    payment["x402Version"] = json!(2);
    payment["accepted"] = json!({
        "scheme": "exact",
        "network": config.network.caip2(),
        "amount": units.to_string(),
        "asset": config.network.usdc(),
        "payTo": to,
        "extra": extra,
    });
    payment
}
