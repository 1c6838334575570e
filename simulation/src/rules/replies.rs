//! What must hold of the answers that are given.

use std::rc::Rc;

use key0_core::book::PayerStore as _;
use key0_core::chain::transfer::ProofFault;
use key0_core::checkout::{Outcome, Phase, Stop};
use key0_core::goods::{Goods, Receipt};
use key0_core::offer::Terms;
use key0_core::purchase::{Prove, State};
use key0_core::types::Address;

use super::money::{must_be_honoured, received};
use crate::actors::Payment;
use crate::objects::PurchaseObject;
use crate::rpc::MAX_LAG;
use crate::setting::Issuer;
use crate::world::World;

/// Who asked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Asker {
    /// The payer.
    Payer,
    /// Somebody with an authorization that he saw on chain.
    Stranger {
        /// When he asked, in milliseconds.
        since: u64,
    },
}

/// An answer to a payment arrived.
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

/// An answer to a poll arrived: nothing was charged, or it is not said. `head` was the newest block when it was asked; what is
/// included meanwhile nobody can know, nor what the node that is asked does not show yet.
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

/// An answer to a proof arrived.
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

/// A grant arrived. `payer` is who has proven to ask, if anybody had to.
fn on_grant(
    world: &Rc<World>,
    asker: Asker,
    terms: &Terms,
    asks: Option<Address>,
    (goods, receipt): (&Goods, &Receipt),
) {
    let told = (goods.clone(), receipt.clone());
    let (claims, transaction) = (goods.claims(), receipt.transaction);
    let asked = &terms.request_id;
    let Ok(id) = claims.sub.parse() else {
        return world.violation("grant_changed", asked, "the grant names no purchase");
    };
    let object = world.objects.purchase(&id);
    if asks.is_some_and(|asks| asks != receipt.payer) || is_stranger(world, asker, &object) {
        world.violation(
            "grant_to_stranger",
            asked,
            format!("{asker:?} got the grant of {}", claims.sub),
        );
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
    // The answer may have been under way while the grant was removed.
    let delivered = matches!(record.state, State::Delivered { .. } | State::Closed { .. });
    if !delivered || !is_its || received(world, &object, &record).is_none() {
        let detail = format!("{transaction}, but {payment:?}");
        world.violation("grant_without_money", &object.id, detail);
    }
}

/// A purchase whose client named no request id opens for everybody who presents its payment before the delivery, and the
/// authorization is public a moment earlier. Where only the gas wallet sends payments, so does any other: a payment that is shown
/// again is followed to its purchase while the chain does not show it. These are known limits; afterwards nobody may.
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

/// Who has named a purchase means that one, unless it has shown the very payment of another.
fn must_be_its_own(world: &World, pay: &Payment, goods: &Goods) {
    let claims = goods.claims();
    let id = &pay.offer.terms.request_id;
    let Ok(sold) = claims.sub.parse() else {
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

/// The credential is the backend's, when the backend issues it.
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
    }
}

/// Answers without a grant.
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
    if is_about_a_refund(outcome) && !world.setting.refunds {
        world.violation("refund_although_off", id, format!("{outcome:?}"));
    }
}

/// Whether it says that the money goes back, went back, or could not.
pub fn is_about_a_refund(outcome: &Outcome<'_>) -> bool {
    matches!(
        outcome,
        Outcome::Pending {
            phase: Phase::Refunding { .. },
            ..
        } | Outcome::Stopped {
            why: Stop::Refunded { .. } | Stop::RefundFailed { .. },
        }
    )
}
