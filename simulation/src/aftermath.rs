//! What comes long after a run: the histories go, then the grants; and everybody who ever paid asks once more, with what
//! was signed then, with a new signature, and with a new offer under the old request id. Nothing may be charged.

use std::rc::Rc;

use key0_core::offer::{Offer, Terms, lifetime};
use key0_core::purchase::{CALL_KEPT_MILLIS, HISTORY_MILLIS, Prove, Rest, State};
use key0_core::types::RequestId;

use crate::actors::{Payment, look_again, request, show_again};
use crate::faults::Fault;
use crate::objects::PurchaseObject;
use crate::rules::{self, Asker, answers_as_left, answers_proof_as_left};
use crate::world::{Owner, World};

/// The faults that may strike long after a run: of the platform and the network. The chain and all actors are at rest.
const TROUBLE: [Fault; 11] = [
    Fault::CrashObject,
    Fault::CrashRuntime,
    Fault::StoreError,
    Fault::RequestLost,
    Fault::AnswerLost,
    Fault::CallTwice,
    Fault::CallSlow,
    Fault::CallCancelled,
    Fault::AlarmTwice,
    Fault::AlarmLate,
    Fault::BuyerOffline,
];
/// A notification that the backend does not take is given up after this long, and the next one is sent.
const GIVE_UP_MILLIS: u64 = 49 * 3_600_000;
/// How long before and after each moment of [`pass`] faults may strike.
const TROUBLE_MILLIS: u64 = 600_000;
/// How long everything may take after the faults.
const REST_MILLIS: u64 = 600_000;
/// More payments than this of one purchase are not presented again.
const MAX_REPLAYS: usize = 3;

/// Lets the promised times pass and asks after each.
pub fn run(world: &Rc<World>) {
    let moved = Moved::now(world);
    // A backend that is gone for good is sent each notification for two days.
    for _ in 0..most_notices(world) {
        pass(world, world.now().0 + GIVE_UP_MILLIS);
    }
    pass(world, last_rest(world) + HISTORY_MILLIS);
    rules::without_history(world);
    ask_all(world, Trust::Answers);
    look_again(world);
    pass(world, last_token(world));
    ask_all(world, Trust::Answers);
    rules::closed(world);
    rules::all_gone(world);
    let last = over(world).into_iter().filter_map(|object| object.record());
    let last = last.map(|record| record.changed_at.plus(CALL_KEPT_MILLIS).0);
    pass(world, last.max().unwrap_or_default());
    rules::calls_gone(world);
    rules::noticed(world);
    let after = Moved::now(world);
    if after != moved {
        world.violation(
            "moved_after_the_end",
            "",
            format!("{moved:?} became {after:?}"),
        );
    }
}

/// Whether the network gives an answer to everybody.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Trust {
    Answers,
    Nothing,
}

/// How many jobs and executed transfers there are: whatever moves money adds to them.
#[derive(Debug, Eq, PartialEq)]
struct Moved {
    jobs: usize,
    transfers: usize,
}

impl Moved {
    fn now(world: &World) -> Self {
        Self {
            jobs: world.objects.wallet.jobs.borrow().len(),
            transfers: world.chain.borrow().ledger().executed().count(),
        }
    }
}

/// Skips the time until shortly before a moment. Around that moment faults strike and everybody asks; then there is
/// quiet.
fn pass(world: &Rc<World>, moment: u64) {
    world
        .executor
        .skip_to(moment.saturating_sub(TROUBLE_MILLIS));
    world.trace(|| "a long time has passed".to_owned());
    world.faults.resume(&TROUBLE);
    ask_all(world, Trust::Nothing);
    let end = world.now().0.max(moment) + TROUBLE_MILLIS;
    world.executor.run_until(end, &world.random);
    world.faults.stop();
    world.executor.run_until(end + REST_MILLIS, &world.random);
}

/// The most notifications of one purchase that wait for the backend.
fn most_notices(world: &World) -> usize {
    let objects = world.objects.purchases();
    let records = objects.iter().filter_map(|object| object.record());
    records
        .map(|record| record.outbox.open.len())
        .max()
        .unwrap_or_default()
}

fn last_rest(world: &World) -> u64 {
    let records = over(world).into_iter().filter_map(|object| object.record());
    let moments = records.map(|record| match record.rest {
        Rest::Since(since) => since.0,
        Rest::NotYet | Rest::WithoutHistory | Rest::Leaving => 0,
    });
    moments.max().unwrap_or_default().max(world.now().0)
}

fn last_token(world: &World) -> u64 {
    let records = over(world).into_iter().filter_map(|object| object.record());
    let ends = records.map(|record| match record.state {
        State::Delivered { goods, .. } => goods.claims().map_or(0, |claims| claims.exp * 1_000),
        _ => 0,
    });
    ends.max().unwrap_or_default().max(world.now().0)
}

