//! The events that can happen to a purchase, and the line that each writes into the history.

use alloy_primitives::{Address, B256};

use super::super::outbox::{Message, Sending};
use super::super::sold::Sold;
use super::super::state::{AuditRow, Payment, Proof, Purchase, State};
use super::super::stream::StreamEnd;
use crate::chain::SignedAuthorization;
use crate::goods::{AnswerHead, DeliveryFault, Goods};
use crate::offer::Offer;
use crate::types::{RequestId, UnixMillis};
use crate::x402::Refusal;

/// Something that happened to a purchase.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Event {
    /// The payer presented an authorization that was checked: the purchase begins, or begins again after a failed
    /// attempt.
    Attempted {
        /// The offer that is paid.
        offer: Offer,
        /// What is delivered for the offer, if that is known.
        sold: Option<Sold>,
        /// The public URL through which it is bought.
        issuer: String,
        /// The authorization that the payer signed.
        authorization: SignedAuthorization,
        /// The digest of the client's own name for the payment.
        identifier: Option<B256>,
        /// Whether the client chose the request id itself.
        chosen: bool,
        /// The most gas that the transfer may use.
        gas_limit: u64,
        /// The newest block before anything is broadcast.
        from_block: u64,
    },
    /// The payer showed a transfer that has paid already: the purchase begins, or goes on after it had ended without
    /// money.
    Proven {
        /// The offer that is paid.
        offer: Offer,
        /// What is delivered for the offer, if that is known.
        sold: Option<Sold>,
        /// The public URL through which it is bought.
        issuer: String,
        /// The wallet that has paid.
        payer: Address,
        /// The transfer; or several, if each of them covers the price.
        proof: Proof,
    },
    /// The payer's book has assigned a transfer to this purchase.
    Claimed {
        /// The transfer's place among the events of its transaction.
        log: u32,
    },
    /// The payer's book has reserved the authorization for this purchase.
    Reserved,
    /// The payer's book counts the authorization for another purchase.
    Superseded {
        /// The other purchase.
        by: RequestId,
    },
    /// The authorization or the transfer belongs to another purchase, which presented the same one first.
    Taken,
    /// The seller's API is about to be called.
    Calling,
    /// The seller's API was not called after all: the answers held for other calls take up too much memory.
    CallPutOff,
    /// The call has failed, and the route's calls keep failing: this does not count against the payer.
    Excused,
    /// The seller's API has answered. The answer is one that is charged for, and is stored.
    Answered {
        /// The answer.
        head: AnswerHead,
    },
    /// The answer is about to be passed on while it arrives.
    Streaming {
        /// The number of the call.
        number: u32,
    },
    /// The answer is not passed on any more.
    StreamEnded {
        /// The number of the call.
        number: u32,
        /// How it ended.
        end: StreamEnd,
    },
    /// The price of the held answer can still be charged, and is about to be.
    Settling,
    /// The buyer of a call has sent a request again.
    Contacted,
    /// A facilitator is about to be asked to settle.
    Asked,
    /// A settlement route did not settle. The next one is tried.
    PassedOn {
        /// Whether the one that did not settle may still do so.
        exposed: bool,
    },
    /// The authorization was broadcast in transactions with these hashes.
    Submitted {
        /// Transaction hashes.
        hashes: Vec<B256>,
    },
    /// The attempt failed; no money moved.
    AttemptFailed {
        /// Why the attempt failed.
        reason: Refusal,
        /// The transaction that failed, if there was one.
        transaction: Option<B256>,
    },
    /// An authorization was used, and the search for the transaction that used it has come further.
    Searched {
        /// The block up to which the search has found nothing.
        to: u64,
    },
    /// The search for the transaction that used an authorization has come to the end without finding it. The search
    /// must begin again.
    SearchedInVain,
    /// The authorization has charged nothing, and we give it up.
    Lapsed {
        /// Whether somebody else could still broadcast the authorization.
        may_still_land: bool,
    },
    /// The money arrived: the price at the seller, or the refund at the payer.
    Settled {
        /// The money.
        payment: Payment,
    },
    /// The purchase has determined what the buyer gets: a credential or an answer.
    Issued {
        /// The goods.
        goods: Goods,
    },
    /// A try to deliver failed.
    IssueFailed {
        /// How the try failed.
        fault: DeliveryFault,
    },
    /// A refund was signed. From here on nothing is delivered.
    RefundBegun {
        /// The authorization that the seller's wallet signed. It is never signed anew.
        authorization: SignedAuthorization,
    },
    /// No refund can be signed: the key of the wallet that received the money is not configured.
    RefundBlocked,
    /// An operator reports that the money was returned by hand.
    ReturnedByHand {
        /// The transaction.
        transaction: B256,
    },
    /// The simulation of the refund succeeded, so a try may be sent.
    RefundPrepared {
        /// The most gas that the transfer may use.
        gas_limit: u64,
        /// The newest block before this try.
        from_block: u64,
    },
    /// An operator asks to try the refund again, having removed what kept it from succeeding.
    RefundRetried,
    /// The purchase was called off.
    Cancelled,
    /// The payer's book no longer counts the purchase as unresolved.
    TargetReleased,
    /// The history has been stored for long enough and is removed.
    HistoryRemoved,
    /// The goods have been stored for long enough and are removed.
    GrantRemoved,
    /// The purchase of a call has been over for long enough, and everything of it is about to be removed.
    Leaving,
    /// A message to the ledger or the backend was tried, accepted or given up.
    Told {
        /// The message.
        message: Message,
        /// What came of the message.
        sending: Sending,
    },
    /// An operator asks that the purchase report to the ledger again.
    ReportAsked,
    /// The alarm tried and got no further.
    Tried,
}

