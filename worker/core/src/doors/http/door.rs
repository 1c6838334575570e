//! The way of a request through the door.

use serde_json::{Value, json};

use super::answer;
use super::arrival::Arrival;
use super::offers::{self, Offers, Quoted};
use super::redeem;
use super::repeat;
use super::request::{self, AccessRequest};
use crate::book::TargetKey;
use crate::catalog::Plan;
use crate::chain::{Chain, Presented};
use crate::config::Config;
use crate::error::{Code, Error};
use crate::limit;
use crate::offer::{Offer, Target, Terms, lifetime};
use crate::purchase::{Pay, Purchases, Sale, Sold, purchase};
use crate::response::Response;
use crate::types::{RequestId, ResourceId};
use crate::x402::{PaymentPayload, Refusal, Unreadable};

/// Sells a plan: states the price, or takes the payment and answers with the grant.
///
/// Until the payment's signature has proven to be the payer's, nothing is asked of any object; and of the chain only what a
/// contract wallet says to its signature.
pub async fn access<P: Purchases, C: Chain>(
    config: &Config,
    purchases: &P,
    chain: &C,
    arrival: &Arrival<'_>,
) -> Response {
    let request = AccessRequest::parse(arrival.body);
    let request = match request.and_then(|request| request.named_by(arrival.headers)) {
        Ok(request) => request,
        Err(error) => return crate::response::error(&error),
    };
    let payment = request::payment(arrival.headers);
    let is_paying = request.proof.is_some() || !matches!(payment, Ok(None));
    let response = answer_to(config, purchases, chain, arrival, &request, payment).await;
    match is_paying {
        true => limit::judge(response),
        false => response,
    }
}

async fn answer_to<P: Purchases, C: Chain>(
    config: &Config,
    purchases: &P,
    chain: &C,
    arrival: &Arrival<'_>,
    request: &AccessRequest,
    payment: Result<Option<PaymentPayload>, Unreadable>,
) -> Response {
    if let Some(proof) = &request.proof {
        return match payment {
            Ok(None) => redeem::redeem(config, purchases, chain, arrival, request, proof).await,
            _ => crate::response::error(&Error::invalid_request(
                "A purchase is paid once: send either proof or a payment header.",
            )),
        };
    }
    if let Some(error) = request.misunderstood(&arrival.origin.join("/discover")) {
        return crate::response::error(&error);
    }
    let readable = payment.as_ref().ok().and_then(Option::as_ref);
    let wish = match Wish::read(config, arrival, request, readable) {
        Ok(wish) => wish,
        Err(error) => {
            let known = match readable {
                Some(payment) => {
                    repeat::answer(config, purchases, chain, arrival, request, payment).await
                }
                None => None,
            };
            return known.unwrap_or_else(|| crate::response::error(&error));
        }
    };
    match payment {
        Ok(None) => {
            let offers = wish.offers(config, arrival);
            let is_named = wish.request.request_id.is_some();
            answer::offer(&offers, &arrival.origin, config.proof_binding, is_named)
        }
        Ok(Some(payment)) => wish.buy(config, purchases, chain, arrival, &payment).await,
        Err(unreadable) => {
            let offers = wish.offers(config, arrival);
            answer::malformed(&unreadable, &offers, &arrival.origin)
        }
    }
}

/// What the client wants, found in the catalog.
struct Wish<'a> {
    plan: &'a Plan,
    resource: ResourceId,
    /// What else may be offered to a client that named no plan.
    more: Vec<(&'a Plan, ResourceId)>,
    /// What the client itself said.
    request: &'a AccessRequest,
}

/// Why a payment is not what it must be.
struct Unfit {
    refusal: Refusal,
    /// What it echoes that is none of the offer.
    mismatches: Vec<&'static str>,
}

impl Unfit {
    /// Whether nothing is wrong but what the seller may have changed since the payment was made: price, wallet, catalog.
    fn may_be_dated(&self, request: &AccessRequest) -> bool {
        match self.refusal {
            Refusal::InvalidPaymentRequirements => self.mismatches.iter().all(|name| match *name {
                "amount" | "payTo" => true,
                "resourceId" => request.resource.is_none(),
                _ => false,
            }),
            Refusal::InvalidExactEvmPayloadRecipientMismatch
            | Refusal::InvalidExactEvmPayloadAuthorizationValueMismatch => true,
            _ => false,
        }
    }

