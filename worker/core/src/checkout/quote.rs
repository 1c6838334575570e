//! What something costs now, as sealed offers.
//!
//! A client that names nothing is offered several plans. Registries probe a door with an empty body, and published clients that
//! explore pay the *first* entry of what comes back, some of them at any price. So the cheapest plan comes first, and nothing
//! follows that costs more than the published clients' own limit, unless the seller has nothing cheaper. Some servers and
//! proxies allow 8 kB for all headers of an answer: there are few entries.

use std::borrow::Cow;

use sha2::{Digest, Sha256};

use super::desk::Checkout;
use super::order::Order;
use super::stop::Stop;
use crate::catalog::{Catalog, Plan, Route, Settle};
use crate::offer::{CallDigest, Offer, Target, Terms, lifetime};
use crate::types::{HttpUrl, RequestId, ResourceId, UsdcAmount};

/// What published x402 clients pay without being told to: one dollar.
const USUAL_LIMIT: UsdcAmount = UsdcAmount::from_units(1_000_000);
const MAX_OFFERS: usize = 3;

/// One offer, with its description.
#[derive(Debug)]
pub struct Priced<'a> {
    /// The offer.
    pub offer: Offer,
    /// The seller's description of what the offer buys, with its limits.
    pub description: Cow<'a, str>,
    /// For a call: whether it is made before or after its price is settled. `None` for a plan.
    pub settle: Option<Settle>,
}

/// The offers that a client may pay now.
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
            return self.first.description.clone().into_owned();
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

/// An order in which everything that the client left out is filled in from the catalog.
pub(super) struct Wish<'a> {
    item: Item<'a>,
    resource: ResourceId,
    /// What else may be offered to a client that named nothing.
    more: Vec<(&'a Plan, ResourceId)>,
}

/// A plan or a call that is on sale.
#[derive(Clone)]
enum Item<'a> {
    Plan(&'a Plan),
    /// A plan for a grant.
    TopUp {
        plan: &'a Plan,
        grant: RequestId,
        by_holder: bool,
    },
    /// A call of this route, at this price.
    Call(&'a Route, UsdcAmount, CallDigest),
}

impl<'a> Item<'a> {
    fn target(&self) -> Target {
        match self {
            Self::Plan(plan) => Target::Plan(plan.id.clone()),
            Self::TopUp { plan, grant, .. } => Target::TopUp {
                plan: plan.id.clone(),
                grant: grant.clone(),
            },
            Self::Call(route, _, call) => Target::Route {
                id: route.id.clone(),
                call: *call,
            },
        }
    }

    fn description(&self) -> Cow<'a, str> {
        match self {
            Self::Plan(plan) => plan.described(),
            Self::TopUp { plan, .. } => Cow::Owned(format!(
                "Added to an access that you have. {}",
                plan.described()
            )),
            Self::Call(route, ..) => Cow::Borrowed(route.description.as_str()),
        }
    }

    /// The resource that is opened: the one that was named, if this item opens it. `None` if not.
    fn resource(&self, wish: Option<ResourceId>) -> Option<ResourceId> {
        match self {
            Self::Plan(plan) | Self::TopUp { plan, .. } => plan.resource(wish),
            Self::Call(route, ..) => {
                let own = &route.resource;
                wish.is_none_or(|wish| wish == *own).then(|| own.clone())
            }
        }
    }

    fn resources(&self) -> Vec<ResourceId> {
        match self {
            Self::Plan(plan) | Self::TopUp { plan, .. } => plan.resources.clone(),
            Self::Call(route, ..) => vec![route.resource.clone()],
        }
    }
}

