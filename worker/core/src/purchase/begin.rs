//! Beginning a purchase: the checks that must succeed before its first write, in this order:
//!
//! 1. What the isolate remembers of the chain, at most a second old: whether the chain makes blocks, and whether the
//!    gas wallet can pay. This step costs nothing most of the time, and keeps us from booking what could not be brought
//!    to its end.
//! 2. The payer's balance: one call, which stops most of what strangers send. Then the payer's book. The book says
//!    which purchase the payment belongs to, which comes before any refusal, and sets the price aside against that
//!    balance. From here on no other purchase can use the payment; not even one of the operator of the RPC endpoint,
//!    who sees the signed authorization in the next step. This writes two rows, and only for a payer who could pay. A
//!    refusal in step 3 gives the price free again; if this process dies, that lapses by itself. The binding of the
//!    payment stays for a while, for a bounded number of payments.
//! 3. The simulation of the transfer; with its gas, step 1 again.
//!
//! Only then the record is written. It is the intent to reserve the payment in the book.

use super::access::{find_payment, lead_to, prove_fresh};
use super::begun::{Begun, unavailable, unknown};
use super::effects::{self, DISAGREE, TOO_LITTLE, extension};
use super::env::{Found, PurchaseEnv, PurchaseStore, StoreFault, Stuck, Versioned};
use super::hold::{Wanted, ask_whose, hold, withdraw};
use super::lifecycle::Event;
use super::outlook::{self, LEAST_GAS};
use super::question::{Ask, Pay, Sale};
use super::reply::{NotNow, PayReply};
use super::sold::Sold;
use super::state::{Purchase, State};
use super::store::{commit, record_fact};
use crate::book::{PayerReply, TargetKey};
use crate::catalog::Settle;
use crate::chain::Chain;
use crate::chain::base::Simulation;
use crate::chain::{ChainError, SignedAuthorization};
use crate::offer::Target;
use crate::pauses::UNCOVERED;
use crate::settlement::Route;
use crate::types::{Address, RouteId, WalletKey};
use crate::x402::Refusal;

