//! What the door answers, for each outcome.
//! <https://github.com/x402-foundation/x402/blob/main/specs/transports-v2/http.md>

use alloy_primitives::B256;
use http::StatusCode;
use http::header::{CACHE_CONTROL, HeaderName, RETRY_AFTER};
use serde::Serialize;
use serde_json::{Value, json};

use super::instructions::Instructions;
use super::offers::{Offers, Quoted};
use crate::catalog::Plan;
use crate::checkout::AccessGrant;
use crate::config::{Config, ProofBinding};
use crate::error::{Code, Error};
use crate::offer::{ChallengeId, Offer};
use crate::purchase::{IssueFault, NotNow, PayReply};
use crate::response::{self, Response};
use crate::token::RsaSigner;
use crate::types::{Address, HttpUrl, PlanId, RequestId, ResourceId, UnixMillis, UsdcAmount};
use crate::x402::header::{PAYMENT_REQUIRED, encode};
use crate::x402::{Dialect, PaymentRequired, Refusal, Resource, SettleResponse, Unreadable, v1};

pub(super) const RETRY_AFTER_SECONDS: &str = "2";
const TOO_MANY_REVERTS: &str = "too_many_reverts";
/// With it, all headers of an answer stay below 6 kB: some servers and proxies allow 8 kB for all of them.
const MAX_OFFER_CHARS: usize = 4_608;
/// The `error` of an offer that nobody has tried to pay yet.
const ASKING: &str = "Payment required";

/// The body of a 402: the price, and what to do now. Beside our own members it has those that clients of x402 version 1 read.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct X402Challenge<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    message: String,
    challenge_id: &'a ChallengeId,
    request_id: &'a RequestId,
    plan_id: &'a PlanId,
    resource_id: &'a ResourceId,
    amount: UsdcAmount,
    asset: &'static str,
    chain_id: u64,
    network: &'static str,
    destination: String,
    expires_at: String,
    description: &'a str,
    next_step: NextStep<'a>,
    x402_version: u32,
    error: &'static str,
    accepts: Value,
    transfer_instead: Instructions<'a>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct NextStep<'a> {
    method: &'static str,
    url: String,
    header: &'static str,
    body: Value,
    client: &'a str,
}

/// 402: the offers. The body is about the first.
pub(super) fn offer(
    offers: &Offers<'_>,
    origin: &HttpUrl,
    binding: ProofBinding,
    is_named: bool,
) -> Response {
    let Quoted { plan, offer } = &offers.first;
    let terms = &offer.terms;
    let chosen = match offers.is_named {
        true => String::new(),
        false => format!(
            "No planId was sent, so the cheapest is offered. GET {} lists all plans. ",
            origin.join("/discover")
        ),
    };
    // An id of ours in the body would read as the client's own: starting over after a lost answer would be a second purchase.
    let named = is_named.then_some(&terms.request_id);
    let mut next = json!({"planId": plan.id, "resourceId": terms.resource});
    if let (Some(id), Some(members)) = (named, next.as_object_mut()) {
        members.insert("requestId".to_owned(), json!(id));
    }
    let body = X402Challenge {
        kind: "X402Challenge",
        message: format!(
            "{chosen}Plan \"{}\" costs {} USDC. Sign the offer in the PAYMENT-REQUIRED header with an x402 client and repeat this \
             request with the PAYMENT-SIGNATURE header; or, with a client of x402 version 1, the offer in `accepts`, and \
             repeat it with X-PAYMENT. Keep the requestId: repeating the same paid request is safe.",
            plan.id, terms.amount
        ),
        challenge_id: &offer.id,
        request_id: &terms.request_id,
        plan_id: &plan.id,
        resource_id: &terms.resource,
        amount: terms.amount,
        asset: "USDC",
        chain_id: terms.network.chain_id(),
        network: terms.network.caip2(),
        destination: terms.pay_to.to_checksum(None),
        expires_at: terms.expires_at.to_iso(),
        description: &plan.description,
        next_step: NextStep {
            method: "POST",
            url: terms.url(origin.as_str()),
            header: "PAYMENT-SIGNATURE",
            body: next,
            client: "any x402 client of version 2 or 1, for example @x402/fetch",
        },
        x402_version: 1,
        error: ASKING,
        accepts: v1::accepts(terms, &resource(offer, &plan.description, origin)),
        transfer_instead: Instructions::new(offer, binding),
    };
    let mut response = response::json(StatusCode::PAYMENT_REQUIRED, &body);
    response::set(&mut response, CACHE_CONTROL, "no-store");
    offer_header(&mut response, offers, origin, ASKING);
    response
}

