//! One run: faults and buyers, then quiet, then the questions that must be answered, then the reckoning; and what is left
//! of it all long afterwards.

use std::collections::BTreeMap;
use std::rc::Rc;

use alloy_primitives::Address;
use key0_core::checkout::{Outcome as Told, Stop};

use crate::actors::{
    Buyer, LONGEST_MILLIS, Payment, ask_proof, give_back, last_looks, last_proofs, last_truths,
    operate, request, retry_refunds, run_chain, shop, shop_by_transfer, shop_in_conversation,
    shop_in_parallel, shop_with_tools, sweep_by_the_clock,
};
use crate::aftermath;
use crate::faults::Fault;
use crate::journal::Violation;
use crate::rules::{self, Asker, Tally};
use crate::setting::{CALLED, CALLS, PLANS};
use crate::world::{Owner, World};

/// How long all purchases may take to finish after the last fault and the end of the last offer, apart from refunds.
/// The time is long because a purchase that has lost its alarm is found only by a sweep, and only once it is old
/// enough.
const REST_MILLIS: u64 = 2_700_000;
const HOUR_MILLIS: u64 = 3_600_000;
/// A refund's pauses double seven times.
const REFUND_PAUSES: u64 = 127;
/// How long the answers to the last requests may take.
const ANSWER_MILLIS: u64 = 60_000;

/// The result of a run.
#[derive(Debug)]
pub struct Outcome {
    /// The seed.
    pub seed: u64,
    /// How many purchases were begun by buyers.
    pub purchases: u64,
    /// How often each fault struck.
    pub faults: BTreeMap<Fault, u64>,
    /// How the purchases ended.
    pub tally: Tally,
    /// The most bytes that a purchase has left behind in its own object.
    pub left: usize,
    /// The rules that were broken.
    pub violations: Vec<Violation>,
    /// The log of the run, if it was asked for.
    pub trace: Vec<String>,
}

/// Runs one seed.
pub fn run(seed: u64, purchases: u64, without: &[Fault], traces: bool) -> Result<Outcome, String> {
    let world = World::new(seed, purchases, without, traces)?;
    world
        .executor
        .spawn(Owner::World, run_chain(Rc::clone(&world)));
    world
        .executor
        .spawn(Owner::World, sweep_by_the_clock(Rc::clone(&world)));
    open_shop(&world);
    if world.setting.operator {
        world
            .executor
            .spawn(Owner::World, operate(Rc::clone(&world)));
    }
    let trouble = world.setting.arrivals + world.random.range(30_000, 300_000);
    world
        .executor
        .run_until(world.now().0 + trouble, &world.random);
    world.faults.stop();
    world.trace(|| "nothing goes wrong any more".to_owned());
    last_proofs(&world);
    last_looks(&world);
    // A purchase on another network checks every hour whether its network is configured again.
    let away = world.setting.elsewhere.map_or(0, |_| HOUR_MILLIS);
    let refunds = away
        + LONGEST_MILLIS
        + world.setting.refund_after
        + REFUND_PAUSES * world.setting.refund_interval;
    loop {
        let rest = last_moment(&world).max(world.now().0) + REST_MILLIS + refunds;
        let before = world.market.presented.borrow().len();
        world.executor.run_until(rest, &world.random);
        if world.market.presented.borrow().len() == before {
            break;
        }
    }
    // A buyer whose transfer was included late asks again, and what that begins comes to its end.
    last_proofs(&world);
    let rest = world.now().0 + REST_MILLIS + refunds;
    world.executor.run_until(rest, &world.random);
    if world.setting.operator {
        give_back(&world);
        let included = world.now().0 + ANSWER_MILLIS;
        world.executor.run_until(included, &world.random);
        retry_refunds(&world);
        let rest = world.now().0 + REST_MILLIS;
        world.executor.run_until(rest, &world.random);
    }
    last_questions(&world);
    if world.setting.notifies && !world.backend.is_gone.get() {
        let told = last_notice(&world).max(world.now().0) + REST_MILLIS;
        world.executor.run_until(told, &world.random);
        rules::all_told(&world);
    }
    rules::at_end(&world);
    aftermath::run(&world);
    rules::at_end(&world);
    let outcome = Outcome {
        seed,
        purchases,
        faults: world.faults.counts(),
        tally: rules::tally(&world),
        left: world.left.get(),
        violations: world.journal.violations(),
        trace: world.journal.lines(),
    };
    // The tasks hold the world and the world the tasks.
    world.executor.cancel_all(|_| true);
    Ok(outcome)
}