/// Begins a purchase, if everything holds that must.
pub(super) async fn begin<E: PurchaseEnv>(
    env: &E,
    pay: &Pay,
    sale: &Sale,
    stored: Option<Versioned>,
) -> Result<Begun, StoreFault> {
    let signed = &pay.authorization;
    let terms = &sale.offer.terms;
    // A payment for a call must come with that call: otherwise the call would be paid for and never made.
    if let Target::Route { call, .. } = &terms.target
        && env.call().as_ref() != Some(call)
    {
        return Ok(unavailable(env, "a call is paid for that was not sent"));
    }
    // The book must know how the attempt before has ended before it is asked about this one.
    if let Some(before) = stored.as_ref().filter(|stored| stored.record.holds_target)
        && let Err(stuck) = effects::release(env, &before.record).await
    {
        return Ok(match stuck {
            Stuck::Waiting => unavailable(env, "the attempt before is not resolved yet"),
            Stuck::Fault(fault) => unavailable(env, &fault),
        });
    }
    if let Some(shown) = stored
        .as_ref()
        .and_then(|stored| failed_in_a_block(&stored.record))
    {
        return match simulate(env, signed).await {
            Ok(Simulation::Succeeds { .. }) => unless_paid(env, signed, shown, stored).await,
            Ok(Simulation::Reverts(text)) => refuse(env, signed, &text, stored).await,
            Err(error) => Ok(unavailable(env, &error.0)),
        };
    }
    let outlook = match outlook::look(env).await {
        Ok(outlook) => outlook,
        Err(error) => return Ok(unavailable(env, &error.0)),
    };
    let wanted = Wanted {
        terms,
        signed,
        attempt: match stored.as_ref().map(|stored| &stored.record.state) {
            Some(State::Pending { attempt }) => attempt.broadcast.number.saturating_add(1),
            _ => 1,
        },
        identifier: pay.identifier,
        chosen: sale.is_chosen(),
    };
    let barred = match extension::barred(env, sale, signed.payer()).await {
        Ok(barred) => barred.map(PayReply::Barred),
        Err(fault) => return Ok(unavailable(env, &fault.0)),
    };
    let refusal = barred.or_else(|| {
        not_delivering(env, sale, signed.payer())
            .or_else(|| outlook.refusal(env, terms, signed, LEAST_GAS))
            .map(PayReply::NotNow)
    });
    let held = match refusal {
        None => hold_patiently(env, &wanted).await,
        // Even when nothing may begin now, a payment that counts for another purchase is led there.
        Some(_) => ask_whose(env, &wanted).await,
    };
    let led_to = |other, attempted| lead_to(env, signed, other, TargetKey::of(terms), attempted);
    match (held, refusal) {
        (Ok(PayerReply::Superseded { by }), _) => {
            // Of an earlier attempt, a facilitator may have the authorization.
            return Ok(Begun::Refused(led_to(by, stored.is_some()).await));
        }
        (Ok(PayerReply::Presented { to }), _) => {
            return Ok(Begun::Refused(led_to(to, true).await));
        }
        (Ok(PayerReply::Taken), _) => return Ok(Begun::Refused(PayReply::Taken)),
        (Ok(PayerReply::NamedOtherwise), _) => {
            return Ok(Begun::Refused(PayReply::NamedOtherwise));
        }
        (Ok(PayerReply::Wait), _) | (Ok(PayerReply::Reserved), Some(_)) => return Ok(Begun::Wait),
        (_, Some(why)) => return Ok(Begun::Refused(why)),
        (Ok(PayerReply::Reserved), None) => {}
        (Ok(PayerReply::Paused { millis }), None) => {
            let seconds = millis.div_ceil(1_000);
            return unless_paid(env, signed, PayReply::Paused { seconds }, stored).await;
        }
        (Ok(PayerReply::TooManyCalls { millis }), None) => {
            let seconds = millis.div_ceil(1_000);
            return unless_paid(env, signed, PayReply::TooManyCalls { seconds }, stored).await;
        }
        (Ok(PayerReply::Uncovered { under_way: false }), None) => {
            return uncovered(env, signed, stored).await;
        }
        (Ok(PayerReply::Uncovered { under_way: true }), None) => {
            return Ok(Begun::Refused(PayReply::NotNow(NotNow::UnderWay)));
        }
        (Ok(PayerReply::Crowded), None) => {
            return Ok(Begun::Refused(PayReply::NotNow(NotNow::Crowded)));
        }
        (
            Ok(
                PayerReply::Lapsed
                | PayerReply::NameCode
                | PayerReply::Claimed(_)
                | PayerReply::Seen(_)
                | PayerReply::Grants { .. }
                | PayerReply::NonceUsed
                | PayerReply::Noted,
            ),
            None,
        ) => return Ok(unavailable(env, "the payer's book gave a wrong answer")),
        (Err(Stuck::Waiting), None) => return Ok(unavailable(env, "the payer's book is busy")),
        (Err(Stuck::Fault(fault)), None) => return Ok(unavailable(env, &fault)),
    }
    let begun = match simulate(env, signed).await {
        Ok(Simulation::Succeeds { gas }) => {
            let gas_limit = effects::gas_limit(gas);
            // While deliveries or calls fail, only one of the purchases that come this far may begin, as a probe.
            let refusal = outlook
                .refusal(env, terms, signed, gas)
                .or_else(|| not_admitted(env, sale, signed.payer()));
            match refusal {
                // The purchase that was let through may be this one, begun by an identical request.
                Some(_) if has_changed(env, stored.as_ref())? => Begun::LookAgain,
                Some(why) => Begun::Refused(PayReply::NotNow(why)),
                None => {
                    let event = Event::Attempted {
                        offer: sale.offer.clone(),
                        sold: sale.sold.clone(),
                        issuer: sale.issuer.clone(),
                        authorization: signed.clone(),
                        identifier: pay.identifier,
                        chosen: sale.is_chosen(),
                        gas_limit,
                        from_block: outlook.head.number,
                    };
                    // Losing against an identical request is no failure: the caller reads the winner's record.
                    return Ok(match commit(env, stored.as_ref(), event)? {
                        true => Begun::Now,
                        false => Begun::LookAgain,
                    });
                }
            }
        }
        Ok(Simulation::Reverts(text)) => refuse(env, signed, &text, stored).await?,
        Err(error) => unavailable(env, &error.0),
    };
    // Only after a refusal: if an identical request was faster, its purchase needs the price that is set aside.
    if matches!(begun, Begun::Refused(_)) {
        withdraw(env, &wanted).await;
    }
    Ok(begun)
}

