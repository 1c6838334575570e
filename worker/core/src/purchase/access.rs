//! What must be known before an answer is given away. A caller that presents a payment which everybody may have seen on
//! chain must show control of the paying wallet. And before a caller is told that nothing was charged, it must be
//! certain that nothing was.

use alloy_primitives::B256;

use super::effects::{self, Fate};
use super::env::{Found, PurchaseEnv, StoreFault, Stuck, Versioned};
use super::question::{Ask, Join, Pay};
use super::reply::PayReply;
use super::state::Purchase;
use super::store::record_fact;
use crate::book::{Look, PayerCommand, Seen, TargetKey};
use crate::chain::Chain;
use crate::chain::SignedAuthorization;
use crate::chain::usdc::payment_fingerprint;
use crate::types::{Address, CallFault, RequestId};

/// Why this purchase does not answer a payment that fits it, as far as the payer's book knows: the client has already
/// given the payment's name to another payment, or the goods are given only for an authorization that nobody else can
/// have seen.
///
/// A transaction shows an authorization to everybody even if it reverts, and then the chain's state does not remember
/// it; but the book knows every authorization that was ever attempted.
pub(super) async fn objection<E: PurchaseEnv>(
    env: &E,
    pay: &Pay,
    record: &Purchase,
) -> Option<PayReply> {
    let signed = &pay.authorization;
    let nonce = signed.authorization().nonce;
    let request_id = &record.terms.request_id;
    let must_be_fresh = Ask::needs_fresh_signature(record);
    let fingerprint = payment_fingerprint(record.terms.network, signed.payer(), nonce);
    let is_public = must_be_fresh && *request_id == RequestId::derived(&fingerprint);
    if pay.identifier.is_none() && (is_public || !must_be_fresh) {
        return is_public.then_some(PayReply::NeedsFreshSignature);
    }
    let seen = match look(env, signed.payer(), vec![nonce], pay.identifier).await {
        Ok(seen) => seen,
        Err(fault) => {
            env.log("check_failed", &fault.0);
            return Some(PayReply::Unavailable);
        }
    };
    if seen.named.is_some_and(|named| named != nonce) {
        return Some(PayReply::NamedOtherwise);
    }
    if !must_be_fresh {
        return None;
    }
    if is_public || !seen.is_free_for(request_id) {
        return Some(PayReply::NeedsFreshSignature);
    }
    prove_fresh(env, signed).await
}

/// What the payer's book says of these payments, and of the client's name for one. This decides nothing: the book looks
/// again when a payment is booked.
pub(super) async fn look<E: PurchaseEnv>(
    env: &E,
    payer: Address,
    payments: Vec<B256>,
    identifier: Option<B256>,
) -> Result<Seen, CallFault> {
    let look = PayerCommand::Look(Look {
        payments,
        identifier,
    });
    env.payer(payer, look).await?.seen()
}

/// Checks that the chain does not show the authorization as used: then it comes from the payer itself. `Some` is the
/// refusal if it may not.
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

/// The reply to a payment that counts for another purchase or was presented for it before. Only the wallet that signed
/// the authorization may learn the outcome of that purchase, and once the authorization is used, the chain shows it to
/// everybody.
pub(super) async fn lead_to<E: PurchaseEnv>(
    env: &E,
    signed: &SignedAuthorization,
    other: RequestId,
    target: TargetKey,
    by_attempted: bool,
) -> PayReply {
    match prove_fresh(env, signed).await {
        None => PayReply::Elsewhere {
            request_id: other,
            join: Join {
                payer: signed.payer(),
                target,
                by_attempted,
            },
        },
        Some(PayReply::NeedsFreshSignature) => PayReply::Taken,
        Some(reply) => reply,
    }
}

/// Whether a payment belongs to another purchase, when it is presented where no purchase has begun and none begins.
/// That may be a purchase of the same payer and target, for which the payment was signed anew after a lost answer; or
/// one for which the payment was presented under another id. A client that would be told to pay anew is led there
/// first. `None`: as far as the payer's book knows, the payment belongs to no other purchase.
pub(super) async fn counts_elsewhere<E: PurchaseEnv>(env: &E, pay: &Pay) -> Option<PayReply> {
    let signed = &pay.authorization;
    let nonce = signed.authorization().nonce;
    let seen = match look(env, signed.payer(), vec![nonce], None).await {
        Ok(seen) => seen,
        Err(fault) => {
            env.log("check_failed", &fault.0);
            return Some(PayReply::Unbegun);
        }
    };
    let superseded = seen.superseded_by(&pay.request_id);
    let (other, by_attempted) = match (superseded, seen.attempted_by_another(&pay.request_id)) {
        (Some(other), _) => (other, false),
        (None, Some(other)) => (other, true),
        (None, None) => return None,
    };
    let target = pay.target.clone();
    Some(lead_to(env, signed, other.clone(), target, by_attempted).await)
}

/// Looks for the payment of a purchase that says "nothing was charged". A client that learns this pays again, but
/// somebody else may have executed the authorization since the last look, so the chain is asked once more.
pub(super) async fn find_payment<E: PurchaseEnv>(
    env: &E,
    stored: &Versioned,
) -> Result<Found, StoreFault> {
    let record = &stored.record;
    let Some(attempt) = record.state.open_attempt() else {
        return Ok(Found::Nothing);
    };
    let fate = effects::fate_of(env, record, &attempt.broadcast).await;
    let is_open = matches!(fate, Ok(Fate::Open));
    Ok(match fate.map(Fate::payment) {
        Ok(None) if is_open => Found::NotYet,
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
