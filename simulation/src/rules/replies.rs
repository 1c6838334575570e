//! Rules for the answers that callers get.

use std::rc::Rc;

use key0_core::book::PayerStore as _;
use key0_core::chain::transfer::ProofFault;
use key0_core::checkout::{Outcome, Phase, Stop};
use key0_core::goods::{Goods, Receipt};
use key0_core::offer::Terms;
use key0_core::purchase::{Prove, State};
use key0_core::types::{Address, RequestId};

use super::money::{must_be_honoured, received};
use crate::actors::Payment;
use crate::objects::PurchaseObject;
use crate::origin::purchase_of;
use crate::rpc::MAX_LAG;
use crate::setting::Issuer;
use crate::world::World;

/// The caller who gets an answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Asker {
    /// The payer.
    Payer,
    /// A third party who presents an authorization seen on chain.
    Stranger {
        /// When the stranger asked, in milliseconds.
        since: u64,
    },
}

/// Checks the answer to a payment.
pub fn on_outcome(world: &Rc<World>, asker: Asker, pay: &Payment, outcome: &Outcome<'_>) {
    match outcome {
        Outcome::Granted {
            goods,
            receipt: Some(receipt),
            ..
        } => {
            must_be_its_own(world, pay, goods);
            let payer = Some(pay.authorization.payer());
            on_grant(world, asker, &pay.offer.terms, payer, (goods, receipt));
        }
        outcome => on_other_outcome(world, pay, outcome),
    }
}

/// Checks the answer to a poll: it may say that nothing was charged only if that is true. `head` was the newest block when the
/// poll began. What was included later, or what the queried node does not show yet, the answer cannot know.
pub fn on_poll(world: &World, pay: &Payment, head: u64, outcome: &Outcome<'_>) {
    let authorization = pay.authorization.authorization();
    let key = (authorization.from, authorization.nonce);
    let id = &pay.offer.terms.request_id;
    let payer = world.objects.payer(authorization.from);
    let booked = payer.book.borrow().booking(authorization.nonce);
    // A payment that was presented for two purchases belongs to one of them, and the other was not paid.
    let belongs_elsewhere = matches!(booked, Ok(Some(booking)) if booking.owner != *id);
    if let Outcome::PayAgain { .. } = outcome
        && let Some(transfer) = world.chain.borrow().ledger().transfer(&key)
        && transfer.block + MAX_LAG <= head
        && !belongs_elsewhere
    {
        let detail = format!("{outcome:?}, though it was executed");
        world.violation("charge_denied", id, detail);
    }
}

/// Checks the answer to a proof of a transfer.
pub fn on_proof_outcome(world: &Rc<World>, prove: &Prove, outcome: &Outcome<'_>) {
    if let Outcome::Stopped {
        why:
            Stop::NotPaid {
                fault:
                    fault @ (ProofFault::NoTransfer
                    | ProofFault::PayerMismatch
                    | ProofFault::AmountMismatch(_)
                    | ProofFault::TransactionReverted),
                ..
            },
    } = outcome
        && must_be_honoured(world, prove)
    {
        let detail = format!("{fault:?}, though {} pays", prove.transaction);
        world.violation("proof_denied", &prove.offer.terms.request_id, detail);
    }
    if let Outcome::Granted {
        goods,
        receipt: Some(receipt),
        ..
    } = outcome
    {
        let transaction = &receipt.transaction;
        let terms = &prove.offer.terms;
        on_grant(world, Asker::Payer, terms, prove.payer, (goods, receipt));
        if prove.payer.is_none() && *transaction != prove.transaction {
            let detail = format!("{} opens {transaction}", prove.transaction);
            world.violation("grant_without_signature", &terms.request_id, detail);
        }
    }
}

