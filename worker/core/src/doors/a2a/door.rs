//! The way of a call through the door.

use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderName};
use serde_json::{Map, Value, json};

use super::dialect::{Dialect, Method};
use super::fault::{Fault, Kind};
use super::ids::{ContextKey, TaskId};
use super::message::{Asks, Message};
use super::outcome::{Tried, offer_end, refused, take, word_of};
use super::params::{self, Manner, Wanted};
use super::rpc::{self, Call};
use super::show::{Extent, show};
use super::task::{MAX_MESSAGE_BYTES, Said, Stage, Task};
use super::tasks::{Conversations, Page, Place, TaskCommand, TaskReply};
use crate::checkout::{Checkout, Claim, Deployment, Order, Outcome, Payment, Stop, TransferProof};
use crate::doors::access_request::AccessRequest;
use crate::error::{Code, Error};
use crate::limit;
use crate::pauses::Patience;
use crate::response::{self, Response};
use crate::types::{CallFault, UnixMillis};
use crate::x402::{PaymentPayload, Refusal, Unreadable};

/// How often a task is read again because somebody else has changed it meanwhile.
const MAX_ROUNDS: usize = 4;

/// A call as it arrived.
#[derive(Clone, Copy, Debug)]
pub struct Arrival<'a> {
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// What stands behind the question mark of its URL.
    pub query: &'a str,
    /// Its body, already limited to [`crate::response::MAX_BODY_BYTES`].
    pub body: &'a [u8],
}

/// What the door needs. Made for one call.
#[expect(
    missing_debug_implementations,
    reason = "the platform has nothing to show"
)]
pub struct Desk<'a, D, C> {
    /// The way to the purchases.
    pub checkout: &'a Checkout<'a, D>,
    /// The objects that hold the tasks.
    pub conversations: &'a C,
    /// Random bytes that nobody knows: a new task's id is made of the first half, a new context's of the second.
    pub random: [[u8; 16]; 2],
    /// The time.
    pub now: UnixMillis,
}

/// Whether a body is meant for this door, wherever it was sent.
pub fn is_call(body: &[u8]) -> bool {
    // Most bodies of the other door are short and have no such member.
    body.windows(9).any(|window| window == b"\"jsonrpc\"")
        && serde_json::from_slice::<Value>(body).is_ok_and(|body| body.get("jsonrpc").is_some())
}

/// Answers a call. The status is 200 also when it cannot be carried out.
pub async fn answer<D: Deployment, C: Conversations>(
    desk: &Desk<'_, D, C>,
    arrival: &Arrival<'_>,
) -> Response {
    let mut counts = false;
    let dialect = Dialect::negotiate(arrival.headers, arrival.query);
    let spoken = dialect.clone().unwrap_or(Dialect::V1_0);
    let answer = match Call::read(arrival.body) {
        Err((id, fault)) => rpc::answer(&id, Err(fault), spoken),
        Ok(call) => {
            let result =
                match dialect.and_then(|dialect| readable(arrival.headers).map(|()| dialect)) {
                    Ok(dialect) => carry_out(desk, &call, dialect, &mut counts)
                        .await
                        // An object was asked for nothing.
                        .inspect_err(|fault| counts |= fault.is_of_no_task()),
                    Err(fault) => Err(fault),
                };
            rpc::answer(&call.id, result, spoken)
        }
    };
    let mut response = response::json(StatusCode::OK, &answer);
    response::set(&mut response, CACHE_CONTROL, "private, no-store");
    if let Some((name, active)) = spoken.active(arrival.headers) {
        response::set(&mut response, HeaderName::from_static(name), &active);
    }
    match counts {
        true => limit::counted(response),
        false => response,
    }
}

fn readable(headers: &HeaderMap) -> Result<(), Fault> {
    let given = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let media = given
        .unwrap_or_default()
        .split(';')
        .next()
        .unwrap_or_default();
    match media.trim().eq_ignore_ascii_case("application/json") {
        true => Ok(()),
        false => Err(Fault::new(Kind::ContentType, "Send application/json.")),
    }
}

