//! The rules for what clients are told in conversations.

use std::collections::BTreeSet;
use std::rc::Rc;

use alloy_primitives::Address;
use key0_core::doors::a2a::TaskId;
use key0_core::offer::Offer;
use key0_core::purchase::{Purchase, State};
use key0_core::types::RequestId;
use serde_json::Value;

use super::end::is_kept;
use super::replies::{Asker, is_stranger};
use super::steps::{describe, is_credited};
use crate::actors::{Known, Talk, View};
use crate::objects::PurchaseObject;
use crate::world::World;

/// By how much the block on which an answer is based may be older than the answer: nodes lag behind, and answers take
/// time to arrive.
const LAG_MILLIS: u64 = 60_000;
/// How long an answer may take to get from a purchase into a task.
const CROSSING_MILLIS: u64 = 5_000;
/// The most `superseded_by` links from one purchase to the purchase that counts.
const MAX_HOPS: usize = 4;

/// Rule: an offer that is shown on a task has the amount and the wallet of its terms.
pub fn on_offer(world: &World, offer: &Offer, accepts: &Value) {
    let terms = &offer.terms;
    let amount = terms.amount.units().to_string();
    let pay_to = terms.pay_to.to_checksum(None);
    let shown = (&accepts["amount"], &accepts["payTo"]);
    if shown != (&Value::from(amount), &Value::from(pay_to)) {
        let detail = format!("{shown:?} for {terms:?}");
        world.violation("offered_otherwise", &terms.request_id, detail);
    }
}

/// Checks a client's view of its task: a task that has ended must not change, and a grant must be the right one.
pub fn on_view(
    world: &Rc<World>,
    talk: &Talk,
    known: &Known,
    end_before: Option<&View>,
    view: &View,
) {
    let told = |view: &View| (view.state.clone(), view.grant.clone());
    // While the deployment sells on another network, a delivered task is shown without its grant.
    let has_moved = world
        .setting
        .elsewhere
        .is_some_and(|[leaves, _]| leaves <= world.now().0);
    let is_hidden = |end: &View| has_moved && (end.grant.is_none() || view.grant.is_none());
    if let Some(end) = end_before
        && told(end) != told(view)
        && !(end.state == view.state && is_hidden(end))
    {
        let detail = format!("{:?} became {:?}", told(end), told(view));
        world.violation("task_left_its_end", &known.id, detail);
    }
    if let Some(grant) = &view.grant {
        let payer = Some(talk.buyer.address());
        on_grant_shown(world, Asker::Payer, payer, grant);
    }
}

/// Checks a grant that was shown on a task or by a tool: it must be that of a paid and delivered purchase, the same
/// each time, and shown to the payer. `asks` is the payer of the task, as far as it is known.
pub fn on_grant_shown(world: &World, asker: Asker, asks: Option<Address>, grant: &Value) {
    let id = grant["requestId"].as_str().and_then(|id| id.parse().ok());
    let Some(id): Option<RequestId> = id else {
        return world.violation("grant_changed", "", "the grant names no purchase");
    };
    let object = world.objects.purchase(&id);
    let first = {
        let mut shown = world.market.shown.borrow_mut();
        shown.entry(id).or_insert_with(|| grant.clone()).clone()
    };
    if first != *grant {
        let detail = format!("{first} became {grant}");
        world.violation("grant_changed", &object.id, detail);
    }
    let Some(record) = object.record() else {
        return world.violation("grant_without_money", &object.id, "there is no record");
    };
    let payment = record.state.payment();
    let is_unsigned = payment.is_some_and(|payment| payment.unsigned);
    let is_others = asks.is_some_and(|asks| asks != record.payer) && !is_unsigned;
    if is_others || is_stranger(world, asker, &object) {
        let detail = format!("{asker:?} {asks:?} got the grant of {}", record.payer);
        world.violation("grant_to_stranger", &object.id, detail);
    }
    let paid_by = payment.map(|payment| Value::from(payment.transaction.to_string()));
    if !is_delivered(&record) || paid_by.as_ref() != Some(&grant["txHash"]) {
        let detail = format!("{grant}, but {}", describe(&record));
        world.violation("grant_without_money", &object.id, detail);
    }
    if grant["planId"] != record.terms.target.id() {
        let detail = format!("for {:?}", record.terms.target);
        world.violation("grant_of_another_plan", &object.id, detail);
    }
}

/// Checks a list of tasks: it must contain no grant.
pub fn on_list(world: &World, answer: &Value) {
    if holds_grant(world, answer) {
        world.violation("grant_in_list", "", answer.to_string());
    }
}

fn holds_grant(world: &World, answer: &Value) -> bool {
    let text = answer.to_string();
    ["\"accessToken\"", "\"AccessGrant\""]
        .iter()
        .any(|secret| text.contains(secret))
        || world.backend.has_issued_any(&text)
}

