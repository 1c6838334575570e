//! An answer that a purchase passes on while it arrives.

use std::rc::Rc;

use key0_core::purchase::{PurchaseEnv as _, StreamEnd};

use super::PurchaseObject;
use super::outside::Outside;
use crate::faults::Fault;
use crate::rules;
use crate::world::World;

/// What became of an answer that was passed on. The rules remember it across crashes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Passed {
    /// How it ended, and for how many milliseconds its buyer took nothing by then.
    pub ended: Option<(StreamEnd, u64)>,
    /// Whether the purchase said that this counts as delivered.
    pub is_delivered: bool,
    /// Whether the buyer saw its end.
    pub is_whole: bool,
}

/// Begins to pass on the answer to the call with this number.
pub(super) fn begin(world: &Rc<World>, object: &Rc<PurchaseObject>, number: u32) {
    object.passed.borrow_mut().insert(number, Passed::default());
    rules::on_piece(world, object, number);
    let outside = Outside::new(world, object);
    world.executor.spawn(object.owner(), pass(outside, number));
}

async fn pass(outside: Outside, number: u32) {
    let (world, object, life) = (&outside.world, &outside.object, &outside.instance.life);
    let token = Rc::new(());
    object.calling.replace(Rc::downgrade(&token));
    let mut waited = 0;
    let pieces = world.random.range(0, 4);
    for _ in 0..pieces {
        world.survive(life, "while an answer is passed on").await;
        let began = world.now();
        world.sleep_between(10, 20_000).await;
        if world.strikes(Fault::BuyerSlow) {
            waited += world.now().since(began);
        }
        rules::on_piece(world, object, number);
    }
    if world.strikes(Fault::StreamHangs) {
        // The platform forgets the stream. Its buyer never sees the end.
        return;
    }
    let end = if world.strikes(Fault::StreamEndless) {
        let limit = u64::from(outside.config().gateway.stream_seconds) * 1_000;
        world.sleep(limit).await;
        StreamEnd::TimeUp
    } else if world.strikes(Fault::OriginCuts) {
        StreamEnd::Cut
    } else if world.strikes(Fault::BuyerLeaves) {
        StreamEnd::Left
    } else {
        StreamEnd::Whole
    };
    world.survive(life, "before an answer ends").await;
    world.trace(|| format!("{} the answer {number} ends: {end:?} {waited}", object.id));
    let note = |change: &dyn Fn(&mut Passed)| {
        if let Some(passed) = object.passed.borrow_mut().get_mut(&number) {
            change(passed);
        }
    };
    note(&|passed| passed.ended = Some((end, waited)));
    drop(token);
    let ended = outside
        .instance
        .memory
        .stream_ended(&outside, number, end, waited);
    let is_delivered = ended.unwrap_or_default();
    note(&|passed| passed.is_delivered = is_delivered);
    world.survive(life, "before an answer's end is seen").await;
    note(&|passed| passed.is_whole = is_delivered && end == StreamEnd::Whole);
}
