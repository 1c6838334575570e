//! The way of a call through the door.
//!
//! A call passes if its route is free, if its caller has bought access by a plan that opens the route, or if its caller
//! pays for it. The price is stated before the request is checked any further: a caller that has not paid learns
//! nothing about the API.

use http::header::{AUTHORIZATION, HeaderMap};
use http::{HeaderName, Method};

use super::super::call::{Call, Sent};
use super::super::former;
use super::super::http::answer::{self, Answer, Place};
use super::super::http::request;
use super::super::mpp::{self, Presented, Side};
use super::counted::Counted;
use super::uncounted::{Spent, Verdict, put};
use crate::checkout::{Checkout, Deployment, Order, Outcome, Payment, Stop};
use crate::config::Config;
use crate::error::Error;
use crate::limit;
use crate::meter::{CallId, Meters};
use crate::mpp::schemes;
use crate::pauses::Patience;
use crate::response::{self, Response};
use crate::token::{Access, RsaVerifier};
use crate::types::UnixSeconds;
use crate::x402::{Dialect, PaymentPayload};

/// The header that tells a caller that its payment was not needed.
const UNUSED: HeaderName = HeaderName::from_static("key0-payment-unused");

/// A call as it arrived.
#[derive(Clone, Copy, Debug)]
pub struct Arrival<'a> {
    /// The call as it is forwarded.
    pub call: &'a Call<'a>,
    /// The method of the request, which may be `HEAD`.
    pub method: &'a Method,
    /// The URL that was called.
    pub url: &'a str,
    /// The headers.
    pub headers: &'a HeaderMap,
    /// The body.
    pub body: &'a [u8],
}

