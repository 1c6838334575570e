//! What is stored of a purchase. Its JSON is a contract with every deployment that ever ran: a test pins it.

use alloy_primitives::{Address, B256};
use serde::{Deserialize, Serialize};

use super::fault::RefundFault;
use super::outbox::Outbox;
use super::sold::Sold;
use super::stored_form::is_default;
use crate::chain::SignedAuthorization;
use crate::goods::{DeliveryFault, Goods, Receipt};
use crate::offer::ChallengeId;
use crate::offer::Terms;
use crate::types::{RequestId, Status, UnixMillis, UnixSeconds, UsdcAmount};
use crate::x402::Refusal;

/// One purchase. Once it exists, its request id and payer never change. Its offer changes only when a transfer pays another
/// one, for the same target at the same wallet; until then nothing was paid.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Purchase {
    /// The offer that is paid.
    pub challenge_id: ChallengeId,
    /// What was agreed.
    pub terms: Terms,
    /// What is to be delivered. `None` when that was not known any more at the beginning: then nothing is delivered and the
    /// money goes back. Also removed with the history, once it is delivered or returned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sold: Option<Sold>,
    /// The public URL through which it was bought.
    pub issuer: String,
    /// Who pays.
    pub payer: Address,
    /// How far it has come.
    pub state: State,
    /// When it began. The ledger files it under this day.
    pub begun_at: UnixMillis,
    /// When the state last changed.
    pub changed_at: UnixMillis,
    /// Whether the purchase is over, and what was removed of it since.
    #[serde(default, skip_serializing_if = "Rest::is_not_yet")]
    pub rest: Rest,
    /// Whether the client has named the purchase: then it is none of those that it has begun before.
    #[serde(default, skip_serializing_if = "is_default")]
    pub chosen: bool,
    /// Whether the payer's book still counts this purchase as unresolved.
    pub holds_target: bool,
    /// What the ledger and the backend are still to be told.
    #[serde(default, skip_serializing_if = "is_default")]
    pub outbox: Outbox,
    /// How often the alarm has tried since the last progress; spaces the tries out.
    pub tries: u32,
}

/// How far a purchase has come.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE", rename_all_fields = "camelCase")]
pub enum State {
    /// Money may be on its way.
    Pending {
        /// The payment attempt.
        attempt: Attempt,
    },
    /// The payer has shown that the money is here already; it is about to be booked with the payer.
    Proving(Proof),
    /// The money is here; the goods are not delivered.
    Paid {
        /// The money.
        payment: Payment,
        /// Since when; after the grace period the money goes back.
        since: UnixMillis,
        /// The last failed try to deliver.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        failure: Option<DeliveryFailure>,
    },
    /// The end: the buyer has a right to this grant.
    Delivered {
        /// The money.
        payment: Payment,
        /// What the buyer gets.
        goods: Goods,
    },
    /// Delivered, and long over: the access that it gave has ended, and the grant is not kept any more.
    Closed {
        /// The money.
        payment: Payment,
    },
    /// The end: nothing was charged.
    Expired {
        /// An authorization that somebody else may still broadcast; watched until it no longer can be.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        watch: Option<Attempt>,
    },
    /// The end: it was called off before any money could move, or after its attempt had failed.
    Cancelled {
        /// The purchase of the same payer and target that this one's payment counts for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        superseded_by: Option<RequestId>,
        /// The authorization that was about to be booked, when an operator called it off.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reserving: Option<B256>,
        /// The authorization that failed: like one of an expired purchase, it is watched until nobody can broadcast it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        watch: Option<Attempt>,
    },
    /// The money is to go back.
    RefundPending {
        /// The money.
        payment: Payment,
        /// Its way back.
        refund: Refund,
    },
    /// The end: the money went back.
    Refunded {
        /// The money.
        payment: Payment,
        /// The transaction that returned it.
        transaction: B256,
    },
    /// The money could not be returned; an operator must act.
    RefundFailed {
        /// The money.
        payment: Payment,
        /// Its way back, for when an operator has removed the reason.
        refund: Refund,
    },
    /// The money is to go back, and nothing was signed for that: the key of the wallet that received it is not configured.
    /// An operator must act.
    RefundBlocked {
        /// The money.
        payment: Payment,
        /// Whether an operator wants it to be tried again now.
        #[serde(default, skip_serializing_if = "is_default")]
        retried: bool,
    },
}

