//! The door's responses, one for each outcome.
//! <https://github.com/x402-foundation/x402/blob/main/specs/transports-v2/http.md>

use crate::json;
use crate::json::Put as _;
use http::StatusCode;
use http::header::{CACHE_CONTROL, HeaderName, RETRY_AFTER};
use serde::Serialize;
use serde_json::Value;

use crate::catalog::{Catalog, Settle};
use crate::checkout::{Checkout, Deployment, Order, Outcome, Priced, Quote, Stop, Unpaid};
use crate::doors::instructions::{Instructions, Way};
use crate::doors::mpp::{self, Paid, Side, Told, Verdict};
use crate::doors::resource_response::resource_response;
use crate::error::Error;
use crate::goods::{AnswerHead, Goods, Receipt};
use crate::limit;
use crate::mpp::{Fault, PAYMENT_RECEIPT, PaymentReceipt, Problem};
use crate::offer::{ChallengeId, Offer};
use crate::response::{self, Response};
use crate::types::{Address, HttpUrl, Network, RequestId, ResourceId, UsdcAmount};
use crate::x402::header::{PAYMENT_REQUIRED, encode};
use crate::x402::{
    Dialect, PaymentPayload, PaymentRequired, Refusal, Resource, SettleResponse, Unreadable, v1,
};

/// The most characters of an offer header and the challenge beside it. With them, all headers of an answer together stay below 6 kB: some servers and
/// proxies allow 8 kB.
const MAX_OFFER_CHARS: usize = 4_608;
/// The `error` of an offer in the answer to a request without a payment.
const ASKING: &str = "Payment required";

/// The body of a 402: the price, and what to do next. It also has the members that clients of x402 version 1 read.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct X402Challenge<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    message: String,
    challenge_id: &'a ChallengeId,
    request_id: &'a RequestId,
    #[serde(skip_serializing_if = "Option::is_none")]
    plan_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    route_id: Option<&'a str>,
    /// The access that is topped up.
    #[serde(skip_serializing_if = "Option::is_none")]
    grant: Option<&'a RequestId>,
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
    /// How to pay by an ordinary transfer instead, for a plan only: nothing could be kept of a call until the transfer
    /// is shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    transfer_instead: Option<Instructions<'a>>,
    /// For a call whose caller has a token that is used up or has ended: how that is topped up instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    top_up: Option<Value>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct NextStep<'a> {
    method: &'a str,
    url: String,
    header: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<Value>,
    client: &'a str,
}

/// The header that tells a buyer that its payment for this answer goes back.
const REFUND: HeaderName = HeaderName::from_static("key0-refund");
const CLIENT: &str = "any x402 client of version 2 or 1, for example @x402/fetch";

const SIGN_AGAIN_FOR_A_CALL: &str = "This call is paid for, and its payment is public on chain by now: it no longer proves who asks, and \
     sent again it never will. Sign a new authorization and send it with this request, unchanged, and with the requestId in the details \
     as Idempotency-Key; then it is not charged.";

/// Where the offer can be paid.
#[derive(Clone, Copy, Debug)]
pub(in crate::doors) struct Place<'a> {
    pub(in crate::doors) origin: &'a HttpUrl,
    pub(in crate::doors) catalog: &'a Catalog,
    /// For a call: its method, and the URL that was called.
    pub(in crate::doors) called: Option<(&'a str, &'a str)>,
    /// For a call that is described in JSON: the URL at which it could be called.
    pub(in crate::doors) described: Option<&'a str>,
    /// How the Machine Payments Protocol is spoken with this client, if it is.
    pub(in crate::doors) mpp: Option<&'a Side>,
}

impl Place<'_> {
    fn url(&self, offer: &Offer) -> String {
        match self.called.map(|(_, url)| url).or(self.described) {
            Some(url) => url.to_owned(),
            None => offer.terms.url(self.origin.as_str()),
        }
    }

    /// The description of what an offer is for, in the form of x402.
    fn resource(&self, offer: &Offer, description: &str) -> Resource {
        Resource::json(&self.url(offer), description)
    }
}

