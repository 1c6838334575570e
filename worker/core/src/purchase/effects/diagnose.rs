//! Finding out why the chain would refuse a transfer.

use futures_util::future;

use super::super::env::{PurchaseEnv, Stuck};
use crate::chain::{Chain, SignedAuthorization};
use crate::x402::Refusal;

/// USDC's error text for an authorization that was used or cancelled.
const USED: &str = "authorization is used";
/// USDC's error text for a balance below the amount.
pub(in crate::purchase) const TOO_LITTLE: &str = "transfer amount exceeds balance";
pub(in crate::purchase) const DISAGREE: &str =
    "the nodes do not agree whether the payer's balance covers the price";

/// Why the chain would refuse a transfer, checked in the order of the reference implementation. Where nodes contradict
/// each other, the reason is not known.
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
    // The node that simulated knows a newer block than the node that we asked. The use of the authorization may be why
    // the balance is low.
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
    // USDC itself has refused the signature. USDC asks an account with code whether the signature is valid, even if the
    // account's key has signed.
    if text.contains("invalid signature") {
        return Ok(Refusal::InvalidExactEvmPayloadSignature);
    }
    Ok(Refusal::InvalidExactEvmTransactionSimulationFailed)
}