/// Lets the buyers come.
fn open_shop(world: &Rc<World>) {
    let random = &world.random;
    let buyers: Vec<Buyer> = (0..world.setting.buyers)
        .filter_map(|number| Buyer::new(world, number))
        .collect();
    for buyer in &buyers {
        let units = random.pick(&[10_000, 15_000, 60_000, 10_000_000, 10_000_000]);
        world.chain.borrow_mut().mint(buyer.address(), units);
    }
    world.market.buyers.replace(buyers.clone());
    // The account to which payers move their money exists, so that they can get the money back.
    world.chain.borrow_mut().mint(Address::repeat_byte(0xe1), 0);
    for _ in 0..world.setting.purchases {
        let buyer = buyers[random.range(0, buyers.len() as u64 - 1) as usize].clone();
        let plan = random.pick(&[0, 0, 0, 1, 1, 2, 3]) % PLANS.len();
        let is_call = random.chance(world.setting.calls);
        let plan = match is_call {
            true => CALLS + random.range(0, CALLED - 1) as usize,
            false => plan,
        };
        let delay = random.range(0, world.setting.arrivals);
        let in_parallel = random.chance(60);
        let in_conversation =
            world.setting.conversations > 0 && random.chance(world.setting.conversations);
        let by_transfer = random.chance(world.setting.transfers);
        let with_tools = random.chance(120);
        let then = Rc::clone(world);
        world.executor.spawn(Owner::World, async move {
            then.sleep(delay).await;
            if is_call {
                match in_parallel {
                    true => shop_in_parallel(then, buyer, plan).await,
                    false => shop(then, buyer, plan).await,
                }
            } else if in_conversation {
                shop_in_conversation(then, buyer, plan).await;
            } else if in_parallel {
                shop_in_parallel(then, buyer, plan).await;
            } else if with_tools {
                shop_with_tools(then, buyer, plan).await;
            } else if by_transfer {
                shop_by_transfer(then, buyer, plan).await;
            } else {
                shop(then, buyer, plan).await;
            }
        });
    }
}

/// The last moment at which something presented so far can still be charged.
fn last_moment(world: &World) -> u64 {
    let presented = world.market.presented.borrow();
    let moments = presented.iter().map(|pay| {
        let expiry = pay.authorization.authorization().expires_at();
        expiry.max(pay.offer.terms.expires_at).to_millis().0
    });
    moments.max().unwrap_or_default()
}

/// When the last notification that the backend has not accepted is tried again.
fn last_notice(world: &World) -> u64 {
    let objects = world.objects.purchases();
    let records = objects.iter().filter_map(|object| object.record());
    let moments = records.filter_map(|record| record.outbox.notice_at());
    moments.max().unwrap_or_default().0
}

/// Every payer whose authorization was executed asks once more with the same payment, and must get the grant, or learn
/// of the refund.
fn last_questions(world: &Rc<World>) {
    let charged: Vec<Payment> = {
        let chain = world.chain.borrow();
        let presented = world.market.presented.borrow();
        let is_charged = |pay: &&Payment| {
            let authorization = pay.authorization.authorization();
            let object = world.objects.purchase(&pay.offer.terms.request_id);
            let key = (authorization.from, authorization.nonce);
            object.attempts.borrow().contains(&authorization.nonce)
                && rules::presented_first(world, key, &object.id)
                && chain.ledger().transfer(&key).is_some()
        };
        let mut charged: Vec<Payment> = presented.iter().filter(is_charged).cloned().collect();
        charged.dedup();
        charged
    };
    for pay in charged {
        let then = Rc::clone(world);
        world.executor.spawn(Owner::World, async move {
            let mut reply = request(&then, &pay).await;
            // What was presented is public by now: the payer signs anew to prove who asks.
            if let Some(Told::Stopped {
                why: Stop::SignAgain { .. },
            }) = reply
            {
                let buyers = then.market.buyers.borrow().clone();
                let payer = pay.authorization.payer();
                let buyer = buyers.iter().find(|buyer| buyer.address() == payer);
                if let Some(fresh) = buyer.and_then(|buyer| buyer.pay(&then, pay.offer.clone())) {
                    reply = request(&then, &fresh).await;
                }
            }
            let id = &pay.offer.terms.request_id;
            let record = then.objects.purchase(id).record();
            let is_kept = record.is_some_and(|record| rules::is_kept(&then, &record));
            match &reply {
                Some(reply) if is_end(reply) => {
                    rules::on_outcome(&then, Asker::Payer, &pay, reply);
                }
                Some(Told::Pending { .. }) if is_kept => {}
                _ => then.violation(
                    "charged_without_grant",
                    id,
                    format!("the answer is {reply:?}"),
                ),
            }
        });
    }
    last_proof_questions(world);
    world
        .executor
        .run_until(world.now().0 + ANSWER_MILLIS, &world.random);
    last_truths(world);
    world
        .executor
        .run_until(world.now().0 + ANSWER_MILLIS, &world.random);
    rules::charged_for_one_wish(world);
}

/// The buyer has the goods, or knows of the refund.
fn is_end(told: &Told<'_>) -> bool {
    let is_gone = matches!(
        told,
        Told::Stopped {
            why: Stop::AnswerGone { .. }
        }
    );
    is_gone || matches!(told, Told::Granted { .. }) || rules::is_about_a_refund(told)
}

/// Every buyer whose transfer has paid in time asks once more, and must get the grant, or learn of the refund.
fn last_proof_questions(world: &Rc<World>) {
    let proofs = world.market.proofs.borrow().clone();
    for (prove, is_owners) in proofs {
        if !is_owners || !rules::must_be_honoured(world, &prove) {
            continue;
        }
        let then = Rc::clone(world);
        world.executor.spawn(Owner::World, async move {
            let reply = ask_proof(&then, &prove).await;
            let id = &prove.offer.terms.request_id;
            let record = then.objects.purchase(id).record();
            let is_kept = record.is_some_and(|record| rules::is_kept(&then, &record));
            match &reply {
                Some(reply) if is_end(reply) => {}
                Some(Told::Pending { .. }) if is_kept => {}
                _ => then.violation(
                    "proof_denied",
                    &prove.offer.terms.request_id,
                    format!("the answer is {reply:?}"),
                ),
            }
        });
    }
}
