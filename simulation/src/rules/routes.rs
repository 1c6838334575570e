//! What must hold of calls: what is called, what is charged for it, and what its buyer gets.

use std::rc::Rc;

use key0_core::catalog::Settle;
use key0_core::goods::{AnswerHead, Goods};
use key0_core::offer::{CallDigest, Target};
use key0_core::purchase::{OriginCall, PayReply, Purchase, Sold, SoldCall, Stage, State};

use super::steps::describe;
use super::{is_executed, streams};
use crate::objects::PurchaseObject;
use crate::world::World;

/// How often a call may be made for one payment, where its route allows it to be repeated.
const MOST_CALLS: usize = 2;

/// The call that a purchase sells.
pub(super) fn call_of(record: &Purchase) -> Option<&SoldCall> {
    record.sold.as_ref().and_then(Sold::call)
}

/// The digest of the call that a purchase pays for.
fn wanted(record: &Purchase) -> Option<CallDigest> {
    match &record.terms.target {
        Target::Route { call, .. } => Some(*call),
        Target::Plan(_) | Target::TopUp { .. } => None,
    }
}

/// The answer that a record says is kept.
fn held(record: &Purchase) -> Option<&AnswerHead> {
    match &record.state {
        State::Pending { attempt } => attempt.held.as_ref(),
        State::Paid { held, .. } => held.as_ref(),
        State::Delivered { goods, .. } => goods.answer(),
        _ => None,
    }
}

/// Checks a call that a purchase is about to make to the seller's API: the record must announce it, with its number and
/// the payment if the call is charged before, and it must be the call that was sold.
pub fn on_call(world: &World, object: &PurchaseObject, call: &OriginCall, what: CallDigest) {
    let id = &object.id;
    streams::on_call(world, object);
    let Some(record) = object.record() else {
        return world.violation("called_without_intent", id, "there is no record");
    };
    let (number, paid) = match &record.state {
        State::Pending { attempt } if matches!(attempt.stage, Stage::Calling { .. }) => {
            (Some(attempt.calls), None)
        }
        State::Paid {
            payment, calling, ..
        } => (
            calling.map(|calling| calling.number),
            Some(payment.transaction),
        ),
        _ => (None, None),
    };
    let settle = call_of(&record).map(|sold| sold.settle);
    let is_settled = paid.is_some() && is_executed(world, object, &record);
    let fits = match settle {
        Some(Settle::After) => paid.is_none(),
        Some(Settle::Before) => is_settled,
        None => false,
    };
    if number != Some(call.number) || call.transaction != paid || !fits {
        let detail = format!("{call:?} while {}", describe(&record));
        world.violation("called_without_intent", id, detail);
    }
    if wanted(&record) != Some(what) {
        let detail = format!("{what} for {:?}", record.terms.target);
        world.violation("called_another", id, detail);
    }
}

/// Checks a call that arrives at the seller's API: for one payment one call may arrive, or two if the route allows
/// that.
pub fn on_call_arrived(world: &World, call: &OriginCall, what: CallDigest) {
    let object = world.objects.purchase(&call.request_id);
    let idempotent = object
        .record()
        .is_some_and(|record| call_of(&record).is_some_and(|sold| sold.idempotent));
    let most = if idempotent { MOST_CALLS } else { 1 };
    let arrived = world.origin.arrived.borrow();
    let before = arrived.get(&call.request_id).map_or(0, Vec::len);
    if before >= most {
        let detail = format!("{what} for the {}th time", before + 1);
        world.violation("called_too_often", &call.request_id, detail);
    }
}

/// Checks that the price of a call may be charged now, by whoever is given the authorization: an answer that is paid
/// for afterwards must be kept by then.
pub(super) fn may_charge(world: &World, object: &PurchaseObject, record: &Purchase) {
    let Some(sold) = call_of(record) else {
        return;
    };
    if sold.settle == Settle::Before {
        return;
    }
    let body = object.body.borrow();
    let is_kept = held(record).is_some_and(|head| {
        sold.charged.includes(head.status)
            && body
                .as_ref()
                .is_some_and(|body| body.number == head.number && Some(body.call) == wanted(record))
    });
    if !is_kept {
        let detail = format!("{} with {body:?}", describe(record));
        world.violation("charged_without_answer", &object.id, detail);
    }
}

