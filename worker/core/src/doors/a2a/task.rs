//! A task: one thing that a client asked for in a conversation, and how far it has come.

use alloy_primitives::B256;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::ids::TaskId;
use crate::checkout::Claim;
use crate::goods::{Goods, Receipt};
use crate::pauses::{PAID_TASK, UNPAID_TASK};
use crate::types::{UnixMillis, UnixSeconds};

/// What a task may take that nobody has paid, as JSON.
pub(super) const MAX_UNPAID_BYTES: usize = 2_048;
/// The version grows by a digit now and then.
const SPARE_BYTES: usize = 8;
/// The longest message that a task keeps, as JSON.
pub(super) const MAX_MESSAGE_BYTES: usize = 1_024;
/// The most receipts that are kept; of more, the latest.
const MAX_RECEIPTS: usize = 4;
const MAX_TURNS: usize = 16;
const MAX_PAYMENTS: usize = 4;

/// One task. Everything that a client sees of it is made of this.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Task {
    /// Its id, which opens it.
    pub id: TaskId,
    /// The context it belongs to.
    pub context_id: String,
    /// What was said before its status, the oldest first.
    pub turns: Vec<Turn>,
    /// How far it has come.
    pub stage: Stage,
    /// The payments that were presented, the latest last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub payments: Vec<Presented>,
    /// What came of the payments that were tried.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub receipts: Vec<Value>,
    /// When the stage last changed.
    pub at: UnixMillis,
    /// When it is removed.
    pub until: UnixMillis,
    /// How often it was written: who has read an older one may not replace it.
    pub version: u32,
}

/// A payment that was presented on a task.
///
/// What a task knows of money is of one purchase, that of the offer which stands. Only when that purchase is over, and nothing was
/// charged, does the task go on to another offer. By then no transfer is open, and each authorization is [`Presented::Over`].
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Presented {
    /// An authorization for the offer that stands, by its nonce.
    Signed(B256),
    /// A transfer for that offer which may still pay it, by its transaction.
    Shown(B256),
    /// An authorization for an earlier offer, whose purchase is over.
    Over(B256),
}

/// One message of the past.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Turn {
    /// The client's, in the form of A2A 1.0, without its ids of task and context.
    Theirs(Value),
    /// Ours: an offer.
    Offer {
        /// Its challenge id.
        id: String,
        /// The version of the task whose status it was.
        version: u32,
    },
}

/// How far a task has come.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Stage {
    /// The price list was asked for, and shown.
    Listed,
    /// We have not understood, and wait for something else.
    Unclear {
        /// The member that was meant.
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
        /// What came of the last payment.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        said: Option<Said>,
        /// Whether the offer is left out of what we say, as the same payment or another proof is to be sent.
        #[serde(default, skip_serializing_if = "core::ops::Not::not")]
        again: bool,
        /// The right to ask its purchase, of a payment that has begun nothing as far as we know: an identical one may have been
        /// faster.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        claim: Option<Claim>,
    },
    /// It may have been paid. Written before anybody is asked to settle.
    Paying {
        /// The offer.
        challenge_id: String,
        /// The right to ask what became of it: to the offer's purchase, or to the one that its payment was led to.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        claim: Option<Claim>,
        /// Without a claim: the payment that has begun it, and that alone can ask. Without both, a transfer was shown.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<Presented>,
        /// What its purchase has said last.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        said: Option<Said>,
        /// How much we know.
        #[serde(default, skip_serializing_if = "Known::is_nothing")]
        known: Known,
    },
    /// It is paid and delivered.
    Delivered {
        /// What was delivered. The grant is made of it anew each time.
        goods: Goods,
        /// The money that was paid for it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        receipt: Option<Receipt>,
    },
    /// It has failed.
    Failed {
        /// Why.
        said: Said,
        /// Whether money had arrived for it.
        #[serde(default, skip_serializing_if = "core::ops::Not::not")]
        was_paid: bool,
    },
    /// The client did not want to pay.
    Rejected,
    /// The client has called it off.
    Canceled,
}

/// What is known of a payment.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Known {
    /// Nothing.
    #[default]
    Nothing,
    /// That nothing has begun so far, and the client is to send the same again.
    Again,
    /// That its purchase has begun.
    Begun,
    /// That the money has arrived.
    Arrived,
}

impl Known {
    fn is_nothing(&self) -> bool {
        *self == Self::Nothing
    }
}

/// What we say of a payment, or of a request that cannot be met.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Said {
    /// The error as every door tells it: `{"type":"Error","code","message","details"?}`.
    pub error: Value,
    /// The extension's word for it, if a payment was tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment: Option<String>,
}

impl Stage {
    /// What was asked for cannot be had, and nothing was paid.
    pub(super) const fn unmet(said: Said) -> Self {
        Self::Failed {
            said,
            was_paid: false,
        }
    }

