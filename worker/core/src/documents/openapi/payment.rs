//! The price of an operation in the form that registries read: `x-payment-info`.

use crate::json;
use serde::Serialize;
use serde_json::Value;

use crate::config::Config;
use crate::mpp::{INTENT, METHOD};
use crate::types::UsdcAmount;

const CURRENCY: &str = "USD";

/// The price of an operation.
#[derive(Debug, Serialize)]
pub(super) struct PaymentInfo {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    offers: Vec<Offer>,
    price: Price,
    protocols: Vec<Value>,
}

/// One way to pay the price.
#[derive(Debug, Serialize)]
struct Offer {
    intent: &'static str,
    method: &'static str,
    /// The amount, in millionths of a USDC.
    amount: String,
    /// The address of the token.
    currency: String,
    description: String,
}

#[derive(Debug, Serialize)]
#[serde(tag = "mode", rename_all = "lowercase")]
enum Price {
    Fixed {
        currency: &'static str,
        amount: String,
    },
    Dynamic {
        currency: &'static str,
        min: String,
        max: String,
    },
}

impl PaymentInfo {
    /// The prices of an operation, each with the name of what it buys. `None` when there are none. `has_offers`: whether there
    /// is room for what only clients of the Machine Payments Protocol read.
    pub(super) fn new<'a>(
        config: &Config,
        prices: impl Iterator<Item = (UsdcAmount, &'a str)> + Clone,
        has_offers: bool,
    ) -> Option<Self> {
        let amounts = prices.clone().map(|(amount, _)| amount);
        let (min, max) = (amounts.clone().min()?, amounts.max()?);
        let price = match min == max {
            true => Price::Fixed {
                currency: CURRENCY,
                amount: dollars(min),
            },
            false => Price::Dynamic {
                currency: CURRENCY,
                min: dollars(min),
                max: dollars(max),
            },
        };
        let token = config.network.usdc().to_checksum(None);
        let is_both = config.mpp.enabled;
        let offers = prices.map(|(amount, description)| Offer {
            intent: INTENT,
            // Clients look for a method that they have. For x402 the protocol below is enough.
            method: if is_both { METHOD } else { "x402" },
            amount: amount.units().to_string(),
            currency: token.clone(),
            description: description.to_owned(),
        });
        let mpp = json!({"mpp": {"method": METHOD, "intent": INTENT, "currency": token}});
        Some(Self {
            offers: offers.filter(|_| has_offers).collect(),
            price,
            protocols: [json!({"x402": {}})]
                .into_iter()
                .chain((is_both && has_offers).then_some(mpp))
                .collect(),
        })
    }
}

/// A price without the dollar sign.
fn dollars(amount: UsdcAmount) -> String {
    amount.to_string().trim_start_matches('$').to_owned()
}