/// The 402 with the price of a call. `before`: what the message says before the price.
pub(in crate::doors) fn call_challenge<D>(
    checkout: &Checkout<'_, D>,
    quote: &Quote<'_>,
    place: Place<'_>,
    before: &str,
    top_up: Option<Value>,
) -> Response {
    let Priced {
        offer, description, ..
    } = &quote.first;
    let route = offer.terms.target.id();
    let message = format!(
        "{before}A call of route \"{route}\" costs {} USDC. Sign the offer in the PAYMENT-REQUIRED header with an x402 client and repeat \
         this request, unchanged, with the PAYMENT-SIGNATURE header; or, with a client of x402 version 1, the offer in `accepts`, \
         and repeat it with X-PAYMENT. The same payment sent again gets the same answer.",
        offer.terms.amount
    );
    let (method, _) = place.called.unwrap_or(("GET", ""));
    let next_step = NextStep {
        method,
        url: place.url(offer),
        header: "PAYMENT-SIGNATURE",
        body: None,
        client: CLIENT,
    };
    let body = X402Challenge {
        top_up,
        ..challenge_body(checkout, offer, description, message, next_step, place)
    };
    required(&body, quote, place)
}

/// The 402 with the price of a call that was described in `body`.
pub(super) fn described_challenge<D>(
    checkout: &Checkout<'_, D>,
    quote: &Quote<'_>,
    place: Place<'_>,
    body: Value,
) -> Response {
    let Priced {
        offer, description, ..
    } = &quote.first;
    let route = offer.terms.target.id();
    let message = format!(
        "A call of route \"{route}\" costs {} USDC. Sign the offer in the PAYMENT-REQUIRED header with an x402 client and repeat \
         this request, unchanged, with the PAYMENT-SIGNATURE header; or, with a client of x402 version 1, the offer in `accepts`, \
         and repeat it with X-PAYMENT. The answer is a ResourceResponse. The same payment sent again gets the same answer. The call \
         itself, made at {}, takes the same payment.",
        offer.terms.amount,
        place.url(offer)
    );
    let next_step = NextStep {
        method: "POST",
        url: place.origin.join("/x402/access"),
        header: "PAYMENT-SIGNATURE",
        body: Some(body),
        client: CLIENT,
    };
    let body = challenge_body(checkout, offer, description, message, next_step, place);
    required(&body, quote, place)
}

/// The 402 with the offers of plans. The body describes the first offer.
pub(super) fn challenge<D>(
    checkout: &Checkout<'_, D>,
    quote: &Quote<'_>,
    is_named: bool,
    place: Place<'_>,
) -> Response {
    let origin = &checkout.origin;
    let Priced {
        offer, description, ..
    } = &quote.first;
    let terms = &offer.terms;
    let plan = terms.target.id();
    let chosen = match quote.is_ordered {
        true => String::new(),
        false => format!(
            "No planId was sent, so the cheapest is offered. GET {} lists all plans. ",
            origin.join("/discover")
        ),
    };
    // Only an id that the client itself chose is repeated here. If the client sent back an id of ours, it would count
    // as the client's choice; a client that starts over without the id after a lost answer would then pay a second time
    // instead of joining the purchase.
    let named = is_named.then_some(&terms.request_id);
    let name_it = match named {
        Some(_) => "",
        None => " To start over safely after a lost answer, send a requestId of your own, a UUID.",
    };
    let mut next = match terms.target.grant() {
        Some(grant) => json!({"planId": plan, "grant": grant}),
        None => json!({"planId": plan, "resourceId": terms.resource}),
    };
    let sold = match terms.target.grant() {
        Some(_) => "Adding plan",
        None => "Plan",
    };
    let added = match terms.target.grant() {
        Some(_) => " to the access",
        None => "",
    };
    if let (Some(id), Some(members)) = (named, next.as_object_mut()) {
        members.put("requestId", json!(id));
    }
    let message = format!(
        "{chosen}{sold} \"{plan}\"{added} costs {} USDC. Sign the offer in the PAYMENT-REQUIRED header with an x402 client and repeat this \
         request with the PAYMENT-SIGNATURE header; or, with a client of x402 version 1, the offer in `accepts`, and \
         repeat it with X-PAYMENT. Repeating the same paid request is safe: it is charged once.{name_it}",
        terms.amount
    );
    let next_step = NextStep {
        method: "POST",
        url: place.url(offer),
        header: "PAYMENT-SIGNATURE",
        body: Some(next),
        client: CLIENT,
    };
    let body = challenge_body(checkout, offer, description, message, next_step, place);
    required(&body, quote, place)
}