/// Checks a record that was just stored, with the body of its answer: the body must be that of the kept answer, no
/// refund may begin while a call is made, and a buyer who heard that nothing was charged must not be charged.
pub(super) fn on_change(
    world: &World,
    object: &PurchaseObject,
    before: Option<&Purchase>,
    after: &Purchase,
) {
    if after.terms.target.plan().is_some() {
        return;
    }
    streams::on_change(world, object, before, after);
    let body = object.body.borrow();
    let number = held(after).map(|head| head.number);
    if body.as_ref().map(|body| body.number) != number {
        let detail = format!("{body:?} while {}", describe(after));
        world.violation("answer_not_kept", &object.id, detail);
    }
    if matches!(
        after.state,
        State::RefundPending { .. } | State::RefundBlocked { .. }
    ) && object.calling.borrow().upgrade().is_some()
    {
        world.violation("refund_while_called", &object.id, describe(after));
    }
    let begins = |record: &Purchase| matches!(&record.state, State::Pending { attempt } if attempt.stage == Stage::Reserving);
    if begins(after) && !before.is_some_and(begins) {
        object.was_denied.set(false);
    }
    if let (State::Delivered { .. }, Some(before)) = (&after.state, before)
        && object.was_denied.get()
        && !matches!(before.state, State::Delivered { .. })
    {
        let detail = format!(
            "{} after its buyer heard that nothing was charged",
            describe(after)
        );
        world.violation("charged_after_denial", &object.id, detail);
    }
}

/// Checks the reply of a purchase of a call: the answer must be that of the call that was sold, and paid for unless it
/// is not charged for.
pub fn on_call_reply(world: &Rc<World>, object: &PurchaseObject, reply: &PayReply) {
    let Some(record) = object.record() else {
        return;
    };
    if record.terms.target.plan().is_some() {
        return;
    }
    let id = &object.id;
    match reply {
        PayReply::Granted {
            goods: Goods::Answer { head, refund, .. },
            receipt,
            ..
        } => {
            let body = object.body.borrow().clone();
            let bodies = object.bodies.borrow();
            let is_it = |body: &&crate::origin::Body| body.number == head.number;
            let body = match receipt {
                Some(_) => body.as_ref().filter(is_it),
                None => bodies.iter().rev().find(is_it),
            };
            if body.is_none_or(|body| Some(body.call) != wanted(&record)) {
                let detail = format!("{head:?} with {body:?}");
                world.violation("answer_of_another", id, detail);
            }
            let is_delivered = matches!(record.state, State::Delivered { .. });
            if receipt.is_some() && !(is_delivered && is_executed(world, object, &record)) {
                let detail = format!("{head:?} while {}", describe(&record));
                world.violation("released_before_paid", id, detail);
            }
            let is_charged =
                call_of(&record).is_some_and(|sold| sold.charged.includes(head.status));
            if receipt.is_none() && is_charged {
                let detail = format!("{head:?} while {}", describe(&record));
                world.violation("released_unpaid", id, detail);
            }
            if receipt.is_none() && refund.is_none() {
                object.was_denied.set(true);
            }
        }
        PayReply::Streaming { goods, .. } => streams::on_head(world, object, &record, goods),
        PayReply::Origin { refund: None, .. }
        | PayReply::Refused { begun: true, .. }
        | PayReply::Expired
        | PayReply::Cancelled => object.was_denied.set(true),
        _ => {}
    }
    // A reply speaks of a refund only if the purchase's money has arrived.
    if let PayReply::Origin {
        refund: Some(_), ..
    }
    | PayReply::Granted {
        goods: Goods::Answer {
            refund: Some(_), ..
        },
        ..
    } = reply
        && (record.state.payment().is_none() || !world.setting.refunds)
    {
        world.violation("refund_said_for_nothing", id, describe(&record));
    }
}

/// Rule: a buyer who heard that nothing was charged is not charged in the end, or has the money back.
pub(super) fn at_end(world: &World) {
    streams::at_end(world);
    for object in world.objects.purchases() {
        let Some(record) = object.record() else {
            continue;
        };
        if record.terms.target.plan().is_some() || !object.was_denied.get() {
            continue;
        }
        if matches!(record.state, State::Delivered { .. } | State::Closed { .. }) {
            world.violation("charged_after_denial", &object.id, describe(&record));
        }
    }
}