/// Rule: the client of a task is not told that the task does not exist before its time is over.
pub fn on_not_found(world: &World, _: &Talk, known: &Known) {
    let Some(id) = TaskId::parse(&known.id) else {
        return;
    };
    let object = world.objects.context(id.context());
    let tasks = object.tasks.borrow();
    let rows = tasks.rows.borrow();
    if let Some(task) = rows.get(&known.id)
        && world.now() < task.until
    {
        let detail = format!("{:?} is not found", task.stage);
        world.violation("task_denied", &known.id, detail);
    }
}

/// The state of the purchases that a client has paid on a task.
#[derive(Debug, Default)]
struct Money {
    /// Delivered.
    delivered: Vec<RequestId>,
    /// Delivered earlier purchases for which an authorization of the task counts. The client may have paid for the task's
    /// own offer as well, so that both were delivered; the task ends with either.
    led: Vec<RequestId>,
    /// Paid, but neither delivered nor refunded.
    held: Vec<RequestId>,
    /// Whether money may stay: the seller may keep it, or it was not returned yet.
    may_wait: bool,
    /// Whether the task cannot know of money that has arrived, because it was shown the transfer without a signature. Then it
    /// need not tell the end, but it still must not invite the client to pay.
    is_hidden: bool,
    /// Whether a purchase was tried, through another door or on another task, so shortly before this task said something of it
    /// that the task may not have known.
    has_crossed: bool,
}

impl Money {
    fn of(world: &World, talk: &Talk, known: &Known) -> Self {
        let mut money = Self::default();
        for offer in known.offers() {
            let id = &offer.terms.request_id;
            let led = world.market.led.borrow().get(id).cloned();
            let earlier = led.and_then(|id| followed(world, &id));
            if let Some((object, record)) = &earlier
                && is_delivered(record)
            {
                money.led.push(object.id.clone());
            }
            let Some((object, record)) = followed(world, id) else {
                // This purchase has not begun, because the payer's book counts its payment for an earlier purchase. The task
                // waits for the earlier one.
                money.may_wait |= earlier.is_some_and(|(_, record)| may_stay(world, &record));
                continue;
            };
            let is_unsigned = record.state.payment().is_some_and(|paid| paid.unsigned);
            if record.payer != talk.buyer.address() && !is_unsigned {
                continue;
            }
            let is_held = is_credited(&record.state)
                && !is_delivered(&record)
                && !matches!(record.state, State::Refunded { .. });
            money.is_hidden |= has_arrived(world, known, &offer)
                && !known.answers_for(&offer, is_unsigned)
                && (is_held || is_delivered(&record));
            if !has_arrived(world, known, &offer)
                || !known.answers_for(&offer, is_unsigned)
                || is_of_later(world, known, &offer, &object)
                || has_moved_later(world, known, &offer, &object)
            {
                // The purchase did not begin on this task, so what the task said may be out of date; but the task may also know
                // the outcome by now.
                money.may_wait |= is_held;
                continue;
            }
            let tried = object.tried.get();
            let changed = changed(world, known, &offer);
            money.has_crossed |= changed.is_some_and(|changed| changed < tried + CROSSING_MILLIS);
            if is_delivered(&record) {
                money.delivered.push(object.id.clone());
            } else if is_held {
                money.may_wait |= may_stay(world, &record);
                money.held.push(object.id.clone());
            }
        }
        money
    }
}

/// Whether money that has arrived may stay with the seller: neither delivery nor a refund is possible.
fn may_stay(world: &World, record: &Purchase) -> bool {
    let is_open = matches!(
        record.state,
        State::RefundFailed { .. } | State::RefundBlocked { .. }
    );
    is_open || (is_credited(&record.state) && is_kept(world, record))
}

/// Whether a request on this task has reached the purchase of this offer, and was not told that nothing has begun.
fn has_arrived(world: &World, known: &Known, offer: &Offer) -> bool {
    let asked = (known.id.clone(), offer.terms.request_id.clone());
    let open = world.market.asked.borrow().get(&asked).copied();
    open.is_some_and(|open| open > 0)
}

fn is_delivered(record: &Purchase) -> bool {
    matches!(record.state, State::Delivered { .. } | State::Closed { .. })
}

/// The purchase that counts for this id, after following `superseded_by`.
fn followed(world: &World, id: &RequestId) -> Option<(Rc<PurchaseObject>, Purchase)> {
    let mut object = world.objects.purchase(id);
    let mut record = object.record()?;
    for _ in 0..MAX_HOPS {
        let State::Cancelled {
            superseded_by: Some(by),
            ..
        } = &record.state
        else {
            break;
        };
        object = world.objects.purchase(by);
        record = object.record()?;
    }
    Some((object, record))
}

