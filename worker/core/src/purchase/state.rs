//! What is stored of a purchase. Every deployment that ever ran has records in this JSON, so the form must stay
//! readable: a test pins it.

use alloy_primitives::{Address, B256};
use serde::{Deserialize, Serialize};

use super::fault::RefundFault;
use super::origin::MAX_CALLS;
use super::outbox::Outbox;
use super::sold::{Sold, SoldCall};
use super::stored_form::is_default;
use crate::catalog::Settle;
use crate::chain::SignedAuthorization;
use crate::goods::{AnswerHead, CallOf, DeliveryFault, Goods, Receipt};
use crate::offer::ChallengeId;
use crate::offer::{Target, Terms};
use crate::types::{RequestId, Status, UnixMillis, UnixSeconds, UsdcAmount};
use crate::x402::Refusal;

/// One purchase. Its request id and payer never change. Its offer changes only when a transfer pays another offer for
/// the same target at the same wallet; until then nothing was paid.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Purchase {
    /// The offer that is paid.
    pub challenge_id: ChallengeId,
    /// The terms of that offer: target, price, network, recipient, expiry.
    pub terms: Terms,
    /// What is to be delivered. `None` when the catalog no longer had it as the purchase began: then nothing is
    /// delivered and the money goes back. Also removed with the history, once the purchase is delivered or refunded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sold: Option<Sold>,
    /// The public URL of this worker through which the buyer bought.
    pub issuer: String,
    /// The wallet that pays.
    pub payer: Address,
    /// How far the purchase has come.
    pub state: State,
    /// When the purchase began. The ledger files it under the day of this time.
    pub begun_at: UnixMillis,
    /// When the state last changed.
    pub changed_at: UnixMillis,
    /// Whether the purchase is over, and what was removed of it since.
    #[serde(default, skip_serializing_if = "Rest::is_not_yet")]
    pub rest: Rest,
    /// Whether the client chose the request id itself. Then it means a new purchase, not one that it has begun before.
    #[serde(default, skip_serializing_if = "is_default")]
    pub chosen: bool,
    /// For a call: the authorization that pays for it. The purchase is removed when the authorization is over and nothing
    /// was charged, or else a while after its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub presented: Option<Presented>,
    /// Whether the last call failed while the route's calls kept failing, so that it does not count against the payer.
    #[serde(default, skip_serializing_if = "is_default")]
    pub excused: bool,
    /// Whether the payer's book still counts this purchase as unresolved.
    pub holds_target: bool,
    /// The messages that the ledger and the backend have not taken yet.
    #[serde(default, skip_serializing_if = "is_default")]
    pub outbox: Outbox,
    /// How often the alarm has tried since the purchase last came further. The pause before the next try grows with it.
    pub tries: u32,
}

/// An authorization that the payer has presented, as the payer's book knows it.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Presented {
    /// The authorization's nonce.
    pub nonce: B256,
    /// The digest of the client's own name for the payment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identifier: Option<B256>,
    /// From this time on the chain accepts the authorization no more.
    pub until: UnixSeconds,
}

