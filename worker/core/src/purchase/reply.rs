//! How a purchase answers the doors.

use alloy_primitives::B256;
use serde::{Deserialize, Serialize};

use super::question::Join;
use crate::chain::transfer::ProofFault;
use crate::goods::{DeliveryFault, Goods, Receipt};
use crate::types::{RequestId, Status, UnixMillis};
use crate::x402::Refusal;

/// What a purchase answers.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum PayReply {
    /// Paid and delivered.
    Granted {
        /// What the buyer gets.
        goods: Goods,
        /// The payment that bought them.
        receipt: Receipt,
        /// Whether a proof was presented after the delivery.
        #[serde(default)]
        again: bool,
    },
    /// Paid, but the credential could not be had. It is tried again; after the grace period the money goes back.
    Undelivered {
        /// How the last try failed.
        fault: DeliveryFault,
        /// The money.
        receipt: Receipt,
        /// When the refund begins; `None` when refunds are off.
        refund_at: Option<UnixMillis>,
    },
    /// The money goes back, or went back, or could not.
    Refund {
        /// [`Status::RefundPending`], [`Status::Refunded`] or [`Status::RefundFailed`].
        status: Status,
        /// The transaction that returns the money, once there is one.
        transaction: Option<B256>,
    },
    /// Not known yet. The same payment sent again gets the outcome.
    Pending {
        /// The transaction, once there is one.
        transaction: Option<B256>,
    },
    /// The payment was refused or failed; no money moved.
    Refused {
        /// Why.
        reason: Refusal,
        /// The transaction that failed.
        transaction: Option<B256>,
        /// Whether the purchase had begun. If so, it takes no other payment.
        #[serde(default)]
        begun: bool,
    },
    /// The payment counts for another purchase of the same payer and target.
    Elsewhere {
        /// That purchase.
        request_id: RequestId,
        /// How to ask that purchase for the outcome.
        join: Join,
    },
    /// Delivered long ago: the access has ended and the grant was removed.
    AccessEnded {
        /// The payment.
        transaction: B256,
    },
    /// Already delivered, and what was presented has become public on chain, so it no longer proves that the caller is the
    /// payer.
    NeedsFreshSignature,
    /// The transaction does not pay the offer, or not yet. Nothing was begun.
    Unproven(ProofFault),
    /// The client's name for the payment is another payment's.
    NamedOtherwise,
    /// The payment belongs to another purchase.
    Taken,
    /// The request id belongs to a purchase of something else or by another payer; or, where nothing begins, to none.
    Conflict,
    /// An earlier payment attempt of this purchase failed; it takes no other payment.
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
        /// For how long.
        seconds: u64,
    },
    /// The payment could not be checked. Nothing was begun.
    Unavailable,
    /// A purchase that begins now could not be completed. Nothing was begun.
    NotNow(NotNow),
}

/// Why nothing is begun for now.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum NotNow {
    /// The payer's balance does not cover the price and what the payer has under way.
    UnderWay,
    /// The payer's account has code, and as many purchases under way as it may have.
    Crowded,
    /// The chain makes no blocks.
    ChainStandsStill,
    /// The gas wallet cannot pay for a transaction.
    GasWalletEmpty,
    /// Gas costs more than the seller wants to pay for it.
    GasTooDear,
    /// Recent purchases could not be delivered.
    DeliveriesFail {
        /// In how many seconds the next purchase is let through as a probe.
        seconds: u64,
    },
}

impl PayReply {
    /// Whether this reply, about a purchase that was begun, invites the client to pay again.
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

/// What to do next about a question.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Next {
    /// The outcome is known.
    Answer(PayReply),
    /// The purchase must begin.
    Begin,
    /// The purchase is under way.
    Drive,
}
