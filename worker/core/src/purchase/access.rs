//! What must be known before an answer is given away: who presents a payment that everybody may have seen on chain must show
//! control of the paying wallet; and who would be told that nothing was charged must not have been charged.

use alloy_primitives::B256;

use super::ask::Repeat;
use super::effects::{self, Fate};
use super::env::{PurchaseEnv, StoreFault, Stuck, Versioned};
use super::reply::PayReply;
use super::store::record_fact;
use crate::book::{Claim, PayerCommand, PayerReply, TargetKey};
use crate::chain::Chain;
use crate::chain::SignedAuthorization;
use crate::chain::usdc::payment_fingerprint;
use crate::offer::Terms;
use crate::types::RequestId;

/// As [`prove_fresh`], for an authorization that opens what was delivered. A transaction shows it to everybody also when it reverts,
/// and then the chain does not remember: but the payer's book knows every authorization that was ever attempted.
pub(super) async fn prove_unseen<E: PurchaseEnv>(
    env: &E,
    signed: &SignedAuthorization,
    terms: &Terms,
) -> Option<PayReply> {
    let nonce = signed.authorization().nonce;
    let fingerprint = payment_fingerprint(terms.network, signed.payer(), nonce);
    if terms.request_id == RequestId::derived(&fingerprint) {
        return Some(PayReply::NeedsFreshSignature);
    }
    // Only a look: an authorization that shows who asks pays nothing.
    let look = PayerCommand::Claim(Claim {
        transfers: vec![nonce],
        request_id: terms.request_id.clone(),
        target: TargetKey::new(&terms.target, &terms.resource),
        only_look: true,
    });
    match env.payer(signed.payer(), look).await {
        Ok(PayerReply::Taken) => Some(PayReply::NeedsFreshSignature),
        Ok(_) => prove_fresh(env, signed).await,
        Err(fault) => {
            env.log("check_failed", &fault.0);
            Some(PayReply::Unavailable)
        }
    }
}

/// Whether the client has given its name for this payment to another one before. `Some` is the refusal.
pub(super) async fn check_name<E: PurchaseEnv>(
    env: &E,
    signed: &SignedAuthorization,
    identifier: B256,
) -> Option<PayReply> {
    let identify = PayerCommand::Identify {
        identifier,
        nonce: signed.authorization().nonce,
    };
    match env.payer(signed.payer(), identify).await {
        Ok(PayerReply::Taken) => Some(PayReply::NamedOtherwise),
        Ok(_) => None,
        Err(fault) => {
            env.log("check_failed", &fault.0);
            Some(PayReply::Unavailable)
        }
    }
}

/// An authorization that the chain has not seen comes from the payer itself. `Some` is the refusal of any other.
pub(super) async fn prove_fresh<E: PurchaseEnv>(
    env: &E,
    signed: &SignedAuthorization,
) -> Option<PayReply> {
    let authorization = signed.authorization();
    match env
        .chain()
        .authorization_used(authorization.from, authorization.nonce, None)
        .await
    {
        Ok(false) => None,
        Ok(true) => Some(PayReply::NeedsFreshSignature),
        Err(error) => {
            env.log("check_failed", &error.0);
            Some(PayReply::Unavailable)
        }
    }
}

/// A payment counts for another purchase, or was presented for it. Only who made the authorization may learn what became of that
/// one, and the chain shows it to everybody once it is used.
pub(super) async fn lead_to<E: PurchaseEnv>(
    env: &E,
    signed: &SignedAuthorization,
    other: RequestId,
    attempted: bool,
) -> PayReply {
    match prove_fresh(env, signed).await {
        None => PayReply::Elsewhere {
            request_id: other,
            attempted,
        },
        Some(PayReply::NeedsFreshSignature) => PayReply::Taken,
        Some(reply) => reply,
    }
}

/// A payment is presented again where no purchase has begun: it may have been booked to another one of the same payer and target,
/// for which it was signed anew after a lost answer.
pub(super) async fn counts_elsewhere<E: PurchaseEnv>(env: &E, repeat: &Repeat) -> PayReply {
    let signed = &repeat.authorization;
    let whose = PayerCommand::Whose {
        nonce: signed.authorization().nonce,
        request_id: repeat.request_id.clone(),
    };
    match env.payer(signed.payer(), whose).await {
        Ok(PayerReply::Superseded { by }) => lead_to(env, signed, by, false).await,
        Ok(_) => PayReply::Conflict,
        Err(fault) => {
            env.log("check_failed", &fault.0);
            PayReply::Pending { transaction: None }
        }
    }
}

/// What came of a look for a payment that we had given up.
pub(super) enum Found {
    /// There is none.
    Nothing,
    /// The record knows more now.
    More,
    /// The chain cannot tell right now.
    Unknown,
}

/// Who hears that nothing was charged pays anew. But an authorization that we have given up may have been executed by
/// somebody else since the last look, so the chain is asked once more.
pub(super) async fn find_payment<E: PurchaseEnv>(
    env: &E,
    stored: &Versioned,
) -> Result<Found, StoreFault> {
    let record = &stored.record;
    let Some(attempt) = record.state.open_attempt() else {
        return Ok(Found::Nothing);
    };
    let fate = effects::fate_of(env, record, attempt).await;
    Ok(match fate.map(Fate::payment) {
        Ok(None) => Found::Nothing,
        Ok(Some(event)) => match record_fact(env, stored, &event)? {
            true => Found::More,
            false => Found::Unknown,
        },
        Err(Stuck::Waiting) => Found::Unknown,
        Err(Stuck::Fault(fault)) => {
            env.log("check_failed", &fault);
            Found::Unknown
        }
    })
}
