//! Reads from the settings how payments get included.

use super::vars::{Read, Vars, private_key};
use crate::settlement::Settlement;
use crate::settlement::cdp::CdpKey;
use crate::settlement::facilitator::Facilitator;
use crate::types::Network;

const MAX_FACILITATORS: usize = 8;

/// The facilitators in their order, then the gas wallet. By default facilitators are used; the gas wallet is used when
/// the seller asks for it, and alone when no facilitator is named. `None` only together with a recorded problem.
pub(super) fn read(vars: &mut Vars<'_>, network: Option<Network>) -> Option<Settlement> {
    let use_gas_wallet = vars.flag("USE_GAS_WALLET", false);
    let gas_wallet = vars.optional("GAS_WALLET_PRIVATE_KEY", private_key);
    let key = cdp_key(vars);
    let before = vars.problems.len();
    let mut urls = vars.urls("FACILITATOR_URL", MAX_FACILITATORS);
    let is_readable = vars.problems.len() == before;

    let gas_wallet = match (use_gas_wallet?, gas_wallet) {
        (true, Read::Value(key)) => Some(key),
        (true, Read::Absent) => {
            vars.problem(
                "GAS_WALLET_PRIVATE_KEY",
                "is required when USE_GAS_WALLET is true",
            );
            return None;
        }
        (true, Read::Bad) => return None,
        (false, _) => None,
    };
    if urls.is_empty() && is_readable && gas_wallet.is_none() {
        urls.push(network?.default_facilitator_url().parse().ok()?);
    }
    if matches!(key, Read::Absent) && urls.iter().any(Facilitator::wants_key) {
        vars.problem(
            "CDP_API_KEY_ID",
            "and CDP_API_KEY_SECRET are required for Coinbase's facilitator, which is the default on mainnet",
        );
    }
    let key = key.into_option();
    let facilitators = urls
        .into_iter()
        .map(|url| Facilitator::new(url, key.as_ref()))
        .collect();
    Settlement::new(facilitators, gas_wallet)
}

fn cdp_key(vars: &mut Vars<'_>) -> Read<CdpKey> {
    let id = vars.optional("CDP_API_KEY_ID", |text| {
        (text.len() <= 200 && text.bytes().all(|b| b.is_ascii_graphic()))
            .then(|| text.to_owned())
            .ok_or_else(|| "must be the id of an API key".to_owned())
    });
    let secret = vars.optional("CDP_API_KEY_SECRET", |text| {
        CdpKey::new("", text).map(|_| text.to_owned()).ok_or_else(|| {
            "must be an API key's secret: base64 of 64 bytes (Ed25519), or a PEM private key (P-256)"
                .to_owned()
        })
    });
    match (id, secret) {
        (Read::Value(id), Read::Value(secret)) => {
            CdpKey::new(&id, &secret).map_or(Read::Bad, Read::Value)
        }
        (Read::Absent, Read::Absent) => Read::Absent,
        (Read::Value(_), Read::Absent) => {
            vars.problem("CDP_API_KEY_SECRET", "is required with CDP_API_KEY_ID");
            Read::Bad
        }
        (Read::Absent, Read::Value(_)) => {
            vars.problem("CDP_API_KEY_ID", "is required with CDP_API_KEY_SECRET");
            Read::Bad
        }
        _ => Read::Bad,
    }
}
