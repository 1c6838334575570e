//! Everything that must hold before a purchase's first write, in this order:
//!
//! 1. What the isolate remembers of the chain, at most a second old: does it make blocks, can the gas wallet pay. Costs nothing
//!    most of the time, and nothing is booked that could not be brought to its end.
//! 2. The payer's balance: one call, which ends most of what strangers send. Then the payer's book. It says whose the payment
//!    is, which comes before any refusal, and sets the price aside against that balance. From here on no other purchase can use
//!    the payment; not even one of whoever operates the RPC endpoint, who sees the signed authorization in the next step.
//!    This writes two rows, and only for a payer who could pay. A refusal below gives the price free again; when this process
//!    dies, it lapses by itself. What stays for a while is the binding of the payment, for a bounded number of them.
//! 3. The simulation of the transfer; with its gas, step 1 again.
//!
//! Only then the record is written, which is the intent to reserve.

use super::access::{find_payment, lead_to, prove_fresh};
use super::begun::{Begun, unavailable, unknown};
use super::effects::{self, DISAGREE, TOO_LITTLE};
use super::env::{Found, PurchaseEnv, PurchaseStore, StoreFault, Stuck, Versioned};
use super::hold::{Wanted, ask_whose, hold, withdraw};
use super::lifecycle::Event;
use super::outlook::{self, LEAST_GAS};
use super::question::{Pay, Sale};
use super::reply::{NotNow, PayReply};
use super::state::State;
use super::store::{commit, record_fact};
use crate::book::{PayerReply, TargetKey};
use crate::chain::Chain;
use crate::chain::base::Simulation;
use crate::chain::{ChainError, SignedAuthorization};
use crate::pauses::UNCOVERED;
use crate::types::WalletKey;
use crate::x402::Refusal;