/// How far a purchase has come.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE", rename_all_fields = "camelCase")]
pub enum State {
    /// An authorization was presented, and money may be on its way.
    Pending {
        /// The payment attempt.
        attempt: Attempt,
    },
    /// The payer has shown a transfer that has paid already. The transfer is about to be entered in the payer's book.
    Proving(Proof),
    /// The money has arrived; the goods are not delivered.
    Paid {
        /// The money.
        payment: Payment,
        /// When the money arrived. The grace period counts from here; at its end the refund begins.
        since: UnixMillis,
        /// The last failed try to deliver.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        failure: Option<DeliveryFailure>,
        /// The call that was paid for, once it has begun.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        calling: Option<Calling>,
        /// For a call that is charged after its answer: the answer, kept since before the price was charged, ready to
        /// be delivered.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        held: Option<AnswerHead>,
    },
    /// The end: the goods are delivered, and the buyer may fetch them again.
    Delivered {
        /// The money.
        payment: Payment,
        /// The goods that the buyer gets.
        goods: Goods,
    },
    /// Delivered, and the goods are no longer stored: the access has ended, or the answer to the call was kept for long
    /// enough.
    Closed {
        /// The money.
        payment: Payment,
    },
    /// The end: nothing was charged.
    Expired {
        /// An authorization that somebody else may still broadcast. The alarm watches it until it has expired.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        watch: Option<Attempt>,
    },
    /// The end: the purchase was called off before any money could move, or after its attempt had failed.
    Cancelled {
        /// The other purchase of the same payer and target for which this purchase's payment counts.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        superseded_by: Option<RequestId>,
        /// The nonce of the authorization that was about to be booked when an operator called the purchase off.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reserving: Option<B256>,
        /// The authorization of the failed attempt. As after an expiry, the alarm watches it until nobody can broadcast
        /// it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        watch: Option<Attempt>,
    },
    /// The money is to go back.
    RefundPending {
        /// The money.
        payment: Payment,
        /// The refund, as far as it has come.
        refund: Refund,
    },
    /// The end: the money went back.
    Refunded {
        /// The money.
        payment: Payment,
        /// The transaction that returned it.
        transaction: B256,
    },
    /// The refund has failed for good; an operator must act.
    RefundFailed {
        /// The money.
        payment: Payment,
        /// The refund that failed. An operator who has removed the reason may have it tried again.
        refund: Refund,
    },
    /// The money is to go back, but no refund could be signed: the key of the wallet that received the money is not
    /// configured. An operator must act.
    RefundBlocked {
        /// The money.
        payment: Payment,
        /// Whether an operator has asked to try the refund again.
        #[serde(default, skip_serializing_if = "is_default")]
        retried: bool,
    },
}

/// One transaction with ordinary transfers, each of which may have paid for this purchase already.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Proof {
    /// The transaction.
    pub transaction: B256,
    /// The block of the transaction.
    pub block: u64,
    /// The time of that block.
    pub included_at: UnixSeconds,
    /// The payer's transfers in this transaction that each cover the price: the log index of each, and its amount.
    pub transfers: Vec<(u32, UsdcAmount)>,
    /// Whether the payer has signed the challenge id.
    pub signed: bool,
}

/// Whether a purchase is over, which means that nothing can happen to it any more.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Rest {
    /// Something can still happen to the purchase.
    #[default]
    NotYet,
    /// The purchase has been over since this time.
    Since(UnixMillis),
    /// The purchase has been over for so long that its history was removed.
    WithoutHistory,
    /// The purchase is of a call, and everything of it is being removed.
    Leaving,
}

/// An authorization that is to be executed on chain, and the block from which to look for its execution.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Broadcast {
    /// The number of the try, from 1. Number and request id together name the gas wallet's job.
    pub number: u32,
    /// The authorization, with its signature.
    pub authorization: SignedAuthorization,
    /// The most gas that the transfer may use.
    pub gas_limit: u64,
    /// No transaction before this block can have used the authorization.
    pub from_block: u64,
    /// Up to which block the search has found nothing. Only set when the authorization is used and the search for the
    /// transaction that used it takes long.
    #[serde(default, skip_serializing_if = "is_default")]
    pub searched_to: u64,
}

/// Transactions that were sent to execute one authorization.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Sent {
    /// The hashes of the transactions. At most one of them moves the money.
    pub hashes: Vec<B256>,
    /// When the first of them was recorded as sent.
    pub since: UnixMillis,
}

/// The payer's authorization on its way to becoming a payment.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Attempt {
    /// The payer's authorization that is executed.
    pub broadcast: Broadcast,
    /// The digest of the client's own name for the payment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identifier: Option<B256>,
    /// The number of the settlement route that is tried now: how many were tried before it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub via: u32,
    /// Whether a facilitator that was asked to settle, and then given up, may still do so.
    #[serde(default, skip_serializing_if = "is_default")]
    pub exposed: bool,
    /// For a call that is charged after its answer: how often it was begun, in all attempts together.
    #[serde(default, skip_serializing_if = "is_default")]
    pub calls: u32,
    /// The answer to that call, once there is one that is charged for. It is stored, so it can be delivered whatever
    /// happens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<AnswerHead>,
    /// When the buyer of such a call last sent a request. A buyer who is gone is not charged.
    #[serde(default, skip_serializing_if = "is_default")]
    pub contact: UnixMillis,
    /// How far the attempt has come. Each stage is the recorded intent of the next outside effect.
    pub stage: Stage,
}