/// Has the price set aside. If the balance does not cover the price together with what is under way, tries again after
/// a moment.
async fn hold_patiently<E: PurchaseEnv>(env: &E, wanted: &Wanted<'_>) -> Result<PayerReply, Stuck> {
    for pause in UNCOVERED {
        match hold(env, wanted).await? {
            PayerReply::Uncovered { under_way: true } => env.sleep(pause).await,
            reply => return Ok(reply),
        }
    }
    hold(env, wanted).await
}

/// Simulates the transfer. The sender does not matter to USDC; it is the gas wallet if there is one, since a
/// facilitator's address is not known.
async fn simulate<E: PurchaseEnv>(
    env: &E,
    signed: &SignedAuthorization,
) -> Result<Simulation, ChainError> {
    let sender = env.config().settlement.gas_wallet();
    let sender = sender.map_or(env.config().wallets.pay_to, WalletKey::address);
    env.chain().simulate(signed, sender).await
}

/// Refuses a payment whose payer has less than the price and nothing under way.
async fn uncovered<E: PurchaseEnv>(
    env: &E,
    signed: &SignedAuthorization,
    stored: Option<Versioned>,
) -> Result<Begun, StoreFault> {
    if stored.is_none() {
        return refuse(env, signed, TOO_LITTLE, stored).await;
    }
    // An authorization that was attempted is public, and its own execution may be why the balance is low. USDC checks
    // whether the authorization is used before it checks the balance, so the simulation tells the two apart in the
    // state of a single node.
    match simulate(env, signed).await {
        Ok(Simulation::Reverts(text)) => refuse(env, signed, &text, stored).await,
        Ok(Simulation::Succeeds { .. }) => Ok(unknown(env, &Stuck::Fault(DISAGREE.to_owned()))),
        Err(error) => Ok(unavailable(env, &error.0)),
    }
}

/// The reply to a payment whose last attempt was included in a block and moved no money. The block has shown the
/// authorization to everybody, so it is not attempted again: the buyer signs anew, or somebody else could have it
/// charged and get the grant.
fn failed_in_a_block(record: &Purchase) -> Option<PayReply> {
    Ask::failure(record).filter(|reply| {
        matches!(
            reply,
            PayReply::Refused {
                transaction: Some(_),
                ..
            }
        )
    })
}

/// Tells the payer to wait or to pay anew, unless this payment may have moved money.
async fn unless_paid<E: PurchaseEnv>(
    env: &E,
    signed: &SignedAuthorization,
    reply: PayReply,
    stored: Option<Versioned>,
) -> Result<Begun, StoreFault> {
    // Third parties may know the authorization of an earlier attempt and have executed it.
    if let Some(stored) = &stored {
        match find_payment(env, stored).await? {
            Found::Nothing | Found::NotYet => {}
            Found::More => return Ok(Begun::LookAgain),
            Found::Unknown => {
                return Ok(Begun::Refused(PayReply::Pending { transaction: None }));
            }
        }
    }
    let reply = match prove_fresh(env, signed).await {
        None => reply,
        Some(PayReply::NeedsFreshSignature) => PayReply::Refused {
            reason: Refusal::InvalidExactEvmNonceAlreadyUsed,
            transaction: None,
            begun: stored.is_some(),
        },
        Some(reply) => reply,
    };
    Ok(Begun::Refused(reply))
}