impl<'a, D> Checkout<'a, D> {
    /// What an order costs now. Stores nothing and asks no object. If the order names its purchase, it gets the same
    /// offers throughout a window of time.
    pub fn quote(&self, order: &Order) -> Result<Quote<'a>, Stop> {
        let wish = self.wish(order, None)?;
        let more = wish.more.iter().zip(1..).map(|((plan, resource), at)| {
            let request_id = self.new_id(at);
            self.priced(request_id, false, &Item::Plan(plan), resource)
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

    /// Finds what is ordered. If the order has no target, that is what the payment's sealed offer is for, or else what
    /// [`Checkout::quote`] would offer first.
    pub(super) fn wish(&self, order: &Order, sealed: Option<&str>) -> Result<Wish<'a>, Stop> {
        let (target, by_holder) = match (&order.target, sealed) {
            (Some(target), _) => (target.clone(), order.by_holder),
            (None, Some(id)) => {
                let terms = self.opened(id)?.terms;
                (terms.target, terms.by_holder)
            }
            (None, None) => {
                let mut plans = unnamed(&self.config.catalog, order.resource.as_ref());
                if plans.is_empty() {
                    return Err(Stop::NothingOpens);
                }
                let (plan, resource) = plans.remove(0);
                if order.request_id.is_some() {
                    // The client has named its purchase, and one purchase is of one plan: no other plans are offered.
                    plans.clear();
                }
                return Ok(Wish {
                    item: Item::Plan(plan),
                    resource,
                    more: plans,
                });
            }
        };
        let Some(item) = self.on_sale(&target, by_holder) else {
            return Err(Stop::NotSold { target });
        };
        let Some(resource) = item.resource(order.resource.clone()) else {
            let resources = item.resources();
            return Err(Stop::NotOpened { target, resources });
        };
        Ok(Wish {
            item,
            resource,
            more: Vec::new(),
        })
    }

    /// What the catalog sells under this name. Free routes are not sold.
    fn on_sale(&self, target: &Target, by_holder: bool) -> Option<Item<'a>> {
        let catalog = &self.config.catalog;
        match target {
            Target::Plan(id) => catalog.plan(id).map(Item::Plan),
            Target::TopUp { plan, grant } => {
                let plan = catalog.plan(plan)?;
                self.config.tops_up(plan).then(|| Item::TopUp {
                    plan,
                    grant: grant.clone(),
                    by_holder,
                })
            }
            Target::Route { id, call } => {
                let route = catalog.route(id)?;
                Some(Item::Call(route, route.price?, *call))
            }
        }
    }

    /// The one offer for a wish, under this request id. `chosen`: whether the client chose the id.
    pub(super) fn price(&self, wish: &Wish<'a>, request_id: RequestId, chosen: bool) -> Priced<'a> {
        self.priced(request_id, chosen, &wish.item, &wish.resource)
    }

    /// The current offer for an item.
    fn priced(
        &self,
        request_id: RequestId,
        chosen: bool,
        item: &Item<'a>,
        resource: &ResourceId,
    ) -> Priced<'a> {
        let config = self.config;
        let (issued_at, expires_at) = lifetime(self.now, config.offers.ttl_seconds);
        let (lifetime, extra, amount, settle) = match item {
            Item::Plan(plan) | Item::TopUp { plan, .. } => (
                plan.lifetime(config.token.ttl_seconds),
                config.offers.keys.digest(&plan.extra, &plan.limits),
                plan.price,
                None,
            ),
            Item::Call(route, price, _) => (0, None, *price, Some(route.settle)),
        };
        let by_holder = matches!(
            item,
            Item::TopUp {
                by_holder: true,
                ..
            }
        );
        let offer = config.offers.keys.seal(Terms {
            request_id,
            chosen,
            target: item.target(),
            by_holder,
            resource: resource.clone(),
            lifetime,
            extra,
            amount,
            pay_to: config.wallets.pay_to,
            network: config.network,
            issued_at,
            expires_at,
        });
        Priced {
            offer,
            description: item.description(),
            settle,
        }
    }

    /// The offer with this id, if this deployment made it, for this chain.
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

/// The request id of the offer at this place. Each of several offers made at once is for a purchase of its own.
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

/// The plans that are offered to a client that names none, each with the resource that it would open. The cheapest
/// comes first; plans of equal price are in the seller's order. Empty only when no plan opens the resource that was
/// named.
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