impl<'a> Arrival<'a> {
    /// The call as it was sent.
    fn sent(&self, method: &'a Method) -> Sent<'a> {
        sent(method, self.url, self.headers, self.body)
    }
}

fn sent<'a>(method: &'a Method, url: &'a str, headers: &'a HeaderMap, body: &'a [u8]) -> Sent<'a> {
    let (url, _) = url.split_once('#').unwrap_or((url, ""));
    let (before, query) = url.split_once('?').unwrap_or((url, ""));
    let (_, host) = before.split_once("://").unwrap_or(("", before));
    let path = host.find('/').and_then(|at| host.get(at..));
    Sent {
        method,
        path: path.unwrap_or_default(),
        query,
        headers,
        body,
    }
}

/// The answer to a payment for a call that no route has any more: what its purchase gave, if it has begun. `None` if
/// there is nothing to be said about it.
pub async fn stray<D: Deployment>(
    checkout: &Checkout<'_, D>,
    method: &Method,
    url: &str,
    headers: &HeaderMap,
    body: &[u8],
) -> Option<Response> {
    let payment = request::payment(headers).ok()?;
    let side = Side::new(checkout, headers, None, None);
    let presented = side
        .as_ref()
        .map_or(Presented::Nothing, |side| side.presented(headers));
    let request_id = request::named_for_call(headers).ok()?;
    let order = Order {
        chosen: request_id.as_ref().is_some_and(|id| !id.is_derived()),
        request_id,
        ..Order::default()
    };
    let place = Place {
        origin: &checkout.origin,
        catalog: &checkout.config.catalog,
        called: Some((method.as_str(), url)),
        described: None,
        mpp: side.as_ref(),
    };
    let (payment, answer) = paid(&presented, payment.as_ref(), &order, place)?;
    let sent = sent(method, url, headers, body);
    let outcome = former::outcome(checkout, &order, &payment, &sent, &[]).await?;
    let response = answer.tell(checkout, outcome).await;
    Some(match response::is_of_api(&response) {
        true => response,
        false => limit::judge(response),
    })
}

/// Whether a request has a payment in a header.
pub fn pays(headers: &HeaderMap) -> bool {
    let mut dialects = Dialect::ALL.iter();
    dialects.any(|dialect| headers.contains_key(dialect.payment_header())) || mpp::bears(headers)
}

/// What is done with a call.
#[derive(Debug)]
pub enum Passage {
    /// The call is forwarded, and its answer is passed on while it arrives.
    Forward {
        /// The access that opens it; `None` for a free route.
        access: Option<Access>,
        /// Where the access has limits: what its meter is told of the call.
        counted: Option<Counted>,
        /// Headers that are added to the answer.
        adds: Vec<(HeaderName, &'static str)>,
    },
    /// The call is answered with this response. If that is an answer of the API, the platform adds its body.
    Answer(Response),
}

/// Lets a call pass without payment, takes the payment for it, or states its price. `access`: the content of the
/// caller's access token, from [`access`].
///
/// A call with a token of limits passes its meter first. Money comes before that: if the payment that was sent along has
/// begun a purchase, the caller has paid, perhaps because nothing was left then, and gets what it has paid for.
pub async fn enter<D: Deployment, M: Meters>(
    checkout: &Checkout<'_, D>,
    meters: &M,
    access: Option<Access>,
    arrival: &Arrival<'_>,
) -> Passage {
    let call = arrival.call;
    if call.route.price.is_none() {
        return Passage::Forward {
            access: None,
            counted: None,
            adds: Vec::new(),
        };
    }
    let (body, route) = (call.body_digest, Some(call.route));
    let side = Side::new(checkout, arrival.headers, body, route);
    let side = side.as_ref();
    let presented = side.map_or(Presented::Nothing, |side| side.presented(arrival.headers));
    let pays = pays(arrival.headers);
    // An error that the API answers with is no refusal of the payment.
    let judged = |response| match pays && !response::is_of_api(&response) {
        true => Passage::Answer(limit::judge(response)),
        false => Passage::Answer(response),
    };
    let mut spent = Spent::default();
    if let Some(access) = access.filter(|access| call.route.plans.contains(&access.plan)) {
        let counted = match &access.grant {
            None => None,
            Some(grant) => {
                if pays && let Some(response) = begun(checkout, arrival, side, &presented).await {
                    return judged(response);
                }
                let id = CallId::from_random(checkout.random);
                let timeout = checkout.config.gateway.timeout_millis;
                let asked = Counted::ask(meters, (grant, id), call.route, timeout, checkout.now);
                match asked.await {
                    Ok(counted) => Some(counted),
                    Err(uncounted) => match uncounted.answer(access.has_expired, checkout.now) {
                        Verdict::Pay(told) => {
                            spent = told.topped_up(checkout, &access.plan, grant);
                            None
                        }
                        // The payment that came along was looked up, which costs something.
                        Verdict::Refuse(response) if pays => {
                            return Passage::Answer(limit::counted(response));
                        }
                        Verdict::Refuse(response) => return Passage::Answer(response),
                    },
                }
            }
        };
        if counted.is_some() || access.grant.is_none() {
            let adds = pays.then_some((
                UNUSED,
                "the access token opens this route; nothing was charged",
            ));
            return Passage::Forward {
                access: Some(access),
                counted,
                adds: adds.into_iter().collect(),
            };
        }
    }
    judged(sell(checkout, arrival, side, &presented, spent).await)
}

/// The payment that a request presents, and how its sender is answered.
fn paid<'p>(
    presented: &'p Presented,
    payment: Option<&'p PaymentPayload>,
    order: &'p Order,
    place: Place<'p>,
) -> Option<(Payment<'p>, Answer<'p>)> {
    match (presented, payment) {
        (Presented::Credential(paid), _) => {
            Some((paid.payment(), Answer::to_credential(paid, order, place)))
        }
        (Presented::Nothing, Some(payment)) => Some((payment.into(), Answer::to(payment, place))),
        _ => None,
    }
}

/// The answer of the purchase that the presented payment has begun, if it has begun one for this call.
async fn begun<D: Deployment>(
    checkout: &Checkout<'_, D>,
    arrival: &Arrival<'_>,
    side: Option<&Side>,
    presented: &Presented,
) -> Option<Response> {
    if arrival.method == Method::HEAD {
        return None;
    }
    let order = order(checkout, arrival).ok()?;
    let payment = request::payment(arrival.headers).ok()?;
    let place = place(checkout, arrival, side);
    let (payment, answer) = paid(presented, payment.as_ref(), &order, place)?;
    let (sent, vary) = (arrival.sent(&arrival.call.method), &arrival.call.route.vary);
    let outcome = match former::outcome(checkout, &order, &payment, &sent, vary).await {
        Some(outcome) => Some(outcome),
        None => checkout.recall(&order, &payment).await,
    };
    match outcome? {
        // It was not charged, or is the payment of another call.
        Outcome::PayAgain { .. } | Outcome::Stopped { why: Stop::Taken } => None,
        outcome => Some(answer.tell(checkout, outcome).await),
    }
}

/// The content of the caller's access token, if we have signed it.
pub async fn access(
    config: &Config,
    now: UnixSeconds,
    rsa: &dyn RsaVerifier,
    headers: &HeaderMap,
) -> Option<Access> {
    let text = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let token = schemes(text).into_iter().find_map(|text| {
        let (scheme, token) = text.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(token)
    })?;
    let reader = &config.token.reader;
    reader.read(token.trim(), config.network, now, rsa).await
}

fn place<'p, D>(
    checkout: &'p Checkout<'_, D>,
    arrival: &Arrival<'p>,
    side: Option<&'p Side>,
) -> Place<'p> {
    Place {
        origin: &checkout.origin,
        catalog: &checkout.config.catalog,
        called: Some((arrival.call.method.as_str(), arrival.url)),
        described: None,
        mpp: side,
    }
}