/// `counts`: whether the call has cost us something and brought no money.
async fn carry_out<D: Deployment, C: Conversations>(
    desk: &Desk<'_, D, C>,
    call: &Call,
    dialect: Dialect,
    counts: &mut bool,
) -> Result<Value, Fault> {
    match dialect.method(&call.method)? {
        Method::Send => {
            let params = call.params()?;
            let manner = Manner::read(params)?;
            let message = Message::read(params, dialect)?;
            let task = desk.send(&message, manner.patience, counts).await?;
            let task = dialect.task(desk.shown(&task, manner.history).await?);
            Ok(match dialect {
                Dialect::V1_0 => json!({"task": task}),
                Dialect::V0_3 => task,
            })
        }
        Method::Get => {
            let params = call.params()?;
            let history = params::history(params)?;
            let task = desk.look(params::task_id(params)?).await?;
            Ok(dialect.task(desk.shown(&task, history).await?))
        }
        Method::Cancel => {
            let task = desk.cancel(params::task_id(call.params()?)?).await?;
            Ok(dialect.task(desk.shown(&task, None).await?))
        }
        Method::List => {
            let none = Map::new();
            let params = match &call.params {
                None | Some(Value::Null) => &none,
                Some(_) => call.params()?,
            };
            desk.list(&Wanted::read(params)?).await
        }
        Method::Stream => Err(Fault::new(
            Kind::Unsupported,
            "Nothing is streamed here: send the message without streaming, and ask for the task again while it is working.",
        )),
        Method::Push => Err(Fault::new(
            Kind::NoPush,
            "Push notifications are not sent here: ask again with the task's id.",
        )),
        Method::ExtendedCard => Err(Fault::new(
            Kind::Unsupported,
            "There is no extended agent card.",
        )),
    }
}

/// What a message made of a task that it could not keep: somebody else was faster.
struct Stale;