fn challenge_body<'a, D>(
    checkout: &Checkout<'_, D>,
    offer: &'a Offer,
    description: &'a str,
    message: String,
    next_step: NextStep<'a>,
    place: Place<'_>,
) -> X402Challenge<'a> {
    let terms = &offer.terms;
    let id = Some(terms.target.id());
    let is_plan = terms.target.plan().is_some();
    let binding = checkout.config.offers.proof_binding;
    X402Challenge {
        kind: "X402Challenge",
        message,
        challenge_id: &offer.id,
        request_id: &terms.request_id,
        plan_id: id.filter(|_| is_plan),
        route_id: id.filter(|_| !is_plan),
        grant: terms.target.grant(),
        resource_id: &terms.resource,
        amount: terms.amount,
        asset: "USDC",
        chain_id: terms.network.chain_id(),
        network: terms.network.caip2(),
        destination: terms.pay_to.to_checksum(None),
        expires_at: terms.expires_at.to_iso(),
        description,
        next_step,
        x402_version: 1,
        error: ASKING,
        accepts: v1::accepts(terms, &place.resource(offer, description)),
        transfer_instead: is_plan.then(|| Instructions::new(offer, binding, Way::Post)),
        top_up: None,
    }
}

fn required(body: &X402Challenge<'_>, quote: &Quote<'_>, place: Place<'_>) -> Response {
    let mut response = response::json(StatusCode::PAYMENT_REQUIRED, body);
    response::set(&mut response, CACHE_CONTROL, "no-store");
    let told = Told {
        problem: Problem::PaymentRequired,
        detail: &body.message,
        challenge_id: None,
    };
    offer_headers(&mut response, quote, place, ASKING, Some(&told));
    response
}

/// The 400 for a payment header that cannot be read.
pub(in crate::doors) fn malformed(
    unreadable: &Unreadable,
    quote: &Quote<'_>,
    place: Place<'_>,
) -> Response {
    let refusal = unreadable.refusal;
    let mut details = json!({"reason": refusal.code()});
    if let (Some(member), Some(members)) = (unreadable.member, details.as_object_mut()) {
        members.put("member", json!(member));
    }
    let error = Error::invalid_request(unreadable.message.clone()).with_details(details);
    offered(&error, refusal.code(), quote, place, None)
}

/// The answer to a credential that cannot be read.
pub(in crate::doors) fn misread(fault: &Fault, quote: &Quote<'_>, place: Place<'_>) -> Response {
    let reason = Refusal::InvalidPayload.code();
    let mut details = json!({"reason": reason});
    if let (Some(member), Some(members)) = (fault.member, details.as_object_mut()) {
        members.put("member", json!(member));
    }
    let error = Error::invalid_request(fault.message.clone()).with_details(details);
    if fault.problem == Problem::MethodUnsupported {
        return mpp::refusal(&error, StatusCode::BAD_REQUEST, fault.problem, None);
    }
    let told = Told {
        problem: fault.problem,
        detail: &error.message,
        challenge_id: None,
    };
    offered(&error, reason, quote, place, Some(&told))
}

/// An error that carries offers: one in its body, for clients of version 1, and all of them in a header, for other
/// clients. `told`: what a client that has paid by the Machine Payments Protocol is told of the error, in an answer of
/// 402.
fn offered(
    error: &Error,
    reason: &str,
    quote: &Quote<'_>,
    place: Place<'_>,
    told: Option<&Told<'_>>,
) -> Response {
    let mut body = error.body();
    let Priced {
        offer, description, ..
    } = &quote.first;
    if let Some(members) = body.as_object_mut() {
        members.put("x402Version", json!(1));
        members.put("error", json!(reason));
        let accepts = v1::accepts(&offer.terms, &place.resource(offer, description));
        members.put("accepts", accepts);
    }
    let status = told.map_or(error.code.status(), |_| StatusCode::PAYMENT_REQUIRED);
    let mut response = response::json(status, &body);
    response::set(&mut response, CACHE_CONTROL, "no-store");
    offer_headers(&mut response, quote, place, reason, told);
    response
}

/// Writes the response for one client, in its protocol.
pub(in crate::doors) struct Answer<'a> {
    place: Place<'a>,
    way: Paying<'a>,
}

/// How a client pays.
#[derive(Clone, Copy)]
enum Paying<'a> {
    /// In this version of x402.
    X402 {
        dialect: Dialect,
        /// The payer that the payment names; `None` for a proof of a transfer.
        payer: Option<Address>,
    },
    /// By the Machine Payments Protocol.
    Mpp {
        challenge_id: &'a str,
        /// What is offered instead, if the payment does not count.
        order: &'a Order,
    },
}

