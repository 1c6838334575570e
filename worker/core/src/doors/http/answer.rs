//! What the door answers, for each outcome.
//! <https://github.com/x402-foundation/x402/blob/main/specs/transports-v2/http.md>

use http::StatusCode;
use http::header::{CACHE_CONTROL, HeaderName, RETRY_AFTER};
use serde::Serialize;
use serde_json::{Value, json};

use crate::checkout::{Checkout, Outcome, Priced, Quote, Stop, Unpaid};
use crate::doors::instructions::{Instructions, Way};
use crate::error::Error;
use crate::goods::Receipt;
use crate::limit;
use crate::offer::{ChallengeId, Offer};
use crate::response::{self, Response};
use crate::types::{Address, HttpUrl, Network, RequestId, ResourceId, UsdcAmount};
use crate::x402::header::{PAYMENT_REQUIRED, encode};
use crate::x402::{
    Dialect, PaymentPayload, PaymentRequired, Resource, SettleResponse, Unreadable, v1,
};

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
    plan_id: &'a str,
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
pub(super) fn challenge<D>(
    checkout: &Checkout<'_, D>,
    quote: &Quote<'_>,
    is_named: bool,
) -> Response {
    let origin = &checkout.origin;
    let Priced { offer, description } = &quote.first;
    let terms = &offer.terms;
    let plan = terms.target.id();
    let chosen = match quote.is_ordered {
        true => String::new(),
        false => format!(
            "No planId was sent, so the cheapest is offered. GET {} lists all plans. ",
            origin.join("/discover")
        ),
    };
    // An id of ours in the body would read as the client's own: starting over after a lost answer would be a second purchase.
    let named = is_named.then_some(&terms.request_id);
    let mut next = json!({"planId": plan, "resourceId": terms.resource});
    if let (Some(id), Some(members)) = (named, next.as_object_mut()) {
        members.insert("requestId".to_owned(), json!(id));
    }
    let body = X402Challenge {
        kind: "X402Challenge",
        message: format!(
            "{chosen}Plan \"{plan}\" costs {} USDC. Sign the offer in the PAYMENT-REQUIRED header with an x402 client and repeat this \
             request with the PAYMENT-SIGNATURE header; or, with a client of x402 version 1, the offer in `accepts`, and \
             repeat it with X-PAYMENT. Keep the requestId: repeating the same paid request is safe.",
            terms.amount
        ),
        challenge_id: &offer.id,
        request_id: &terms.request_id,
        plan_id: plan,
        resource_id: &terms.resource,
        amount: terms.amount,
        asset: "USDC",
        chain_id: terms.network.chain_id(),
        network: terms.network.caip2(),
        destination: terms.pay_to.to_checksum(None),
        expires_at: terms.expires_at.to_iso(),
        description,
        next_step: NextStep {
            method: "POST",
            url: terms.url(origin.as_str()),
            header: "PAYMENT-SIGNATURE",
            body: next,
            client: "any x402 client of version 2 or 1, for example @x402/fetch",
        },
        x402_version: 1,
        error: ASKING,
        accepts: v1::accepts(terms, &resource(offer, description, origin)),
        transfer_instead: Instructions::new(offer, checkout.config.offers.proof_binding, Way::Post),
    };
    let mut response = response::json(StatusCode::PAYMENT_REQUIRED, &body);
    response::set(&mut response, CACHE_CONTROL, "no-store");
    offer_header(&mut response, quote, origin, ASKING);
    response
}

/// 400: the payment header cannot be read.
pub(super) fn malformed(unreadable: &Unreadable, quote: &Quote<'_>, origin: &HttpUrl) -> Response {
    let refusal = unreadable.refusal;
    let mut details = json!({"reason": refusal.code()});
    if let (Some(member), Some(members)) = (unreadable.member, details.as_object_mut()) {
        members.insert("member".to_owned(), json!(member));
    }
    let error = Error::invalid_request(unreadable.message.clone()).with_details(details);
    offered(&error, refusal.code(), quote, origin)
}

/// An error that carries offers: in its body one for clients of version 1, in a header all for the others.
fn offered(error: &Error, reason: &str, quote: &Quote<'_>, origin: &HttpUrl) -> Response {
    let mut body = error.body();
    let Priced { offer, description } = &quote.first;
    if let Some(members) = body.as_object_mut() {
        members.insert("x402Version".to_owned(), json!(1));
        members.insert("error".to_owned(), json!(reason));
        let accepts = v1::accepts(&offer.terms, &resource(offer, description, origin));
        members.insert("accepts".to_owned(), accepts);
    }
    let mut response = response::json(error.code.status(), &body);
    response::set(&mut response, CACHE_CONTROL, "no-store");
    offer_header(&mut response, quote, origin, reason);
    response
}

