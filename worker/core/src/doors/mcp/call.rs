//! Calls of tools: what is wanted, and the payment that comes with it.

use http::header::HeaderMap;
use serde_json::{Map, Value, json};

use super::answer::{Answer, told};
use super::rpc::Fault;
use super::tools::{ACCESS, DISCOVER};
use crate::checkout::{Checkout, Deployment, Payment};
use crate::documents::discover;
use crate::doors::access_request::AccessRequest;
use crate::error::{Code, Error};
use crate::response::MAX_PAYMENT_HEADER_CHARS;
use crate::types::RouteId;
use crate::x402::header::{self, PAYMENT_SIGNATURE, X_PAYMENT};
use crate::x402::{Dialect, PaymentPayload, Refusal, Unreadable};

const PAYMENT: &str = "x402/payment";

/// The result of `tools/call`. `counts`: whether a payment was presented that did not count.
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
            let meta = params.get("_meta").and_then(|meta| meta.get(PAYMENT));
            let payment = payment(meta, headers).transpose();
            let answer = access(checkout, arguments, payment).await;
            *counts = answer.counts;
            Ok(answer.result)
        }
        _ => Err(Fault::bad_params(
            "There is no such tool. tools/list names the tools.",
        )),
    }
}

/// The price list, without what is done by HTTP.
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

/// Sells a plan: states the price, or takes the payment and gives the grant.
async fn access<D: Deployment>(
    checkout: &Checkout<'_, D>,
    arguments: &Value,
    payment: Option<Result<PaymentPayload, Unreadable>>,
) -> Answer {
    let request = match wanted(arguments) {
        Ok(request) => request,
        Err(error) => return Answer::uncounted(told(&error)),
    };
    let order = request.order();
    let unreadable = match payment {
        Some(Ok(payment)) => {
            let outcome = checkout.pay(&order, &Payment::from(&payment)).await;
            return Answer::to(checkout, &order, &payment, &outcome).await;
        }
        Some(Err(unreadable)) => Some(unreadable),
        None => None,
    };
    match (checkout.quote(&order), unreadable) {
        (Ok(quote), None) => Answer::offer(checkout, &quote),
        (Ok(quote), Some(unreadable)) => Answer::unreadable(checkout, &quote, &unreadable),
        (Err(why), _) => {
            let error = why.error(&checkout.origin, checkout.config.network);
            Answer::uncounted(told(&error))
        }
    }
}

/// What the arguments ask for. A call that names nothing buys nothing here.
fn wanted(arguments: &Value) -> Result<AccessRequest, Error> {
    let has = |name: &str| arguments.get(name).is_some_and(|value| !value.is_null());
    if has("proof") {
        return Err(Error::invalid_request(
            "A transfer is shown at /x402/access, not here: POST {\"proof\": …} to it.",
        ));
    }
    let request = AccessRequest::read(arguments)?;
    if has("routeId") {
        return Err(match (request.plan.is_some(), route(arguments)) {
            (true, _) => Error::invalid_request("Send planId or routeId, not both."),
            (_, None) => {
                Error::invalid_request("routeId must be 1 to 64 letters, digits, '.', '_' or '-'.")
            }
            (_, Some(id)) => Error::new(
                Code::TierNotFound,
                format!("Route \"{id}\" not found. {DISCOVER} lists what is sold."),
            )
            .with_details(json!({"routeId": id})),
        });
    }
    if request.plan.is_none() {
        let error = Error::invalid_request(format!(
            "planId is missing.{} {DISCOVER} lists the plans.",
            request.advice()
        ));
        return Err(match request.hint() {
            Some(meant) => error.with_details(json!({"expected": meant})),
            None => error,
        });
    }
    Ok(request)
}

fn route(arguments: &Value) -> Option<RouteId> {
    arguments.get("routeId")?.as_str()?.parse().ok()
}

/// The payment, if there is one: with the call, or else in a header.
fn payment(
    meta: Option<&Value>,
    headers: &HeaderMap,
) -> Result<Option<PaymentPayload>, Unreadable> {
    let value = match meta {
        Some(Value::String(text)) => Some(object(text).ok_or(Refusal::InvalidPayload)?),
        Some(value) if !value.is_null() => Some(value.clone()),
        _ => in_header(headers)?,
    };
    let payment = value.map(|value| PaymentPayload::parse(Dialect::X402V2, &value));
    payment.transpose()
}

/// An object as a text: JSON, or base64 of it.
fn object(text: &str) -> Option<Value> {
    if text.len() > MAX_PAYMENT_HEADER_CHARS {
        return None;
    }
    let json = serde_json::from_slice::<Value>(text.as_bytes()).ok();
    json.filter(Value::is_object)
        .or_else(|| header::decode(text))
}

/// Proxies join repeated headers with a comma, which base64 does not contain.
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