/// Ordinary transfers that have paid already.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Proof {
    /// The transaction.
    pub transaction: B256,
    /// Its block.
    pub block: u64,
    /// That block's time.
    pub included_at: UnixSeconds,
    /// Transfers of the payer, each enough for the price: the place of each among its events, and the amount.
    pub transfers: Vec<(u32, UsdcAmount)>,
    /// Whether the payer has signed the challenge id.
    pub signed: bool,
}

/// Whether a purchase is over.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Rest {
    /// Something can still happen to it.
    #[default]
    NotYet,
    /// Nothing can happen to it any more, since this moment.
    Since(UnixMillis),
    /// It has been over for so long that its history was removed.
    WithoutHistory,
}

/// An authorization that is to be executed, and where to look for that.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Broadcast {
    /// 1 for the first try, and so on: together with the request id it names the gas wallet's job.
    pub number: u32,
    /// What was signed.
    pub authorization: SignedAuthorization,
    /// The most gas that the transfer may use.
    pub gas_limit: u64,
    /// No transaction before this block can have used the authorization.
    pub from_block: u64,
    /// When the authorization is used and the search for its transaction takes long: up to which block nothing was found.
    #[serde(default, skip_serializing_if = "is_default")]
    pub searched_to: u64,
}

/// Transactions that are on their way.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Sent {
    /// Their hashes: one of them is to be included.
    pub hashes: Vec<B256>,
    /// Since when.
    pub since: UnixMillis,
}

/// The payer's authorization on its way to becoming a payment.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Attempt {
    /// What is executed.
    pub broadcast: Broadcast,
    /// The digest of the client's own name for the payment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identifier: Option<B256>,
    /// How many routes were tried before: the number of the one that is tried now.
    #[serde(default, skip_serializing_if = "is_default")]
    pub via: u32,
    /// Whether a facilitator that was asked to settle, and was given up, may still do so.
    #[serde(default, skip_serializing_if = "is_default")]
    pub exposed: bool,
    /// How far it has come. Each stage is the recorded intent of the next outside effect.
    pub stage: Stage,
}

/// How far an attempt has come.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Stage {
    /// About to be booked with the payer. Nothing can have been broadcast.
    Reserving,
    /// About to be handed to the route's facilitator; or to the gas wallet, or handed over with the answer lost.
    Settling,
    /// A facilitator is being asked to settle, or was asked with the answer lost.
    Asked {
        /// Since when.
        since: UnixMillis,
    },
    /// On its way.
    Submitted(Sent),
    /// It failed and moved no money.
    Failed {
        /// Why.
        reason: Refusal,
        /// The transaction that failed, if there was one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        transaction: Option<B256>,
    },
}

/// A try to deliver that failed.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DeliveryFailure {
    /// How.
    pub fault: DeliveryFault,
    /// When.
    pub at: UnixMillis,
    /// How many tries have failed.
    pub tries: u32,
}

/// The way back of the money. Wallet, recipient and amount stand in the signed authorization and never change.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Refund {
    /// What is executed. Its nonce follows from the challenge id, so that the USDC contract itself executes it at most once,
    /// however often it is sent.
    pub broadcast: Broadcast,
    /// How far the try has come that is under way.
    pub stage: RefundStage,
    /// How many tries have failed.
    pub failures: u32,
    /// The next try is not made before.
    pub not_before: UnixMillis,
    /// Why the last try failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Refusal>,
}

