//! What a call of the paid tool is answered, for each outcome.
//! <https://github.com/x402-foundation/x402/blob/main/specs/transports-v2/mcp.md>

use serde_json::{Value, json};

use super::tools::ACCESS;
use crate::checkout::{Checkout, Claim, Order, Outcome, Priced, Quote, Retry, Stop, Unpaid};
use crate::error::{Code, Error};
use crate::goods::Receipt;
use crate::limit;
use crate::types::RequestId;
use crate::x402::{
    Dialect, PaymentPayload, PaymentRequired, Refusal, Resource, SettleResponse, Unreadable,
};

const RECEIPT: &str = "x402/payment-response";
/// Not in the specification; some clients look for the offer nowhere else.
const OFFER: &str = "x402/error";
/// The `error` of an offer that nobody has tried to pay yet.
const ASKING: &str = "Payment required";

/// A result, and whether a payment came with the call that did not count.
pub(super) struct Answer {
    pub(super) result: Value,
    pub(super) counts: bool,
}

impl Answer {
    pub(super) const fn uncounted(result: Value) -> Self {
        Self {
            result,
            counts: false,
        }
    }

    /// The offer, for a client that has not paid.
    pub(super) fn offer<D>(checkout: &Checkout<'_, D>, quote: &Quote<'_>) -> Self {
        Self::uncounted(offered(checkout, quote, ASKING, &json!({})))
    }

    /// To a payment that cannot be read: nothing was charged for it.
    pub(super) fn unreadable<D>(
        checkout: &Checkout<'_, D>,
        quote: &Quote<'_>,
        unreadable: &Unreadable,
    ) -> Self {
        let reason = unreadable.refusal.code();
        let message = match unreadable.refusal {
            Refusal::InvalidX402Version => {
                "This door speaks x402 version 2: send x402Version 2. Nothing was charged for this request.".into()
            },
            Refusal::InvalidPayload if unreadable.member.is_none() => {
                "_meta[\"x402/payment\"] must be an x402 PaymentPayload: an object, or its JSON or base64 as a text of at most \
                 16 KiB. Nothing was charged for this request."
                    .into()
            }
            _ => unreadable.message.clone(),
        };
        let details = json!({"reason": reason, "member": unreadable.member});
        let error = Error::invalid_request(message).with_details(details);
        let network = checkout.config.network.caip2();
        let receipt =
            json!({"success": false, "errorReason": reason, "transaction": "", "network": network});
        let result = offered(checkout, quote, reason, &error.body());
        Self {
            result: with_receipt(result, Some(receipt)),
            counts: true,
        }
    }

    /// To a payment.
    pub(super) async fn to<D>(
        checkout: &Checkout<'_, D>,
        order: &Order,
        payment: &PaymentPayload,
        outcome: &Outcome<'_>,
    ) -> Self {
        let receipt = receipt(checkout, payment, outcome);
        let Some(error) = error_of(checkout, order, payment, outcome) else {
            let granted = granted(checkout, outcome).await;
            let result = granted.unwrap_or_else(|| told(&Error::internal()));
            return Self::uncounted(with_receipt(result, receipt));
        };
        let result = match outcome {
            Outcome::PayAgain {
                quote: Some(quote), ..
            } => offered(checkout, quote, outcome.reason(), &error.body()),
            Outcome::Pending {
                request_id, claim, ..
            } => {
                let is_seen = claim.as_ref().is_some_and(Claim::is_by_attempted);
                let is_its = is_seen || payment.challenge_id().is_some();
                let named = (!is_its).then_some(request_id);
                pending(error.clone(), order, named)
            }
            _ => told(&error),
        };
        Self {
            result: with_receipt(result, receipt),
            counts: outcome.is_unchecked() || limit::is_refusal(error.code.status()),
        }
    }
}

