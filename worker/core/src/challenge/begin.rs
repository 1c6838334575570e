//! Everything that must hold before a purchase's first write: the payer's book and the chain.

use alloy_primitives::U256;
use futures_util::future;

use super::control::{Found, find_payment, lead_to};
use super::driver::{commit, record_fact};
use super::effects;
use super::env::{ChallengeEnv, ChallengeStore, StoreFault, Stuck, Versioned};
use super::lifecycle::Event;
use super::purchase::{Pay, PayReply};
use super::record::State;
use crate::payment::chain::{Chain, ChainError, Simulation};
use crate::payment::payer::{PayerCommand, PayerReply, Reservation, TargetKey};
use crate::payment::{Refusal, SignedAuthorization};
use crate::wallet::WalletKey;

/// What came of trying to begin.
pub(super) enum Begun {
    /// The outcome is known.
    Refused(PayReply),
    /// An attempt has begun.
    Now,
    /// The record has changed.
    LookAgain,
}

/// Everything that must hold before the first write: the payer's book and the chain.
pub(super) async fn begin<E: ChallengeEnv>(
    env: &E,
    pay: &Pay,
    stored: Option<Versioned>,
) -> Result<Begun, StoreFault> {
    let signed = &pay.authorization;
    // Before anything is asked or booked: what is charged now would only be sent back.
    if let Some(millis) = env.shared().deliveries.pause(env.now()) {
        return Ok(not_delivering(env, millis));
    }
    // How the attempt before has ended must be in the book before the book is asked.
    if let Some(before) = stored.as_ref().filter(|stored| stored.record.holds_target)
        && let Err(stuck) = effects::release(env, &before.record).await
    {
        return Ok(match stuck {
            Stuck::Waiting => unavailable(env, "the attempt before is not resolved yet"),
            Stuck::Fault(fault) => unavailable(env, &fault),
        });
    }
    let check = PayerCommand::Check(Reservation {
        nonce: signed.authorization().nonce,
        request_id: pay.challenge.terms.request_id.clone(),
        attempt: match stored.as_ref().map(|stored| &stored.record.state) {
            Some(State::Pending { attempt }) => attempt.number.saturating_add(1),
            _ => 1,
        },
        target: TargetKey::new(&pay.challenge.terms.target, &pay.challenge.terms.resource),
        identifier: pay.identifier,
    });
    let settlement = &env.config().settlement;
    // Anybody may send the transfer; a facilitator's own address is not known.
    let sender = settlement
        .gas_wallet()
        .map_or(env.config().pay_to, WalletKey::address);
    let gas_money = async {
        match settlement.only_gas_wallet() {
            Some(wallet) => env.chain().ether_balance(wallet).await,
            None => Ok(U256::MAX),
        }
    };
    let (book, simulation, head, gas_money) = future::join4(
        env.payer(signed.payer(), check),
        env.chain().simulate(signed, sender),
        env.chain().head(),
        gas_money,
    )
    .await;
    // The book comes first: a payment that counts elsewhere must not be judged by the chain's state of today.
    let paused = match book {
        Ok(PayerReply::Taken) => return Ok(Begun::Refused(PayReply::Taken)),
        Ok(PayerReply::Superseded { by }) => {
            return Ok(Begun::Refused(lead_to(env, signed, by).await));
        }
        Ok(PayerReply::Paused { millis }) => Some(millis),
        Ok(PayerReply::Reserved | PayerReply::Claimed(_) | PayerReply::Released) => None,
        Err(fault) => return Ok(unavailable(env, &fault.0)),
    };
    let (gas, head) = match (simulation, head) {
        (Ok(Simulation::Succeeds { gas }), Ok(head)) => (gas, head),
        (Ok(Simulation::Reverts(text)), Ok(head)) => {
            return refuse(env, signed, &text, head.number, stored).await;
        }
        (Err(error), _) | (_, Err(error)) => return Ok(unavailable(env, &error.0)),
    };
    // Only now: the authorization is unused, so it is true that no money moved. What was attempted others have seen.
    if let Some(millis) = paused {
        if let Some(stored) = &stored {
            match find_payment(env, stored).await? {
                Found::Nothing => {}
                Found::More => return Ok(Begun::LookAgain),
                Found::Unknown => {
                    return Ok(Begun::Refused(PayReply::Pending { transaction: None }));
                }
            }
        }
        let seconds = millis.div_ceil(1_000);
        return Ok(Begun::Refused(PayReply::Paused { seconds }));
    }
    let gas_limit = effects::gas_limit(gas);
    match gas_money {
        Ok(wei) if wei < U256::from(gas_limit).saturating_mul(U256::from(head.base_fee)) => {
            return Ok(unavailable(
                env,
                "the gas wallet is empty: send ether to it",
            ));
        }
        Ok(_) => {}
        Err(error) => return Ok(unavailable(env, &error.0)),
    }
    // Asked again: of those who are here at the same moment one is let through.
    if let Err(millis) = env.shared().deliveries.admit(env.now()) {
        return Ok(not_delivering(env, millis));
    }
    let event = Event::Attempted {
        challenge: pay.challenge.clone(),
        issuer: pay.issuer.clone(),
        authorization: signed.clone(),
        identifier: pay.identifier,
        gas_limit,
        from_block: head.number,
    };
    // Losing against an identical request is no failure: the caller reads the winner's record.
    Ok(match commit(env, stored.as_ref(), event)? {
        true => Begun::Now,
        false => Begun::LookAgain,
    })
}