/// How far a try to return the money has come. Each stage is the recorded intent of the next outside effect.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum RefundStage {
    /// About to be checked against the chain. Nothing of this try was broadcast.
    Preparing,
    /// About to be handed to a wallet, or handed over with the answer lost.
    Settling,
    /// On its way.
    Submitted(Sent),
}

/// Money that arrived.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Payment {
    /// The transaction.
    pub transaction: B256,
    /// Its block.
    pub block: u64,
    /// That block's time.
    pub settled_at: UnixSeconds,
    /// What was received.
    pub amount: UsdcAmount,
    /// When it was an ordinary transfer: its place among the events of its transaction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<u32>,
    /// Whether it was an ordinary transfer that was presented without the payer's signature.
    #[serde(default, skip_serializing_if = "is_default")]
    pub unsigned: bool,
}

/// One line of a purchase's history, written in the same transaction as the change it tells of.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditRow {
    /// When.
    pub at: UnixMillis,
    /// What happened.
    pub event: &'static str,
    /// The state afterwards.
    pub status: Status,
    /// The transaction concerned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transaction: Option<B256>,
}

impl Purchase {
    /// The receipt for this money.
    pub(super) const fn receipt(&self, payment: &Payment) -> Receipt {
        Receipt {
            transaction: payment.transaction,
            network: self.terms.network,
            payer: self.payer,
            amount: payment.amount,
            settled_at: payment.settled_at,
        }
    }

    /// Whether nothing can happen to the purchase any more.
    pub(super) const fn is_over(&self) -> bool {
        !self.holds_target
            && match &self.state {
                State::Delivered { .. } | State::Closed { .. } | State::Refunded { .. } => true,
                State::Expired { .. } | State::Cancelled { .. } => self.state.watch().is_none(),
                State::Pending { .. }
                | State::Proving { .. }
                | State::Paid { .. }
                | State::RefundPending { .. }
                | State::RefundFailed { .. }
                | State::RefundBlocked { .. } => false,
            }
    }

    /// Whether its state is one of those that the ledger counts as over.
    pub(super) const fn is_end(&self) -> bool {
        matches!(
            self.state,
            State::Delivered { .. }
                | State::Closed { .. }
                | State::Expired { .. }
                | State::Cancelled { .. }
                | State::Refunded { .. }
        )
    }
}

impl Rest {
    const fn is_not_yet(&self) -> bool {
        matches!(self, Self::NotYet)
    }
}

impl Refund {
    /// The transaction that is to return the money, once there is one.
    pub fn transaction(&self) -> Option<B256> {
        match &self.stage {
            RefundStage::Submitted(sent) => sent.hashes.last().copied(),
            RefundStage::Preparing | RefundStage::Settling => None,
        }
    }
}

impl State {
    /// The state's name. What was removed since does not change it.
    pub const fn status(&self) -> Status {
        match self {
            Self::Pending { .. } | Self::Proving { .. } => Status::Pending,
            Self::Paid { .. } => Status::Paid,
            Self::Delivered { .. } | Self::Closed { .. } => Status::Delivered,
            Self::Expired { .. } => Status::Expired,
            Self::Cancelled { .. } => Status::Cancelled,
            Self::RefundPending { .. } | Self::RefundBlocked { retried: true, .. } => {
                Status::RefundPending
            }
            Self::Refunded { .. } => Status::Refunded,
            Self::RefundFailed { .. } | Self::RefundBlocked { .. } => Status::RefundFailed,
        }
    }

    /// The authorization that we do not pursue any more and somebody else may still broadcast.
    pub const fn watch(&self) -> Option<&Attempt> {
        match self {
            Self::Expired { watch } | Self::Cancelled { watch, .. } => watch.as_ref(),
            _ => None,
        }
    }