/// A result that is an error, for models as a text and for programs as an object.
pub(super) fn told(error: &Error) -> Value {
    let body = error.body();
    json!({
        "content": [text(body.to_string())],
        "structuredContent": body,
        "isError": true,
    })
}

/// What became of a payment is not known yet. A model that reads it must not take it for a failure and pay again, so the first
/// words are a sentence; and there is no offer.
///
/// Some clients sign anew for each call. What they sign joins the purchase while that is not over, and for a while after; by its
/// request id it is found at any time, and then nothing is charged beside it. `named`: that id; `None` where only the payment
/// itself leads there.
fn pending(mut error: Error, order: &Order, named: Option<&RequestId>) -> Value {
    let details = error.details.get_or_insert_with(|| json!({}));
    if let (Some(id), Some(details)) = (named, details.as_object_mut()) {
        details.insert("requestId".to_owned(), json!(id));
    }
    let next = match named {
        None => {
            "To learn the outcome, repeat this call with the same payment; do not sign another one."
                .to_owned()
        }
        Some(id) if order.request_id.as_ref() == Some(id) => {
            "To learn the outcome, repeat this call unchanged.".to_owned()
        }
        Some(id) => format!(
            "To learn the outcome, repeat this call with \"requestId\": \"{id}\". However often it is signed, it is charged once."
        ),
    };
    let body = error.body();
    json!({
        "content": [
            text(format!("{} {next}", error.message)),
            text(body.to_string()),
        ],
        "structuredContent": body,
        "isError": true,
    })
}

/// An offer. The first text must be the very same object as `structuredContent`, so whatever else is to be said stands in a
/// second one: `beside`, and how to pay without an MCP client that can.
///
/// Between the offer and the payment nothing is stored, so it is the same each time, and has no ids. Some clients encode what
/// they repeat of it with a function that knows only Latin-1, so it is plain ASCII.
fn offered<D>(checkout: &Checkout<'_, D>, quote: &Quote<'_>, error: &str, beside: &Value) -> Value {
    let Priced { offer, description } = &quote.first;
    let terms = &offer.terms;
    let url = terms.url(checkout.origin.as_str());
    let required = PaymentRequired::without_ids(terms, Resource::json(&url, description), error);
    let required = json!(required.elsewhere());
    let mut order = json!({terms.target.member(): terms.target.id(), "resourceId": terms.resource});
    if let (true, Some(members)) = (terms.chosen, order.as_object_mut()) {
        members.insert("requestId".to_owned(), json!(terms.request_id));
    }
    let mut hint = beside.clone();
    if let Some(members) = hint.as_object_mut() {
        members.insert("x402PaymentUrl".to_owned(), url.as_str().into());
        members.insert(
            "paymentInstructions".to_owned(),
            format!(
                "This costs {} USDC. An MCP client that pays with x402 repeats this call of {ACCESS} with the signed payment in \
                 _meta[\"x402/payment\"]. Without one, use a tool that pays over HTTP, like make_http_request_with_x402: method \
                 POST, url {url}, body {order}.",
                terms.amount
            )
            .into(),
        );
    }
    json!({
        "content": [text(required.to_string()), text(hint.to_string())],
        "structuredContent": required,
        "_meta": {OFFER: required},
        "isError": true,
    })
}

async fn granted<D>(checkout: &Checkout<'_, D>, outcome: &Outcome<'_>) -> Option<Value> {
    let Outcome::Granted { goods, again, .. } = outcome else {
        return None;
    };
    let grant = checkout.grant(goods).await.ok()?;
    let mut grant = json!(match again {
        true => grant.redeemed_before(),
        false => grant,
    });
    grant
        .as_object_mut()?
        .insert("status".to_owned(), "access_granted".into());
    Some(json!({
        "content": [text(grant.to_string())],
        "structuredContent": grant,
        "isError": false,
    }))
}

