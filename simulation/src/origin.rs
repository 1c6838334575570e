//! The seller's API: it answers, refuses, hangs, cuts its answer short, answers too much or too late.

use core::cell::{Cell, RefCell};
use core::future::pending;
use std::collections::BTreeMap;
use std::rc::Rc;

use futures_util::future::{Either, select};
use key0_core::goods::{AnswerHead, OriginFault};
use key0_core::offer::CallDigest;
use key0_core::purchase::{Arrived, OriginCall};
use key0_core::types::RequestId;

use crate::faults::Fault;
use crate::objects::PurchaseObject;
use crate::rules;
use crate::world::{Life, World};

/// The header in which the API says for which purchase it was called.
const PURCHASE: &str = "x-purchase";

/// The seller's API.
#[derive(Debug, Default)]
pub struct Origin {
    /// Every call that has arrived: for which purchase, and what was called.
    pub arrived: RefCell<BTreeMap<RequestId, Vec<CallDigest>>>,
    /// Until when the API serves nobody, in milliseconds since 1970.
    off_until: Cell<u64>,
}

/// Decides, now and then, that the API serves nobody for a while. Called at every block.
pub fn change_mood(world: &World) {
    let (origin, now) = (&world.origin, world.now().0);
    if !world.faults.are_active() {
        origin.off_until.set(origin.off_until.get().min(now));
    }
    if origin.off_until.get() <= now && world.strikes(Fault::OriginOff) {
        let span = world.random.pick(&[20_000, 60_000, 300_000, 1_200_000]);
        origin.off_until.set(now + span);
        world.trace(|| format!("the API serves nobody for {span} ms"));
    }
}

/// The body of an answer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Body {
    /// The number of the call within its purchase.
    pub number: u32,
    /// The call.
    pub call: CallDigest,
    /// The number of the answer among all answers of the API.
    pub serial: usize,
}

/// The purchase that an answer names.
pub fn purchase_of(head: &AnswerHead) -> Option<RequestId> {
    let (_, id) = head.headers.iter().find(|(name, _)| name == PURCHASE)?;
    id.parse().ok()
}

/// Makes one call, with the worker's own deadline.
pub async fn ask(
    world: &Rc<World>,
    life: &Life,
    object: &PurchaseObject,
    call: OriginCall,
    what: CallDigest,
) -> Result<Arrived, OriginFault> {
    world.survive(life, "before the call").await;
    if world.strikes(Fault::OriginBusy) {
        return Err(OriginFault::Busy);
    }
    let deadline = world.sleep(u64::from(call.timeout_millis));
    let answer = match select(Box::pin(handle(world, &call, what)), deadline).await {
        Either::Left((answer, _)) => answer,
        Either::Right(_) => Err(OriginFault::Timeout),
    };
    world.trace(|| format!("{} the API: {answer:?}", call.request_id));
    let answer = answer.map(|(head, body)| {
        let streams = call.streams.as_ref();
        let streams = streams.filter(|streams| streams.charged.includes(head.status));
        let is_begun = streams.is_some_and(|streams| {
            let kept = streams.kept.map_or(0, |kept| kept as u64);
            head.length > kept || world.strikes(Fault::OriginStreams)
        });
        if is_begun {
            return Arrived::Begun(head);
        }
        object.bodies.borrow_mut().push(body);
        Arrived::Whole(head)
    });
    world.survive(life, "after the call").await;
    rules::on_called(world, &call, &answer);
    answer
}

async fn handle(
    world: &World,
    call: &OriginCall,
    what: CallDigest,
) -> Result<(AnswerHead, Body), OriginFault> {
    world.sleep_between(5, 100).await;
    let is_off = world.origin.off_until.get() > world.now().0;
    if is_off && world.random.chance(500) {
        return Err(OriginFault::Unreachable);
    }
    if world.strikes(Fault::OriginGone) {
        return Err(OriginFault::Unreachable);
    }
    rules::on_call_arrived(world, call, what);
    let serial = {
        let mut arrived = world.origin.arrived.borrow_mut();
        arrived
            .entry(call.request_id.clone())
            .or_default()
            .push(what);
        arrived.values().map(Vec::len).sum()
    };
    if world.strikes(Fault::OriginHangs) {
        pending::<()>().await;
    }
    if world.strikes(Fault::OriginSlow) {
        world.sleep_between(500, 30_000).await;
    }
    if world.strikes(Fault::OriginCuts) {
        return Err(OriginFault::Cut);
    }
    let status = match world.strikes(Fault::OriginRefuses) {
        _ if is_off => 503,
        true => world.random.pick(&[400, 404, 500, 503]),
        false => world.random.pick(&[200, 200, 201, 302]),
    };
    // The API may announce any length.
    let length = match world.strikes(Fault::OriginTalks) {
        true => call.limit as u64 + 1,
        false => 20,
    };
    let number = call.number;
    let head = AnswerHead {
        number,
        status,
        headers: vec![(PURCHASE.to_owned(), call.request_id.to_string())],
        length,
    };
    let body = Body {
        number,
        call: what,
        serial,
    };
    Ok((head, body))
}