/// 400: the payment header cannot be read.
pub(super) fn malformed(
    unreadable: &Unreadable,
    offers: &Offers<'_>,
    origin: &HttpUrl,
) -> Response {
    let refusal = unreadable.refusal;
    let mut details = json!({"reason": refusal.code()});
    if let (Some(member), Some(members)) = (unreadable.member, details.as_object_mut()) {
        members.insert("member".to_owned(), json!(member));
    }
    let error = Error::invalid_request(unreadable.message.clone()).with_details(details);
    let Quoted { plan, offer } = &offers.first;
    let mut response = offered(&error, refusal, offer, plan, origin);
    offer_header(&mut response, offers, origin, refusal.code());
    response
}

/// An error's body that carries an offer for clients of version 1. The offer for the others is in a header.
fn offered(
    error: &Error,
    refusal: Refusal,
    offer: &Offer,
    plan: &Plan,
    origin: &HttpUrl,
) -> Response {
    let Ok(mut body) = serde_json::to_value(error.body()) else {
        return response::error(&Error::internal());
    };
    if let Some(members) = body.as_object_mut() {
        members.insert("x402Version".to_owned(), json!(1));
        members.insert("error".to_owned(), json!(refusal.code()));
        let accepts = v1::accepts(&offer.terms, &resource(offer, &plan.description, origin));
        members.insert("accepts".to_owned(), accepts);
    }
    let mut response = response::json(error.code.status(), &body);
    response::set(&mut response, CACHE_CONTROL, "no-store");
    response
}

/// What answers to a readable payment have in common.
pub(super) struct Context<'a> {
    pub(super) config: &'a Config,
    pub(super) origin: &'a HttpUrl,
    /// What the client speaks.
    pub(super) dialect: Dialect,
    pub(super) payer: Address,
    /// What to pay instead, if this payment is refused; `None` when the plan is sold no more.
    pub(super) offer: Option<(&'a Plan, &'a Offer)>,
}