    fn details(&self) -> Value {
        match self.mismatches.as_slice() {
            [] => json!({}),
            mismatches => json!({"mismatch": mismatches}),
        }
    }
}

impl<'a> Wish<'a> {
    /// What is meant without a plan: what the payment's own sealed offer is for, or else the first of the offers that the body
    /// without a payment is answered with.
    fn read(
        config: &'a Config,
        arrival: &Arrival<'_>,
        request: &'a AccessRequest,
        payment: Option<&PaymentPayload>,
    ) -> Result<Self, Error> {
        let catalog = || arrival.origin.join("/discover");
        let sealed;
        let plan_id = match (
            &request.plan,
            payment.and_then(PaymentPayload::challenge_id),
        ) {
            (Some(plan_id), _) => plan_id,
            (None, Some(id)) => {
                let Target::Plan(plan_id) = opened(config, id)?.terms.target;
                sealed = plan_id;
                &sealed
            }
            (None, None) => {
                let mut plans = offers::unnamed(&config.catalog, request.resource.as_ref());
                if plans.is_empty() {
                    return Err(Error::invalid_request(format!(
                        "No plan opens this resourceId. GET {} lists the plans and what they open.",
                        catalog()
                    ))
                    .with_details(json!({"discover": catalog()})));
                }
                let (plan, resource) = plans.remove(0);
                if request.request_id.is_some() {
                    // One id names one purchase.
                    plans.clear();
                }
                return Ok(Self {
                    plan,
                    resource,
                    more: plans,
                    request,
                });
            }
        };
        let Some(plan) = config.catalog.plan(plan_id) else {
            return Err(Error::new(
                Code::TierNotFound,
                format!(
                    "There is no plan \"{plan_id}\". GET {} lists the plans.",
                    catalog()
                ),
            )
            .with_details(json!({"planId": plan_id, "discover": catalog()})));
        };
        let Some(resource) = plan.resource(request.resource.clone()) else {
            return Err(Error::invalid_request(format!(
                "Plan \"{plan_id}\" does not open this resourceId; details list the ones it opens."
            ))
            .with_details(json!({"resourceIds": plan.resources})));
        };
        Ok(Self {
            plan,
            resource,
            more: Vec::new(),
            request,
        })
    }

    /// The offer for this wish, under the client's request id or a new one.
    fn offer(&self, config: &Config, arrival: &Arrival<'_>) -> Offer {
        let request_id = self
            .request
            .request_id
            .clone()
            .unwrap_or_else(|| offers::request_id(arrival.random, 0));
        self.seal(config, arrival, request_id)
    }

    /// All offers for this wish.
    fn offers(&self, config: &Config, arrival: &Arrival<'_>) -> Offers<'a> {
        let more = self.more.iter().zip(1..).map(|((plan, resource), at)| {
            let request_id = offers::request_id(arrival.random, at);
            let offer = seal(config, arrival, request_id, plan, resource);
            Quoted { plan, offer }
        });
        Offers {
            first: Quoted {
                plan: self.plan,
                offer: self.offer(config, arrival),
            },
            more: more.collect(),
            is_named: self.request.plan.is_some(),
        }
    }

    fn seal(&self, config: &Config, arrival: &Arrival<'_>, request_id: RequestId) -> Offer {
        seal(config, arrival, request_id, self.plan, &self.resource)
    }

    /// What is being paid: the sealed offer that came back with the payment, so that a price stays what it was when it
    /// was offered; or else today's offer, under a request id that follows from the payment itself.
    fn paid_challenge(
        &self,
        config: &Config,
        arrival: &Arrival<'_>,
        payment: &PaymentPayload,
    ) -> Result<Offer, Error> {
        let Some(id) = payment.challenge_id() else {
            let request_id = self.request.request_id.clone();
            let request_id = request_id.unwrap_or_else(|| repeat::derived(config, payment));
            return Ok(self.seal(config, arrival, request_id));
        };
        opened(config, id)
    }

    /// Where the request contradicts the offer that it pays.
    fn contradictions(&self, offer: &Offer) -> Vec<&'static str> {
        let terms = &offer.terms;
        let mut names = Vec::new();
        if terms.target != Target::Plan(self.plan.id.clone()) {
            names.push("planId");
        }
        if self.request.resource.is_some() && terms.resource != self.resource {
            names.push("resourceId");
        }
        if self
            .request
            .request_id
            .as_ref()
            .is_some_and(|id| *id != terms.request_id)
        {
            names.push("requestId");
        }
        names
    }