/// Checks a grant. `payer` is the wallet whose control the caller has proven, where a proof was required.
fn on_grant(
    world: &Rc<World>,
    asker: Asker,
    terms: &Terms,
    asks: Option<Address>,
    (goods, receipt): (&Goods, &Receipt),
) {
    let told = (goods.clone(), receipt.clone());
    let transaction = receipt.transaction;
    let asked = &terms.request_id;
    let Some(id) = sold_by(goods) else {
        return world.violation("grant_changed", asked, "the grant names no purchase");
    };
    let object = world.objects.purchase(&id);
    if asks.is_some_and(|asks| asks != receipt.payer) || is_stranger(world, asker, &object) {
        world.violation(
            "grant_to_stranger",
            asked,
            format!("{asker:?} got the grant of {}", object.id),
        );
    }
    // An answer that is passed on has its own rules: it may be cut, or lost and called for once more.
    let number = goods.answer().map(|head| head.number);
    let is_passed_on = number.is_some_and(|number| object.passed.borrow().contains_key(&number));
    if is_passed_on {
        let record = object.record();
        let payment = record.as_ref().and_then(|record| record.state.payment());
        if payment.is_none_or(|payment| payment.transaction != transaction) {
            let detail = format!("{transaction}, but {payment:?}");
            world.violation("grant_without_money", &object.id, detail);
        }
        return;
    }
    let first = world
        .market
        .grants
        .borrow_mut()
        .entry(id)
        .or_insert_with(|| told.clone())
        .clone();
    if first != told {
        world.violation(
            "grant_changed",
            &object.id,
            format!("{first:?} became {told:?}"),
        );
    }
    if !is_issued(world, goods) {
        world.violation("grant_not_issued", &object.id, format!("{goods:?}"));
    }
    let Some(record) = object.record() else {
        return world.violation("grant_without_money", &object.id, "there is no record");
    };
    if record.terms.target != terms.target {
        world.violation(
            "grant_of_another_plan",
            asked,
            format!("for {:?}", record.terms.target),
        );
    }
    let payment = record.state.payment();
    if asks.is_none() && payment.is_some_and(|payment| !payment.unsigned) {
        let detail = format!("{payment:?}");
        world.violation("grant_without_signature", &object.id, detail);
    }
    let is_its = payment.is_some_and(|payment| payment.transaction == transaction);
    // The grant may have been removed after the answer was made.
    let delivered = matches!(record.state, State::Delivered { .. } | State::Closed { .. });
    if !delivered || !is_its || received(world, &object, &record).is_none() {
        let detail = format!("{transaction}, but {payment:?}");
        world.violation("grant_without_money", &object.id, detail);
    }
}

/// Whether the caller is a stranger who must not get the grant. Two known limits allow it before the delivery. A purchase that
/// its client has not named opens to anybody who presents its payment, and the authorization is public shortly before the
/// delivery. Where only the gas wallet sends payments, any purchase does: a payment that is presented again leads to its purchase
/// while the chain does not show it. After the delivery no stranger may get the grant.
pub(super) fn is_stranger(world: &World, asker: Asker, object: &PurchaseObject) -> bool {
    match asker {
        Asker::Payer => false,
        Asker::Stranger { since } => {
            let derived = object.id.as_str().starts_with("x402-");
            let is_followed = derived || world.setting.facilitators == 0;
            !is_followed || object.delivered.get().is_none_or(|at| since > at)
        }
    }
}

/// Checks that a client who has named a purchase gets that one, unless it presented the payment of another purchase.
fn must_be_its_own(world: &World, pay: &Payment, goods: &Goods) {
    let id = &pay.offer.terms.request_id;
    let Some(sold) = sold_by(goods) else {
        return;
    };
    let nonce = pay.authorization.authorization().nonce;
    let is_shown_again = || {
        world
            .objects
            .purchase(&sold)
            .attempts
            .borrow()
            .contains(&nonce)
    };
    if pay.is_chosen() && sold != *id && !is_shown_again() {
        world.violation(
            "named_and_swallowed",
            id,
            format!("got the grant of {sold}"),
        );
    }
}

