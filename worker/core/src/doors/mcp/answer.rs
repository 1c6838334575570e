//! The results of the paid tool, one for each outcome.
//! <https://github.com/x402-foundation/x402/blob/main/specs/transports-v2/mcp.md>

use crate::json;
use crate::json::Put as _;
use http::StatusCode;
use serde_json::Value;

use super::tools::ACCESS;
use crate::catalog::Settle;
use crate::checkout::{
    Checkout, Claim, Deployment, Order, Outcome, Priced, Quote, Retry, Stop, Unpaid,
};
use crate::doors::described::Described;
use crate::doors::mpp::{Paid, Side, Verdict};
use crate::doors::resource_response::resource_response;
use crate::error::{Code, Error};
use crate::goods::{Goods, Receipt};
use crate::limit;
use crate::mpp::{Fault, PaymentReceipt, Problem};
use crate::types::RequestId;
use crate::x402::{
    Dialect, PaymentPayload, PaymentRequired, Refusal, Resource, SettleResponse, Unreadable,
};

const RECEIPT: &str = "x402/payment-response";
/// This name is not in the specification, but some clients look for the offer only here.
const OFFER: &str = "x402/error";
/// The names of the Machine Payments Protocol.
const MPP_OFFER: &str = "org.paymentauth/payment-required";
const MPP_RECEIPT: &str = "org.paymentauth/receipt";
/// The `error` of an offer in the answer to a call without a payment.
const ASKING: &str = "Payment required";

