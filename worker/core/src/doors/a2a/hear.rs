//! How a message changes a task, apart from payments and proofs of transfers.

use serde_json::Value;

use crate::json;
use crate::json::Put as _;

use super::desk::{Desk, MAX_ROUNDS, Stale};
use super::fault::{CLOSED, Fault, GONE, TRIED, UNANSWERED};
use super::ids::{ContextKey, TaskId};
use super::message::{Asks, Message};
use super::network::elsewhere;
use super::outcome::offer_end;
use super::pay::sold;
use super::task::{Known, MAX_MESSAGE_BYTES, Presented, Said, Stage, Task};
use super::tasks::Conversations;
use super::words::{beside_a_payment, failure, refused, word_of};
use crate::checkout::{Deployment, Order, Stop};
use crate::doors::access_request::{AccessRequest, CallRequest};
use crate::doors::free;
use crate::error::Error;
use crate::goods::Goods;
use crate::pauses::Patience;
use crate::x402::{Refusal, Unreadable};

/// The most levels of nesting in a message.
const MAX_DEPTH: usize = 32;

impl<D: Deployment, C: Conversations> Desk<'_, D, C> {
    /// Takes a message, and returns the task that it has led to.
    pub(super) async fn send(
        &self,
        message: &Message,
        patience: Patience,
        counts: &mut bool,
    ) -> Result<Task, Fault> {
        let shortened;
        let message = match is_short(&message.kept) {
            // Of a long call, only the offer for it is kept.
            Err(_) if matches!(message.asks, Asks::Price(_)) && message.call.is_some() => {
                shortened = message.shortened();
                &shortened
            }
            Err(fault) => return Err(fault),
            Ok(()) => message,
        };
        for _ in 0..MAX_ROUNDS {
            let task = match &message.task_id {
                Some(id) => {
                    let pays = matches!(
                        message.asks,
                        Asks::Pay(_) | Asks::Prove(_) | Asks::Misproven(_)
                    );
                    let task = self.read(id).await;
                    let task = task.map_err(|fault| match pays && fault.is_of_no_task() {
                        true => fault.saying(GONE),
                        false => fault,
                    })?;
                    if message
                        .context_id
                        .as_ref()
                        .is_some_and(|id| *id != task.context_id)
                    {
                        return Err(Fault::bad("contextId is not that of this task.").about(id));
                    }
                    if let Some(task) = self.heard(&task, message)? {
                        return Ok(task);
                    }
                    task
                }
                None => self.begun(message),
            };
            if let Ok(task) = self.hear(task, message, patience, counts).await? {
                return Ok(task);
            }
        }
        Err(Fault::internal())
    }

    /// A new task for a message.
    pub(super) fn begun(&self, message: &Message) -> Task {
        let [own, context] = self.random;
        let context_id = message.context_id.clone();
        let context_id =
            context_id.unwrap_or_else(|| self.checkout.config.offers.keys.conversation(context));
        let id = TaskId::new(ContextKey::of(&context_id), own);
        Task::new(id, context_id, self.now)
    }

    /// The answer to a message for a task that is over, or to a message that was heard before; `None` when the message
    /// is still to be heard.
    pub(super) fn heard(&self, task: &Task, message: &Message) -> Result<Option<Task>, Fault> {
        let by =
            match &message.asks {
                Asks::Pay(payment) => payment.as_ref().as_ref().ok().map(|payment| {
                    task.signed(payment.authorization.nonce, payment.challenge_id())
                }),
                Asks::Prove(proof) => Some(Presented::Shown(proof.transaction)),
                _ => None,
            };
        let is_again = match by {
            Some(by) => task.payments.contains(&by),
            // A task keeps nothing by which one unreadable payment or proof differs from another.
            None if message.asks.is_unreadable() && !task.stage.is_end() => false,
            None => task.has_heard(&message.kept),
        };
        match (task.stage.is_end(), is_again) {
            // The task is closed, but the payment may have been charged after all.
            (true, true)
                if by.is_some() && matches!(task.stage, Stage::Canceled | Stage::Rejected) =>
            {
                Err(Fault::not_here(&task.id, CLOSED))
            }
            // A refused proof may be corrected and sent again, but this task does not look at it any more.
            (true, true)
                if matches!(by, Some(Presented::Shown(_)))
                    && matches!(
                        task.stage,
                        Stage::Failed {
                            was_paid: false,
                            ..
                        }
                    ) =>
            {
                Err(Fault::not_here(&task.id, CLOSED))
            }
            (true, true) => Ok(Some(task.clone())),
            (true, false) => {
                let why = match (&task.stage, by) {
                    (_, None) => {
                        "This task is over. Send the message without taskId to begin a new one."
                    }
                    (Stage::Delivered { goods, .. }, Some(_))
                        if !self.is_unsold(message, goods) =>
                    {
                        "This task is over: it was delivered, and its grant is in the task. Nothing was done with this message. If it is for another offer, send it without taskId."
                    }
                    (_, Some(_)) => CLOSED,
                };
                Err(Fault::not_here(&task.id, why))
            }
            // The payment is for an earlier offer, whose purchase is over.
            (false, true) if matches!(by, None | Some(Presented::Over(_))) => {
                Ok(Some(task.clone()))
            }
            (false, _) => Ok(None),
        }
    }

    /// Whether the message shows a transfer for another purchase than the one that delivered these goods.
    fn is_unsold(&self, message: &Message, goods: &Goods) -> bool {
        let Asks::Prove(proof) = &message.asks else {
            return false;
        };
        let offer = self.checkout.config.offers.keys.open(&proof.challenge_id);
        let its = offer.map(|offer| offer.terms.request_id);
        its.is_some_and(|its| sold(goods) != its.as_str())
    }

    /// Takes a message into a task, and keeps it.
    pub(super) async fn hear(
        &self,
        mut task: Task,
        message: &Message,
        patience: Patience,
        counts: &mut bool,
    ) -> Result<Result<Task, Stale>, Fault> {
        let pays = match &message.asks {
            Asks::Pay(payment) => payment.is_ok(),
            asks => matches!(asks, Asks::Prove(_)),
        };
        // Keeping a task costs us something, and only a payment brings money.
        *counts |= !pays || task.version == 0;
        if elsewhere(&task, self.checkout).is_some() {
            *counts = true;
            return Ok(Ok(task));
        }
        if !pays && task.is_tried() {
            // A payment that was presented ends only with its outcome.
            let Some((current, is_heard)) = self.heard_of(task, patience).await? else {
                return Ok(Err(Stale));
            };
            // An unreadable payment is answered with what is wrong, if the task waits for the client to send it again;
            // nothing else changes. An unreadable proof is always answered so, because its transfer may have been made.
            let is_told = match &message.asks {
                Asks::Misproven(_) => true,
                asks => asks.is_unreadable() && current.stage.waits_for_the_same(),
            };
            match &message.asks {
                _ if current.stage.is_end() => return Ok(Ok(current)),
                Asks::Price(_) | Asks::Refused(_) if current.is_tried() => {
                    return Err(Fault::not_here(&current.id, TRIED));
                }
                _ if current.is_paying() && !is_told => return Ok(Ok(current)),
                Asks::Reject if !is_heard => {
                    return Err(Fault::not_here(&current.id, UNANSWERED));
                }
                _ => task = current,
            }
        }
        let stage = match &message.asks {
            Asks::Pay(payment) => match payment.as_ref() {
                Ok(payment) => return self.pay(task, message, payment, patience, counts).await,
                Err(unreadable) => {
                    let network = self.checkout.config.network;
                    task.note(failure(unreadable.refusal.code(), None, None, network));
                    self.unreadable(&task, unreadable)
                }
            },
            Asks::Prove(proof) => return self.redeem(task, message, proof, patience, counts).await,
            Asks::Misproven(error) => {
                task.present(Presented::Unread);
                misproven(&task, error)
            }
            Asks::Price(request) => {
                task.forget(Presented::Unread);
                task.keep_call(None);
                match (&request.call, request.clone().resolved(self.checkout).await) {
                    (_, Err(error)) => Stage::unmet(refused(&error)),
                    (None, Ok(request)) => self.price(&request.order()),
                    (Some(call), Ok(request)) => self.call(&mut task, &request, call).await,
                }
            }
            Asks::Refused(error) => match &task.stage {
                Stage::Offered { .. } => told(&task, refused(error), false),
                _ => Stage::unmet(refused(error)),
            },
            Asks::Reject if task.stage.challenge_id().is_some() => Stage::Rejected,
            Asks::Browse if task.stage.challenge_id().is_none() => Stage::Listed,
            Asks::Browse | Asks::Talk(_) | Asks::Reject => match &task.stage {
                Stage::Offered { again: false, .. }
                    if let Asks::Talk(Some(member)) = message.asks =>
                {
                    not_this(&task, member)
                }
                offered @ Stage::Offered { .. } => offered.clone(),
                _ => Stage::Unclear {
                    said: None,
                    hint: match &message.asks {
                        Asks::Talk(Some(hint)) => Some((*hint).to_owned()),
                        _ => None,
                    },
                },
            },
        };
        task.let_pass();
        task.hear(message.kept.clone());
        let until = stage
            .challenge_id()
            .and_then(|id| offer_end(self.checkout, id));
        task.go_on(stage, until, self.now);
        self.keep(task).await
    }

    /// The stage after a call was wanted: its offer, or the answer to a free call.
    async fn call(&self, task: &mut Task, request: &AccessRequest, call: &CallRequest) -> Stage {
        let described = match self.described(call) {
            Ok(described) => described,
            Err(error) => return Stage::unmet(refused(&error)),
        };
        if described.call.route.price.is_some() {
            let timeout = self.checkout.config.gateway.timeout_millis;
            task.keep_call(Some(call.body(None)));
            return self.price(&request.order_for(&described.call, timeout));
        }
        match free::call(self.checkout, &described, request.request_id.as_ref()).await {
            Ok(goods) => Stage::Delivered {
                goods,
                receipt: None,
                claim: None,
            },
            Err(error) => Stage::unmet(refused(&error)),
        }
    }

    fn price(&self, order: &Order) -> Stage {
        match self.checkout.quote(order) {
            Ok(quote) => Stage::Offered {
                challenge_id: quote.first.offer.id.to_string(),
                said: None,
                again: false,
                claim: None,
            },
            Err(why) => Stage::unmet(refused(&self.error(&why))),
        }
    }

    pub(super) fn error(&self, why: &Stop) -> Error {
        why.error(&self.checkout.origin, self.checkout.config.network)
    }

    /// The stage after a payment that cannot be read: nothing was charged, and the offer stands.
    pub(super) fn unreadable(&self, task: &Task, unreadable: &Unreadable) -> Stage {
        let message = match unreadable.refusal {
            Refusal::InvalidX402Version => {
                "This door speaks x402 version 2: send x402Version 2. Nothing was charged for this request."
                    .into()
            }
            Refusal::InvalidPayload if unreadable.member.is_none() => {
                "x402.payment.payload must be an x402 PaymentPayload. Nothing was charged for this request."
                    .into()
            }
            _ => unreadable.message.clone(),
        };
        let mut details = json!({"reason": unreadable.refusal.code()});
        if let (Some(member), Some(details)) = (unreadable.member, details.as_object_mut()) {
            details.put("member", json!(member));
        }
        let said = Said {
            error: Error::invalid_request(message).with_details(details).body(),
            payment: Some(word_of(unreadable.refusal).to_owned()),
        };
        told(task, said, false)
    }
}