    /// The authorization of a purchase that has ended without money, or whose attempt has: everybody may have seen it, and may
    /// have had it executed.
    pub const fn open_attempt(&self) -> Option<&Attempt> {
        match self {
            Self::Pending { attempt } if matches!(attempt.stage, Stage::Failed { .. }) => {
                Some(attempt)
            }
            state => state.watch(),
        }
    }

    /// The authorization that may still be used: of the attempt, of the refund, or the one that is watched.
    pub(super) const fn broadcast_mut(&mut self) -> Option<&mut Broadcast> {
        match self {
            Self::Pending { attempt } => Some(&mut attempt.broadcast),
            Self::RefundPending { refund, .. } | Self::RefundFailed { refund, .. } => {
                Some(&mut refund.broadcast)
            }
            Self::Expired { watch } | Self::Cancelled { watch, .. } => match watch {
                Some(attempt) => Some(&mut attempt.broadcast),
                None => None,
            },
            Self::Proving { .. }
            | Self::Paid { .. }
            | Self::Delivered { .. }
            | Self::Closed { .. }
            | Self::Refunded { .. }
            | Self::RefundBlocked { .. } => None,
        }
    }

    /// Why the money could not be returned, in the state that says so.
    pub fn refund_fault(&self) -> Option<RefundFault> {
        match self {
            Self::RefundPending { refund, .. } | Self::RefundFailed { refund, .. } => {
                refund.reason.map(RefundFault::Refused)
            }
            Self::RefundBlocked { .. } => Some(RefundFault::WalletDiffers),
            _ => None,
        }
    }

    /// The money, once it counts.
    pub const fn payment(&self) -> Option<&Payment> {
        match self {
            Self::Paid { payment, .. }
            | Self::Delivered { payment, .. }
            | Self::Closed { payment }
            | Self::RefundPending { payment, .. }
            | Self::RefundFailed { payment, .. }
            | Self::RefundBlocked { payment, .. }
            | Self::Refunded { payment, .. } => Some(payment),
            Self::Pending { .. }
            | Self::Proving { .. }
            | Self::Expired { .. }
            | Self::Cancelled { .. } => None,
        }
    }

    /// The transaction that a person would look up.
    pub fn transaction(&self) -> Option<B256> {
        match self {
            Self::Pending { attempt } => match &attempt.stage {
                Stage::Submitted(Sent { hashes, .. }) => hashes.last().copied(),
                Stage::Failed { transaction, .. } => *transaction,
                Stage::Reserving | Stage::Settling | Stage::Asked { .. } => None,
            },
            Self::Proving(proof) => Some(proof.transaction),
            _ => self.payment().map(|payment| payment.transaction),
        }
    }

    /// Whether the payer may begin another purchase of the same target.
    pub(super) const fn is_resolved(&self) -> bool {
        match self {
            Self::Pending { attempt } => matches!(attempt.stage, Stage::Failed { .. }),
            Self::Proving { .. }
            | Self::Paid { .. }
            | Self::RefundPending { .. }
            | Self::RefundBlocked { retried: true, .. } => false,
            Self::Delivered { .. }
            | Self::Closed { .. }
            | Self::Expired { .. }
            | Self::Cancelled { .. }
            | Self::Refunded { .. }
            | Self::RefundFailed { .. }
            | Self::RefundBlocked { .. } => true,
        }
    }

    /// Whether a purchase has ended without money, or its attempt has: then a transfer that was made in time still counts.
    pub(super) const fn is_open(&self) -> bool {
        match self {
            Self::Pending { attempt } => matches!(attempt.stage, Stage::Failed { .. }),
            Self::Expired { .. } | Self::Cancelled { .. } => true,
            Self::Proving { .. }
            | Self::Paid { .. }
            | Self::Delivered { .. }
            | Self::Closed { .. }
            | Self::RefundPending { .. }
            | Self::Refunded { .. }
            | Self::RefundFailed { .. }
            | Self::RefundBlocked { .. } => false,
        }
    }
}
