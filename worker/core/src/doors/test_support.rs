//! What stands behind the doors in their tests, and what buyers send.

use alloy_primitives::{B256, hex};
use serde_json::{Value, json};

use crate::chain::usdc;
use crate::config::{Config, test_config};
use crate::testing::WalletNode;
use crate::types::{Address, Network, U256, UnixMillis, UsdcAmount, WalletKey};
use crate::x402::Authorization;

const PLAN: &str = "basic";

/// No wallet has code there: what no key has signed is not proven.
pub(crate) const EMPTY: Result<&str, &str> = Ok("0x");

/// A node that says so.
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

/// What the seller asks today.
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

/// The same in version 2, by a client that sends back this much of the offer it has accepted.
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