impl Context<'_> {
    /// The answer for the outcome of a purchase.
    pub(super) async fn outcome(
        &self,
        rsa: &dyn RsaSigner,
        reply: PayReply,
        request_id: &RequestId,
        random: [u8; 16],
    ) -> Response {
        match reply {
            PayReply::Granted {
                claims,
                payer,
                transaction,
                remote,
                again,
            } => {
                let grant = AccessGrant::new(self.config, rsa, &claims, remote.as_deref()).await;
                let Ok(grant) = grant else {
                    return response::error(&Error::internal());
                };
                let grant = if again { grant.redeemed_before() } else { grant };
                let mut response = response::json(StatusCode::OK, &grant);
                response::set(&mut response, CACHE_CONTROL, "private, no-store");
                self.success(&mut response, transaction, payer);
                response
            }
            PayReply::Undelivered {
                fault,
                transaction,
                refund_at,
            } => self.undelivered(fault, transaction, refund_at),
            PayReply::Refund {
                status,
                transaction,
            } => self.refund(&status, transaction),
            PayReply::Pending { transaction } => self.pending(transaction, request_id),
            PayReply::Refused {
                reason,
                transaction: None,
                begun: false,
            } => self.refused(reason, None, json!({})),
            PayReply::Refused {
                reason,
                transaction,
                begun: _,
            } => {
                // This request id takes no other payment any more, so the new offer has a new one.
                let fresh = self.offer.map(|(plan, offer)| {
                    let mut terms = offer.terms.clone();
                    terms.request_id = RequestId::from_random(random);
                    terms.chosen = false;
                    (plan, self.config.seal_keys.seal(terms))
                });
                let offer = fresh.as_ref().map(|(plan, offer)| (*plan, offer));
                let fresh = Context { offer, ..*self };
                fresh.refused(reason, transaction, json!({}))
            }
            PayReply::AccessEnded { transaction } => self.failed(
                Error::new(
                    Code::AccessEnded,
                    "This purchase was paid and delivered, and the access that it gave has ended. Nothing was charged again. \
                     Choose a new requestId to buy again.",
                )
                .with_details(json!({"requestId": request_id, "state": "DELIVERED", "transaction": transaction})),
                "access_ended",
            ),
            PayReply::NeedsFreshSignature => self.failed(
                Error::new(
                    Code::TxAlreadyRedeemed,
                    "This purchase was delivered, and its payment is public on chain by now: it no longer proves who asks. \
                     Sign a new authorization and send it with the requestId in the details; it will not be charged.",
                )
                .with_details(json!({"requestId": request_id})),
                "invalid_exact_evm_nonce_already_used",
            ),
            PayReply::Taken => self.failed(
                Error::new(
                    Code::TxAlreadyRedeemed,
                    "This authorization belongs to another purchase. Sign a new one to buy again; nothing was charged for \
                     this request.",
                ),
                "invalid_exact_evm_nonce_already_used",
            ),
            PayReply::NamedOtherwise => self.failed(
                Error::new(
                    Code::RequestConflict,
                    "This payment-identifier was given to another payment before. Send that payment again, or sign a new one \
                     with a new identifier; nothing was charged for this request.",
                ),
                "payment_identifier_conflict",
            ),
            PayReply::Conflict => self.failed(
                Error::new(
                    Code::RequestConflict,
                    "This requestId belongs to another purchase. Choose a new requestId; nothing was charged for this request.",
                ),
                "request_conflict",
            ),
            PayReply::Spent { reason } => self.failed(
                Error::new(
                    Code::RequestConflict,
                    "An earlier payment for this requestId failed, and it takes no other one. Choose a new requestId; \
                     nothing was charged.",
                )
                .with_details(json!({"reason": reason.code()})),
                reason.code(),
            ),
            PayReply::Expired => self.failed(
                Error::new(
                    Code::ChallengeExpired,
                    "The offer has expired and nothing was charged. Repeat the request without a payment and with a new \
                     requestId to get a new offer.",
                ),
                "challenge_expired",
            ),
            PayReply::Withdrawn => self.failed(
                Error::new(
                    Code::ChallengeExpired,
                    "The seller has withdrawn this offer, for another wallet or a change of the plan, and nothing was charged. Repeat \
                     the request without a payment and with a new requestId to get a new offer.",
                ),
                "challenge_withdrawn",
            ),
            PayReply::Cancelled => self.failed(
                Error::new(
                    Code::ChallengeExpired,
                    "The purchase was cancelled and nothing was charged. Choose a new requestId to buy again.",
                ),
                "challenge_cancelled",
            ),
            // `purchase` has followed it already; a proof is answered by its own words.
            PayReply::Elsewhere { .. } | PayReply::Unproven(_) => self.pending(None, request_id),
            PayReply::Paused { seconds } => self.paused(seconds),
            PayReply::Unavailable => self.unavailable(),
            PayReply::NotNow(why) => self.not_now(why),
        }
    }

    /// 503: nothing is begun for now. No new offer: the payment stays as good as it is.
    fn not_now(&self, why: NotNow) -> Response {
        let (reason, seconds, message) = match why {
            NotNow::DeliveriesFail { seconds } => (
                "deliveries_fail",
                seconds,
                "The seller cannot deliver at the moment. Nothing was sent or charged for this request. Repeat it unchanged after \
                 Retry-After seconds.",
            ),
            NotNow::UnderWay => (
                "payments_under_way",
                2,
                "The wallet's USDC does not cover this payment together with its others that are being settled. Nothing was sent or \
                 charged for this request. Repeat it unchanged after Retry-After seconds, when those have arrived.",
            ),
            NotNow::Crowded => (
                "too_many_under_way",
                5,
                "This wallet is a contract and has as many payments under way as it may have at a time; with each one that \
                 succeeds it may have one more. Nothing was sent or charged for this request. Repeat it unchanged after \
                 Retry-After seconds.",
            ),
            NotNow::ChainStandsStill => (
                "chain_stands_still",
                10,
                "The chain makes no blocks at the moment, so no payment is begun. Nothing was sent or charged for this request. \
                 Repeat it after Retry-After seconds.",
            ),
            NotNow::GasWalletEmpty => (
                "gas_wallet_empty",
                60,
                "The seller cannot pay for transactions at the moment. Nothing was sent or charged for this request. Repeat it \
                 after Retry-After seconds.",
            ),
            NotNow::GasTooDear => (
                "gas_too_dear",
                60,
                "Gas costs more at the moment than the seller pays for a sale of this price. Nothing was sent or charged for this \
                 request. Repeat it after Retry-After seconds.",
            ),
        };
        let error = Error::new(Code::TemporarilyUnavailable, message)
            .with_details(json!({"reason": reason, "retryAfterSeconds": seconds}));
        let mut response = self.failed(error, reason);
        response::set(&mut response, RETRY_AFTER, &seconds.to_string());
        response
    }

    /// 429: too many of this payer's transfers have reverted. No new offer: the next payment would be refused like this one.
    fn paused(&self, seconds: u64) -> Response {
        let mut response = self.failed(
            Error::new(
                Code::RateLimited,
                "The last transfers of this wallet were included and reverted, which cost the seller gas each time. Nothing was \
                 sent or charged for this request. Make sure that the wallet accepts the transfer also when it is executed, and \
                 repeat the request after Retry-After seconds; or pay from another wallet.",
            )
            .with_details(json!({"reason": TOO_MANY_REVERTS, "retryAfterSeconds": seconds})),
            TOO_MANY_REVERTS,
        );
        response::set(&mut response, RETRY_AFTER, &seconds.to_string());
        response
    }

    /// 502: the payment could not be checked.
    pub(super) fn unavailable(&self) -> Response {
        let mut response = self.failed(
            Error::new(
                Code::AdapterError,
                "The payment could not be checked right now; this request has charged nothing. Repeat it unchanged.",
            ),
            "unexpected_verify_error",
        );
        response::set(&mut response, RETRY_AFTER, RETRY_AFTER_SECONDS);
        response
    }

    /// 503: the outcome is not known yet. Never a new offer, which would invite a second payment.
    pub(super) fn pending(&self, transaction: Option<B256>, request_id: &RequestId) -> Response {
        let mut details = json!({"requestId": request_id});
        if let (Some(hash), Some(members)) = (transaction, details.as_object_mut()) {
            members.insert("transaction".to_owned(), json!(hash));
        }
        let mut response = self.failed_after(
            Error::new(
                Code::SettlementPending,
                "The payment is being settled. Repeat the same request with the same payment; it will not be charged twice.",
            )
            .with_details(details),
            "settlement_pending",
            transaction,
        );
        response::set(&mut response, RETRY_AFTER, RETRY_AFTER_SECONDS);
        response
    }

    /// 502, 504 or 500: paid, and the backend does not deliver. No new offer: nothing may be paid again.
    fn undelivered(
        &self,
        fault: IssueFault,
        transaction: B256,
        refund_at: Option<UnixMillis>,
    ) -> Response {
        let (code, happened) = match fault {
            IssueFault::Failed => (Code::TokenIssueFailed, "could not issue the access token"),
            IssueFault::Timeout => (Code::TokenIssueTimeout, "gave no answer in time"),
            IssueFault::Unauthenticated => (Code::InternalError, "could not be asked"),
            IssueFault::PlanGone => (Code::TokenIssueFailed, "no longer has what was bought"),
        };
        let promise = match (fault, refund_at) {
            (IssueFault::PlanGone, Some(_)) => "The money is sent back by itself.",
            (IssueFault::PlanGone, None) => "Ask the seller to send the money back.",
            (_, Some(_)) => {
                "It is tried again; if that does not help, the money is sent back by itself."
            }
            (_, None) => "It is tried again.",
        };
        let error = Error::new(
            code,
            format!("The payment arrived, but the seller's backend {happened}. {promise} Repeat the same request with the same payment."),
        )
        .with_details(json!({
            "state": "PAID",
            "transaction": transaction,
            "refundAfter": refund_at.map(|at| at.to_seconds().to_iso()),
        }));
        let mut response = response::error(&error);
        response::set(&mut response, RETRY_AFTER, RETRY_AFTER_SECONDS);
        self.success(&mut response, transaction, self.payer);
        response
    }

    /// 502: what became of the money of a purchase that could not be delivered.
    fn refund(&self, status: &str, transaction: Option<B256>) -> Response {
        let message = match status {
            "REFUNDED" => {
                "The purchase could not be delivered and the money was sent back to the payer."
            }
            "REFUND_FAILED" => {
                "The purchase could not be delivered and the refund has not succeeded yet. The seller has been told."
            }
            _ => "The purchase could not be delivered. The money is being sent back to the payer.",
        };
        let explorer =
            transaction.map(|hash| format!("{}/tx/{hash}", self.config.network.explorer()));
        let error = Error::new(Code::TokenIssueFailed, message).with_details(json!({
            "state": status,
            "refundTransaction": transaction,
            "refundExplorerUrl": explorer,
        }));
        self.failed(error, "refunded")
    }

    /// 402: the payment was refused or failed; here is what to pay instead.
    pub(super) fn refused(
        &self,
        refusal: Refusal,
        transaction: Option<B256>,
        mut details: Value,
    ) -> Response {
        if let Some(members) = details.as_object_mut() {
            members.insert("reason".to_owned(), json!(refusal.code()));
            if let Some(hash) = transaction {
                members.insert("transaction".to_owned(), json!(hash));
            }
        }
        let error = Error::new(Code::PaymentFailed, refusal.message()).with_details(details);
        let Some((plan, offer)) = self.offer else {
            return self.failed_after(error, refusal.code(), transaction);
        };
        let origin = self.origin;
        let mut response = offered(&error, refusal, offer, plan, origin);
        self.failure(&mut response, refusal.code(), transaction);
        let offers = Offers {
            first: Quoted {
                plan,
                offer: offer.clone(),
            },
            more: Vec::new(),
            is_named: true,
        };
        offer_header(&mut response, &offers, origin, refusal.code());
        response
    }

    fn failed(&self, error: Error, reason: &'static str) -> Response {
        self.failed_after(error, reason, None)
    }

    fn failed_after(
        &self,
        error: Error,
        reason: &'static str,
        transaction: Option<B256>,
    ) -> Response {
        let mut response = response::error(&error);
        self.failure(&mut response, reason, transaction);
        response
    }

    fn success(&self, response: &mut Response, transaction: B256, payer: Address) {
        let network = self.config.network;
        let settled = SettleResponse::success(self.dialect, transaction, network, payer);
        self.settle_header(response, &settled);
    }

    fn failure(&self, response: &mut Response, reason: &'static str, transaction: Option<B256>) {
        let network = self.config.network;
        let failed =
            SettleResponse::failure(self.dialect, reason, transaction, network, self.payer);
        self.settle_header(response, &failed);
    }

    fn settle_header(&self, response: &mut Response, settled: &SettleResponse) {
        let name = self.dialect.response_header();
        if let Some(text) = encode(settled) {
            response::set(response, HeaderName::from_static(name), &text);
        }
    }
}

/// What an offer is for, in these words.
fn resource(offer: &Offer, description: &str, origin: &HttpUrl) -> Resource {
    Resource::json(&offer.terms.url(origin.as_str()), description)
}

/// Offers as many as fit, and always the first. The header may become longer than its budget with one entry only, which the
/// lengths of ids and descriptions bound.
fn offer_header(response: &mut Response, offers: &Offers<'_>, origin: &HttpUrl, error: &str) {
    let resource = resource(&offers.first.offer, &offers.description(origin), origin);
    let text = (0..=offers.more.len()).rev().find_map(|count| {
        let more = offers.more.iter().take(count);
        let more = more.map(|offer| &offer.offer);
        let required = PaymentRequired::new(&offers.first.offer, more, resource.clone(), error);
        encode(&required).filter(|text| count == 0 || text.len() <= MAX_OFFER_CHARS)
    });
    if let Some(text) = text {
        response::set(response, HeaderName::from_static(PAYMENT_REQUIRED), &text);
    }
}
