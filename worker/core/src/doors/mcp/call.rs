//! `tools/call`: reads the arguments and the payment, and calls the checkout.

use crate::json;
use http::header::HeaderMap;
use serde_json::{Map, Value};

use super::answer::{Answer, answered, told};
use super::rpc::Fault;
use super::tools::{ACCESS, DISCOVER};
use crate::checkout::{Calls, Checkout, Deployment, Order, Outcome, Payment, Quote};
use crate::documents::discover;
use crate::doors::access_request::{AccessRequest, CallRequest};
use crate::doors::described::Described;
use crate::doors::mpp::{Paid, Side};
use crate::doors::{former, free, misplaced};
use crate::error::Error;
use crate::mpp;
use crate::response::MAX_PAYMENT_HEADER_CHARS;
use crate::x402::header::{self, PAYMENT_SIGNATURE, X_PAYMENT};
use crate::x402::{Dialect, PaymentPayload, Refusal, Unreadable};

const PAYMENT: &str = "x402/payment";
/// The name of a credential of the Machine Payments Protocol.
const CREDENTIAL: &str = "org.paymentauth/credential";

/// How a call pays.
enum Paying {
    Not,
    X402(Result<PaymentPayload, Unreadable>),
    /// By the Machine Payments Protocol.
    Mpp(Result<Paid, mpp::Fault>, Side),
}

/// The result of `tools/call`. Sets `counts` when the call counts against the client's address.
pub(super) async fn call<D: Deployment>(
    checkout: &Checkout<'_, D>,
    params: &Map<String, Value>,
    headers: &HeaderMap,
    counts: &mut bool,
) -> Result<Value, Fault> {
    let none = Value::Object(Map::new());
    let arguments = match params.get("arguments") {
        None | Some(Value::Null) => &none,
        Some(arguments @ Value::Object(_)) => arguments,
        Some(_) => return Err(Fault::bad_params("arguments must be an object.")),
    };
    // Earlier deployments called the tools by the short names.
    match params.get("name").and_then(Value::as_str) {
        Some(DISCOVER | "discover") => Ok(catalog(checkout)),
        Some(ACCESS | "access") => {
            let meta = params.get("_meta");
            let paid = meta.and_then(|meta| meta.get(PAYMENT));
            let payment = payment(paid, headers).transpose();
            let credential = meta.and_then(|meta| meta.get(CREDENTIAL));
            let paying = match (payment, Side::elsewhere(checkout).zip(credential)) {
                (Some(_), Some(_)) => {
                    return Ok(told(&Error::invalid_request(
                        "Send one payment: x402/payment or org.paymentauth/credential. Nothing was charged for this request.",
                    )));
                }
                (Some(payment), None) => Paying::X402(payment),
                (None, Some((side, credential))) => Paying::Mpp(side.read(credential), side),
                (None, None) => match misplaced(params, arguments, headers) {
                    Some(error) => return Ok(told(&error)),
                    None => Paying::Not,
                },
            };
            let answer = access(checkout, arguments, paying).await;
            *counts = answer.counts;
            Ok(answer.result)
        }
        _ => Err(Fault::bad_params(
            "There is no such tool. tools/list names the tools.",
        )),
    }
}

/// The price list, without the instructions for HTTP.
fn catalog<D>(checkout: &Checkout<'_, D>) -> Value {
    let mut catalog = json!(discover(checkout.config, &checkout.origin));
    if let Some(members) = catalog.as_object_mut() {
        members.remove("nextStep");
    }
    json!({
        "content": [{"type": "text", "text": catalog.to_string()}],
        "structuredContent": catalog,
        "isError": false,
    })
}

/// Answers a call of the paid tool: with the offer, or for a payment with its outcome.
async fn access<D: Deployment>(
    checkout: &Checkout<'_, D>,
    arguments: &Value,
    paying: Paying,
) -> Answer {
    let has_routes = !checkout.config.catalog.routes().is_empty();
    let request = match wanted(arguments, has_routes) {
        Ok(request) => request.resolved(checkout).await,
        Err(error) => Err(error),
    };
    let request = match request {
        Ok(request) => request,
        Err(error) => return Answer::uncounted(told(&error)),
    };
    let described = match described(checkout, &request) {
        Ok(described) => described,
        Err(error) => return Answer::uncounted(told(&error)),
    };
    let order = match &described {
        Some(described) => {
            let timeout = checkout.config.gateway.timeout_millis;
            request.order_for(&described.call, timeout)
        }
        None => request.order(),
    };
    if let Some(described) = &described {
        if described.call.route.price.is_none() {
            let made = free::call(checkout, described, order.request_id.as_ref()).await;
            return Answer::uncounted(match made {
                Ok(goods) => {
                    let is_error = goods.answer().is_none_or(|head| head.status >= 400);
                    answered(checkout, &goods, None, is_error)
                }
                Err(error) => told(&error),
            });
        }
        let purchases = checkout.deployment.purchases();
        purchases.bring(described.brought());
    }
    let with = |answer: &dyn Fn(&Quote<'_>) -> Answer| match checkout.quote(&order) {
        Ok(quote) => answer(&quote),
        Err(why) => {
            let error = why.error(&checkout.origin, checkout.config.network);
            Answer::uncounted(told(&error))
        }
    };
    let call = described.as_ref();
    match paying {
        Paying::X402(Ok(payment)) => {
            let outcome = paid_for(checkout, &order, &(&payment).into(), call).await;
            Answer::to(checkout, &order, call, &payment, &outcome).await
        }
        Paying::Mpp(Ok(paid), side) => {
            let outcome = paid_for(checkout, &order, &paid.payment(), call).await;
            Answer::to_credential(checkout, &order, call, (&side, &paid), &outcome).await
        }
        Paying::X402(Err(fault)) => {
            with(&|quote| Answer::unreadable(checkout, quote, call, &fault))
        }
        Paying::Mpp(Err(fault), side) => {
            with(&|quote| Answer::misread(checkout, quote, call, &side, &fault))
        }
        Paying::Not => with(&|quote| Answer::offer(checkout, quote, call)),
    }
}

