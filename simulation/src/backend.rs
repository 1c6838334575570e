//! The seller's backend, which issues credentials: it works, refuses, hangs, answers late, or issues without telling.

use core::cell::{Cell, RefCell};
use core::future::pending;
use std::collections::BTreeMap;
use std::rc::Rc;

use futures_util::future::{Either, select};
use key0_core::backend::authentication::{BackendAnswer, BackendCall};
use key0_core::goods::DeliveryFault;

use crate::faults::Fault;
use crate::rules;
use crate::setting::Issuer;
use crate::world::{Life, World};

/// How the backend behaves at the moment.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Mood {
    /// The backend issues a credential.
    #[default]
    Works,
    /// The backend refuses the call.
    Refuses,
    /// The backend gives no answer and issues nothing.
    Hangs,
    /// The backend issues a credential and gives no answer.
    Swallows,
}

/// The backend.
#[derive(Debug, Default)]
pub struct Backend {
    mood: Cell<Mood>,
    until: Cell<u64>,
    /// Whether the backend is gone for good.
    pub is_gone: Cell<bool>,
    issued: RefCell<BTreeMap<String, Vec<String>>>,
    /// The notifications that the backend got, by idempotency key: each body once.
    pub told: RefCell<BTreeMap<String, Vec<Vec<u8>>>>,
}

/// Whether a call is a notification, which asks for nothing.
pub fn is_notice(call: &BackendCall) -> bool {
    call.url.ends_with("/internal/payment-received")
}

impl Backend {
    /// Whether the backend has issued this credential under this key.
    pub fn has_issued(&self, key: &str, credential: &str) -> bool {
        let issued = self.issued.borrow();
        issued
            .get(key)
            .is_some_and(|all| all.iter().any(|known| known == credential))
    }

    /// Whether a text holds a credential that the backend has issued.
    pub fn has_issued_any(&self, text: &str) -> bool {
        let issued = self.issued.borrow();
        issued
            .values()
            .flatten()
            .any(|credential| text.contains(credential.as_str()))
    }

    /// Issues a credential, or finds the one that the backend has issued for the same key.
    fn issue(&self, key: &str, remembers: bool) -> String {
        let mut issued = self.issued.borrow_mut();
        let all = issued.entry(key.to_owned()).or_default();
        match all.first() {
            Some(known) if remembers => known.clone(),
            _ => {
                let credential = format!(r#"{{"token":"{key} number {}"}}"#, all.len());
                all.push(credential.clone());
                credential
            }
        }
    }
}

/// Changes the backend's mood, now and then. Called at every block.
pub fn change_mood(world: &World) {
    let (backend, now) = (&world.backend, world.now().0);
    let ends = matches!(world.setting.issuer, Issuer::Backend { ends: true, .. });
    if world.setting.issuer == Issuer::Gateway && !world.setting.notifies {
        return;
    }
    if !world.faults.are_active() {
        backend.is_gone.set(ends);
        backend.until.set(backend.until.get().min(now));
    }
    if backend.until.get() > now || backend.is_gone.get() {
        return;
    }
    let is_off = world.strikes(Fault::BackendOff);
    let mood = if is_off || world.strikes(Fault::BackendRefuses) {
        Mood::Refuses
    } else if world.strikes(Fault::BackendHangs) {
        world.random.pick(&[Mood::Hangs, Mood::Swallows])
    } else {
        Mood::Works
    };
    if mood != backend.mood.replace(mood) {
        world.trace(|| format!("the backend is in the mood {mood:?}"));
    }
    if mood != Mood::Works {
        let spans = match is_off {
            true => [300_000, 600_000, 1_200_000, 1_200_000],
            false => [4_000, 20_000, 60_000, 300_000],
        };
        backend.until.set(now + world.random.pick(&spans));
    }
}

/// Makes one call, with the worker's own deadline.
pub async fn ask(
    world: &Rc<World>,
    life: &Life,
    call: BackendCall,
) -> Result<BackendAnswer, DeliveryFault> {
    world.survive(life, "before issue").await;
    let deadline = world.sleep(u64::from(call.timeout_millis));
    let answer = match select(Box::pin(handle(world, &call)), deadline).await {
        Either::Left((answer, _)) => answer,
        Either::Right(_) => Err(DeliveryFault::Timeout),
    };
    world.trace(|| format!("{} the backend: {answer:?}", call.idempotency_key));
    world.survive(life, "after issue").await;
    answer
}

async fn handle(world: &World, call: &BackendCall) -> Result<BackendAnswer, DeliveryFault> {
    world.sleep_between(5, 200).await;
    let remembers = match world.setting.issuer {
        Issuer::Backend { remembers, .. } => remembers,
        Issuer::Gateway => false,
    };
    let act = || match is_notice(call) {
        true => {
            rules::on_notice(world, call);
            String::new()
        }
        false => world.backend.issue(&call.idempotency_key, remembers),
    };
    let backend = &world.backend;
    let mood = match backend.is_gone.get() {
        true => Mood::Hangs,
        false => backend.mood.get(),
    };
    match mood {
        Mood::Refuses => return answer(world.random.pick(&[500, 404, 302]), ""),
        Mood::Hangs => pending::<()>().await,
        Mood::Swallows => {
            act();
            pending::<()>().await;
        }
        Mood::Works => {}
    }
    let (before, after) = match world.strikes(Fault::BackendSlow) {
        true => (
            world.random.range(0, 20_000),
            world.random.pick(&[0, 3_000, 20_000]),
        ),
        false => (0, 0),
    };
    world.sleep(before).await;
    let body = act();
    world.sleep(after).await;
    if world.strikes(Fault::BackendErrorAfter) {
        return answer(500, "");
    }
    answer(200, &body)
}

fn answer(status: u16, body: &str) -> Result<BackendAnswer, DeliveryFault> {
    Ok(BackendAnswer {
        status,
        body: body.as_bytes().to_vec(),
    })
}