/// What happened, in words. `None` for goods.
fn error_of<D>(
    checkout: &Checkout<'_, D>,
    order: &Order,
    payment: &PaymentPayload,
    outcome: &Outcome<'_>,
) -> Option<Error> {
    let mut error = outcome.error(&checkout.origin, checkout.config.network)?;
    // Then its id follows from the payment, and another signature has another one.
    let is_unnamed = order.request_id.is_none() && payment.challenge_id().is_none();
    match outcome {
        Outcome::Stopped {
            why: Stop::Conflict,
        } if is_unnamed => {
            error = Stop::Taken.error(&checkout.origin, checkout.config.network);
        }
        Outcome::Stopped {
            why: Stop::Spent(_),
        } if is_unnamed => {
            error.message = "This payment was tried before, failed, and is not tried again; nothing was charged. Call without a \
                             payment for the offer, and sign it anew."
                .into();
        }
        Outcome::PayAgain {
            why: Unpaid::Expired | Unpaid::Withdrawn | Unpaid::Cancelled,
            quote: Some(_),
            ..
        } if is_unnamed => {
            error.message = "This payment does not count any more, and nothing was charged. Sign the offer that comes with this \
                             answer."
                .into();
        }
        Outcome::Stopped {
            why: Stop::SignAgain { request_id },
        } => {
            let details = json!({"requestId": request_id});
            error = Error::new(
                Code::TxAlreadyRedeemed,
                format!(
                    "This purchase was delivered, and its payment is public on chain by now: it no longer proves who asks. Sign a \
                     new payment and call {ACCESS} with it and with the requestId in the details: it will not be charged."
                ),
            )
            .with_details(details);
        }
        Outcome::PayAgain {
            quote: Some(quote), ..
        } if order.chosen && !quote.first.offer.terms.chosen => {
            error.message = format!(
                "{} Leave requestId out, or choose another one.",
                error.message
            )
            .into();
        }
        _ => {}
    }
    // There is no header that could say it.
    if let Some(seconds) = outcome.retry_after(checkout.now) {
        let details = error.details.get_or_insert_with(|| json!({}));
        if let Some(details) = details.as_object_mut() {
            details.insert("retryAfterSeconds".to_owned(), json!(seconds));
        }
    }
    Some(error)
}

/// What came of the payment, as x402 tells it. `None` while nothing can be told: what says "no success" reads as "pay again".
fn receipt<D>(
    checkout: &Checkout<'_, D>,
    payment: &PaymentPayload,
    outcome: &Outcome<'_>,
) -> Option<Value> {
    let network = checkout.config.network;
    let transaction = match outcome {
        Outcome::Granted { receipt, .. } | Outcome::Pending { receipt, .. } => {
            let Receipt {
                transaction, payer, ..
            } = receipt.as_ref()?;
            let success = SettleResponse::success(Dialect::X402V2, *transaction, network, *payer);
            return Some(json!(success));
        }
        Outcome::PayAgain { transaction, .. } => *transaction,
        Outcome::Stopped { why } => match why {
            // Of the payment nothing is said, or that its purchase was delivered.
            Stop::NotSold { .. }
            | Stop::NotOpened { .. }
            | Stop::NothingOpens
            | Stop::ForeignOffer
            | Stop::SignAgain { .. }
            | Stop::AccessEnded { .. } => return None,
            _ if why.retry() == Retry::Same => return None,
            _ => None,
        },
    };
    let payer = payment.authorization.from;
    let reason = outcome.reason();
    let failure = SettleResponse::failure(Dialect::X402V2, reason, transaction, network, payer);
    Some(json!(failure))
}

fn with_receipt(mut result: Value, receipt: Option<Value>) -> Value {
    if let (Some(receipt), Some(members)) = (receipt, result.as_object_mut()) {
        let meta = members.entry("_meta").or_insert_with(|| json!({}));
        if let Some(meta) = meta.as_object_mut() {
            meta.insert(RECEIPT.to_owned(), receipt);
        }
    }
    result
}

fn text(text: String) -> Value {
    json!({"type": "text", "text": text})
}
