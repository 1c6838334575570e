//! The replies of a purchase to the doors.

use alloy_primitives::B256;
use serde::{Deserialize, Serialize};

use super::question::Join;
use crate::chain::transfer::ProofFault;
use crate::goods::{DeliveryFault, Goods, OriginFault, Receipt};
use crate::meter::Barred;
use crate::types::{RequestId, Status, UnixMillis};
use crate::x402::Refusal;

/// The reply of a purchase to a question.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum PayReply {
    /// The goods are delivered. Or they are the answer to a call for which nothing stays charged.
    Granted {
        /// The goods.
        goods: Goods,
        /// The receipt of the payment that bought the goods. `None` when nothing was charged, or the money goes back.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        receipt: Option<Receipt>,
        /// Whether the client proved its payment only after the goods had been delivered.
        #[serde(default)]
        again: bool,
    },
    /// The answer to a paid call, for this request alone. Its body is passed on while it arrives.
    Streaming {
        /// The answer, without its body.
        goods: Goods,
        /// The receipt of the payment.
        receipt: Receipt,
    },
    /// The purchase is paid, but the last try to deliver failed. Delivery is tried again; after the grace period the
    /// money goes back.
    Undelivered {
        /// How the last try failed.
        fault: DeliveryFault,
        /// The receipt of the money.
        receipt: Receipt,
        /// When the refund begins; `None` when refunds are off.
        refund_at: Option<UnixMillis>,
    },
    /// The money is to go back, has gone back, or could not be returned.
    Refund {
        /// [`Status::RefundPending`], [`Status::Refunded`] or [`Status::RefundFailed`].
        status: Status,
        /// The transaction that returns the money, once there is one.
        transaction: Option<B256>,
    },
    /// The outcome is not known yet. The same payment, sent again, gets it.
    Pending {
        /// The transaction, once there is one.
        transaction: Option<B256>,
    },
    /// The call is being made, or waits for a request that carries it.
    Calling {
        /// The payment's transaction, if the call is paid for before it is made.
        transaction: Option<B256>,
    },
    /// The seller's API gave no answer that can be passed on. The call is not made again, and nothing is charged for
    /// it.
    Origin {
        /// Why the API gave no such answer.
        fault: OriginFault,
        /// The transaction of the payment that goes back, if the money had arrived before the call.
        refund: Option<B256>,
    },
    /// The call was paid for and delivered, and its answer is no longer stored.
    AnswerGone {
        /// The payment.
        transaction: B256,
    },
    /// Too many of the payer's calls are under way, or were not charged for. Nothing was begun.
    TooManyCalls {
        /// How many seconds the payer must wait.
        seconds: u64,
    },
    /// The payment was refused or failed; no money moved.
    Refused {
        /// The reason.
        reason: Refusal,
        /// The transaction that failed.
        transaction: Option<B256>,
        /// Whether the purchase had begun before. If so, it accepts no payment but the one that it has.
        #[serde(default)]
        begun: bool,
    },
    /// The payment counts for another purchase of the same payer and target.
    Elsewhere {
        /// The other purchase.
        request_id: RequestId,
        /// The question that asks the other purchase for the outcome.
        join: Join,
    },
    /// The access was delivered long ago. It has ended, and its credential was removed.
    AccessEnded {
        /// The payment.
        transaction: B256,
    },
    /// The purchase is delivered, or paid and about to be. The authorization that the caller presented is public on
    /// chain by now, so it no longer proves that the caller is the payer.
    NeedsFreshSignature,
    /// The transaction that was presented as proof does not pay the offer, or not yet. Nothing was begun.
    Unproven(ProofFault),
    /// The client has given its name for this payment to another payment before.
    NamedOtherwise,
    /// The payment belongs to another purchase. (Unlike [`Elsewhere`](Self::Elsewhere), the caller is not led there.)
    Taken,
    /// The request id belongs to a purchase of another target or payer. Or it belongs to none, and the payment cannot
    /// begin one.
    Conflict,
    /// An earlier payment attempt of this purchase failed, and the purchase accepts no other payment.
    Spent {
        /// Why the attempt failed.
        reason: Refusal,
    },
    /// The offer has expired and nothing was charged.
    Expired,
    /// No purchase has begun under this id. The caller presented no payment, or a payment of which the payer's book could not
    /// tell whether it counts for another purchase.
    Unbegun,
    /// The seller has withdrawn the offer: it names a wallet that is no longer used, or what it sells is no longer known.
    /// Nothing was begun.
    Withdrawn,
    /// The purchase was called off and nothing was charged.
    Cancelled,
    /// Too many of the payer's transfers have reverted. Nothing was begun, and the payer must wait before it can begin a
    /// purchase.
    Paused {
        /// How many seconds the payer must wait.
        seconds: u64,
    },
    /// The payment could not be checked. Nothing was begun.
    Unavailable,
    /// A purchase that began now could not be completed, so nothing was begun.
    NotNow(NotNow),
    /// The grant takes no such top-up. Nothing was begun.
    Barred(Barred),
}

/// Why no purchase may begin for now.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum NotNow {
    /// The payer's balance does not cover the price together with what the payer has under way.
    UnderWay,
    /// The payer's account has code, and the payer has as many purchases under way as such an account may have.
    Crowded,
    /// The chain makes no blocks.
    ChainStandsStill,
    /// The gas wallet cannot pay for a transaction.
    GasWalletEmpty,
    /// Gas costs more than the seller wants to pay for it.
    GasTooDear,
    /// No facilitator answers and there is no gas wallet, so the answer to a call could not be charged for.
    NobodySettles,
    /// Recent purchases could not be delivered.
    DeliveriesFail {
        /// In how many seconds the next purchase is let through as a probe.
        seconds: u64,
    },
    /// Recent calls of the route have failed at the seller's API.
    CallsFail {
        /// In how many seconds the next call is let through as a probe.
        seconds: u64,
    },
}

impl PayReply {
    /// Whether a client that gets this reply would pay again.
    pub(super) const fn invites_another_payment(&self) -> bool {
        matches!(
            self,
            Self::Refused { .. }
                | Self::Spent { .. }
                | Self::Expired
                | Self::Withdrawn
                | Self::Cancelled
        )
    }
}

/// What the driver does next about a question.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Next {
    /// The outcome is known.
    Answer(PayReply),
    /// The purchase must begin.
    Begin,
    /// The purchase is under way.
    Drive,
}
