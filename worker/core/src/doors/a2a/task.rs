//! A task: one thing that a client asked for in a conversation, and how far it has come.

use alloy_primitives::B256;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::ids::TaskId;
use crate::checkout::Claim;
use crate::goods::{Goods, Receipt};
use crate::pauses::{PAID_TASK, UNPAID_TASK};
use crate::types::{UnixMillis, UnixSeconds};

/// The most bytes, as JSON, of a task that nobody has paid.
pub(super) const MAX_UNPAID_BYTES: usize = 2_048;
/// Room for later changes of the version, which grows by a digit now and then.
const SPARE_BYTES: usize = 8;
/// The longest message that a task keeps, as JSON.
pub(super) const MAX_MESSAGE_BYTES: usize = 1_024;
/// The most receipts that a task keeps; of more, the latest are kept.
const MAX_RECEIPTS: usize = 4;
/// The longest description of a call that a task keeps, as JSON. Of a longer one the client must send it again with the
/// payment.
const MAX_CALL_BYTES: usize = 768;
const MAX_TURNS: usize = 16;
const MAX_PAYMENTS: usize = 4;

/// One task. All that a client sees of a task is made from this.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Task {
    /// The task's id. Whoever knows it may see the task.
    pub id: TaskId,
    /// The context that the task belongs to.
    pub context_id: String,
    /// The messages before the current status, the oldest first.
    pub turns: Vec<Turn>,
    /// How far the task has come.
    pub stage: Stage,
    /// The payments that were presented, the latest last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub payments: Vec<Presented>,
    /// The outcomes of payments that were tried, as receipts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub receipts: Vec<Value>,
    /// The call that the current offer is for, as the client described it: its payment comes without it. `None` for a
    /// plan, and where the description is too long to be kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<Value>,
    /// When the stage last changed.
    pub at: UnixMillis,
    /// When the task is removed.
    pub until: UnixMillis,
    /// How often the task was written. A request that has read an older version may not replace the task.
    pub version: u32,
}

/// A payment that was presented on a task.
///
/// All that a task knows about money concerns one purchase: that of the current offer. The task goes on to another
/// offer only when that purchase is over and nothing was charged. By then no transfer is open, and each authorization
/// is [`Presented::Over`].
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Presented {
    /// An authorization for the current offer, by its nonce.
    Signed(B256),
    /// A transfer for the current offer, by its transaction. The transfer stays open until the chain has judged it,
    /// even when its proof was refused.
    Shown(B256),
    /// A transfer whose proof could not be read. The next proof that can be read counts as one of the same transfer.
    Unread,
    /// An authorization for an earlier offer. The purchase of that offer is over.
    Over(B256),
}

/// One earlier message of the conversation.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Turn {
    /// A message of the client, in the form of A2A 1.0, without the ids of task and context.
    Theirs(Value),
    /// A message of ours: an offer.
    Offer {
        /// The offer's challenge id.
        id: String,
        /// The version of the task in which the offer was the task's status.
        version: u32,
    },
}

/// How far a task has come.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Stage {
    /// The price list was asked for, and shown.
    Listed,
    /// We have not understood the message, and wait for another.
    Unclear {
        /// The member that the client may have meant.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        hint: Option<String>,
        /// What is wrong with a payment or a proof that could not be read.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        said: Option<Said>,
    },
    /// We wait for a payment.
    Offered {
        /// The offer.
        challenge_id: String,
        /// The outcome of the last payment.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        said: Option<Said>,
        /// Whether the offer is left out of our message, because the client shall send the same payment or another
        /// proof.
        #[serde(default, skip_serializing_if = "core::ops::Not::not")]
        again: bool,
        /// The right to ask the purchase of a payment that has begun nothing, as far as we know: an identical payment
        /// may have been faster.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        claim: Option<Claim>,
    },
    /// The offer may have been paid. This stage is written before the purchase is asked to settle.
    Paying {
        /// The offer.
        challenge_id: String,
        /// The right to ask the offer's purchase, or the one that a payment was led to.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        claim: Option<Claim>,
        /// If there is no claim: the payment that has begun the purchase, and that alone can ask about it. If both are
        /// `None`, a transfer was shown.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<Presented>,
        /// What we said of the purchase's last answer.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        said: Option<Said>,
        /// How much is known about the payment.
        #[serde(default, skip_serializing_if = "Known::is_nothing")]
        known: Known,
    },
    /// The purchase is paid and delivered.
    Delivered {
        /// What was delivered. The grant is made anew from this each time.
        goods: Goods,
        /// The payment.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        receipt: Option<Receipt>,
        /// The right to ask the purchase for the body of a call's answer, which the task does not keep.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        claim: Option<Claim>,
    },
    /// The seller's API has answered a call in a way that is not charged for.
    Uncharged {
        /// The answer, and the payment that goes back, if money had arrived.
        goods: Goods,
    },
    /// The task has failed.
    Failed {
        /// Why the task has failed.
        said: Said,
        /// Whether money had arrived for the task.
        #[serde(default, skip_serializing_if = "core::ops::Not::not")]
        was_paid: bool,
    },
    /// The client did not want to pay.
    Rejected,
    /// The client has called the task off.
    Canceled,
}