/// The purchase that these goods come from.
fn sold_by(goods: &Goods) -> Option<RequestId> {
    match (goods.claims(), goods.answer()) {
        (Some(claims), _) => claims.sub.parse().ok(),
        (None, Some(head)) => purchase_of(head),
        (None, None) => None,
    }
}

/// Checks that the credential is one that the backend has issued, where the backend issues credentials.
fn is_issued(world: &World, goods: &Goods) -> bool {
    let is_remote = matches!(world.setting.issuer, Issuer::Backend { .. });
    match goods {
        Goods::Token { .. } => !is_remote,
        Goods::Credential { claims, sealed } => {
            let offer = &claims.jti;
            let credential = world.config.backend.credential_key.open(offer, sealed);
            is_remote
                && credential
                    .and_then(|credential| String::from_utf8(credential).ok())
                    .is_some_and(|credential| world.backend.has_issued(offer, &credential))
        }
        Goods::Answer { head, refund, .. } => {
            let arrived = world.origin.arrived.borrow();
            let calls = purchase_of(head).and_then(|id| arrived.get(&id).map(Vec::len));
            refund.is_none() && calls.is_some_and(|calls| calls >= 1)
        }
    }
}

/// Checks an answer without a grant.
fn on_other_outcome(world: &World, pay: &Payment, outcome: &Outcome<'_>) {
    let id = &pay.offer.terms.request_id;
    let chain = world.chain.borrow();
    if let Outcome::Stopped {
        why: Stop::Refunded { transaction },
    } = outcome
    {
        let returned = transaction.is_some_and(|transaction| {
            chain.ledger().executed().any(|((from, _), used)| {
                world.is_seller(*from)
                    && used.transaction == transaction
                    && used.to == pay.authorization.payer()
            }) || chain
                .ledger()
                .all_plain(transaction)
                .iter()
                .any(|(_, made)| world.is_seller(made.from) && made.to == pay.authorization.payer())
        });
        if !returned {
            let detail = format!("{transaction:?}");
            world.violation("refund_shown_without_transfer", id, detail);
        }
    }
    if is_about_a_refund(outcome)
        && !world.setting.refunds
        && !(is_of_one_ended_by_hand(outcome) && is_ended_by_hand(world, pay))
    {
        world.violation("refund_although_off", id, format!("{outcome:?}"));
    }
}

/// Whether the answer says that money was returned, or could not be.
const fn is_of_one_ended_by_hand(outcome: &Outcome<'_>) -> bool {
    matches!(
        outcome,
        Outcome::Stopped {
            why: Stop::Refunded { .. } | Stop::RefundFailed { .. },
        }
    )
}

/// Whether an operator has ended a purchase of this payer and target that could not be delivered, and returns its money
/// by hand.
fn is_ended_by_hand(world: &World, pay: &Payment) -> bool {
    let objects = world.objects.purchases();
    objects.iter().any(|object| {
        object.record().is_some_and(|record| {
            record.payer == pay.authorization.payer()
                && record.terms.target == pay.offer.terms.target
                && match record.state {
                    State::RefundBlocked { .. } => true,
                    State::Refunded { .. } => object.by_hand.get().is_some(),
                    _ => false,
                }
        })
    })
}

/// Whether the answer is about a refund: under way, done, or failed.
pub fn is_about_a_refund(outcome: &Outcome<'_>) -> bool {
    matches!(
        outcome,
        Outcome::Pending {
            phase: Phase::Refunding { .. },
            ..
        } | Outcome::Stopped {
            why: Stop::Refunded { .. }
                | Stop::RefundFailed { .. }
                | Stop::Origin {
                    refund: Some(_),
                    ..
                },
        } | Outcome::Granted {
            goods: Goods::Answer {
                refund: Some(_),
                ..
            },
            ..
        }
    )
}
