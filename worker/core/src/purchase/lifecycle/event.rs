//! What can happen to a purchase, which of it belongs into its history, and the answer to what does not fit.

use alloy_primitives::{Address, B256};

use super::super::outbox::{Message, Sending};
use super::super::sold::Sold;
use super::super::state::{AuditRow, Payment, Proof, Purchase, State};
use crate::chain::SignedAuthorization;
use crate::goods::{DeliveryFault, Goods};
use crate::offer::Offer;
use crate::types::{RequestId, UnixMillis};
use crate::x402::Refusal;

/// Something that happened to a purchase.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Event {
    /// A checked authorization was presented: the purchase begins, or begins again after a failed attempt.
    Attempted {
        /// What is paid.
        offer: Offer,
        /// What is delivered for it, if that is known.
        sold: Option<Sold>,
        /// The public URL through which it is bought.
        issuer: String,
        /// What the payer signed.
        authorization: SignedAuthorization,
        /// The digest of the client's own name for the payment.
        identifier: Option<B256>,
        /// Whether the client has named the purchase.
        chosen: bool,
        /// The most gas that the transfer may use.
        gas_limit: u64,
        /// The newest block before anything is broadcast.
        from_block: u64,
    },
    /// A transfer was shown that has paid already: the purchase begins, or goes on after it had ended without money.
    Proven {
        /// What is paid.
        offer: Offer,
        /// What is delivered for it, if that is known.
        sold: Option<Sold>,
        /// The public URL through which it is bought.
        issuer: String,
        /// Who has paid.
        payer: Address,
        /// The transfer, or several of which each pays enough.
        proof: Proof,
    },
    /// The payer's book gave a transfer to this purchase.
    Claimed {
        /// The transfer's place among the events of its transaction.
        log: u32,
    },
    /// The payer's book gave the authorization to this purchase.
    Reserved,
    /// The payer's book counts the authorization for another purchase.
    Superseded {
        /// The other purchase.
        by: RequestId,
    },
    /// The authorization or the transfer belongs to another purchase, which presented it first.
    Taken,
    /// A facilitator is about to be asked to settle.
    Asked,
    /// The route did not settle. The next one is tried.
    PassedOn {
        /// Whether the route may still settle.
        exposed: bool,
    },
    /// The transfer is broadcast under these hashes.
    Submitted {
        /// Transaction hashes.
        hashes: Vec<B256>,
    },
    /// The attempt failed; no money moved.
    AttemptFailed {
        /// Why.
        reason: Refusal,
        /// The transaction that failed.
        transaction: Option<B256>,
    },
    /// An authorization is used up, and the search for the transaction that did it has come so far.
    Searched {
        /// Nothing before this block.
        to: u64,
    },
    /// It has come to the end and has found nothing. It must begin again.
    SearchedInVain,
    /// Nothing was charged and we will not try any more.
    Lapsed {
        /// Whether somebody else could still broadcast the authorization.
        may_still_land: bool,
    },
    /// The money arrived: the price at the seller, or the refund at the payer.
    Settled {
        /// The money.
        payment: Payment,
    },
    /// The credential is fixed.
    Issued {
        /// What the buyer gets.
        goods: Goods,
    },
    /// The credential could not be had.
    IssueFailed {
        /// How.
        fault: DeliveryFault,
    },
    /// The money is to go back; from here on nothing is delivered.
    RefundBegun {
        /// What the seller's wallet signed, once and for all.
        authorization: SignedAuthorization,
    },
    /// No refund can be signed: the key of the wallet that received the money is not configured.
    RefundBlocked,
    /// An operator has returned the money, in this transaction.
    ReturnedByHand {
        /// The transaction.
        transaction: B256,
    },
    /// A try to refund was found possible.
    RefundPrepared {
        /// The most gas that the transfer may use.
        gas_limit: u64,
        /// The newest block before this try.
        from_block: u64,
    },
    /// An operator has removed what kept a refund from succeeding.
    RefundRetried,
    /// The purchase was called off.
    Cancelled,
    /// The payer's book no longer counts the purchase as unresolved.
    TargetReleased,
    /// The history has been kept for long enough.
    HistoryRemoved,
    /// The grant has been kept for long enough.
    GrantRemoved,
    /// Something came of a message to the ledger or the backend.
    Told {
        /// Which message.
        message: Message,
        /// What.
        sending: Sending,
    },
    /// An operator wants the ledger to be told again.
    ReportAsked,
    /// The alarm tried and got no further.
    Tried,
}