/// What is known about a payment, in ascending order.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Known {
    /// Nothing is known.
    #[default]
    Nothing,
    /// Nothing has begun so far, and the client shall send the same payment again.
    Again,
    /// The payment's purchase has begun.
    Begun,
    /// The money has arrived.
    Arrived,
}

impl Known {
    fn is_nothing(&self) -> bool {
        *self == Self::Nothing
    }
}

/// What we tell the client about a payment, or about a request that cannot be met.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Said {
    /// The error as every door gives it: `{"type":"Error","code","message","details"?}`.
    pub error: Value,
    /// The code of the x402 extension for this error, if a payment was tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment: Option<String>,
}

impl Stage {
    /// The stage of a request that cannot be met, and for which nothing was paid.
    pub(super) const fn unmet(said: Said) -> Self {
        Self::Failed {
            said,
            was_paid: false,
        }
    }

    /// The name of this stage's state in A2A 1.0.
    pub const fn state(&self) -> &'static str {
        match self {
            Self::Unclear { .. } | Self::Offered { .. } => "TASK_STATE_INPUT_REQUIRED",
            Self::Paying { .. } if self.waits_for_the_same() => "TASK_STATE_INPUT_REQUIRED",
            Self::Paying { .. } => "TASK_STATE_WORKING",
            Self::Listed | Self::Delivered { .. } => "TASK_STATE_COMPLETED",
            Self::Failed { .. } | Self::Uncharged { .. } | Self::Rejected => "TASK_STATE_FAILED",
            Self::Canceled => "TASK_STATE_CANCELED",
        }
    }

    /// Whether a task at this stage never changes again.
    pub const fn is_end(&self) -> bool {
        matches!(
            self,
            Self::Listed
                | Self::Delivered { .. }
                | Self::Uncharged { .. }
                | Self::Failed { .. }
                | Self::Rejected
                | Self::Canceled
        )
    }

    /// Whether the client shall send its payment or proof again: either we know that nothing has begun, or only the
    /// client can ask about it.
    pub(super) const fn waits_for_the_same(&self) -> bool {
        matches!(
            self,
            Self::Paying {
                known: Known::Again,
                ..
            } | Self::Paying { claim: None, .. }
        )
    }

    /// The offer that is to be paid, or may have been paid.
    pub fn challenge_id(&self) -> Option<&str> {
        match self {
            Self::Offered { challenge_id, .. } | Self::Paying { challenge_id, .. } => {
                Some(challenge_id)
            }
            _ => None,
        }
    }

    /// The right to ask about the payment.
    pub const fn claim(&self) -> Option<&Claim> {
        match self {
            Self::Offered { claim, .. } | Self::Paying { claim, .. } => claim.as_ref(),
            _ => None,
        }
    }

    /// This stage, with another answer of its purchase if it is [`Stage::Paying`].
    pub(super) fn saying(&self, now: Said) -> Self {
        let mut stage = self.clone();
        if let Self::Paying { said, .. } = &mut stage {
            *said = Some(now);
        }
        stage
    }

    /// The payment that has begun the purchase, if only that payment can ask about it.
    const fn by(&self) -> Option<Presented> {
        match self {
            Self::Paying { by, .. } => *by,
            _ => None,
        }
    }

    /// Whether this payment has begun the purchase, and it alone can ask about it.
    pub(super) fn is_begun_by(&self, payment: Presented) -> bool {
        self.by() == Some(payment)
    }

    /// Whether another payment than this has begun the purchase, and only that one can ask about it.
    pub(super) fn is_begun_by_another(&self, payment: Presented) -> bool {
        self.by().is_some_and(|by| by != payment)
    }
}