/// The call of a route that the arguments describe, if they name a route.
fn described<'a, D>(
    checkout: &Checkout<'a, D>,
    request: &AccessRequest,
) -> Result<Option<Described<'a>>, Error> {
    let Some(CallRequest { route, resource }) = &request.call else {
        return Ok(None);
    };
    let catalog = &checkout.config.catalog;
    Described::read(catalog, &checkout.origin, route, resource.as_ref()).map(Some)
}

/// Presents a payment for a plan, or for the call that is described.
async fn paid_for<'a, D: Deployment>(
    checkout: &Checkout<'a, D>,
    order: &Order,
    payment: &Payment<'_>,
    described: Option<&Described<'_>>,
) -> Outcome<'a> {
    match described {
        Some(described) => {
            let (sent, vary) = (described.sent(), &described.call.route.vary);
            former::pay(checkout, order, payment, &sent, vary).await
        }
        None => checkout.pay(order, payment).await,
    }
}

/// Reads the arguments. Unlike a request over HTTP, a call must name its plan or route.
fn wanted(arguments: &Value, has_routes: bool) -> Result<AccessRequest, Error> {
    let has = |name: &str| arguments.get(name).is_some_and(|value| !value.is_null());
    if has("proof") {
        return Err(Error::invalid_request(
            "A transfer is shown at /x402/access, not here: POST {\"proof\": …} to it.",
        ));
    }
    let request = AccessRequest::read(arguments)?;
    if request.plan.is_none() && request.call.is_none() && !request.names_a_grant() {
        let (missing, list) = match has_routes {
            true => ("planId or routeId", "plans and routes"),
            false => ("planId", "plans"),
        };
        let error = Error::invalid_request(format!(
            "{missing} is missing.{} {DISCOVER} lists the {list}.",
            request.advice()
        ));
        return Err(match request.hint() {
            Some(meant) => error.with_details(json!({"expected": meant})),
            None => error,
        });
    }
    Ok(request)
}

/// The error for a client that has put its payment where none is read.
fn misplaced(params: &Map<String, Value>, arguments: &Value, headers: &HeaderMap) -> Option<Error> {
    let meta = params.get("_meta").and_then(Value::as_object);
    let (object, place) = None
        .or_else(|| Some(("arguments", misplaced::within(arguments)?)))
        .or_else(|| Some(("_meta", misplaced::among(meta?)?)))
        .or_else(|| Some(("params", misplaced::among(params)?)))
        .or_else(|| Some(("headers", misplaced::in_header(headers)?)))?;
    Some(place.error(
        object,
        "with the same call in params._meta[\"x402/payment\"]",
    ))
}

/// The payment, if there is one: in `_meta`, or else in a header.
fn payment(
    meta: Option<&Value>,
    headers: &HeaderMap,
) -> Result<Option<PaymentPayload>, Unreadable> {
    let value = match meta {
        Some(Value::String(text)) => Some(object(text).ok_or(Refusal::InvalidPayload)?),
        Some(value @ Value::Object(_)) => Some(value.clone()),
        None | Some(Value::Null) => in_header(headers)?,
        Some(_) => return Err(Refusal::InvalidPayload.into()),
    };
    let payment = value.map(|value| PaymentPayload::parse(Dialect::X402V2, &value));
    payment.transpose()
}

/// Reads an object from a text: JSON, or base64 of JSON.
fn object(text: &str) -> Option<Value> {
    if text.len() > MAX_PAYMENT_HEADER_CHARS {
        return None;
    }
    let json = serde_json::from_slice::<Value>(text.as_bytes()).ok();
    json.filter(Value::is_object)
        .or_else(|| header::decode(text))
}

/// The payment in a header. A proxy joins repeated headers with a comma, which is no base64, so two payments are refused.
fn in_header(headers: &HeaderMap) -> Result<Option<Value>, Refusal> {
    let mut names = [PAYMENT_SIGNATURE, X_PAYMENT].into_iter();
    let Some(name) = names.find(|name| headers.contains_key(*name)) else {
        return Ok(None);
    };
    let mut values = headers.get_all(name).iter();
    let text = values.next().and_then(|value| value.to_str().ok());
    let value = text
        .filter(|_| values.next().is_none())
        .and_then(header::decode);
    value.map(Some).ok_or(Refusal::InvalidPayload)
}