/// A call to the seller's API that is being made, or was being made when the process died.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Calling {
    /// The call's number among those of the purchase, from 1.
    pub number: u32,
    /// When the call began.
    pub since: UnixMillis,
    /// Whether its answer is passed on while it arrives. The buyer may have any part of the answer then.
    #[serde(default, skip_serializing_if = "is_default")]
    pub streaming: bool,
}

/// How far an attempt has come.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Stage {
    /// The authorization is about to be entered in the payer's book. Nothing can have been broadcast.
    Reserving,
    /// The authorization is booked. For a call that is charged after its answer: the next request that carries the call
    /// makes it, before anything is broadcast.
    Uncalled,
    /// The seller's API is being called, or was called and the answer is lost.
    Calling {
        /// When the call began.
        since: UnixMillis,
    },
    /// The answer to the call is stored, and the chain is about to be asked whether its price can still be charged.
    /// Nobody else has the authorization yet, so this is the last stage in which the attempt may fail because of a
    /// simulation.
    Held,
    /// The authorization is about to be handed to the facilitator or the gas wallet whose turn it is; or the gas
    /// wallet has the authorization, and its answer is lost.
    Settling,
    /// A facilitator is being asked to settle, or was asked and the answer is lost.
    Asked {
        /// When the facilitator was asked.
        since: UnixMillis,
    },
    /// A transaction was sent.
    Submitted(Sent),
    /// The attempt failed and moved no money.
    Failed {
        /// Why the attempt failed.
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
    /// How the last try failed.
    pub fault: DeliveryFault,
    /// When the last try failed.
    pub at: UnixMillis,
    /// How many tries have failed.
    pub tries: u32,
}

/// A refund: the transfer that returns the money. Wallet, recipient and amount stand in the signed authorization and
/// never change.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Refund {
    /// The seller's authorization. Its nonce is derived from the challenge id, so the USDC contract executes it at most
    /// once, however often it is sent.
    pub broadcast: Broadcast,
    /// How far the current try has come.
    pub stage: RefundStage,
    /// How many tries have failed.
    pub failures: u32,
    /// The earliest time of the next try.
    pub not_before: UnixMillis,
    /// Why the last try failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Refusal>,
}

/// How far a try to return the money has come. Each stage is the recorded intent of the next outside effect.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum RefundStage {
    /// The transfer is about to be simulated on the chain. Nothing of this try was broadcast.
    Preparing,
    /// The authorization is about to be handed to the gas wallet; or it was handed over, and the answer is lost.
    Settling,
    /// A transaction was sent.
    Submitted(Sent),
}

/// Money that arrived.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Payment {
    /// The transaction.
    pub transaction: B256,
    /// The block of the transaction.
    pub block: u64,
    /// The time of that block.
    pub settled_at: UnixSeconds,
    /// The amount that arrived.
    pub amount: UsdcAmount,
    /// The log index of the transfer. Only set when the money came by an ordinary transfer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<u32>,
    /// Whether the money came by an ordinary transfer that was presented without the payer's signature.
    #[serde(default, skip_serializing_if = "is_default")]
    pub unsigned: bool,
}

/// One line of a purchase's history, written in the same storage transaction as the change that it describes.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditRow {
    /// When the event happened.
    pub at: UnixMillis,
    /// The event's name.
    pub event: &'static str,
    /// The status after the event.
    pub status: Status,
    /// The chain transaction that the event concerns.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transaction: Option<B256>,
}

impl Purchase {
    /// The receipt for this payment.
    pub(super) const fn receipt(&self, payment: &Payment) -> Receipt {
        Receipt {
            transaction: payment.transaction,
            network: self.terms.network,
            payer: self.payer,
            amount: payment.amount,
            settled_at: payment.settled_at,
        }
    }

    /// The goods that consist of this answer to the purchase's call.
    pub(super) fn answered(&self, head: &AnswerHead, refund: Option<B256>) -> Goods {
        Goods::Answer {
            of: CallOf {
                request_id: self.terms.request_id.clone(),
                challenge_id: self.challenge_id.to_string(),
                route_id: self.terms.target.id().to_owned(),
            },
            head: head.clone(),
            refund,
        }
    }

    /// The call that was sold. `None` when a plan was sold, or when the catalog no longer had the route.
    pub(super) fn call(&self) -> Option<&SoldCall> {
        self.sold.as_ref().and_then(Sold::call)
    }