/// The purchases to which nothing can happen any more.
fn over(world: &World) -> Vec<Rc<PurchaseObject>> {
    let mut objects = world.objects.purchases();
    objects.retain(|object| {
        let record = object.record();
        record.is_some_and(|record| record.rest != Rest::NotYet)
    });
    objects
}

/// Presents everything that the payers of purchases that are over can present.
fn ask_all(world: &Rc<World>, trust: Trust) {
    let buyers = world.market.buyers.borrow().clone();
    for object in over(world) {
        ask_with_proofs(world, &object, trust);
        let old: Vec<Payment> = {
            let presented = world.market.presented.borrow();
            let its = presented.iter().filter(|pay| id(pay) == &object.id);
            its.take(MAX_REPLAYS).cloned().collect()
        };
        let Some(first) = old.first().cloned() else {
            continue;
        };
        let payer = first.authorization.payer();
        let Some(buyer) = buyers.iter().find(|buyer| buyer.address() == payer) else {
            continue;
        };
        let again = sealed_now(world, &first.offer.terms, object.id.clone());
        let elsewhere = RequestId::from_random(world.random.bytes());
        let elsewhere = sealed_now(world, &first.offer.terms, elsewhere);
        // A call is removed at last. Then a new payment under its old id is a new sale.
        let is_call = first.offer.terms.target.plan().is_none();
        let fresh = match is_call {
            true if may_be_gone(world, &object) => vec![],
            true => vec![first.offer.clone()],
            false => vec![first.offer.clone(), again.clone()],
        };
        let fresh = fresh
            .into_iter()
            .filter_map(|offer| buyer.pay(world, offer));
        let same = [again, elsewhere].into_iter().map(|offer| Payment {
            offer,
            form: None,
            ..first.clone()
        });
        for pay in old.into_iter().chain(fresh).chain(same) {
            ask(world, pay, trust);
        }
    }
    if trust == Trust::Answers {
        let end = world.now().0 + REST_MILLIS;
        world.executor.run_until(end, &world.random);
    }
}

/// Whether a call is about to be removed.
fn may_be_gone(world: &World, object: &PurchaseObject) -> bool {
    let end = CALL_KEPT_MILLIS.saturating_sub(2 * TROUBLE_MILLIS + REST_MILLIS);
    object.record().is_none_or(|record| match record.state {
        State::Expired { .. } | State::Cancelled { .. } => true,
        _ => world.now() >= record.changed_at.plus(end),
    })
}

/// Presents every transfer that was presented for the purchase once more, for that purchase and for a new one.
fn ask_with_proofs(world: &Rc<World>, object: &PurchaseObject, trust: Trust) {
    let proofs: Vec<Prove> = {
        let shown = world.market.proofs.borrow();
        let its = shown
            .iter()
            .filter(|(prove, _)| prove.offer.terms.request_id == object.id);
        its.take(MAX_REPLAYS)
            .map(|(prove, _)| prove.clone())
            .collect()
    };
    for prove in proofs {
        let elsewhere = RequestId::from_random(world.random.bytes());
        let other = Prove {
            offer: sealed_now(world, &prove.offer.terms, elsewhere),
            ..prove.clone()
        };
        for prove in [prove, other] {
            let then = Rc::clone(world);
            world.executor.spawn(Owner::World, async move {
                if trust == Trust::Nothing {
                    then.sleep_between(0, 2 * TROUBLE_MILLIS).await;
                }
                let reply = show_again(&then, &prove).await;
                if trust == Trust::Answers {
                    answers_proof_as_left(&then, &prove, reply.as_ref());
                }
            });
        }
    }
}

fn id(pay: &Payment) -> &RequestId {
    &pay.offer.terms.request_id
}

/// An offer with these terms for the purchase `request_id`, made now.
fn sealed_now(world: &World, terms: &Terms, request_id: RequestId) -> Offer {
    let (issued_at, expires_at) = lifetime(world.seconds(), world.setting.ttl);
    world.config.offers.keys.seal(Terms {
        request_id,
        issued_at,
        expires_at,
        ..terms.clone()
    })
}

fn ask(world: &Rc<World>, pay: Payment, trust: Trust) {
    let then = Rc::clone(world);
    world.executor.spawn(Owner::World, async move {
        if trust == Trust::Nothing {
            then.sleep_between(0, 2 * TROUBLE_MILLIS).await;
        }
        let outcome = request(&then, &pay).await;
        if let Some(outcome) = &outcome {
            rules::on_outcome(&then, Asker::Payer, &pay, outcome);
        }
        if trust == Trust::Answers {
            answers_as_left(&then, &pay, outcome.as_ref());
        }
    });
}