impl<'a> Answer<'a> {
    /// The answer to a proof of a transfer.
    pub(super) const fn to_proof(place: Place<'a>) -> Self {
        let way = Paying::X402 {
            dialect: Dialect::X402V2,
            payer: None,
        };
        Self { place, way }
    }

    pub(in crate::doors) const fn to(payment: &PaymentPayload, place: Place<'a>) -> Self {
        let way = Paying::X402 {
            dialect: payment.dialect,
            payer: Some(payment.authorization.from),
        };
        Self { place, way }
    }

    /// The answer to a credential of the Machine Payments Protocol.
    pub(in crate::doors) fn to_credential(
        paid: &'a Paid,
        order: &'a Order,
        place: Place<'a>,
    ) -> Self {
        let way = Paying::Mpp {
            challenge_id: paid.challenge_id(),
            order,
        };
        Self { place, way }
    }

    /// The answer for an outcome.
    pub(in crate::doors) async fn tell<D: Deployment>(
        &self,
        checkout: &Checkout<'_, D>,
        outcome: Outcome<'_>,
    ) -> Response {
        let (origin, network) = (&checkout.origin, checkout.config.network);
        let Some(mut error) = outcome.error(origin, network) else {
            return self.granted(checkout, &outcome).await;
        };
        if let (
            Some(_),
            Outcome::Stopped {
                why: Stop::SignAgain { .. },
            },
        ) = (self.place.called, &outcome)
        {
            error.message = SIGN_AGAIN_FOR_A_CALL.into();
        }
        let reason = outcome.reason();
        let mut response = match &outcome {
            _ if let Paying::Mpp { .. } = self.way => self.problem(checkout, &outcome, error),
            // The answer to an offer that has ended is 410, without a new offer: the client gets one by asking without
            // a payment.
            Outcome::PayAgain {
                why: Unpaid::Refused(_),
                quote: Some(quote),
                ..
            } => offered(&error, reason, quote, self.place, None),
            _ => response::error(&error),
        };
        if let Some(seconds) = outcome.retry_after(checkout.now) {
            response::set(&mut response, RETRY_AFTER, &seconds.to_string());
        }
        self.receipt(&mut response, &outcome, network);
        match outcome.is_unchecked() {
            true => limit::counted(response),
            false => response,
        }
    }

    async fn granted<D: Deployment>(
        &self,
        checkout: &Checkout<'_, D>,
        outcome: &Outcome<'_>,
    ) -> Response {
        let Outcome::Granted {
            goods,
            receipt,
            again,
        } = outcome
        else {
            return response::error(&Error::internal());
        };
        if let Goods::Answer { head, refund, .. } = goods {
            let mut response = match self.place.called {
                Some(_) => answered(head),
                None => told(checkout, goods, receipt.as_ref()),
            };
            self.receipt(&mut response, outcome, checkout.config.network);
            if refund.is_some() {
                let promise = "this answer is not charged for, and the payment goes back";
                response::set(&mut response, REFUND, promise);
            }
            return response;
        }
        let Ok(grant) = checkout.grant(goods).await else {
            return response::error(&Error::internal());
        };
        let grant = match again {
            true => grant.redeemed_before(),
            false => grant,
        };
        let mut response = response::json(StatusCode::OK, &grant);
        response::set(&mut response, CACHE_CONTROL, "private, no-store");
        self.receipt(&mut response, outcome, checkout.config.network);
        response
    }

    /// The answer to a credential that brings no goods.
    fn problem<D>(
        &self,
        checkout: &Checkout<'_, D>,
        outcome: &Outcome<'_>,
        mut error: Error,
    ) -> Response {
        let Paying::Mpp {
            challenge_id,
            order,
        } = self.way
        else {
            return response::error(&error);
        };
        let Verdict {
            status,
            problem,
            message,
        } = Verdict::of(outcome, &error);
        if let Some(message) = message {
            error.message = message.into();
        }
        let id = Some(challenge_id);
        let told = Told {
            problem,
            detail: &error.message,
            challenge_id: id,
        };
        match checkout.quote(order) {
            Ok(quote) if status == StatusCode::PAYMENT_REQUIRED => {
                offered(&error, outcome.reason(), &quote, self.place, Some(&told))
            }
            _ if status == StatusCode::PAYMENT_REQUIRED => {
                mpp::refusal(&error, StatusCode::FORBIDDEN, problem, id)
            }
            _ => mpp::refusal(&error, status, problem, id),
        }
    }