    /// Holds the payment against the offer, as far as that can be done without asking anybody.
    fn judge(&self, offer: &Offer, payment: &PaymentPayload) -> Result<Presented, Unfit> {
        let mut mismatches = self.contradictions(offer);
        mismatches.extend(payment.mismatches(offer));
        if !mismatches.is_empty() {
            mismatches.dedup();
            return Err(Unfit {
                refusal: Refusal::InvalidPaymentRequirements,
                mismatches,
            });
        }
        Presented::new(
            payment.authorization.clone(),
            &payment.signature,
            offer.terms.network,
            offer.terms.pay_to,
            offer.terms.amount,
        )
        .map_err(|refusal| Unfit {
            refusal,
            mismatches,
        })
    }

    async fn buy<P: Purchases, C: Chain>(
        &self,
        config: &Config,
        purchases: &P,
        chain: &C,
        arrival: &Arrival<'_>,
        payment: &PaymentPayload,
    ) -> Response {
        let offer = match self.paid_challenge(config, arrival, payment) {
            Ok(offer) => offer,
            Err(error) => return crate::response::error(&error),
        };
        let fresh = self.offer(config, arrival);
        let context = answer::Context {
            config,
            origin: &arrival.origin,
            version: payment.version,
            payer: payment.authorization.from,
            offer: Some((self.plan, &fresh)),
        };
        let is_judged_by_today = payment.challenge_id().is_none();
        let presented = match self.judge(&offer, payment) {
            Ok(presented) => presented,
            Err(unfit) => {
                if is_judged_by_today
                    && unfit.may_be_dated(self.request)
                    && let Some((reply, request_id)) =
                        repeat::outcome(config, purchases, chain, self.request, payment).await
                {
                    return context
                        .outcome(arrival.rsa, reply, &request_id, arrival.random)
                        .await;
                }
                return context.refused(unfit.refusal, None, unfit.details());
            }
        };
        let authorization = match presented.prove(chain, &config.wallet_factories).await {
            Ok(Ok(authorization)) => authorization,
            Ok(Err(refusal)) => return context.refused(refusal, None, json!({})),
            // Only contracts are asked about their signatures.
            Err(_) => return limit::counted(context.unavailable()),
        };
        let request_id = offer.terms.request_id.clone();
        let pay = Pay {
            request_id: request_id.clone(),
            authorization,
            identifier: payment.identifier,
            target: match is_judged_by_today {
                // Which plan is the cheapest, and which resource comes first in it, may have changed too.
                true => repeat::target(self.request),
                false => TargetKey::of(&offer.terms),
            },
            sale: Some(Sale {
                offer,
                sold: Sold::of(self.plan, config),
                issuer: arrival.origin.as_str().to_owned(),
                chosen: self.request.request_id.is_some(),
            }),
        };
        match purchase(purchases, pay).await {
            Ok(reply) => {
                context
                    .outcome(arrival.rsa, reply, &request_id, arrival.random)
                    .await
            }
            Err(_) => context.pending(None, &request_id),
        }
    }
}

/// The offer with this sealed id, if it was made here and for this chain.
fn opened(config: &Config, id: &str) -> Result<Offer, Error> {
    config
        .seal_keys
        .open(id)
        .filter(|offer| offer.terms.network == config.network)
        .ok_or_else(|| {
            Error::new(
                Code::ChallengeNotFound,
                "The challengeId was not issued here or was altered. Repeat the request without a payment to get \
                 a new offer; nothing was charged.",
            )
        })
}

/// Today's offer for a plan.
fn seal(
    config: &Config,
    arrival: &Arrival<'_>,
    request_id: RequestId,
    plan: &Plan,
    resource: &ResourceId,
) -> Offer {
    let (issued_at, expires_at) = lifetime(arrival.now, config.challenge_ttl_seconds);
    config.seal_keys.seal(Terms {
        request_id,
        target: Target::Plan(plan.id.clone()),
        resource: resource.clone(),
        amount: plan.price,
        pay_to: config.pay_to,
        network: config.network,
        issued_at,
        expires_at,
    })
}

#[cfg(test)]
mod tests;
