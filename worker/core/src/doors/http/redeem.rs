//! Payment by an ordinary transfer, at the door: its proof is taken, and answered.

use http::header::RETRY_AFTER;
use serde_json::json;

use super::answer;
use super::arrival::Arrival;
use super::proof::{Proof, refused};
use super::request::AccessRequest;
use crate::chain::Chain;
use crate::chain::transfer::{ProofFault, SHOW_SECONDS};
use crate::config::Config;
use crate::error::{Code, Error};
use crate::limit;
use crate::offer::{Offer, Terms};
use crate::purchase::{Ask, PayReply, Prove, Purchases, Sold};
use crate::response::{self, Response};
use crate::types::{Address, UnixSeconds};
use crate::x402::Dialect;

/// An authorization may be good for years.
const MAX_RETRY_AFTER_SECONDS: u64 = 86_400;

/// Takes a proof and answers with the grant. Until it is known whose it is, nothing is asked of any object; and of the chain
/// only what a contract wallet says to its signature.
pub(super) async fn redeem<P: Purchases, C: Chain>(
    config: &Config,
    purchases: &P,
    chain: &C,
    arrival: &Arrival<'_>,
    request: &AccessRequest,
    proof: &Proof,
) -> Response {
    let checked = proof.offer(config).and_then(|offer| {
        contradictions(request, &offer.terms)?;
        Ok(offer)
    });
    let offer = match checked {
        Ok(offer) => offer,
        Err(error) => return response::error(&error),
    };
    let payer = match proof.payer(config.proof_binding, chain).await {
        Ok(payer) => payer,
        Err(error) => return limit::counted(response::error(&error)),
    };
    let request_id = offer.terms.request_id.clone();
    let ask = Ask::Prove(Box::new(Prove {
        sold: Sold::of(&offer.terms, config),
        offer: offer.clone(),
        issuer: arrival.origin.as_str().to_owned(),
        payer,
        transaction: proof.transaction,
    }));
    let reply = purchases.ask(&request_id, &ask).await;
    let reply = reply.unwrap_or(PayReply::Pending { transaction: None });
    answer(config, arrival, &offer, payer, reply).await
}

/// The offer says what is bought. A body that says something else was meant for another one.
fn contradictions(request: &AccessRequest, terms: &Terms) -> Result<(), Error> {
    let differs = [
        (
            "planId",
            request
                .plan
                .as_ref()
                .is_some_and(|id| Some(id) != terms.target.plan()),
        ),
        (
            "resourceId",
            request
                .resource
                .as_ref()
                .is_some_and(|id| *id != terms.resource),
        ),
        (
            "requestId",
            request
                .request_id
                .as_ref()
                .is_some_and(|id| *id != terms.request_id),
        ),
    ];
    let names: Vec<_> = differs
        .into_iter()
        .filter_map(|(name, differs)| differs.then_some(name))
        .collect();
    if names.is_empty() {
        return Ok(());
    }
    Err(Error::invalid_request(
        "The body contradicts the offer that the proof names. Leave out the members in details, or send what the offer says.",
    )
    .with_details(json!({"mismatch": names})))
}

async fn answer(
    config: &Config,
    arrival: &Arrival<'_>,
    offer: &Offer,
    payer: Option<Address>,
    reply: PayReply,
) -> Response {
    let terms = &offer.terms;
    let error = match reply {
        PayReply::Unproven(fault) => return unproven(fault, terms, arrival.now),
        PayReply::Taken => Error::new(
            Code::TxAlreadyRedeemed,
            "Each transfer of this transaction that pays enough belongs to another purchase. One transfer pays one purchase.",
        ),
        PayReply::Conflict => Error::new(
            Code::RequestConflict,
            "The requestId of this offer belongs to a purchase of another payer or of something else. Send the proof of the \
             wallet that paid for it.",
        ),
        reply => {
            // A plan may be sold no more; what was paid for it counts all the same.
            let plan = terms.target.plan().and_then(|id| config.catalog.plan(id));
            let context = answer::Context {
                config,
                origin: &arrival.origin,
                dialect: Dialect::X402V2,
                payer: payer.unwrap_or_default(),
                offer: plan.map(|plan| (plan, offer)),
            };
            return context
                .outcome(arrival.rsa, reply, &terms.request_id, arrival.random)
                .await;
        }
    };
    response::error(&error)
}

/// The transaction does not pay the offer, or not yet.
fn unproven(fault: ProofFault, terms: &Terms, now: UnixSeconds) -> Response {
    let error = match fault {
        ProofFault::TxUnconfirmed => {
            let error = Error::new(
                Code::TxUnconfirmed,
                "The transaction is not on chain yet, or not deep enough. Repeat the same request; a transfer that was \
                 included in time stays good.",
            );
            let mut response = response::error(&error);
            response::set(&mut response, RETRY_AFTER, answer::RETRY_AFTER_SECONDS);
            return response;
        }
        ProofFault::AuthorizationOpen(until) => {
            let error = Error::new(
                Code::TxUnconfirmed,
                format!(
                    "The transfer pays, but so may the authorization that was presented for this requestId before, until {}. \
                     Repeat the same request after that; or cancel that authorization on chain (cancelAuthorization of the \
                     USDC contract) and repeat it at once. If it is executed first, it is the payment.",
                    until.to_iso()
                ),
            )
            .with_details(json!({"reason": fault.code(), "until": until.to_iso()}));
            let mut response = response::error(&error);
            let seconds = until.0.saturating_sub(now.0).clamp(1, MAX_RETRY_AFTER_SECONDS);
            response::set(&mut response, RETRY_AFTER, &seconds.to_string());
            return response;
        }
        ProofFault::AmountMismatch(received) => Error::new(
            Code::AmountMismatch,
            format!("The offer costs {}, the transfer is of {received}. Several transfers are not added up.", terms.amount),
        )
        .with_details(json!({"expected": terms.amount, "received": received})),
        ProofFault::TransferAfterExpiry => Error::new(
            Code::ChallengeExpired,
            "The transfer was included after the offer had expired. Ask the seller to send it back.",
        )
        .with_details(json!({"expiresAt": terms.expires_at.to_iso(), "reason": fault.code()})),
        ProofFault::ShownTooLate => Error::new(
            Code::ChallengeExpired,
            "A transfer can be shown until 30 days after the end of its offer, and that time is over. Ask the seller to send the \
             money back.",
        )
        .with_details(json!({
            "expiresAt": terms.expires_at.to_iso(),
            "showBefore": terms.expires_at.plus(SHOW_SECONDS).to_iso(),
            "reason": fault.code(),
        })),
        ProofFault::WalletNotUsed => refused(
            fault.code(),
            "The offer names a wallet that the seller no longer uses. Ask the seller to send the money back.",
        ),
        ProofFault::TransactionReverted => refused(fault.code(), "The transaction reverted: no money moved."),
        ProofFault::NoTransfer => refused(
            fault.code(),
            "The transaction holds no ordinary USDC transfer to the seller. (What an authorization moved is presented in \
             the PAYMENT-SIGNATURE header.)",
        ),
        ProofFault::PayerMismatch => refused(
            fault.code(),
            "The transfer came from another wallet than the one that signed the challengeId.",
        ),
        ProofFault::TransferBeforeOffer => refused(
            fault.code(),
            "The transfer is older than the offer. Pay after you have asked for the price.",
        ),
    };
    response::error(&error)
}

#[cfg(test)]
mod tests;
