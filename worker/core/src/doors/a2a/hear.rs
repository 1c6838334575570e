//! What a message makes of a task that pays nothing.

use serde_json::{Value, json};

use super::desk::{Desk, MAX_ROUNDS, Stale};
use super::fault::{CLOSED, Fault, GONE, TRIED, UNANSWERED};
use super::ids::{ContextKey, TaskId};
use super::message::{Asks, Message};
use super::outcome::offer_end;
use super::task::{MAX_MESSAGE_BYTES, Presented, Said, Stage, Task};
use super::tasks::Conversations;
use super::words::{failure, refused, word_of};
use crate::checkout::{Deployment, Stop};
use crate::doors::access_request::AccessRequest;
use crate::error::Error;
use crate::pauses::Patience;
use crate::x402::{Refusal, Unreadable};

/// The most levels of a message.
const MAX_DEPTH: usize = 32;

impl<D: Deployment, C: Conversations> Desk<'_, D, C> {
    /// A message, and the task that it has led to.
    pub(super) async fn send(
        &self,
        message: &Message,
        patience: Patience,
        counts: &mut bool,
    ) -> Result<Task, Fault> {
        is_short(&message.kept)?;
        for _ in 0..MAX_ROUNDS {
            let task = match &message.task_id {
                Some(id) => {
                    let pays = matches!(message.asks, Asks::Pay(_) | Asks::Prove(_));
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

    /// The answer to a message for a task that is over, or that was heard before; `None` when it is to be heard.
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
            None => task.has_heard(&message.id),
        };
        match (task.stage.is_end(), is_again) {
            // It may have been charged after all.
            (true, true)
                if by.is_some() && matches!(task.stage, Stage::Canceled | Stage::Rejected) =>
            {
                Err(Fault::not_here(&task.id, CLOSED))
            }
            (true, true) => Ok(Some(task.clone())),
            (true, false) => {
                let why = match (&task.stage, by) {
                    (_, None) => {
                        "This task is over. Send the message without taskId to begin a new one."
                    }
                    (Stage::Delivered { .. }, Some(_)) => {
                        "This task is over: it was delivered, and its grant is in the task. Nothing was done with this message. If it is for another offer, send it without taskId."
                    }
                    (_, Some(_)) => CLOSED,
                };
                Err(Fault::not_here(&task.id, why))
            }
            // The purchase of what was signed for an earlier offer is over.
            (false, true) if matches!(by, None | Some(Presented::Over(_))) => {
                Ok(Some(task.clone()))
            }
            (false, _) => Ok(None),
        }
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
        // Whatever is kept costs, and only a payment brings money.
        *counts |= !pays || task.version == 0;
        if !pays && task.is_tried() {
            // Only its outcome ends a payment.
            let Some((current, is_heard)) = self.heard_of(task, patience).await? else {
                return Ok(Err(Stale));
            };
            // What cannot be read is told where the client is waited for, and takes nothing away.
            let is_told = message.asks.is_unreadable() && current.stage.waits_for_the_same();
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
            Asks::Misproven(error) => misproven(&task, error),
            Asks::Price(request) => self.price(request),
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

    fn price(&self, request: &AccessRequest) -> Stage {
        match self.checkout.quote(&request.order()) {
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

    /// A payment that cannot be read: nothing was charged, and the offer stands.
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
            details.insert("member".to_owned(), json!(member));
        }
        let said = Said {
            error: Error::invalid_request(message).with_details(details).body(),
            payment: Some(word_of(unreadable.refusal).to_owned()),
        };
        let again = matches!(task.stage, Stage::Offered { again: true, .. });
        told(task, said, again)
    }
}

/// A proof that cannot be read. The transfer may have been made, so nobody is invited to pay once more.
fn misproven(task: &Task, error: &Error) -> Stage {
    let said = Said {
        error: error.body(),
        payment: Some("SETTLEMENT_FAILED".to_owned()),
    };
    told(task, said, true)
}

/// A member that was meant for another one, beside an offer: who asks for another plan in this way must not pay for this one.
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

/// What was sent cannot be read. It ends nothing: the task stays where it is, and says so. `again`: its offer is left out.
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
            *is_left_out = again;
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

/// What a client says is kept before anybody has paid. What is kept is read again inside of something else.
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

/// How many levels a value has.
fn depth(value: &Value) -> usize {
    let inner = match value {
        Value::Array(items) => items.iter().map(depth).max(),
        Value::Object(members) => members.values().map(depth).max(),
        _ => return 0,
    };
    inner.unwrap_or_default().saturating_add(1)
}