/// The chain would refuse the transfer. Says why, unless an identical request was faster and that is the reason.
async fn refuse<E: ChallengeEnv>(
    env: &E,
    signed: &SignedAuthorization,
    text: &str,
    head: u64,
    stored: Option<Versioned>,
) -> Result<Begun, StoreFault> {
    let reason = if let Some(before) = &stored
        && let State::Pending { attempt } = &before.record.state
    {
        // A failed attempt may have been paid after all. Never ask for a second payment before that is known.
        match effects::refused(env, &before.record, attempt, text, head).await {
            Ok(Event::AttemptFailed { reason, .. }) => Ok(reason),
            Ok(event) => {
                record_fact(env, before, &event)?;
                return Ok(Begun::LookAgain);
            }
            Err(stuck) => Err(stuck),
        }
    } else {
        diagnose(env, signed, text).await.map_err(Stuck::from)
    };
    let version = |stored: &Versioned| stored.version;
    if env.store().load()?.as_ref().map(version) != stored.as_ref().map(version) {
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

/// An attempt was made, and the chain cannot tell what became of it.
pub(super) fn unknown<E: ChallengeEnv>(env: &E, stuck: &Stuck) -> Begun {
    if let Stuck::Fault(fault) = stuck {
        env.log("check_failed", fault);
    }
    Begun::Refused(PayReply::Pending { transaction: None })
}

/// The backend keeps failing to issue what was paid.
fn not_delivering<E: ChallengeEnv>(env: &E, millis: u64) -> Begun {
    env.log(
        "not_begun",
        "deliveries keep failing: nothing is charged until one succeeds",
    );
    Begun::Refused(PayReply::NotDelivering {
        seconds: millis.div_ceil(1_000),
    })
}

pub(super) fn unavailable<E: ChallengeEnv>(env: &E, fault: &str) -> Begun {
    env.log("check_failed", fault);
    Begun::Refused(PayReply::Unavailable)
}

/// Why the chain would refuse a transfer, in the reference's order (x402 sheet, section 4.4, step 10).
pub(super) async fn diagnose<E: ChallengeEnv>(
    env: &E,
    signed: &SignedAuthorization,
    text: &str,
) -> Result<Refusal, ChainError> {
    let authorization = signed.authorization();
    let (used, balance) = future::join(
        env.chain()
            .authorization_used(authorization.from, authorization.nonce, None),
        env.chain().usdc_balance(authorization.from),
    )
    .await;
    if used? {
        return Ok(Refusal::InvalidExactEvmNonceAlreadyUsed);
    }
    if balance? < authorization.value {
        return Ok(Refusal::InsufficientFunds);
    }
    env.log("simulation_failed", text);
    // The token's own word. An account with code is asked by it, also when its key has signed.
    if text.contains("invalid signature") {
        return Ok(Refusal::InvalidExactEvmPayloadSignature);
    }
    Ok(Refusal::InvalidExactEvmTransactionSimulationFailed)
}