/// Refuses a payment whose transfer the chain would refuse, and says why; unless the reason is that an identical
/// request was faster.
async fn refuse<E: PurchaseEnv>(
    env: &E,
    signed: &SignedAuthorization,
    text: &str,
    stored: Option<Versioned>,
) -> Result<Begun, StoreFault> {
    let reason = if let Some(before) = &stored
        && let State::Pending { attempt } = &before.record.state
    {
        // The newest block is read anew, not taken from memory, so that no transaction up to it is overlooked.
        let head = match env.chain().head().await {
            Ok(head) => head,
            Err(error) => return Ok(unavailable(env, &error.0)),
        };
        // The failed attempt may have paid after all. Until that is known, nobody is asked for a second payment.
        match effects::refused(env, &before.record, &attempt.broadcast, text, &head).await {
            Ok(Event::AttemptFailed { reason, .. }) => Ok(reason),
            Ok(event) => {
                record_fact(env, before, &event)?;
                return Ok(Begun::LookAgain);
            }
            Err(stuck) => Err(stuck),
        }
    } else {
        effects::diagnose(env, signed, text).await
    };
    if has_changed(env, stored.as_ref())? {
        return Ok(Begun::LookAgain);
    }
    Ok(match reason {
        // An authorization that was attempted is public: the node that refuses it may know of its execution before any
        // other node does.
        Ok(Refusal::InvalidExactEvmTransactionSimulationFailed) if stored.is_some() => {
            unknown(env, &Stuck::Fault(text.to_owned()))
        }
        Ok(reason) => Begun::Refused(PayReply::Refused {
            reason,
            transaction: None,
            begun: stored.is_some(),
        }),
        Err(stuck) if stored.is_some() => unknown(env, &stuck),
        Err(Stuck::Waiting) => unavailable(env, "a use of the authorization is not visible yet"),
        Err(Stuck::Fault(fault)) => unavailable(env, &fault),
    })
}

/// Whether an identical request was faster.
fn has_changed<E: PurchaseEnv>(env: &E, read: Option<&Versioned>) -> Result<bool, StoreFault> {
    let version = |stored: &Versioned| stored.version;
    Ok(env.store().load()?.as_ref().map(version) != read.map(version))
}

/// Why nothing is begun for now. Of a plan: the backend keeps failing to issue, so the money would only go back. Of a
/// call that is paid for first: the seller's API keeps failing, likewise. Of any other call: nobody could be asked to
/// settle, so its answer could not be charged for.
fn not_delivering<E: PurchaseEnv>(env: &E, sale: &Sale, payer: Address) -> Option<NotNow> {
    let now = env.now();
    match &sale.offer.terms.target {
        Target::Route { id, .. } => match settles(sale)? {
            Settle::Before => {
                let millis = env.shared().routes.pause(id, payer, now)?;
                Some(calls_fail(env, id, millis))
            }
            Settle::After => nobody_settles(env),
        },
        Target::Plan(_) => {
            let millis = env.shared().deliveries.pause(now)?;
            Some(deliveries_fail(env, millis))
        }
        Target::TopUp { .. } => None,
    }
}

/// The check of [`not_delivering`] right before the purchase begins. If there was a pause, the purchase that gets no
/// refusal is the probe whether the backend issues again, or whether the API serves the route again.
fn not_admitted<E: PurchaseEnv>(env: &E, sale: &Sale, payer: Address) -> Option<NotNow> {
    let now = env.now();
    match &sale.offer.terms.target {
        Target::Route { id, .. } => match settles(sale)? {
            Settle::Before => {
                let millis = env.shared().routes.admit(id, payer, now).err()?;
                Some(calls_fail(env, id, millis))
            }
            Settle::After => None,
        },
        Target::Plan(_) => {
            let millis = env.shared().deliveries.admit(now).err()?;
            Some(deliveries_fail(env, millis))
        }
        Target::TopUp { .. } => None,
    }
}

/// When a call is charged for.
fn settles(sale: &Sale) -> Option<Settle> {
    let call = sale.sold.as_ref().and_then(Sold::call)?;
    Some(call.settle)
}

fn nobody_settles<E: PurchaseEnv>(env: &E) -> Option<NotNow> {
    let settlement = &env.config().settlement;
    if settlement.gas_wallet().is_some() {
        return None;
    }
    let urls = settlement.routes().filter_map(|route| match route {
        Route::Facilitator(facilitator) => Some(facilitator.url()),
        Route::GasWallet(_) => None,
    });
    env.shared().pause(urls, env.now())?;
    env.log(
        "not_begun",
        "no facilitator answers: no answer could be charged for",
    );
    Some(NotNow::NobodySettles)
}

fn calls_fail<E: PurchaseEnv>(env: &E, route: &RouteId, millis: u64) -> NotNow {
    env.log("not_begun", &format!("the calls of {route} keep failing"));
    NotNow::CallsFail {
        seconds: millis.div_ceil(1_000).max(1),
    }
}

fn deliveries_fail<E: PurchaseEnv>(env: &E, millis: u64) -> NotNow {
    env.log(
        "not_begun",
        "deliveries keep failing: nothing is charged until one succeeds",
    );
    NotNow::DeliveriesFail {
        seconds: millis.div_ceil(1_000).max(1),
    }
}