fn order<D>(checkout: &Checkout<'_, D>, arrival: &Arrival<'_>) -> Result<Order, Error> {
    let request_id = request::named_for_call(arrival.headers)?;
    Ok(Order {
        target: Some(arrival.call.target()),
        chosen: request_id.as_ref().is_some_and(|id| !id.is_derived()),
        request_id,
        patience: Patience::of_call(checkout.config.gateway.timeout_millis),
        ..Order::default()
    })
}

/// Takes the payment for a call, or states its price. `spent`: why the caller's token does not open the route.
async fn sell<D: Deployment>(
    checkout: &Checkout<'_, D>,
    arrival: &Arrival<'_>,
    side: Option<&Side>,
    presented: &Presented,
    spent: Spent,
) -> Response {
    let (origin, network) = (&checkout.origin, checkout.config.network);
    let place = place(checkout, arrival, side);
    let order = match order(checkout, arrival) {
        Ok(order) => order,
        Err(error) => return response::error(&error),
    };
    let is_head = arrival.method == Method::HEAD;
    let no_goods = || {
        response::error(&Error::invalid_request(
            "HEAD brings no answer that could be paid for: pay for GET. Nothing was charged for this request.",
        ))
    };
    let (sent, vary) = (arrival.sent(&arrival.call.method), &arrival.call.route.vary);
    match presented {
        Presented::Nothing => {}
        Presented::Several => return mpp::several(),
        Presented::Credential(_) if is_head => return no_goods(),
        Presented::Credential(paid) => {
            let outcome = former::pay(checkout, &order, &paid.payment(), &sent, vary).await;
            let answer = Answer::to_credential(paid, &order, place);
            return answer.tell(checkout, outcome).await;
        }
        Presented::Unreadable(fault) => {
            return match checkout.quote(&order) {
                Ok(quote) => answer::misread(fault, &quote, place),
                Err(why) => response::error(&why.error(origin, network)),
            };
        }
    }
    let unreadable = match request::payment(arrival.headers) {
        Ok(Some(_)) if is_head => return no_goods(),
        Ok(Some(payment)) => {
            let outcome = former::pay(checkout, &order, &(&payment).into(), &sent, vary).await;
            return Answer::to(&payment, place).tell(checkout, outcome).await;
        }
        Ok(None) => None,
        Err(unreadable) => Some(unreadable),
    };
    match (checkout.quote(&order), unreadable) {
        (Ok(quote), None) => {
            let mut response =
                answer::call_challenge(checkout, &quote, place, &spent.words, spent.top_up);
            put(&mut response, spent.headers);
            response
        }
        (Ok(quote), Some(unreadable)) => answer::malformed(&unreadable, &quote, place),
        (Err(why), _) => response::error(&why.error(origin, network)),
    }
}

#[cfg(test)]
mod tests;
