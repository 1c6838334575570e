//! Facilitators: they settle, decline, are gone, answer late or not at all, say no to what they have done, and lie.

use std::rc::Rc;

use alloy_primitives::B256;
use futures_util::future::{Either, select};
use key0_core::chain::SignedAuthorization;
use key0_core::chain::base::Simulation;
use key0_core::settlement::facilitator::Action as Call;

use crate::actors;
use crate::chain::{Action, View};
use crate::faults::Fault;
use crate::oneshot::oneshot;
use crate::world::{Life, Owner, World};

/// How long a facilitator waits for its transaction before it says that the outcome is open.
const PATIENCE_SECONDS: u64 = 12;

/// Makes one call, with the worker's own deadline. The facilitator finishes what it has begun, even when no caller
/// waits any more.
pub async fn ask(
    world: &Rc<World>,
    life: &Life,
    call: Call,
    signed: SignedAuthorization,
) -> Result<Vec<u8>, String> {
    world.survive(life, "before the facilitator").await;
    let (sender, receiver) = oneshot();
    let there = Rc::clone(world);
    world.executor.spawn(Owner::World, async move {
        there.sleep_between(5, 300).await;
        let answer = match call {
            Call::Verify => verify(&there, &signed).await,
            _ => settle(&there, signed).await,
        };
        // Without an answer the caller waits for its deadline.
        if let Some(answer) = answer {
            sender.send(answer);
        } else {
            core::future::pending::<()>().await;
        }
    });
    let deadline = world.sleep(u64::from(call.deadline_millis()));
    let answer = match select(receiver, deadline).await {
        Either::Left((Some(answer), _)) => answer.map(String::into_bytes),
        Either::Left((None, _)) => Err("connection lost".to_owned()),
        Either::Right(_) => Err("no answer in time".to_owned()),
    };
    world.trace(|| {
        let shown = answer.as_ref().map(|body| String::from_utf8_lossy(body));
        format!("the facilitator to {call:?}: {shown:?}")
    });
    world.survive(life, "after the facilitator").await;
    answer
}

/// A facilitator's answer: nothing, a broken connection or an error, or a body.
type Answer = Option<Result<String, String>>;

async fn verify(world: &World, signed: &SignedAuthorization) -> Answer {
    if let Some(answer) = broken(world).await {
        return answer;
    }
    let reason = if world.strikes(Fault::FacilitatorDeclines) {
        Some("unsupported_scheme")
    } else {
        refusal(world, signed)
    };
    Some(Ok(match reason {
        None => r#"{"isValid":true}"#.to_owned(),
        Some(reason) => format!(r#"{{"isValid":false,"invalidReason":"{reason}"}}"#),
    }))
}

async fn settle(world: &Rc<World>, signed: SignedAuthorization) -> Answer {
    if let Some(answer) = broken(world).await {
        return answer;
    }
    if world.strikes(Fault::FacilitatorSlow) {
        world
            .sleep(world.random.pick(&[3_000, 25_000, 120_000]))
            .await;
    }
    if world.strikes(Fault::FacilitatorDeclines) {
        return declined("unsupported_scheme");
    }
    if world.strikes(Fault::FacilitatorLies) {
        return Some(Ok(lie(world)));
    }
    if let Some(reason) = refusal(world, &signed) {
        return declined(reason);
    }
    actors::on_public(world, &signed);
    let hash = world
        .chain
        .borrow_mut()
        .submit_foreign(Action::Execute(vec![signed]));
    if world.strikes(Fault::FacilitatorErrorAfter) {
        return match world.random.range(0, 3) {
            0 => None,
            1 => Some(Err("status 502".to_owned())),
            2 => declined("insufficient_funds"),
            _ => Some(Ok(lie(world))),
        };
    }
    for _ in 0..PATIENCE_SECONDS {
        world.sleep(1_000).await;
        if View::new(&world.chain.borrow(), 0).receipt(hash).is_some() {
            return named(true, "", hash);
        }
    }
    named(false, "settlement_pending", hash)
}

/// The answer of a facilitator that is gone, or that fails before it has done anything. `None` if it works.
async fn broken(world: &World) -> Option<Answer> {
    if !world.strikes(Fault::FacilitatorGone) {
        return None;
    }
    Some(match world.random.range(0, 3) {
        0 => None,
        1 => Some(Err("connection refused".to_owned())),
        2 => Some(Err("status 503".to_owned())),
        _ => Some(Ok("<html>".to_owned())),
    })
}

/// Why an honest facilitator would not broadcast, by what its own node knows.
fn refusal(world: &World, signed: &SignedAuthorization) -> Option<&'static str> {
    let authorization = signed.authorization();
    if authorization.check_time(world.seconds()).is_err() {
        return Some("invalid_exact_evm_payload_authorization_valid_before");
    }
    let chain = world.chain.borrow();
    match View::new(&chain, 0).simulate(signed) {
        Simulation::Succeeds { .. } => None,
        Simulation::Reverts(text) if text.contains("used") => {
            Some("invalid_exact_evm_nonce_already_used")
        }
        Simulation::Reverts(_) => Some("insufficient_funds"),
    }
}

/// A false success: without a transaction, with one that does not exist, or with another purchase's.
fn lie(world: &World) -> String {
    let others: Vec<B256> = {
        let chain = world.chain.borrow();
        let executed = chain.ledger().executed();
        executed.map(|(_, used)| used.transaction).collect()
    };
    let hash = match world.random.range(0, 3) {
        0 => String::new(),
        1 => B256::ZERO.to_string(),
        2 if !others.is_empty() => world.random.pick(&others).to_string(),
        _ => B256::from(world.random.bytes::<32>()).to_string(),
    };
    format!(r#"{{"success":true,"transaction":"{hash}"}}"#)
}

fn declined(reason: &str) -> Answer {
    Some(Ok(format!(
        r#"{{"success":false,"errorReason":"{reason}","transaction":""}}"#
    )))
}

fn named(success: bool, reason: &str, hash: B256) -> Answer {
    Some(Ok(format!(
        r#"{{"success":{success},"errorReason":"{reason}","transaction":"{hash}"}}"#
    )))
}