    /// Whether the target is a call. Once such a purchase has ended, its call is never made again.
    pub(super) const fn is_of_a_call(&self) -> bool {
        matches!(self.terms.target, Target::Route { .. })
    }

    /// Whether the purchase is of a call that is charged after its answer.
    pub(super) fn is_paid_after_its_answer(&self) -> bool {
        let call = self.call();
        call.is_some_and(|call| call.settle == Settle::After)
    }

    /// Whether a failed attempt may be repeated. An attempt that has begun its call may be repeated only if the answer
    /// is stored or the call may be made again.
    pub(super) fn may_be_called(&self) -> bool {
        let State::Pending { attempt } = &self.state else {
            return true;
        };
        let may_repeat = || {
            let call = self.call();
            call.is_some_and(|call| call.idempotent && attempt.calls < MAX_CALLS)
        };
        attempt.calls == 0 || attempt.held.is_some() || may_repeat()
    }

    /// Whether the call is being made, or was being made when the process died.
    pub(super) const fn is_being_called(&self) -> bool {
        match &self.state {
            State::Pending { attempt } => matches!(attempt.stage, Stage::Calling { .. }),
            State::Paid {
                failure: None,
                calling: Some(_),
                ..
            } => true,
            _ => false,
        }
    }

    /// Whether the call is being made, or waits for a request that carries it.
    pub(super) const fn awaits_its_call(&self) -> bool {
        match &self.state {
            State::Pending { attempt } => {
                matches!(attempt.stage, Stage::Uncalled | Stage::Calling { .. })
            }
            _ => self.awaits_its_call_when_paid(),
        }
    }

    /// Whether the price of the call has arrived, and the call is being made or waits for a request that carries it.
    pub(super) const fn awaits_its_call_when_paid(&self) -> bool {
        match &self.state {
            State::Paid {
                failure: None,
                held: None,
                ..
            } => self.is_of_a_call(),
            _ => false,
        }
    }

    /// The stored answer to the purchase's call.
    pub(super) const fn held(&self) -> Option<&AnswerHead> {
        match &self.state {
            State::Pending { attempt } => attempt.held.as_ref(),
            State::Paid { held, .. } => held.as_ref(),
            State::Delivered { goods, .. } => goods.answer(),
            _ => None,
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

    /// Whether the ledger counts the state as an end. (Unlike [`is_over`](Self::is_over): an authorization may still be
    /// watched.)
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
    /// The state's name. It stays the same when the history or the goods are removed.
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

    /// The authorization that we have given up and that somebody else may still broadcast.
    pub const fn watch(&self) -> Option<&Attempt> {
        match self {
            Self::Expired { watch } | Self::Cancelled { watch, .. } => watch.as_ref(),
            _ => None,
        }
    }

    /// The authorization of a purchase that has ended without money, or whose attempt has failed. Anybody may have seen
    /// the authorization and had it executed.
    pub const fn open_attempt(&self) -> Option<&Attempt> {
        match self {
            Self::Pending { attempt } if matches!(attempt.stage, Stage::Failed { .. }) => {
                Some(attempt)
            }
            state => state.watch(),
        }
    }

    /// The authorization that may still be executed: of the attempt, of the refund, or the watched one.
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

    /// Why the last try of the refund failed, or why no refund could be signed.
    pub fn refund_fault(&self) -> Option<RefundFault> {
        match self {
            Self::RefundPending { refund, .. } | Self::RefundFailed { refund, .. } => {
                refund.reason.map(RefundFault::Refused)
            }
            Self::RefundBlocked { .. } => Some(RefundFault::WalletDiffers),
            _ => None,
        }
    }

    /// The payment, once the money has arrived and counts for this purchase.
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

    /// The transaction of the payment, or the newest one that may bring it: the one that a person would look up.
    pub fn transaction(&self) -> Option<B256> {
        match self {
            Self::Pending { attempt } => match &attempt.stage {
                Stage::Submitted(Sent { hashes, .. }) => hashes.last().copied(),
                Stage::Failed { transaction, .. } => *transaction,
                Stage::Reserving
                | Stage::Uncalled
                | Stage::Calling { .. }
                | Stage::Held
                | Stage::Settling
                | Stage::Asked { .. } => None,
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

    /// Whether the purchase has ended without money, or its attempt has failed. Then a transfer that was made in time
    /// still pays it.
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
