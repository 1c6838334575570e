//! What must hold of what was agreed: what is delivered, and on which network.

use key0_core::purchase::{PayReply, Purchase, Rest, State, StoreFault};

use super::steps::describe;
use crate::objects::PurchaseObject;
use crate::setting::Version;
use crate::world::World;

/// A record was stored.
pub(super) fn on_change(
    world: &World,
    object: &PurchaseObject,
    before: Option<&Purchase>,
    after: &Purchase,
) {
    // A transfer may be shown again, for what nobody knew the first time; and for another offer than the first.
    let is_learnt = before.is_none_or(|before| before.sold.is_none())
        && matches!(after.state, State::Pending { .. } | State::Proving { .. });
    let is_other = before.is_some_and(|before| before.challenge_id != after.challenge_id);
    if is_learnt || is_other {
        object.sold.replace(after.sold.clone());
        let terms = &after.terms;
        let is_agreed = match &after.sold {
            Some(sold) => {
                sold.lifetime == terms.lifetime
                    && world.config.offers.keys.digest(&sold.extra) == terms.extra
            }
            // Only what the backend is told can be forgotten.
            None => terms.extra.is_some(),
        };
        if !is_agreed {
            let detail = format!("{:?} for {terms:?}", after.sold);
            world.violation("sold_otherwise", &object.id, detail);
        }
    }
    let sold = object.sold.borrow();
    let is_forgotten = after.sold.is_none() && after.rest == Rest::WithoutHistory;
    if after.sold != *sold && !is_forgotten {
        let detail = format!("{sold:?} became {:?}", after.sold);
        world.violation("sold_otherwise", &object.id, detail);
    }
    if let State::Delivered { goods, .. } = &after.state
        && sold.as_ref().map(|sold| sold.lifetime) != Some(goods.claims().exp - goods.claims().iat)
    {
        let claims = goods.claims();
        let detail = format!("{sold:?} was sold, {} to {}", claims.iat, claims.exp);
        world.violation("delivered_otherwise", &object.id, detail);
    }
}

/// A purchase asks somebody outside. All purchases of the model are on its one network.
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

/// A purchase has an answer.
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