impl Task {
    /// A task in its first stage.
    pub(super) fn new(id: TaskId, context_id: String, now: UnixMillis) -> Self {
        Self {
            id,
            context_id,
            turns: Vec::new(),
            payments: Vec::new(),
            stage: Stage::Unclear {
                hint: None,
                said: None,
            },
            receipts: Vec::new(),
            call: None,
            at: now,
            until: now,
            version: 0,
        }
    }

    /// Whether money has arrived for the task. Such a task is never removed to make room for others.
    pub fn is_paid(&self) -> bool {
        match &self.stage {
            // With less knowledge that is not certain: a transfer that is shown may never have been made, a signed payment
            // may not be covered, and one that has begun may fail on chain.
            Stage::Paying { known, .. } => *known == Known::Arrived,
            // A free call has no payment.
            Stage::Delivered { goods, receipt, .. } => {
                receipt.is_some() || goods.answer().is_none()
            }
            Stage::Uncharged { goods } => goods.is_refunded(),
            Stage::Failed { was_paid, .. } => *was_paid,
            _ => false,
        }
    }

    /// Whether the task's purchase has begun and may be paid.
    pub fn has_begun(&self) -> bool {
        matches!(&self.stage, Stage::Paying { known, .. } if *known == Known::Begun)
    }

    /// Whether a payment may be under way whose outcome we do not know.
    pub const fn is_paying(&self) -> bool {
        matches!(self.stage, Stage::Paying { .. })
    }

    /// Moves the task to its next stage. `offer_until`: the end of the offer that the stage is about.
    pub(super) fn go_on(
        &mut self,
        stage: Stage,
        offer_until: Option<UnixSeconds>,
        now: UnixMillis,
    ) {
        if self.stage != stage {
            self.at = now;
        }
        self.stage = stage;
        self.until = match self.is_paid() || self.has_begun() {
            true => now.plus(PAID_TASK),
            false => {
                let end = offer_until.map_or(now, UnixSeconds::to_millis);
                end.max(now).plus(UNPAID_TASK)
            }
        };
        self.trim();
    }

    /// Adds a client's message.
    pub(super) fn hear(&mut self, message: Value) {
        let turn = Turn::Theirs(message);
        // The same payment is often sent again, and is kept once.
        if self.turns.last() != Some(&turn) {
            self.turns.push(turn);
        }
        // A message that does not lead to another stage makes the task longer, too.
        self.trim();
    }

    /// Keeps the call that the next offer is for, if it is short enough.
    pub(super) fn keep_call(&mut self, call: Option<Value>) {
        let is_short = |call: &Value| call.to_string().len() <= MAX_CALL_BYTES;
        self.call = call.filter(is_short);
    }

    /// Adds the current offer to the earlier messages, if the task's status has told one.
    pub(super) fn let_pass(&mut self) {
        let version = self.version;
        let is_said =
            |turn: &Turn| matches!(turn, Turn::Offer { version: said, .. } if *said == version);
        if let Stage::Offered {
            challenge_id,
            again: false,
            ..
        } = &self.stage
            && !self.turns.iter().any(is_said)
        {
            let id = challenge_id.clone();
            self.turns.push(Turn::Offer { id, version });
        }
    }

    /// Whether the client has sent this message before. (Some clients give the same id to all their messages.)
    pub(super) fn has_heard(&self, message: &Value) -> bool {
        let is_it = |turn: &Turn| matches!(turn, Turn::Theirs(theirs) if theirs == message);
        self.turns.iter().any(is_it)
    }

