//! Why the chain would refuse a transfer.

use futures_util::future;

use super::super::env::{PurchaseEnv, Stuck};
use crate::chain::{Chain, SignedAuthorization};
use crate::x402::Refusal;

/// USDC's words for an authorization that is over.
const USED: &str = "authorization is used";
/// USDC's words for a balance below the amount.
pub(in crate::purchase) const TOO_LITTLE: &str = "transfer amount exceeds balance";
pub(in crate::purchase) const DISAGREE: &str =
    "the nodes do not agree whether the payer's balance covers the price";

/// Why the chain would refuse a transfer, in the order of the reference implementation. Where nodes contradict each other,
/// nothing is known.
pub(in crate::purchase) async fn diagnose<E: PurchaseEnv>(
    env: &E,
    signed: &SignedAuthorization,
    text: &str,
) -> Result<Refusal, Stuck> {
    let authorization = signed.authorization();
    let (used, balance) = future::join(
        env.chain()
            .authorization_used(authorization.from, authorization.nonce, None),
        env.chain().usdc_balance(authorization.from),
    )
    .await;
    if used? {
        return Ok(Refusal::InvalidExactEvmNonceAlreadyUsed);
    }
    // By a node that knows a newer block; and that use may be why the balance is low.
    if text.contains(USED) {
        return Err(Stuck::Waiting);
    }
    if balance? < authorization.value {
        return Ok(Refusal::InsufficientFunds);
    }
    if text.contains(TOO_LITTLE) {
        return Err(Stuck::Fault(DISAGREE.to_owned()));
    }
    env.log("simulation_failed", text);
    // The token's own word. An account with code is asked by it, also when its key has signed.
    if text.contains("invalid signature") {
        return Ok(Refusal::InvalidExactEvmPayloadSignature);
    }
    Ok(Refusal::InvalidExactEvmTransactionSimulationFailed)
}
