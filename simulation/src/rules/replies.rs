//! What must hold of the answers that are given.

use std::rc::Rc;

use key0_core::challenge::{Pay, PayReply, State};

use crate::world::World;

/// Who asked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Asker {
    /// The payer.
    Payer,
    /// Somebody with an authorization that he saw on chain.
    Stranger,
}

/// An answer arrived.
pub fn on_reply(world: &Rc<World>, asker: Asker, pay: &Pay, reply: &PayReply) {
    let PayReply::Granted {
        claims,
        payer,
        transaction,
    } = reply
    else {
        return;
    };
    let asked = &pay.challenge.terms.request_id;
    if asker == Asker::Stranger || *payer != pay.authorization.payer() {
        world.violation(
            "grant_to_stranger",
            asked,
            format!("{asker:?} got the grant of {}", claims.sub),
        );
    }
    let Ok(id) = claims.sub.parse() else {
        return world.violation("grant_changed", asked, "the grant names no purchase");
    };
    let object = world.objects.challenge(&id);
    let first = world
        .market
        .grants
        .borrow_mut()
        .entry(id)
        .or_insert_with(|| reply.clone())
        .clone();
    if first != *reply {
        world.violation(
            "grant_changed",
            &object.id,
            format!("{first:?} became {reply:?}"),
        );
    }
    let Some(record) = object.record() else {
        return world.violation("grant_without_money", &object.id, "there is no record");
    };
    if record.terms.target != pay.challenge.terms.target {
        world.violation(
            "grant_of_another_plan",
            asked,
            format!("for {:?}", record.terms.target),
        );
    }
    let nonce = object.attempts.borrow().last().copied().unwrap_or_default();
    let transfer = world
        .chain
        .borrow()
        .ledger()
        .transfer(&(record.payer, nonce));
    let delivered = matches!(record.state, State::Delivered { .. });
    if !delivered || transfer.is_none_or(|transfer| transfer.transaction != *transaction) {
        world.violation(
            "grant_without_money",
            &object.id,
            format!("{transaction}, the chain has {transfer:?}"),
        );
    }
}