    /// Adds the header with the outcome of the payment.
    fn receipt(&self, response: &mut Response, outcome: &Outcome<'_>, network: Network) {
        match self.way {
            Paying::X402 { dialect, payer } => {
                if let Some(settled) = settled(dialect, payer, outcome, network)
                    && let Some(text) = encode(&settled)
                {
                    let name = HeaderName::from_static(dialect.response_header());
                    response::set(response, name, &text);
                }
            }
            Paying::Mpp { challenge_id, .. } => {
                if let Outcome::Granted {
                    receipt: Some(receipt),
                    ..
                } = outcome
                    && response.status().is_success()
                    && let Some(text) = PaymentReceipt::new(receipt, challenge_id).header()
                {
                    response::set(response, HeaderName::from_static(PAYMENT_RECEIPT), &text);
                }
            }
        }
    }
}

/// The outcome of an x402 payment, for the response header. `None` when there is no payment, or when the ordered plan
/// does not exist.
fn settled(
    dialect: Dialect,
    payer: Option<Address>,
    outcome: &Outcome<'_>,
    network: Network,
) -> Option<SettleResponse> {
    let transaction = match outcome {
        Outcome::Granted { receipt, .. } | Outcome::Pending { receipt, .. }
            if receipt.is_some() =>
        {
            let Receipt {
                transaction, payer, ..
            } = receipt.as_ref()?;
            return Some(SettleResponse::success(
                dialect,
                *transaction,
                network,
                *payer,
            ));
        }
        Outcome::Granted { .. } => return None,
        Outcome::Stopped {
            why:
                Stop::NotSold { .. }
                | Stop::NotOpened { .. }
                | Stop::NothingOpens
                | Stop::CallMissing { .. }
                | Stop::ForeignOffer,
        } => return None,
        Outcome::Pending { transaction, .. } | Outcome::PayAgain { transaction, .. } => {
            *transaction
        }
        Outcome::Stopped { .. } => None,
    };
    let reason = outcome.reason();
    Some(SettleResponse::failure(
        dialect,
        reason,
        transaction,
        network,
        payer?,
    ))
}

/// The response with an answer from the seller's API as JSON. The status of the response says that there is an answer,
/// not which.
pub(super) fn told<D: Deployment>(
    checkout: &Checkout<'_, D>,
    goods: &Goods,
    receipt: Option<&Receipt>,
) -> Response {
    let Some(body) = resource_response(checkout, goods, receipt) else {
        return response::error(&Error::internal());
    };
    let mut response = response::json(StatusCode::OK, &body);
    response::set(&mut response, CACHE_CONTROL, "private, no-store");
    response
}

/// The response with the head of an answer from the seller's API. The platform adds the body.
fn answered(head: &AnswerHead) -> Response {
    let mut response = response::of_api(Response::new(Vec::new()));
    let status = StatusCode::from_u16(head.status);
    *response.status_mut() = status.unwrap_or(StatusCode::BAD_GATEWAY);
    for (name, value) in &head.headers {
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), value.parse()) {
            response.headers_mut().append(name, value);
        }
    }
    response
}

/// Adds the headers with the offers: the challenge, if the answer is 402 and `told`, and x402's. That has as many offers
/// as fit, but always the first. A single offer may be longer than the limit; the limits on ids and descriptions bound
/// its length.
fn offer_headers(
    response: &mut Response,
    quote: &Quote<'_>,
    place: Place<'_>,
    error: &str,
    told: Option<&Told<'_>>,
) {
    let mut most = MAX_OFFER_CHARS;
    if let (Some(side), Some(told)) = (place.mpp, told) {
        let challenge = side.challenge(&quote.first);
        most = most.saturating_sub(challenge.len());
        side.challenge_in(response, &challenge, told);
    }
    let description = quote.description(place.origin);
    let resource = place.resource(&quote.first.offer, &description);
    let route = quote.first.offer.terms.target.route();
    let route = route.and_then(|id| place.catalog.route(id));
    let text = (0..=quote.more.len()).rev().find_map(|count| {
        let more = quote.more.iter().take(count);
        let more = more.map(|priced| &priced.offer);
        let mut required = PaymentRequired::new(&quote.first.offer, more, resource.clone(), error);
        if quote.first.settle == Some(Settle::Before) {
            required = required.upfront();
        }
        if let Some(route) = route {
            required = required.describing(route, most);
        }
        encode(&required).filter(|text| count == 0 || text.len() <= most)
    });
    if let Some(text) = text {
        response::set(response, HeaderName::from_static(PAYMENT_REQUIRED), &text);
    }
}
