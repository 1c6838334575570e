//! What something costs now, as sealed offers.
//!
//! A client that names nothing is offered several plans. Registries probe a door with an empty body, and published clients that
//! explore pay the *first* entry of what comes back, some of them at any price. So the cheapest plan comes first, and nothing
//! follows that costs more than the published clients' own limit, unless the seller has nothing cheaper. Some servers and
//! proxies allow 8 kB for all headers of an answer: there are few entries.

use sha2::{Digest, Sha256};

use super::desk::Checkout;
use super::order::Order;
use super::stop::Stop;
use crate::catalog::{Catalog, Plan};
use crate::offer::{Offer, Target, Terms, lifetime};
use crate::types::{HttpUrl, RequestId, ResourceId, UsdcAmount};

/// What published x402 clients pay without being told to: one dollar.
const USUAL_LIMIT: UsdcAmount = UsdcAmount::from_units(1_000_000);
const MAX_OFFERS: usize = 3;

/// One offer, and what it is for.
#[derive(Debug)]
pub struct Priced<'a> {
    /// The offer.
    pub offer: Offer,
    /// The seller's description of what it buys.
    pub description: &'a str,
}

/// What can be paid now.
#[derive(Debug)]
pub struct Quote<'a> {
    /// The offer that most clients pay, because it comes first.
    pub first: Priced<'a>,
    /// What else is offered to a client that named nothing.
    pub more: Vec<Priced<'a>>,
    /// Whether the client named a plan. Otherwise a door should say that it offers the cheapest.
    pub is_ordered: bool,
}

impl Quote<'_> {
    /// What is on offer, in one sentence: with one entry the plan's own description.
    pub fn description(&self, origin: &HttpUrl) -> String {
        if self.more.is_empty() {
            return self.first.description.to_owned();
        }
        let each = core::iter::once(&self.first)
            .chain(&self.more)
            .map(|Priced { offer, .. }| {
                let Terms { target, amount, .. } = &offer.terms;
                format!("{} for {amount}", target.id())
            })
            .collect::<Vec<_>>();
        let catalog = origin.join("/discover");
        format!(
            "One of these plans: {}. {catalog} lists all.",
            each.join(", ")
        )
    }
}

/// An order with what it left out filled in from the catalog.
pub(super) struct Wish<'a> {
    pub(super) plan: &'a Plan,
    pub(super) resource: ResourceId,
    /// What else may be offered to a client that named nothing.
    more: Vec<(&'a Plan, ResourceId)>,
}

impl<'a, D> Checkout<'a, D> {
    /// What an order costs now. Stores nothing and asks no object. Within a window of time the same order gives the same
    /// offers, if it names its purchase.
    pub fn quote(&self, order: &Order) -> Result<Quote<'a>, Stop> {
        let wish = self.wish(order, None)?;
        let more = wish.more.iter().zip(1..).map(|((plan, resource), at)| {
            let request_id = self.new_id(at);
            Priced {
                offer: self.seal(request_id, false, plan, resource),
                description: &plan.description,
            }
        });
        let more = more.collect();
        let request_id = order.request_id.clone();
        let request_id = request_id.unwrap_or_else(|| self.new_id(0));
        Ok(Quote {
            first: self.price(&wish, request_id, order.chosen),
            more,
            is_ordered: order.target.is_some(),
        })
    }

    /// Finds what is ordered. Without a target that is what the payment's own sealed offer is for, or else what
    /// [`Checkout::quote`] would offer first.
    pub(super) fn wish(&self, order: &Order, sealed: Option<&str>) -> Result<Wish<'a>, Stop> {
        let target = match (&order.target, sealed) {
            (Some(target), _) => target.clone(),
            (None, Some(id)) => self.opened(id)?.terms.target,
            (None, None) => {
                let mut plans = unnamed(&self.config.catalog, order.resource.as_ref());
                if plans.is_empty() {
                    return Err(Stop::NothingOpens);
                }
                let (plan, resource) = plans.remove(0);
                if order.request_id.is_some() {
                    // One id names one purchase.
                    plans.clear();
                }
                return Ok(Wish {
                    plan,
                    resource,
                    more: plans,
                });
            }
        };
        let Some(plan) = self.on_sale(&target) else {
            return Err(Stop::NotSold { target });
        };
        let Some(resource) = plan.resource(order.resource.clone()) else {
            return Err(Stop::NotOpened {
                target,
                resources: plan.resources.clone(),
            });
        };
        Ok(Wish {
            plan,
            resource,
            more: Vec::new(),
        })
    }

    /// The plan of the catalog, if the target is one. Routes are not on sale yet.
    fn on_sale(&self, target: &Target) -> Option<&'a Plan> {
        let plan_id = target.plan()?;
        self.config.catalog.plan(plan_id)
    }

    /// The one offer for a wish, under this id. `chosen`: whether the client chose the id.
    pub(super) fn price(&self, wish: &Wish<'a>, request_id: RequestId, chosen: bool) -> Priced<'a> {
        Priced {
            offer: self.seal(request_id, chosen, wish.plan, &wish.resource),
            description: &wish.plan.description,
        }
    }

    /// Today's offer for a plan.
    fn seal(
        &self,
        request_id: RequestId,
        chosen: bool,
        plan: &Plan,
        resource: &ResourceId,
    ) -> Offer {
        let config = self.config;
        let (issued_at, expires_at) = lifetime(self.now, config.offers.ttl_seconds);
        config.offers.keys.seal(Terms {
            request_id,
            chosen,
            target: Target::Plan(plan.id.clone()),
            resource: resource.clone(),
            lifetime: plan.lifetime(config.token.ttl_seconds),
            extra: config.offers.keys.digest(&plan.extra),
            amount: plan.price,
            pay_to: config.wallets.pay_to,
            network: config.network,
            issued_at,
            expires_at,
        })
    }

    /// The offer with this id, if it was made here and for this chain.
    pub(super) fn opened(&self, id: &str) -> Result<Offer, Stop> {
        let offer = self.config.offers.keys.open(id);
        offer
            .filter(|offer| offer.terms.network == self.config.network)
            .ok_or(Stop::ForeignOffer)
    }

    /// A new request id for the offer at this place of a quote, from 0.
    pub(super) fn new_id(&self, at: usize) -> RequestId {
        request_id(self.random, at)
    }
}

