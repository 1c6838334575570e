//! Strangers in A2A conversations: one knows a context id, one has seen a payment. Neither knows the id of a task of the buyer.

use std::rc::Rc;

use key0_core::chain::SignedAuthorization;
use key0_core::doors::a2a::{ContextKey, TaskId};
use serde_json::json;

use super::wire::{Answer, Call, Version, Words, payload};
use super::{Talk, ask};
use crate::actors::Payment;
use crate::faults::Fault;
use crate::rules::{self, Asker};
use crate::setting::PLANS;
use crate::world::{Owner, World};

/// More tasks than a context has room for.
const FLOOD: u64 = 40;

/// A stranger learns the id of a buyer's context. If the buyer has chosen that id, it may have been guessed.
pub(super) fn overhear(world: &Rc<World>, talk: &Rc<Talk>) {
    if !world.strikes(Fault::Attack) {
        return;
    }
    let (then, talk) = (Rc::clone(world), Rc::clone(talk));
    world.executor.spawn(Owner::World, async move {
        let since = then.now().0;
        let Some(context) = talk.context.borrow().clone() else {
            return;
        };
        if then.random.chance(100) {
            flood(&then, &context).await;
        }
        for _ in 0..then.random.range(1, 4) {
            then.sleep_between(0, 60_000).await;
            snoop(&then, &talk, &context, since).await;
        }
    });
}

/// Asks for everything that a context may give away.
async fn snoop(world: &Rc<World>, talk: &Talk, context: &str, since: u64) {
    let guess = TaskId::new(ContextKey::of(context), [0; 16]).to_string();
    let list = Call::List(context.to_owned());
    let mut ids = vec![guess];
    // The ids in a list open their tasks, so a list is given only for a context id that the worker made.
    if let Some(listed) = ask_list(world, &list).await
        && talk.is_guessable
    {
        ids.extend(listed);
    }
    for id in ids {
        let call = Call::Get(id);
        let answer = ask(world, Version::V1_0, None, &call).await;
        check(world, since, answer);
    }
    let version = Version::V0_3;
    let message = version.message(&world.random, Some(context), None, &Words::Chatter);
    let call = Call::Send {
        message,
        at_once: true,
    };
    let answer = ask(world, version, None, &call).await;
    check(world, since, answer);
}

async fn ask_list(world: &Rc<World>, list: &Call) -> Option<Vec<String>> {
    let version = Version::V1_0;
    let answer = super::send_call(
        world,
        "a stranger's list",
        version.headers(),
        version.body(list),
    );
    let answer = answer.await?;
    rules::on_list(world, &answer);
    let tasks = answer["result"]["tasks"].as_array()?;
    let ids = tasks.iter().filter_map(|task| task["id"].as_str());
    Some(ids.map(str::to_owned).collect())
}

/// Fills a context with the stranger's own tasks.
async fn flood(world: &Rc<World>, context: &str) {
    let version = Version::V1_0;
    for _ in 0..FLOOD {
        let (plan, _) = PLANS[world.random.range(0, 3) as usize];
        let words = Words::Data(json!({"planId": plan, "note": "n".repeat(600)}));
        let message = version.message(&world.random, Some(context), None, &words);
        let call = Call::Send {
            message,
            at_once: true,
        };
        ask(world, version, None, &call).await;
    }
}

/// A stranger presents a payment seen on chain on a task of its own, and polls that task.
pub(in crate::actors) async fn present_stolen(world: &Rc<World>, stolen: &SignedAuthorization) {
    let version = world.random.pick(&[Version::V0_3, Version::V1_0]);
    let plan = {
        let presented = world.market.presented.borrow();
        let pay = presented.iter().find(|pay| pay.authorization == *stolen);
        let target = pay.map(|pay| pay.offer.terms.target.id().to_owned());
        let (other, _) = PLANS[world.random.range(0, 2) as usize];
        target
            .filter(|_| world.random.chance(700))
            .unwrap_or_else(|| other.to_owned())
    };
    let words = Words::Data(json!({"type": "AccessRequest", "planId": plan}));
    let message = version.message(&world.random, None, None, &words);
    let call = Call::Send {
        message,
        at_once: true,
    };
    let Some(Answer::Task(view)) = ask(world, version, None, &call).await else {
        return;
    };
    let offer = view
        .offer()
        .and_then(|id| world.config.offers.keys.open(id));
    let (Some(offer), Some(accepts)) = (offer, &view.accepts) else {
        return;
    };
    let pay = Payment {
        offer,
        authorization: stolen.clone(),
        identifier: None,
        chosen: false,
        form: None,
    };
    let words = Words::Pay(payload(&pay, accepts));
    let since = world.now().0;
    for look in 0..world.random.range(1, 6) {
        let call = match look == 0 || world.random.chance(300) {
            true => {
                let task = Some(view.task.as_str());
                Call::Send {
                    message: version.message(&world.random, None, task, &words),
                    at_once: world.random.chance(500),
                }
            }
            false => Call::Get(view.task.clone()),
        };
        let answer = ask(world, version, Some(&view.task), &call).await;
        check(world, since, answer);
        world.sleep_between(500, 60_000).await;
    }
}

fn check(world: &World, since: u64, answer: Option<Answer>) {
    if let Some(Answer::Task(view)) = answer
        && let Some(grant) = &view.grant
    {
        rules::on_grant_shown(world, Asker::Stranger { since }, None, grant);
    }
}
