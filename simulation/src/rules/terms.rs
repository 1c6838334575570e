//! Rules for the agreed terms: what is delivered, and on which network.

use super::steps::describe;
use crate::objects::PurchaseObject;
use crate::setting::Version;
use crate::world::World;
use key0_core::purchase::{PayReply, Purchase, Rest, Sold, State, StoreFault};

/// Checks a record that was just stored: what was sold must be what was agreed, must not change, and is what is
/// delivered.
pub(super) fn on_change(
    world: &World,
    object: &PurchaseObject,
    before: Option<&Purchase>,
    after: &Purchase,
) {
    // A transfer may be presented again: when it was not known the first time what it buys, or for another offer.
    let is_learnt = before.is_none_or(|before| before.sold.is_none())
        && matches!(after.state, State::Pending { .. } | State::Proving { .. });
    let is_other = before.is_some_and(|before| before.challenge_id != after.challenge_id);
    if is_learnt || is_other {
        object.sold.replace(after.sold.clone());
        let terms = &after.terms;
        let is_agreed = match &after.sold {
            Some(Sold::Access(access)) => {
                let keys = &world.config.offers.keys;
                access.lifetime == terms.lifetime
                    && keys.digest(&access.extra, &access.limits) == terms.extra
            }
            Some(Sold::TopUp(top_up)) => {
                terms.target.grant().is_some() && top_up.adds.seconds == terms.lifetime
            }
            Some(Sold::Call(_)) => terms.target.plan().is_none(),
            // Only a plan's `extra` and limits can have been lost: the offer has no more than their digest.
            None => terms.extra.is_some(),
        };
        if !is_agreed {
            let detail = format!("{:?} for {terms:?}", after.sold);
            world.violation("sold_otherwise", &object.id, detail);
        }
    }
    let sold = object.sold.borrow();
    let is_forgotten =
        after.sold.is_none() && matches!(after.rest, Rest::WithoutHistory | Rest::Leaving);
    if after.sold != *sold && !is_forgotten {
        let detail = format!("{sold:?} became {:?}", after.sold);
        world.violation("sold_otherwise", &object.id, detail);
    }
    if let State::Delivered { goods, .. } = &after.state
        && let Some(claims) = goods.claims()
    {
        // A token tells its limits together with the grant that they are counted for, or neither.
        let access = sold.as_ref().and_then(Sold::access);
        let is_told = access.is_some_and(|access| {
            let limits = (!access.limits.is_none()).then(|| access.limits.into());
            let grant = limits.is_some().then_some(&claims.sub);
            access.lifetime == claims.exp - claims.iat
                && claims.grant.as_ref() == grant
                && claims.limits == limits
        });
        if !is_told {
            let detail = format!("{sold:?} was sold, {claims:?}");
            world.violation("delivered_otherwise", &object.id, detail);
        }
    }
}

/// Checks a call of a purchase to the outside: it makes none while the deployment sells on another network. (All
/// purchases of the model are on one network.)
pub fn on_call_elsewhere(world: &World, object: &PurchaseObject, version: Version, whom: &str) {
    if version.is_elsewhere {
        let state = object.record().map(|record| describe(&record));
        world.violation(
            "asked_on_another_network",
            &object.id,
            format!("{whom} is asked while {state:?}"),
        );
    }
}

/// Checks the reply of a purchase while the deployment sells on another network: the purchase must neither go on nor
/// deliver.
pub fn on_answer_elsewhere(
    world: &World,
    object: &PurchaseObject,
    version: Version,
    reply: &Result<PayReply, StoreFault>,
) {
    if let (true, Ok(reply)) = (version.is_elsewhere, reply)
        && !matches!(
            reply,
            PayReply::Conflict
                | PayReply::Expired
                | PayReply::Unbegun
                | PayReply::Refused { begun: false, .. }
        )
    {
        world.violation(
            "answered_on_another_network",
            &object.id,
            format!("{reply:?}"),
        );
    }
}