    /// The kind of payment that this authorization is for the task. `named`: the offer that the payment names, if any.
    pub(super) fn signed(&self, nonce: B256, named: Option<&str>) -> Presented {
        let over = Presented::Over(nonce);
        let is_for_this = named.is_some() && named == self.stage.challenge_id();
        match self.payments.contains(&over) && !is_for_this {
            true => over,
            false => Presented::Signed(nonce),
        }
    }

    /// Adds a payment that is presented. No other payment is forgotten for it: see [`Task::takes`].
    pub(super) fn present(&mut self, payment: Presented) {
        if matches!(payment, Presented::Shown(_)) {
            self.forget(Presented::Unread);
        }
        if !self.payments.contains(&payment) {
            self.payments.push(payment);
        }
    }

    /// Whether this payment may be presented: it was presented before, or there is room for one more.
    pub(super) fn takes(&self, payment: Presented) -> bool {
        self.payments.contains(&payment) || !self.is_full()
    }

    /// Whether only payments that were presented before may be presented.
    pub(super) fn is_full(&self) -> bool {
        let is_read = |payment: &&Presented| **payment != Presented::Unread;
        self.payments.iter().filter(is_read).count() >= MAX_PAYMENTS
    }

    /// Whether a transfer was shown that may still pay the offer.
    pub(super) fn waits_for_transfer(&self) -> bool {
        let is_open = |payment| matches!(payment, &(Presented::Shown(_) | Presented::Unread));
        self.payments.iter().any(is_open)
    }

    /// Whether this payment is the only one that was presented for the current offer.
    pub(super) fn has_only(&self, payment: Presented) -> bool {
        let is_it = |other: &Presented| *other == payment || matches!(other, Presented::Over(_));
        self.payments.contains(&payment) && self.payments.iter().all(is_it)
    }

    /// Whether something was presented for the current offer.
    pub(super) fn is_tried(&self) -> bool {
        let is_none =
            |payment: &Presented| matches!(payment, Presented::Over(_) | Presented::Unread);
        self.is_paying() || !self.payments.iter().all(is_none)
    }

    /// Forgets a transfer that does not pay the offer.
    pub(super) fn forget(&mut self, payment: Presented) {
        self.payments.retain(|kept| *kept != payment);
    }

    /// Marks the payments as over, because the task's purchase is: they can begin nothing any more.
    pub(super) fn give_up_payments(&mut self) {
        for payment in &mut self.payments {
            if let Presented::Signed(nonce) = *payment {
                *payment = Presented::Over(nonce);
            }
        }
    }

    /// Adds the outcome of a payment. If there are too many, the earliest failure is removed.
    pub(super) fn note(&mut self, receipt: Value) {
        if !self.receipts.contains(&receipt) {
            self.receipts.push(receipt);
        }
        if self.receipts.len() > MAX_RECEIPTS {
            let failure = self
                .receipts
                .iter()
                .position(|receipt| !is_success(receipt));
            self.receipts.remove(failure.unwrap_or_default());
        }
    }

    /// Removes what does not fit: first the earlier messages except the first, and for an unpaid task finally all but
    /// its stage.
    fn trim(&mut self) {
        let more = self.turns.len().saturating_sub(MAX_TURNS);
        if more > 0 {
            self.turns.drain(1..=more);
        }
        if self.is_paid() {
            return;
        }
        while self.is_too_long() && self.turns.len() > 1 {
            self.turns.remove(1);
        }
        if self.is_too_long() {
            self.receipts.clear();
        }
        if self.is_too_long()
            && let Stage::Offered {
                said: Some(said), ..
            }
            | Stage::Paying {
                said: Some(said), ..
            }
            | Stage::Failed { said, .. } = &mut self.stage
            && let Some(members) = said.error.as_object_mut()
        {
            members.remove("details");
        }
        if self.is_too_long() {
            self.turns.clear();
        }
    }

    fn is_too_long(&self) -> bool {
        let length = serde_json::to_vec(self).map_or(0, |text| text.len());
        length.saturating_add(SPARE_BYTES) > MAX_UNPAID_BYTES
    }
}

pub(super) fn is_success(receipt: &Value) -> bool {
    receipt.get("success") == Some(&Value::Bool(true))
}

#[cfg(test)]
mod tests;