/// To whom an outcome is told, and in the words of which version.
pub(super) struct Answer {
    dialect: Dialect,
    /// Who is said to have signed the payment; `None` when a transfer is shown.
    payer: Option<Address>,
}

impl Answer {
    /// To a proof of a transfer.
    pub(super) const TO_PROOF: Self = Self {
        dialect: Dialect::X402V2,
        payer: None,
    };

    pub(super) const fn to(payment: &PaymentPayload) -> Self {
        Self {
            dialect: payment.dialect,
            payer: Some(payment.authorization.from),
        }
    }

    /// The answer for an outcome.
    pub(super) async fn tell<D>(
        &self,
        checkout: &Checkout<'_, D>,
        outcome: Outcome<'_>,
    ) -> Response {
        let (origin, network) = (&checkout.origin, checkout.config.network);
        let Some(error) = outcome.error(origin, network) else {
            return self.granted(checkout, &outcome).await;
        };
        let reason = outcome.reason();
        let mut response = match &outcome {
            // An offer that has ended is 410: asked again without a payment, the door gives another one.
            Outcome::PayAgain {
                why: Unpaid::Refused(_),
                quote: Some(quote),
                ..
            } => offered(&error, reason, quote, origin),
            _ => response::error(&error),
        };
        if let Some(seconds) = outcome.retry_after(checkout.now) {
            response::set(&mut response, RETRY_AFTER, &seconds.to_string());
        }
        if let Some(settled) = self.settled(&outcome, network) {
            self.settle_header(&mut response, &settled);
        }
        match outcome.is_unchecked() {
            true => limit::counted(response),
            false => response,
        }
    }

    async fn granted<D>(&self, checkout: &Checkout<'_, D>, outcome: &Outcome<'_>) -> Response {
        let Outcome::Granted { goods, again, .. } = outcome else {
            return response::error(&Error::internal());
        };
        let Ok(grant) = checkout.grant(goods).await else {
            return response::error(&Error::internal());
        };
        let grant = match again {
            true => grant.redeemed_before(),
            false => grant,
        };
        let mut response = response::json(StatusCode::OK, &grant);
        response::set(&mut response, CACHE_CONTROL, "private, no-store");
        if let Some(settled) = self.settled(outcome, checkout.config.network) {
            self.settle_header(&mut response, &settled);
        }
        response
    }

    /// What became of the payment. `None` when none was presented and none has arrived, or when what was ordered does not exist.
    fn settled(&self, outcome: &Outcome<'_>, network: Network) -> Option<SettleResponse> {
        let transaction = match outcome {
            Outcome::Granted { receipt, .. } | Outcome::Pending { receipt, .. }
                if receipt.is_some() =>
            {
                let Receipt {
                    transaction, payer, ..
                } = receipt.as_ref()?;
                let (dialect, payer) = (self.dialect, *payer);
                return Some(SettleResponse::success(
                    dialect,
                    *transaction,
                    network,
                    payer,
                ));
            }
            Outcome::Granted { .. } => return None,
            Outcome::Stopped {
                why:
                    Stop::NotSold { .. }
                    | Stop::NotOpened { .. }
                    | Stop::NothingOpens
                    | Stop::ForeignOffer,
            } => return None,
            Outcome::Pending { transaction, .. } | Outcome::PayAgain { transaction, .. } => {
                *transaction
            }
            Outcome::Stopped { .. } => None,
        };
        let (dialect, payer) = (self.dialect, self.payer?);
        let reason = outcome.reason();
        Some(SettleResponse::failure(
            dialect,
            reason,
            transaction,
            network,
            payer,
        ))
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
fn offer_header(response: &mut Response, quote: &Quote<'_>, origin: &HttpUrl, error: &str) {
    let resource = resource(&quote.first.offer, &quote.description(origin), origin);
    let text = (0..=quote.more.len()).rev().find_map(|count| {
        let more = quote.more.iter().take(count);
        let more = more.map(|priced| &priced.offer);
        let required = PaymentRequired::new(&quote.first.offer, more, resource.clone(), error);
        encode(&required).filter(|text| count == 0 || text.len() <= MAX_OFFER_CHARS)
    });
    if let Some(text) = text {
        response::set(response, HeaderName::from_static(PAYMENT_REQUIRED), &text);
    }
}
