//! What is offered to a client that names no plan.
//!
//! Registries probe a door with an empty body, and published clients that explore pay the *first* entry of what comes back, some
//! of them at any price. So the cheapest plan stands first, and nothing stands there that costs more than the published
//! clients' own limit, unless the seller has nothing cheaper. Some servers and proxies allow 8 kB for all headers of an answer:
//! there are few entries.

use sha2::{Digest, Sha256};

use crate::catalog::{Catalog, Plan};
use crate::offer::Offer;
use crate::types::{HttpUrl, RequestId, ResourceId, UsdcAmount};

/// What published x402 clients pay without being told to: one dollar.
const USUAL_LIMIT: UsdcAmount = UsdcAmount::from_units(1_000_000);
const MAX_OFFERS: usize = 3;

/// One offer with the plan that it is for.
#[derive(Debug)]
pub(super) struct Quoted<'a> {
    pub(super) plan: &'a Plan,
    pub(super) offer: Offer,
}

/// What one answer offers.
#[derive(Debug)]
pub(super) struct Offers<'a> {
    /// What most clients take, and what clients of version 1 are offered.
    pub(super) first: Quoted<'a>,
    pub(super) more: Vec<Quoted<'a>>,
    /// Whether the client has named the plan.
    pub(super) is_named: bool,
}

/// The plans that are offered unasked, the cheapest first; of equal price, in the seller's order. Each with what it would open.
/// Empty only when no plan opens the resource that was named.
pub(super) fn unnamed<'a>(
    catalog: &'a Catalog,
    wish: Option<&ResourceId>,
) -> Vec<(&'a Plan, ResourceId)> {
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

/// The request id of each of several offers made at once: one purchase each.
pub(super) fn request_id(random: [u8; 16], at: usize) -> RequestId {
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

impl Offers<'_> {
    /// What is on offer, in one sentence: with one entry the plan's own description.
    pub(super) fn description(&self, origin: &HttpUrl) -> String {
        if self.more.is_empty() {
            return self.first.plan.description.clone();
        }
        let each = core::iter::once(&self.first)
            .chain(&self.more)
            .map(|Quoted { plan, .. }| format!("{} for {}", plan.id, plan.price))
            .collect::<Vec<_>>();
        let catalog = origin.join("/discover");
        format!(
            "One of these plans: {}. {catalog} lists all.",
            each.join(", ")
        )
    }
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