/// The stage after a proof that cannot be read. Its transfer may have been made, so the client is not invited to pay
/// once more.
fn misproven(task: &Task, error: &Error) -> Stage {
    let said = Said {
        error: error.body(),
        payment: Some("SETTLEMENT_FAILED".to_owned()),
    };
    let said = match &task.stage {
        Stage::Paying { known, .. } if *known != Known::Again => beside_a_payment(said),
        _ => said,
    };
    told(task, said, true)
}

/// The stage after a request with a misspelt member, on a task with an offer. A client that asked for another plan in
/// this way must not pay for this one.
fn not_this(task: &Task, member: &str) -> Stage {
    let error = Error::invalid_request(format!(
        "This request was not understood: the member is called `{member}`. The offer is the one that was made before."
    ));
    told(
        task,
        refused(&error.with_details(json!({"member": member}))),
        false,
    )
}

/// The stage after something that could not be read. The task stays at its stage, and its message says what is wrong.
/// `again`: the offer is left out of the message from now on.
fn told(task: &Task, said: Said, again: bool) -> Stage {
    let mut stage = task.stage.clone();
    match &mut stage {
        Stage::Paying { said: before, .. } => *before = Some(said),
        Stage::Offered {
            said: before,
            again: is_left_out,
            ..
        } => {
            *before = Some(said);
            *is_left_out |= again;
        }
        _ => {
            stage = Stage::Unclear {
                hint: None,
                said: Some(said),
            }
        }
    }
    stage
}

/// Checks that a message is short enough to be kept before anybody has paid, and flat enough to be read again as part
/// of a task.
fn is_short(kept: &Value) -> Result<(), Fault> {
    if depth(kept) > MAX_DEPTH {
        return Err(Fault::bad(format!(
            "The message has more than {MAX_DEPTH} levels."
        )));
    }
    let length = serde_json::to_vec(kept).map_or(usize::MAX, |kept| kept.len());
    match length <= MAX_MESSAGE_BYTES {
        true => Ok(()),
        false => Err(Fault::bad(format!(
            "The message is longer than {MAX_MESSAGE_BYTES} bytes: a request for access needs less."
        ))),
    }
}

/// How many levels of nesting a value has.
fn depth(value: &Value) -> usize {
    let inner = match value {
        Value::Array(items) => items.iter().map(depth).max(),
        Value::Object(members) => members.values().map(depth).max(),
        _ => return 0,
    };
    inner.unwrap_or_default().saturating_add(1)
}