impl<D: Deployment, C: Conversations> Desk<'_, D, C> {
    async fn shown(&self, task: &Task, history: Option<u64>) -> Result<Value, Fault> {
        let extent = Extent {
            history,
            is_listed: false,
            with_artifacts: true,
        };
        let shown = show(task, extent, self.checkout).await;
        shown.map_err(|_| Fault::internal())
    }

    /// A message, and the task that it has led to.
    async fn send(
        &self,
        message: &Message,
        patience: Patience,
        counts: &mut bool,
    ) -> Result<Task, Fault> {
        is_short(&message.kept)?;
        for _ in 0..MAX_ROUNDS {
            let task = match &message.task_id {
                Some(id) => {
                    let task = self.read(id).await?;
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
            *counts |= task.version == 0;
            if let Ok(task) = self.hear(task, message, patience, counts).await? {
                return Ok(task);
            }
        }
        Err(Fault::internal())
    }

    /// A new task for a message.
    fn begun(&self, message: &Message) -> Task {
        let [own, context] = self.random;
        let context_id = message.context_id.clone();
        let context_id =
            context_id.unwrap_or_else(|| self.checkout.config.offers.keys.conversation(context));
        let id = TaskId::new(ContextKey::of(&context_id), own);
        Task::new(id, context_id, self.now)
    }

    /// The answer to a message for a task that is over, or that was heard before; `None` when it is to be heard.
    fn heard(&self, task: &Task, message: &Message) -> Result<Option<Task>, Fault> {
        let by = match &message.asks {
            Asks::Pay(payment) => payment
                .as_ref()
                .as_ref()
                .ok()
                .map(|payment| payment.authorization.nonce),
            Asks::Prove(proof) => Some(proof.transaction),
            _ => None,
        };
        let is_again = match by {
            Some(by) => task.stage.by() == Some(by),
            None => task.has_heard(&message.id),
        };
        match (task.stage.is_end(), is_again) {
            (true, true) => Ok(Some(task.clone())),
            (true, false) => {
                let why = "This task is over. Send the message without taskId to begin a new one.";
                Err(Fault::new(Kind::Unsupported, why).about(&task.id.to_string()))
            }
            (false, true) if by.is_none() => Ok(Some(task.clone())),
            (false, _) => Ok(None),
        }
    }

    /// Takes a message into a task, and keeps it.
    async fn hear(
        &self,
        mut task: Task,
        message: &Message,
        patience: Patience,
        counts: &mut bool,
    ) -> Result<Result<Task, Stale>, Fault> {
        let pays = match &message.asks {
            Asks::Pay(payment) => payment.is_ok(),
            Asks::Prove(_) => true,
            _ => false,
        };
        if task.is_paying() && !pays {
            // Only its outcome ends a payment.
            return Ok(self.looked(task, patience).await?.ok_or(Stale));
        }
        let stage = match &message.asks {
            Asks::Pay(payment) => match payment.as_ref() {
                Ok(payment) => return self.pay(task, message, payment, patience, counts).await,
                Err(unreadable) => {
                    *counts = true;
                    self.unreadable(&task, unreadable)
                }
            },
            Asks::Prove(proof) => return self.redeem(task, message, proof, patience, counts).await,
            Asks::Price(request) => self.price(request),
            Asks::Refused(error) => failed(refused(error)),
            Asks::Reject => Stage::Rejected,
            Asks::Browse if task.version == 0 => Stage::Listed,
            Asks::Browse | Asks::Talk(_) => match &task.stage {
                offered @ Stage::Offered { .. } => offered.clone(),
                _ => Stage::Unclear {
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
            },
            Err(why) => failed(refused(&self.error(&why))),
        }
    }

    fn error(&self, why: &Stop) -> Error {
        why.error(&self.checkout.origin, self.checkout.config.network)
    }

    /// A payment that cannot be read: the offer stands.
    fn unreadable(&self, task: &Task, unreadable: &Unreadable) -> Stage {
        let message = match unreadable.refusal {
            Refusal::InvalidX402Version => {
                "This door speaks x402 version 2: send x402Version 2.".into()
            }
            Refusal::InvalidPayload if unreadable.member.is_none() => {
                "x402.payment.payload must be an x402 PaymentPayload.".into()
            }
            _ => unreadable.message.clone(),
        };
        let details = json!({"reason": unreadable.refusal.code(), "member": unreadable.member});
        let said = Said {
            error: Error::invalid_request(message).with_details(details).body(),
            payment: Some(word_of(unreadable.refusal).to_owned()),
        };
        match task.stage.challenge_id() {
            Some(id) => Stage::Offered {
                challenge_id: id.to_owned(),
                said: Some(said),
                again: false,
            },
            None => failed(said),
        }
    }

    /// A payment. What is needed to ask for its outcome is kept before anybody is asked to settle it.
    async fn pay(
        &self,
        mut task: Task,
        message: &Message,
        payload: &PaymentPayload,
        patience: Patience,
        counts: &mut bool,
    ) -> Result<Result<Task, Stale>, Fault> {
        let of_task = task.stage.challenge_id().map(str::to_owned);
        let Some(challenge_id) = of_task.or_else(|| payload.challenge_id().map(str::to_owned))
        else {
            let error = Error::new(
                Code::ChallengeNotFound,
                "It is not said which offer is paid: send the payment on the task of the offer, or with \
                 accepted.extra.challengeId. Nothing was charged.",
            );
            let said = Said {
                error: error.body(),
                payment: Some("SETTLEMENT_FAILED".to_owned()),
            };
            let stage = Stage::Failed {
                said,
                by: Some(payload.authorization.nonce),
            };
            task.let_pass();
            task.hear(message.kept.clone());
            task.go_on(stage, None, self.now);
            return self.keep(task).await;
        };
        let before = task.stage.clone();
        let by = payload.authorization.nonce;
        let payment = Payment {
            challenge_id: Some(&challenge_id),
            ..Payment::from(payload)
        };
        let order = Order {
            patience,
            ..Order::default()
        };
        task.let_pass();
        task.hear(message.kept.clone());
        let until = offer_end(self.checkout, &challenge_id);
        let mut claimed = None;
        let mut is_stale = false;
        let outcome = self
            .checkout
            .pay_noting(&order, &payment, async |claim: &Claim| {
                claimed = Some(claim.clone());
                let stage = match &before {
                    // Of two payments the first is the one to ask about. The second is written down as well: of what was
                    // presented earlier and is refused now, it may be the same, and begin.
                    Stage::Paying { claim: Some(_), .. } => before.clone(),
                    _ => Stage::Paying {
                        challenge_id: challenge_id.clone(),
                        by,
                        claim: claimed.clone(),
                        said: None,
                        arrived: false,
                    },
                };
                task.go_on(stage, until, self.now);
                is_stale = !self.write(&mut task).await?;
                match is_stale {
                    true => Err(CallFault("the task has changed".to_owned())),
                    false => Ok(()),
                }
            })
            .await;
        if is_stale {
            return Ok(Err(Stale));
        }
        let tried = Tried {
            challenge_id: &challenge_id,
            by,
            payer: Some(payload.authorization.from),
            claim: claimed,
            before: &before,
        };
        self.conclude(task, &outcome, &tried, counts).await
    }

    /// A transfer that was made already. That it was shown is kept before the purchase is asked: after a crash nobody is then
    /// invited to pay once more.
    async fn redeem(
        &self,
        mut task: Task,
        message: &Message,
        proof: &TransferProof,
        patience: Patience,
        counts: &mut bool,
    ) -> Result<Result<Task, Stale>, Fault> {
        let before = task.stage.clone();
        task.let_pass();
        task.hear(message.kept.clone());
        let order = Order {
            patience,
            ..Order::default()
        };
        let tried = Tried {
            challenge_id: &proof.challenge_id,
            by: proof.transaction,
            payer: None,
            claim: None,
            before: &before,
        };
        if before
            .challenge_id()
            .is_some_and(|id| id != proof.challenge_id)
        {
            let why = Stop::Contradicts(vec!["challengeId"]);
            return self
                .conclude(task, &Outcome::Stopped { why }, &tried, counts)
                .await;
        }
        let stage = match task.is_paying() {
            true => before.clone(),
            false => Stage::Paying {
                challenge_id: proof.challenge_id.clone(),
                by: proof.transaction,
                claim: None,
                said: None,
                arrived: false,
            },
        };
        let until = offer_end(self.checkout, &proof.challenge_id);
        task.go_on(stage, until, self.now);
        match self.keep(task).await? {
            Ok(kept) => task = kept,
            Err(stale) => return Ok(Err(stale)),
        }
        let outcome = self.checkout.redeem(&order, proof).await;
        self.conclude(task, &outcome, &tried, counts).await
    }

    /// Keeps what came of a payment.
    async fn conclude(
        &self,
        mut task: Task,
        outcome: &Outcome<'_>,
        tried: &Tried<'_>,
        counts: &mut bool,
    ) -> Result<Result<Task, Stale>, Fault> {
        *counts |= matches!(outcome, Outcome::PayAgain { .. } | Outcome::Stopped { .. });
        take(&mut task, outcome, tried, self.checkout, self.now);
        self.keep(task).await
    }

    /// The task with this id, brought up to date.
    async fn look(&self, id: &str) -> Result<Task, Fault> {
        for _ in 0..MAX_ROUNDS {
            let task = self.read(id).await?;
            if let Some(task) = self.looked(task, Patience::NONE).await? {
                return Ok(task);
            }
        }
        Err(Fault::internal())
    }

    /// Asks what became of the payment that is under way. `None`: somebody else has changed the task.
    async fn looked(&self, mut task: Task, patience: Patience) -> Result<Option<Task>, Fault> {
        let before = task.stage.clone();
        let Stage::Paying {
            challenge_id,
            by,
            claim: Some(claim),
            ..
        } = &before
        else {
            return Ok(Some(task));
        };
        let outcome = self.checkout.status(claim, patience).await;
        let tried = Tried {
            challenge_id,
            by: *by,
            payer: Some(claim.payer),
            claim: Some(claim.clone()),
            before: &before,
        };
        take(&mut task, &outcome, &tried, self.checkout, self.now);
        if task.stage == before {
            return Ok(Some(task));
        }
        Ok(self.keep(task).await?.ok())
    }

    async fn cancel(&self, id: &str) -> Result<Task, Fault> {
        for _ in 0..MAX_ROUNDS {
            let mut task = self.look(id).await?;
            if task.stage.is_end() || task.is_paying() {
                let why = match task.is_paying() {
                    true => "A payment for this task is under way.",
                    false => "This task is over.",
                };
                return Err(Fault::new(Kind::TaskNotCancelable, why).about(id));
            }
            task.let_pass();
            task.go_on(Stage::Canceled, None, self.now);
            if let Ok(task) = self.keep(task).await? {
                return Ok(task);
            }
        }
        Err(Fault::internal())
    }

    /// Tasks of a context whose id we have made. Of another, which can be guessed, none: an id in the list opens its task.
    async fn list(&self, wanted: &Wanted<'_>) -> Result<Value, Fault> {
        let after = match wanted.token {
            None => None,
            Some(token) => {
                Some(place(token).ok_or_else(|| Fault::bad("pageToken is none of ours."))?)
            }
        };
        let context = wanted
            .context_id
            .filter(|id| self.checkout.config.offers.keys.is_conversation(id));
        let limit = usize::try_from(wanted.size).unwrap_or_default();
        let (tasks, more, total) = match context {
            None => (Vec::new(), false, 0),
            Some(id) => {
                let page = Page {
                    state: wanted.state.map(str::to_owned),
                    since: wanted.since,
                    after,
                    limit,
                };
                let list = TaskCommand::List(page);
                match self.conversations.ask(ContextKey::of(id), &list).await {
                    Ok(TaskReply::Tasks { tasks, more, total }) => (tasks, more, total),
                    _ => return Err(Fault::internal()),
                }
            }
        };
        let extent = Extent {
            history: wanted.history,
            is_listed: true,
            with_artifacts: wanted.with_artifacts,
        };
        let mut shown = Vec::new();
        for task in &tasks {
            let task = show(task, extent, self.checkout).await;
            shown.push(task.map_err(|_| Fault::internal())?);
        }
        let next = match (more, tasks.last()) {
            (true, Some(last)) => format!("{}.{}", last.at.0, last.id),
            _ => String::new(),
        };
        Ok(
            json!({"tasks": shown, "nextPageToken": next, "pageSize": wanted.size, "totalSize": total}),
        )
    }

    async fn read(&self, id: &str) -> Result<Task, Fault> {
        let not_found = || Fault::task_not_found(id);
        let id = TaskId::parse(id).ok_or_else(not_found)?;
        let read = TaskCommand::Read { id };
        match self.conversations.ask(id.context(), &read).await {
            Ok(TaskReply::Task(Some(task))) => Ok(*task),
            Ok(TaskReply::Task(None)) => Err(not_found()),
            _ => Err(Fault::internal()),
        }
    }

    async fn keep(&self, mut task: Task) -> Result<Result<Task, Stale>, Fault> {
        match self.write(&mut task).await {
            Ok(true) => Ok(Ok(task)),
            Ok(false) => Ok(Err(Stale)),
            Err(_) => Err(Fault::internal()),
        }
    }

    /// Writes the task's next version. Whether it was the next. When that is not known the task stays at the version that was
    /// read: what is written then is refused if this was written after all, or something else.
    async fn write(&self, task: &mut Task) -> Result<bool, CallFault> {
        let next = Task {
            version: task.version.saturating_add(1),
            ..task.clone()
        };
        let keep = TaskCommand::Keep(Box::new(next.clone()));
        let reply = self.conversations.ask(task.id.context(), &keep).await?;
        *task = next;
        Ok(reply == TaskReply::Kept)
    }
}

/// What a client says is kept before anybody has paid.
fn is_short(kept: &Value) -> Result<(), Fault> {
    let length = serde_json::to_vec(kept).map_or(usize::MAX, |kept| kept.len());
    match length <= MAX_MESSAGE_BYTES {
        true => Ok(()),
        false => Err(Fault::bad(format!(
            "The message is longer than {MAX_MESSAGE_BYTES} bytes: a request for access needs less."
        ))),
    }
}

fn failed(said: Said) -> Stage {
    Stage::Failed { said, by: None }
}

/// The place behind which the next page begins.
fn place(token: &str) -> Option<Place> {
    let (at, id) = token.split_once('.')?;
    Some(Place {
        at: UnixMillis(at.parse().ok()?),
        id: TaskId::parse(id)?,
    })
}

#[cfg(test)]
mod tests;