/// A result, and whether the call counts against the client's address.
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
    pub(super) fn offer<D>(
        checkout: &Checkout<'_, D>,
        quote: &Quote<'_>,
        described: Option<&Described<'_>>,
    ) -> Self {
        let result = offered(checkout, quote, described, ASKING, &json!({}));
        Self::uncounted(match Side::elsewhere(checkout) {
            Some(side) => with_challenge(result, side.challenge_object(&quote.first), None),
            None => result,
        })
    }

    /// The answer to a credential that cannot be read.
    pub(super) fn misread<D>(
        checkout: &Checkout<'_, D>,
        quote: &Quote<'_>,
        described: Option<&Described<'_>>,
        side: &Side,
        fault: &Fault,
    ) -> Self {
        let reason = Refusal::InvalidPayload.code();
        let mut details = json!({"reason": reason});
        if let (Some(member), Some(details)) = (fault.member, details.as_object_mut()) {
            details.put("member", json!(member));
        }
        let error = Error::invalid_request(fault.message.clone()).with_details(details);
        let result = match fault.problem {
            Problem::MethodUnsupported => told(&error),
            problem => {
                let result = offered(checkout, quote, described, reason, &error.body());
                let challenge = side.challenge_object(&quote.first);
                with_challenge(result, challenge, Some((problem, &error)))
            }
        };
        Self {
            result,
            counts: true,
        }
    }

    /// The answer to a credential of the Machine Payments Protocol.
    pub(super) async fn to_credential<D: Deployment>(
        checkout: &Checkout<'_, D>,
        order: &Order,
        described: Option<&Described<'_>>,
        (side, paid): (&Side, &Paid),
        outcome: &Outcome<'_>,
    ) -> Self {
        let Some(mut error) = error_of(checkout, order, true, outcome) else {
            let granted = granted(checkout, outcome).await;
            let result = granted.unwrap_or_else(|| told(&Error::internal()));
            let receipt = match outcome {
                Outcome::Granted { receipt, .. } => receipt.as_ref(),
                _ => None,
            };
            let receipt =
                receipt.map(|receipt| json!(PaymentReceipt::new(receipt, paid.challenge_id())));
            return Self::uncounted(with_meta(result, MPP_RECEIPT, receipt));
        };
        let verdict = Verdict::of(outcome, &error);
        if let Some(message) = verdict.message {
            error.message = message.into();
        }
        let again = match verdict.status {
            StatusCode::PAYMENT_REQUIRED => checkout.quote(order).ok(),
            _ => None,
        };
        let result = match (again, outcome) {
            (Some(quote), _) => {
                let result = offered(checkout, &quote, described, outcome.reason(), &error.body());
                let challenge = side.challenge_object(&quote.first);
                with_challenge(result, challenge, Some((verdict.problem, &error)))
            }
            (
                None,
                Outcome::Pending {
                    request_id, claim, ..
                }
                | Outcome::Stopped {
                    why: Stop::RefundFailed { request_id, claim },
                },
            ) => {
                // These clients sign anew for each call. So the client is told the request id under which its next call
                // belongs to the same purchase.
                let is_seen = claim.as_ref().is_some_and(Claim::is_by_attempted);
                pending(error.clone(), order, (!is_seen).then_some(request_id))
            }
            _ => told(&error),
        };
        Self {
            result,
            counts: outcome.is_unchecked() || limit::is_refusal(verdict.status),
        }
    }

    /// The answer to a payment that cannot be read. Nothing was charged for it.
    pub(super) fn unreadable<D>(
        checkout: &Checkout<'_, D>,
        quote: &Quote<'_>,
        described: Option<&Described<'_>>,
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
        let details = match unreadable.member {
            Some(member) => json!({"reason": reason, "member": member}),
            None => json!({"reason": reason}),
        };
        let error = Error::invalid_request(message).with_details(details);
        let network = checkout.config.network.caip2();
        let receipt =
            json!({"success": false, "errorReason": reason, "transaction": "", "network": network});
        let result = offered(checkout, quote, described, reason, &error.body());
        Self {
            result: with_receipt(result, Some(receipt)),
            counts: true,
        }
    }

    /// The answer to a payment that could be read.
    pub(super) async fn to<D: Deployment>(
        checkout: &Checkout<'_, D>,
        order: &Order,
        described: Option<&Described<'_>>,
        payment: &PaymentPayload,
        outcome: &Outcome<'_>,
    ) -> Self {
        let receipt = receipt(checkout, payment, outcome);
        let is_kept = payment.challenge_id().is_some();
        let Some(error) = error_of(checkout, order, is_kept, outcome) else {
            let granted = granted(checkout, outcome).await;
            let result = granted.unwrap_or_else(|| told(&Error::internal()));
            return Self::uncounted(with_receipt(result, receipt));
        };
        let result = match outcome {
            Outcome::PayAgain {
                quote: Some(quote), ..
            } => {
                let beside = error.body();
                offered(checkout, quote, described, outcome.reason(), &beside)
            }
            Outcome::Pending {
                request_id, claim, ..
            }
            | Outcome::Stopped {
                why: Stop::RefundFailed { request_id, claim },
            } => {
                let is_seen = claim.as_ref().is_some_and(Claim::is_by_attempted);
                let is_its = is_seen || is_kept;
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

/// An error as a result: as a text for models, and as an object for programs.
pub(super) fn told(error: &Error) -> Value {
    let body = error.body();
    json!({
        "content": [text(body.to_string())],
        "structuredContent": body,
        "isError": true,
    })
}

/// The answer while the outcome of a payment is not known. A model must not take it for a failure and pay again, so the
/// answer begins with a sentence, and has no offer.
///
/// Some clients sign a new payment for each call. Such a payment joins the purchase while that is unfinished, and for
/// two minutes after. If it comes with the purchase's request id, `named`, it leads to the purchase at any time, and is
/// not charged. `named` is `None` where only the same payment leads to the purchase.
fn pending(mut error: Error, order: &Order, named: Option<&RequestId>) -> Value {
    let details = error.details.get_or_insert_with(|| json!({}));
    if let (Some(id), Some(details)) = (named, details.as_object_mut()) {
        details.put("requestId", json!(id));
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

/// The result that makes an offer. Its first text must be the same object as `structuredContent`. A second text has
/// `beside`, and says how to pay without an MCP client that can pay.
///
/// Nothing is stored between the offer and the payment, so the offer is the same each time and has no ids. The result
/// is plain ASCII, because some clients encode what they send back of it with a function for Latin-1.
fn offered<D>(
    checkout: &Checkout<'_, D>,
    quote: &Quote<'_>,
    described: Option<&Described<'_>>,
    error: &str,
    beside: &Value,
) -> Value {
    let Priced {
        offer,
        description,
        settle,
    } = &quote.first;
    let terms = &offer.terms;
    let url = match described {
        Some(described) => described.url(&checkout.origin),
        None => terms.url(checkout.origin.as_str()),
    };
    let required = PaymentRequired::without_ids(terms, Resource::json(&url, description), error);
    let required = match settle {
        Some(Settle::Before) => required.upfront(),
        _ => required,
    };
    let required = json!(required.elsewhere());
    let over_http = match described {
        Some(described) => described.over_http(&checkout.origin),
        None => {
            let mut order =
                json!({(terms.target.member()): terms.target.id(), "resourceId": terms.resource});
            if let (true, Some(members)) = (terms.chosen, order.as_object_mut()) {
                members.put("requestId", json!(terms.request_id));
            }
            format!("method POST, url {url}, body {order}")
        }
    };
    let mut hint = beside.clone();
    if let Some(members) = hint.as_object_mut() {
        members.put("x402PaymentUrl", url.as_str().into());
        members.put("paymentInstructions",
            format!(
                "This costs {} USDC. An MCP client that pays with x402 repeats this call of {ACCESS} with the signed payment in \
                 _meta[\"x402/payment\"]. Without one, use a tool that pays over HTTP, like make_http_request_with_x402: \
                 {over_http}.",
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

async fn granted<D: Deployment>(
    checkout: &Checkout<'_, D>,
    outcome: &Outcome<'_>,
) -> Option<Value> {
    let Outcome::Granted {
        goods,
        receipt,
        again,
    } = outcome
    else {
        return None;
    };
    if goods.answer().is_some() {
        // What is not charged for is not what was asked for.
        let is_error = receipt.is_none();
        return Some(answered(checkout, goods, receipt.as_ref(), is_error));
    }
    let grant = checkout.grant(goods).await.ok()?;
    let mut grant = json!(match again {
        true => grant.redeemed_before(),
        false => grant,
    });
    grant
        .as_object_mut()?
        .put("status", "access_granted".into());
    Some(json!({
        "content": [text(grant.to_string())],
        "structuredContent": grant,
        "isError": false,
    }))
}

/// The answer to a call as a result.
pub(super) fn answered<D: Deployment>(
    checkout: &Checkout<'_, D>,
    goods: &Goods,
    receipt: Option<&Receipt>,
    is_error: bool,
) -> Value {
    let Some(response) = resource_response(checkout, goods, receipt) else {
        return told(&Error::internal());
    };
    json!({
        "content": [text(response.to_string())],
        "structuredContent": response,
        "isError": is_error,
    })
}

/// The outcome as an error. `None` when it is a grant. `is_kept`: whether the client sent the offer's id back.
fn error_of<D>(
    checkout: &Checkout<'_, D>,
    order: &Order,
    is_kept: bool,
    outcome: &Outcome<'_>,
) -> Option<Error> {
    let mut error = outcome.error(&checkout.origin, checkout.config.network)?;
    // If the client did not name its purchase, the id follows from the payment, so a new signature means another
    // purchase.
    let is_unnamed = order.request_id.is_none() && !is_kept;
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
            why: Stop::Conflict | Stop::Spent(_) | Stop::Refunded { .. } | Stop::AccessEnded { .. },
        } if order.request_id.as_ref().is_none_or(RequestId::is_derived) => {
            // The client has chosen no requestId so far, and needs none.
            error.message = format!("{} Leaving requestId out does that.", error.message).into();
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
    // MCP has no header that could tell the time to wait.
    if let Some(seconds) = outcome.retry_after(checkout.now) {
        let details = error.details.get_or_insert_with(|| json!({}));
        if let Some(details) = details.as_object_mut() {
            details.put("retryAfterSeconds", json!(seconds));
        }
    }
    Some(error)
}

/// The receipt in the form of x402. `None` while the outcome is open: a client would read `success: false` as "pay
/// again".
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
            // These stops say nothing about the payment, or they say that its purchase was delivered.
            Stop::NotSold { .. }
            | Stop::NotOpened { .. }
            | Stop::NothingOpens
            | Stop::ForeignOffer
            | Stop::AnswerGone { .. }
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

fn with_receipt(result: Value, receipt: Option<Value>) -> Value {
    with_meta(result, RECEIPT, receipt)
}

/// Adds the challenge for clients of the Machine Payments Protocol. (The error code that a draft of it uses for this,
/// -32042, means something else in MCP.)
fn with_challenge(result: Value, challenge: Value, problem: Option<(Problem, &Error)>) -> Value {
    let status = StatusCode::PAYMENT_REQUIRED;
    let mut required = json!({"httpStatus": status.as_u16(), "challenges": [challenge]});
    if let (Some((problem, error)), Some(members)) = (problem, required.as_object_mut()) {
        let problem = json!({
            "type": problem.uri(),
            "title": problem.title(status),
            "status": status.as_u16(),
            "detail": error.message,
        });
        members.put("problem", problem);
    }
    with_meta(result, MPP_OFFER, Some(required))
}

fn with_meta(mut result: Value, name: &str, value: Option<Value>) -> Value {
    if let (Some(value), Some(members)) = (value, result.as_object_mut()) {
        let meta = members.entry("_meta").or_insert_with(|| json!({}));
        if let Some(meta) = meta.as_object_mut() {
            meta.insert(name.to_owned(), value);
        }
    }
    result
}

fn text(text: String) -> Value {
    json!({"type": "text", "text": text})
}