/// The event does not fit the record; nothing changes. Happens when two drivers report the same thing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Refused;

impl Event {
    /// Whether the purchase has come further: then its alarm hurries again. No purchase waits for
    /// the ledger or the backend, so telling them is no progress; nor is a route out of reach.
    pub(super) const fn is_progress(&self) -> bool {
        !matches!(
            self,
            Self::Tried
                | Self::ReportAsked
                | Self::Told { .. }
                | Self::PassedOn { exposed: false }
                | Self::Searched { .. }
                | Self::SearchedInVain
        )
    }

    /// Whether the payer's book counts the purchase as unresolved from here on, if that changes.
    pub(super) const fn holds_target(&self) -> Option<bool> {
        match self {
            Self::Attempted { .. } | Self::Proven { .. } => Some(true),
            // A superseded purchase never got hold of its target, nor did one whose payment is another's.
            Self::Superseded { .. } | Self::Taken | Self::TargetReleased => Some(false),
            _ => None,
        }
    }

    /// The line of history for this event, if it belongs there. Retries, reports and removals do not, and of deliveries
    /// that keep failing only the first, second, fourth, eighth and so on: without refunds they may fail for ever.
    pub fn audit(&self, after: &Purchase, at: UnixMillis) -> Option<AuditRow> {
        let tells_something = match (self, &after.state) {
            (Self::HistoryRemoved | Self::GrantRemoved, _) => false,
            (
                Self::Told {
                    message: Message::Notice(_),
                    sending: Sending::Taken | Sending::GivenUp,
                },
                _,
            ) => true,
            (Self::IssueFailed { .. }, State::Paid { failure, .. }) => {
                failure.is_some_and(|failure| failure.tries.is_power_of_two())
            }
            _ => self.is_progress(),
        };
        let transaction = match &after.state {
            State::Refunded { transaction, .. } => Some(*transaction),
            State::RefundPending { refund, .. } => refund.transaction(),
            state => state.transaction(),
        };
        tells_something.then(|| AuditRow {
            at,
            event: self.name(),
            status: after.state.status(),
            transaction,
        })
    }

    const fn name(&self) -> &'static str {
        match self {
            Self::Attempted { .. } => "attempted",
            Self::Proven { .. } => "proven",
            Self::Claimed { .. } => "claimed",
            Self::Reserved => "reserved",
            Self::Superseded { .. } => "superseded",
            Self::Taken => "taken",
            Self::Asked => "asked",
            Self::PassedOn { .. } => "passed_on",
            Self::Submitted { .. } => "submitted",
            Self::AttemptFailed { .. } => "attempt_failed",
            Self::Searched { .. } => "searched",
            Self::SearchedInVain => "searched_in_vain",
            Self::Lapsed { .. } => "lapsed",
            Self::Settled { .. } => "settled",
            Self::Issued { .. } => "issued",
            Self::IssueFailed { .. } => "issue_failed",
            Self::RefundBegun { .. } => "refund_begun",
            Self::RefundBlocked => "refund_blocked",
            Self::ReturnedByHand { .. } => "returned_by_hand",
            Self::RefundPrepared { .. } => "refund_prepared",
            Self::RefundRetried => "refund_retried",
            Self::Cancelled => "cancelled",
            Self::TargetReleased => "target_released",
            Self::HistoryRemoved => "history_removed",
            Self::GrantRemoved => "grant_removed",
            Self::Told { sending, .. } => match sending {
                Sending::Tried => "told",
                Sending::Unwanted => "notice_unwanted",
                Sending::Taken => "notified",
                Sending::GivenUp => "notice_given_up",
            },
            Self::ReportAsked => "report_asked",
            Self::Tried => "tried",
        }
    }
}