/// The event does not fit the record, and nothing changes. This happens when two drivers report the same thing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Refused;

impl Event {
    /// Whether the event brings the purchase further, so that its alarm starts again with short pauses. No purchase
    /// waits for the ledger or the backend, so a message to them is no progress; nor is a facilitator that has begun
    /// nothing.
    pub(super) const fn is_progress(&self) -> bool {
        !matches!(
            self,
            Self::Tried
                | Self::ReportAsked
                | Self::Told { .. }
                | Self::PassedOn { exposed: false }
                | Self::Searched { .. }
                | Self::SearchedInVain
                | Self::Contacted
                | Self::CallPutOff
                | Self::Excused
        )
    }

    /// Whether the payer's book counts the purchase as unresolved after this event. `None`: the event changes nothing
    /// of that.
    pub(super) const fn holds_target(&self) -> Option<bool> {
        match self {
            Self::Attempted { .. } | Self::Proven { .. } => Some(true),
            // The book never counted a superseded purchase as unresolved, nor one whose payment belongs to another
            // purchase.
            Self::Superseded { .. } | Self::Taken | Self::TargetReleased => Some(false),
            _ => None,
        }
    }

    /// The line of history for this event, if it gets one. Retries, reports and removals get none. Of deliveries that
    /// keep failing, only the first, second, fourth, eighth and so on get one: without refunds, deliveries may fail for
    /// ever.
    pub fn audit(&self, after: &Purchase, at: UnixMillis) -> Option<AuditRow> {
        let tells_something = match (self, &after.state) {
            (Self::HistoryRemoved | Self::GrantRemoved | Self::Leaving, _) => false,
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
            Self::Calling => "calling",
            Self::CallPutOff => "call_put_off",
            Self::Excused => "excused",
            Self::Answered { .. } => "answered",
            Self::Streaming { .. } => "streaming",
            Self::StreamEnded { end, .. } => end.name(),
            Self::Settling => "settling",
            Self::Contacted => "contacted",
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
            Self::Leaving => "leaving",
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