/// Whether the purchase was tried after the task last said something about the offer. That happened through another door or on
/// another task: what this task says was true, and its client knows better.
fn is_of_later(world: &World, known: &Known, offer: &Offer, object: &PurchaseObject) -> bool {
    let changed = changed(world, known, offer);
    changed.is_some_and(|changed| changed < object.tried.get())
}

/// Whether the money moved after the purchase had ended without it and the task had said so: a stranger broadcast an
/// authorization that was still valid. A later block cannot be foreseen, and a task that is over does not change.
fn has_moved_later(world: &World, known: &Known, offer: &Offer, object: &PurchaseObject) -> bool {
    let moved = object.attempts.borrow().last().and_then(|nonce| {
        let chain = world.chain.borrow();
        let key = (object.record()?.payer, *nonce);
        let block = chain.ledger().transfer(&key)?.block;
        let mut blocks = chain.blocks().iter();
        blocks
            .find(|its| its.number == block)
            .map(|its| its.timestamp)
    });
    let changed = changed(world, known, offer);
    (object.was_late.get() || object.had_failed.get())
        && moved
            .zip(changed)
            .is_some_and(|(moved, changed)| changed < moved * 1_000 + LAG_MILLIS)
}

/// When the task last changed what it says about this offer, or moved on to another offer, in milliseconds.
fn changed(world: &World, known: &Known, offer: &Offer) -> Option<u64> {
    let context = TaskId::parse(&known.id)?.context();
    let context = world.objects.context(context);
    let changed = context.changed.borrow();
    let about = (known.id.clone(), offer.id.to_string());
    changed.get(&about).copied()
}

/// Rule: once everything is at rest, a client that has paid on a task learns from the task what became of its money.
pub fn at_rest(world: &World, talk: &Talk, known: &Known, view: Option<&View>) {
    let money = Money::of(world, talk, known);
    let Some(view) = view else {
        let is_gone = TaskId::parse(&known.id).is_some_and(|id| {
            let object = world.objects.context(id.context());
            let made_room = object.made_room.borrow();
            made_room.contains(&known.id)
        });
        let has_moved = !money.delivered.is_empty() || !money.held.is_empty();
        // Whoever calls a task off after making a transfer for it is told to send the proof in a message without taskId.
        let end = known.end.borrow();
        let is_called_off = end.as_ref().is_some_and(|end| end.state == "canceled");
        // A task that knows of a payment stays for 35 days, so this one has said that nothing had begun.
        if has_moved && !is_gone && !is_called_off && !money.has_crossed {
            let detail = format!("no answer, but {money:?}");
            world.violation("task_lost", &known.id, detail);
        }
        return;
    };
    let denies = match view.state.as_str() {
        "failed" | "canceled" => true,
        "input-required" => view.asks_to_pay(),
        _ => false,
    };
    let has_moved = !money.delivered.is_empty() || !money.held.is_empty();
    let fits = match view.state.as_str() {
        "completed" => {
            let grant = view.grant.as_ref().map(|grant| &grant["requestId"]);
            let is_its = grant.is_some_and(|id| {
                let led = money.led.iter().filter(|_| !talk.is_obedient);
                let mut its = money.delivered.iter().chain(led);
                money.delivered.is_empty() || its.any(|its| id == its.as_str())
            });
            grant.is_none() && money.delivered.is_empty() || is_its
        }
        "working" => money.delivered.is_empty() && money.may_wait,
        _ => money.delivered.is_empty(),
    };
    let invites = view.state == "input-required" && view.asks_to_pay() && money.is_hidden;
    if !fits || (denies && has_moved) || invites {
        let detail = format!("{} {:?}, but {money:?}", view.state, view.payment);
        world.violation("task_lies", &known.id, detail);
    }
}

/// Rule: a client that pays again only after it was told that nothing was charged pays once for each thing that it wants.
pub fn charged_for_one_wish(world: &World) {
    for talk in world.market.talks.borrow().iter() {
        if !talk.is_obedient {
            continue;
        }
        let mut charged = BTreeSet::new();
        for known in talk.tasks.borrow().iter() {
            for offer in known.offers() {
                if let Some((object, record)) = followed(world, &offer.terms.request_id)
                    && record.payer == talk.buyer.address()
                    && is_credited(&record.state)
                    // That this purchase would still be paid could not be foreseen.
                    && !(object.was_late.get() || object.had_failed.get())
                    && !matches!(record.state, State::Refunded { .. })
                {
                    charged.insert(object.id.clone());
                }
            }
        }
        if charged.len() > 1 {
            let tasks = talk.tasks.borrow();
            let id = tasks.first().map_or("", |known| &known.id);
            world.violation("wish_charged_twice", id, format!("{charged:?}"));
        }
    }
}