/// Begins a purchase for which everything holds.
pub(super) async fn begin<E: PurchaseEnv>(
    env: &E,
    pay: &Pay,
    sale: &Sale,
    stored: Option<Versioned>,
) -> Result<Begun, StoreFault> {
    let signed = &pay.authorization;
    let terms = &sale.offer.terms;
    // How the attempt before has ended must be in the book before the book is asked.
    if let Some(before) = stored.as_ref().filter(|stored| stored.record.holds_target)
        && let Err(stuck) = effects::release(env, &before.record).await
    {
        return Ok(match stuck {
            Stuck::Waiting => unavailable(env, "the attempt before is not resolved yet"),
            Stuck::Fault(fault) => unavailable(env, &fault),
        });
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
    let refusal = not_delivering(env).or_else(|| outlook.refusal(env, terms, signed, LEAST_GAS));
    let held = match refusal {
        None => hold_patiently(env, &wanted).await,
        // A payment that counts elsewhere is led there all the same.
        Some(_) => ask_whose(env, &wanted).await,
    };
    let led_to = |other, attempted| lead_to(env, signed, other, TargetKey::of(terms), attempted);
    match (held, refusal) {
        (Ok(PayerReply::Superseded { by }), _) => {
            return Ok(Begun::Refused(led_to(by, false).await));
        }
        (Ok(PayerReply::Presented { to }), _) => {
            return Ok(Begun::Refused(led_to(to, true).await));
        }
        (Ok(PayerReply::Taken), _) => return Ok(Begun::Refused(PayReply::Taken)),
        (Ok(PayerReply::NamedOtherwise), _) => {
            return Ok(Begun::Refused(PayReply::NamedOtherwise));
        }
        (Ok(PayerReply::Wait), _) | (Ok(PayerReply::Reserved), Some(_)) => return Ok(Begun::Wait),
        (_, Some(why)) => return Ok(Begun::Refused(PayReply::NotNow(why))),
        (Ok(PayerReply::Reserved), None) => {}
        (Ok(PayerReply::Paused { millis }), None) => {
            return paused(env, signed, millis, stored).await;
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
            // Of those who are here at the same moment one is let through to try.
            let refusal = outlook
                .refusal(env, terms, signed, gas)
                .or_else(|| not_admitted(env));
            match refusal {
                // An identical request may be the one that was let through.
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
    // An identical request that was faster needs what is set aside.
    if matches!(begun, Begun::Refused(_)) {
        withdraw(env, &wanted).await;
    }
    Ok(begun)
}

/// Has the price set aside. What does not fit beside what is under way may fit a moment later.
async fn hold_patiently<E: PurchaseEnv>(env: &E, wanted: &Wanted<'_>) -> Result<PayerReply, Stuck> {
    for pause in UNCOVERED {
        match hold(env, wanted).await? {
            PayerReply::Uncovered { under_way: true } => env.sleep(pause).await,
            reply => return Ok(reply),
        }
    }
    hold(env, wanted).await
}

/// Tries the transfer out. Anybody may send it; a facilitator's own address is not known.
async fn simulate<E: PurchaseEnv>(
    env: &E,
    signed: &SignedAuthorization,
) -> Result<Simulation, ChainError> {
    let sender = env.config().settlement.gas_wallet();
    let sender = sender.map_or(env.config().wallets.pay_to, WalletKey::address);
    env.chain().simulate(signed, sender).await
}

/// The payer's balance was below the price, and nothing is under way.
async fn uncovered<E: PurchaseEnv>(
    env: &E,
    signed: &SignedAuthorization,
    stored: Option<Versioned>,
) -> Result<Begun, StoreFault> {
    if stored.is_none() {
        return refuse(env, signed, TOO_LITTLE, stored).await;
    }
    // What was attempted is public, and its own use may be why the balance is low. The token looks at the use first, so it tells
    // one from the other in a single node's state.
    match simulate(env, signed).await {
        Ok(Simulation::Reverts(text)) => refuse(env, signed, &text, stored).await,
        Ok(Simulation::Succeeds { .. }) => Ok(unknown(env, &Stuck::Fault(DISAGREE.to_owned()))),
        Err(error) => Ok(unavailable(env, &error.0)),
    }
}

/// Too many of the payer's transfers have reverted. The payer is told so only if this payment has moved no money.
async fn paused<E: PurchaseEnv>(
    env: &E,
    signed: &SignedAuthorization,
    millis: u64,
    stored: Option<Versioned>,
) -> Result<Begun, StoreFault> {
    // Others have seen an authorization that was attempted.
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
        None => PayReply::Paused {
            seconds: millis.div_ceil(1_000),
        },
        Some(PayReply::NeedsFreshSignature) => PayReply::Refused {
            reason: Refusal::InvalidExactEvmNonceAlreadyUsed,
            transaction: None,
            begun: stored.is_some(),
        },
        Some(reply) => reply,
    };
    Ok(Begun::Refused(reply))
}

/// The chain would refuse the transfer. Says why, unless an identical request was faster and that is the reason.
async fn refuse<E: PurchaseEnv>(
    env: &E,
    signed: &SignedAuthorization,
    text: &str,
    stored: Option<Versioned>,
) -> Result<Begun, StoreFault> {
    let reason = if let Some(before) = &stored
        && let State::Pending { attempt } = &before.record.state
    {
        // The newest block, not one that is remembered: what is included up to it must not be overlooked.
        let head = match env.chain().head().await {
            Ok(head) => head,
            Err(error) => return Ok(unavailable(env, &error.0)),
        };
        // A failed attempt may have been paid after all. Never ask for a second payment before that is known.
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
        // An authorization that was attempted is public: the node that refuses may know a use that no other node shows yet.
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

/// Why nothing is begun while the backend keeps failing to issue what was paid: it would only be sent back.
fn not_delivering<E: PurchaseEnv>(env: &E) -> Option<NotNow> {
    let millis = env.shared().deliveries.pause(env.now())?;
    Some(deliveries_fail(env, millis))
}

/// As [`not_delivering`]; without a refusal this purchase is the one that tries whether the backend issues again.
fn not_admitted<E: PurchaseEnv>(env: &E) -> Option<NotNow> {
    let millis = env.shared().deliveries.admit(env.now()).err()?;
    Some(deliveries_fail(env, millis))
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