    /// The name of its state in A2A 1.0.
    pub const fn state(&self) -> &'static str {
        match self {
            Self::Unclear { .. } | Self::Offered { .. } => "TASK_STATE_INPUT_REQUIRED",
            Self::Paying { .. } if self.waits_for_the_same() => "TASK_STATE_INPUT_REQUIRED",
            Self::Paying { .. } => "TASK_STATE_WORKING",
            Self::Listed | Self::Delivered { .. } => "TASK_STATE_COMPLETED",
            Self::Failed { .. } | Self::Rejected => "TASK_STATE_FAILED",
            Self::Canceled => "TASK_STATE_CANCELED",
        }
    }

    /// Whether it never changes again.
    pub const fn is_end(&self) -> bool {
        matches!(
            self,
            Self::Listed
                | Self::Delivered { .. }
                | Self::Failed { .. }
                | Self::Rejected
                | Self::Canceled
        )
    }

    /// Whether a payment or a proof was presented and is to be sent again: we know that, or nobody but the client can ask about it.
    pub(super) const fn waits_for_the_same(&self) -> bool {
        matches!(
            self,
            Self::Paying {
                known: Known::Again,
                ..
            } | Self::Paying { claim: None, .. }
        )
    }

    /// The offer that is paid, or is to be.
    pub fn challenge_id(&self) -> Option<&str> {
        match self {
            Self::Offered { challenge_id, .. } | Self::Paying { challenge_id, .. } => {
                Some(challenge_id)
            }
            _ => None,
        }
    }

    /// The right to ask about its payment.
    pub const fn claim(&self) -> Option<&Claim> {
        match self {
            Self::Offered { claim, .. } | Self::Paying { claim, .. } => claim.as_ref(),
            _ => None,
        }
    }

    /// Whether the purchase that it is about has begun by another payment, and only that one can ask about it.
    pub(super) fn is_begun_by_another(&self, payment: Presented) -> bool {
        matches!(self, Self::Paying { by: Some(by), .. } if *by != payment)
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
            at: now,
            until: now,
            version: 0,
        }
    }

    /// Whether money has arrived for it. Only then is it never dropped for others.
    pub fn is_paid(&self) -> bool {
        match &self.stage {
            // A transfer that is shown may never have been made, a payment that was signed not be covered, and one that has begun
            // come to nothing on chain.
            Stage::Paying { known, .. } => *known == Known::Arrived,
            Stage::Delivered { .. } => true,
            Stage::Failed { was_paid, .. } => *was_paid,
            _ => false,
        }
    }

    /// Whether its purchase has begun and may be paid.
    pub fn has_begun(&self) -> bool {
        matches!(&self.stage, Stage::Paying { known, .. } if *known == Known::Begun)
    }

    /// Whether a payment may be under way that we do not know the outcome of.
    pub const fn is_paying(&self) -> bool {
        matches!(self.stage, Stage::Paying { .. })
    }

    /// Takes the next stage. `offer_until`: the end of the offer that it is about.
    pub(super) fn go_on(
        &mut self,
        stage: Stage,
        offer_until: Option<UnixSeconds>,
        now: UnixMillis,
    ) {
        self.stage = stage;
        self.at = now;
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
        // The same payment is often sent again.
        if self.turns.last() != Some(&turn) {
            self.turns.push(turn);
        }
        // Not every message leads to another stage.
        self.trim();
    }

    /// Adds the offer that its status has said so far, if it has said one.
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

    /// Whether this message was said before.
    pub(super) fn has_heard(&self, message_id: &str) -> bool {
        self.turns.iter().any(|turn| match turn {
            Turn::Theirs(message) => message.get("messageId").is_some_and(|id| id == message_id),
            Turn::Offer { .. } => false,
        })
    }

    /// What this authorization is to the task. `named`: the offer that it names, if it names one.
    pub(super) fn signed(&self, nonce: B256, named: Option<&str>) -> Presented {
        let over = Presented::Over(nonce);
        let is_for_this = named.is_some() && named == self.stage.challenge_id();
        match self.payments.contains(&over) && !is_for_this {
            true => over,
            false => Presented::Signed(nonce),
        }
    }

    /// Adds a payment that is presented. Of too many, one goes that is over, then one that was signed. [`Task::is_full`] is for
    /// transfers, of which none goes before it is judged.
    pub(super) fn present(&mut self, payment: Presented) {
        if !self.payments.contains(&payment) {
            self.payments.push(payment);
        }
        if self.payments.len() > MAX_PAYMENTS {
            let first = |which: fn(&Presented) -> bool| self.payments.iter().position(which);
            let goes = first(|payment| matches!(payment, Presented::Over(_)))
                .or_else(|| first(|payment| matches!(payment, Presented::Signed(_))));
            self.payments.remove(goes.unwrap_or_default());
        }
    }

    /// Whether so many transfers are open that no other one can be shown.
    pub(super) fn is_full(&self) -> bool {
        let open = self.payments.iter().filter(|payment| is_shown(payment));
        open.count() >= MAX_PAYMENTS
    }

    /// Whether a transfer was shown that may still pay the offer.
    pub(super) fn waits_for_transfer(&self) -> bool {
        self.payments.iter().any(is_shown)
    }

    /// Whether something was presented for the offer that stands.
    pub(super) fn is_tried(&self) -> bool {
        let is_over = |payment: &Presented| matches!(payment, Presented::Over(_));
        self.is_paying() || self.stage.claim().is_some() || !self.payments.iter().all(is_over)
    }

    /// Forgets a transfer that does not pay the offer.
    pub(super) fn forget(&mut self, payment: Presented) {
        self.payments.retain(|kept| *kept != payment);
    }

    /// Its purchase is over, and what was signed for it begins nothing any more.
    pub(super) fn give_up_payments(&mut self) {
        for payment in &mut self.payments {
            if let Presented::Signed(nonce) = *payment {
                *payment = Presented::Over(nonce);
            }
        }
    }

    /// Adds what came of a payment. Of too many, an early failure goes.
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

    /// Forgets what was said in the middle, as far as the room does not suffice; of an unpaid task at last everything but its stage.
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

const fn is_shown(payment: &Presented) -> bool {
    matches!(payment, Presented::Shown(_))
}

fn is_success(receipt: &Value) -> bool {
    receipt.get("success") == Some(&Value::Bool(true))
}

#[cfg(test)]
mod tests;
