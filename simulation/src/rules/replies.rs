//! What must hold of the answers that are given.

use std::rc::Rc;

use key0_core::chain::transfer::ProofFault;
use key0_core::offer::Terms;
use key0_core::purchase::{PayReply, Prove, State};
use key0_core::types::Address;

use super::money::{must_be_honoured, received};
use crate::actors::Payment;
use crate::objects::PurchaseObject;
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
pub fn on_reply(world: &Rc<World>, asker: Asker, pay: &Payment, reply: &PayReply) {
    match reply {
        PayReply::Granted { .. } => {
            must_be_its_own(world, pay, reply);
            let payer = Some(pay.authorization.payer());
            on_grant(world, asker, &pay.offer.terms, payer, reply);
        }
        reply => on_other_reply(world, pay, reply),
    }
}

/// An answer to a proof arrived.
pub fn on_proof_reply(world: &Rc<World>, prove: &Prove, reply: &PayReply) {
    if let PayReply::Unproven(
        fault @ (ProofFault::NoTransfer
        | ProofFault::PayerMismatch
        | ProofFault::AmountMismatch(_)
        | ProofFault::TransactionReverted),
    ) = reply
        && must_be_honoured(world, prove)
    {
        let detail = format!("{fault:?}, though {} pays", prove.transaction);
        world.violation("proof_denied", &prove.offer.terms.request_id, detail);
    }
    if let PayReply::Granted { transaction, .. } = reply {
        let terms = &prove.offer.terms;
        on_grant(world, Asker::Payer, terms, prove.payer, reply);
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
    reply: &PayReply,
) {
    // The grant is the same whether or not it says that it was handed out before.
    let mut told = reply.clone();
    if let PayReply::Granted { again, .. } = &mut told {
        *again = false;
    }
    let PayReply::Granted {
        claims,
        payer,
        transaction,
        remote,
        ..
    } = reply
    else {
        return;
    };
    let asked = &terms.request_id;
    let Ok(id) = claims.sub.parse() else {
        return world.violation("grant_changed", asked, "the grant names no purchase");
    };
    let object = world.objects.purchase(&id);
    if asks.is_some_and(|asks| asks != *payer) || is_stranger(world, asker, &object) {
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
    if !is_issued(world, &claims.jti, remote.as_deref()) {
        world.violation("grant_not_issued", &object.id, format!("{reply:?}"));
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
    let is_its = payment.is_some_and(|payment| payment.transaction == *transaction);
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
fn is_stranger(world: &World, asker: Asker, object: &PurchaseObject) -> bool {
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
fn must_be_its_own(world: &World, pay: &Payment, reply: &PayReply) {
    let PayReply::Granted { claims, .. } = reply else {
        return;
    };
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
    if pay.chosen && sold != *id && !is_shown_again() {
        world.violation(
            "named_and_swallowed",
            id,
            format!("got the grant of {sold}"),
        );
    }
}

/// The credential is the backend's, when the backend issues it.
fn is_issued(world: &World, offer: &str, remote: Option<&str>) -> bool {
    let Issuer::Backend { .. } = world.setting.issuer else {
        return remote.is_none();
    };
    remote
        .and_then(|sealed| world.config.credential_key.open(offer, sealed))
        .and_then(|credential| String::from_utf8(credential).ok())
        .is_some_and(|credential| world.backend.has_issued(offer, &credential))
}

/// Answers without a grant.
fn on_other_reply(world: &World, pay: &Payment, reply: &PayReply) {
    let id = &pay.offer.terms.request_id;
    let chain = world.chain.borrow();
    match reply {
        PayReply::Refund {
            status,
            transaction,
        } if status == "REFUNDED" => {
            let returned = transaction.is_some_and(|transaction| {
                chain.ledger().executed().any(|((from, _), used)| {
                    world.is_seller(*from)
                        && used.transaction == transaction
                        && used.to == pay.authorization.payer()
                }) || chain
                    .ledger()
                    .all_plain(transaction)
                    .iter()
                    .any(|(_, made)| {
                        world.is_seller(made.from) && made.to == pay.authorization.payer()
                    })
            });
            if !returned {
                world.violation(
                    "refund_shown_without_transfer",
                    id,
                    format!("{transaction:?}"),
                );
            }
        }
        PayReply::Refund { .. } | PayReply::Undelivered { .. } if !world.setting.refunds => {
            if matches!(reply, PayReply::Refund { .. }) {
                world.violation("refund_although_off", id, format!("{reply:?}"));
            }
        }
        _ => {}
    }
}