/// The request id of each of several offers made at once: one purchase each.
fn request_id(random: [u8; 16], at: usize) -> RequestId {
    if at == 0 {
        return RequestId::from_random(random);
    }
    let digest = Sha256::new()
        .chain_update(b"key0 one of several offers v1\0")
        .chain_update(random)
        .chain_update(at.to_be_bytes())
        .finalize();
    RequestId::from_random(core::array::from_fn(|at| {
        digest.get(at).copied().unwrap_or_default()
    }))
}

/// The plans that are offered to a client that names none, the cheapest first; of equal price, in the seller's order. Each with what it
/// would open. Empty only when no plan opens the resource that was named.
fn unnamed<'a>(catalog: &'a Catalog, wish: Option<&ResourceId>) -> Vec<(&'a Plan, ResourceId)> {
    let mut plans: Vec<_> = catalog
        .plans()
        .iter()
        .filter_map(|plan| Some((plan, plan.resource(wish.cloned())?)))
        .collect();
    plans.sort_by_key(|(plan, _)| plan.price);
    let usual = plans
        .iter()
        .take_while(|(plan, _)| plan.price <= USUAL_LIMIT)
        .count();
    plans.truncate(usual.clamp(1, MAX_OFFERS));
    plans
}
#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::default_catalog;

    fn catalog(plans: &[(&str, &str, &str)]) -> Catalog {
        let plans: Vec<_> = plans
            .iter()
            .map(|(id, price, resource)| {
                let resources = match *resource {
                    "" => String::new(),
                    id => format!(r#","resourceIds":["{id}"]"#),
                };
                format!(r#"{{"planId":"{id}","unitAmount":"{price}"{resources}}}"#)
            })
            .collect();
        Catalog::from_json(&format!("[{}]", plans.join(","))).unwrap()
    }

    fn ids(catalog: &Catalog, wish: Option<&str>) -> Vec<String> {
        let wish = wish.map(|id| id.parse().unwrap());
        let plans = unnamed(catalog, wish.as_ref());
        plans.iter().map(|(plan, _)| plan.id.to_string()).collect()
    }

    #[test]
    fn the_cheapest_plans_of_at_most_a_dollar_are_offered_three_at_most() {
        assert_eq!(ids(&default_catalog().unwrap(), None), ["basic"]);
        let mixed = catalog(&[
            ("week", "$5", ""),
            ("day", "$1", ""),
            ("more", "$1.000001", ""),
            ("minute", "$0.01", ""),
            ("hour", "$0.10", ""),
            ("other-hour", "$0.10", ""),
        ]);
        assert_eq!(ids(&mixed, None), ["minute", "hour", "other-hour"]);
        let two = catalog(&[("week", "$5", ""), ("day", "$1", ""), ("hour", "$0.10", "")]);
        assert_eq!(ids(&two, None), ["hour", "day"]);
    }

    #[test]
    fn where_everything_is_dearer_the_cheapest_is_offered_alone() {
        let dear = catalog(&[("b", "$9", ""), ("a", "$2", ""), ("c", "$2", "")]);
        assert_eq!(ids(&dear, None), ["a"]);
    }

    #[test]
    fn a_named_resource_leaves_the_plans_that_open_it() {
        let some = catalog(&[("a", "$0.1", "x"), ("b", "$0.2", ""), ("c", "$0.3", "y")]);
        assert_eq!(ids(&some, Some("y")), ["b", "c"]);
        let closed = catalog(&[("a", "$0.1", "x")]);
        assert_eq!(ids(&closed, Some("y")), [""; 0]);
    }

    #[test]
    fn each_of_several_offers_is_a_purchase_of_its_own() {
        let ids: Vec<_> = (0..3).map(|at| request_id([7; 16], at)).collect();
        assert!(ids[0] != ids[1] && ids[1] != ids[2] && ids[0] != ids[2]);
        assert_eq!(ids[0], RequestId::from_random([7; 16]));
        for id in ids {
            assert_eq!(id.as_str().parse(), Ok(id));
        }
    }
}
