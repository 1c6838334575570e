//! Buyers in conversations: they call the real A2A door with real bytes, in either version of the protocol.

mod last;
mod shopping;
mod strangers;
mod wire;

pub use last::{last_looks, last_truths, look_again};
pub use shopping::shop_in_conversation;
pub(super) use strangers::present_stolen;
pub use wire::View;
pub(super) use wire::payload;

use core::cell::RefCell;
use std::rc::Rc;

use key0_core::purchase::Prove;
use serde_json::Value;

use self::wire::{Answer, Call, Version, Words};
use super::door::send_call;
use super::{Buyer, Payment};
use crate::rules;
use crate::world::World;

/// The code of A2A for a task that never was, or is gone.
const NOT_FOUND: i64 = -32_001;

/// One wish of a buyer, and the tasks in which it tries to get it.
#[derive(Debug)]
pub struct Talk {
    /// The buyer.
    pub buyer: Buyer,
    /// Whether the buyer pays again only when it is told that nothing was charged, and is shown another offer.
    pub is_obedient: bool,
    version: Version,
    /// Whether the buyer has chosen the id of the context itself, so that others can guess it.
    is_guessable: bool,
    context: RefCell<Option<String>>,
    /// The tasks that the buyer knows.
    pub tasks: RefCell<Vec<Rc<Known>>>,
}

/// A task, as far as its client knows it.
#[derive(Debug)]
pub struct Known {
    /// Its id.
    pub id: String,
    /// The payments that were presented on it, each with the entry of `accepts` that it is for.
    paid: RefCell<Vec<(Payment, Value)>>,
    /// The transfers that were shown on it.
    shown: RefCell<Vec<Prove>>,
    /// The last answer that the client got about the task, if it said that the task is over.
    pub end: RefCell<Option<View>>,
}

impl Talk {
    fn new(world: &World, buyer: Buyer) -> Rc<Self> {
        let random = &world.random;
        let is_guessable = random.chance(400);
        let context = is_guessable.then(|| format!("chat-{}", random.range(1, 12)));
        Rc::new(Self {
            buyer,
            is_obedient: random.chance(600),
            version: random.pick(&[Version::V0_3, Version::V1_0]),
            is_guessable,
            context: RefCell::new(context),
            tasks: RefCell::default(),
        })
    }

    fn known(&self, id: &str) -> Rc<Known> {
        let mut tasks = self.tasks.borrow_mut();
        if let Some(known) = tasks.iter().find(|known| known.id == id) {
            return Rc::clone(known);
        }
        let known = Rc::new(Known {
            id: id.to_owned(),
            paid: RefCell::default(),
            shown: RefCell::default(),
            end: RefCell::default(),
        });
        tasks.push(Rc::clone(&known));
        known
    }

    /// Sends a message, on a task or without one.
    fn message(&self, world: &World, known: Option<&Known>, words: &Words) -> Call {
        let context = self.context.borrow();
        // Who names the task need not name its context.
        let context = context
            .as_deref()
            .filter(|_| known.is_none() || world.random.chance(500));
        let task = known.map(|known| known.id.as_str());
        Call::Send {
            message: self.version.message(&world.random, context, task, words),
            at_once: world.random.chance(300),
        }
    }
}

impl Known {
    /// The offers that were paid on it.
    pub fn offers(&self) -> Vec<key0_core::offer::Offer> {
        let paid = self.paid.borrow();
        let shown = self.shown.borrow();
        let paid = paid.iter().map(|(pay, _)| pay.offer.clone());
        let shown = shown.iter().map(|prove| prove.offer.clone());
        paid.chain(shown).collect()
    }

    /// Whether the task may answer for a purchase of this offer. A transfer that was shown without a signature answers only
    /// for a purchase that was paid without one, since everybody can read the transfer on the chain.
    pub fn answers_for(&self, offer: &key0_core::offer::Offer, is_unsigned: bool) -> bool {
        let (paid, shown) = (self.paid.borrow(), self.shown.borrow());
        let is_signed = |prove: &Prove| prove.payer.is_some() || is_unsigned;
        paid.iter().any(|(pay, _)| pay.offer.id == offer.id)
            || shown
                .iter()
                .any(|prove| prove.offer.id == offer.id && is_signed(prove))
    }

    /// Whether something was paid on it by an authorization.
    pub fn is_paid(&self) -> bool {
        !self.paid.borrow().is_empty()
    }
}

/// Makes a call. `None`: no answer arrived, or none with a task.
async fn say(
    world: &Rc<World>,
    talk: &Talk,
    known: Option<&Known>,
    call: &Call,
) -> Option<(Rc<Known>, View)> {
    // An answer that was under way while another one told the end may be older.
    let end_before = known.and_then(|known| known.end.borrow().clone());
    let answer = ask(world, talk.version, known.map(|known| &*known.id), call).await?;
    match answer {
        Answer::Task(view) => {
            let known = talk.known(&view.task);
            talk.context.replace(Some(view.context.clone()));
            rules::on_view(world, talk, &known, end_before.as_ref(), &view);
            if view.is_end() {
                known.end.borrow_mut().get_or_insert_with(|| *view.clone());
            }
            Some((known, *view))
        }
        Answer::Fault(NOT_FOUND) => {
            if let Some(known) = known {
                rules::on_not_found(world, talk, known);
            }
            None
        }
        Answer::Fault(_) | Answer::Other => None,
    }
}

/// Makes a call that belongs to no client.
async fn ask(
    world: &Rc<World>,
    version: Version,
    about: Option<&str>,
    call: &Call,
) -> Option<Answer> {
    let about = format!("task {}", about.unwrap_or("unknown"));
    world.trace(|| format!("{about} is called: {version:?} {call:?}"));
    let answer = send_call(world, &about, version.headers(), version.body(call)).await?;
    if let Call::List(_) = call {
        rules::on_list(world, &answer);
    }
    Some(version.read(call, &answer))
}
