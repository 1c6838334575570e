//! What the buyer gets for a purchase: the goods, and the receipt for the money.

use key0_validator::Claims;
use serde::{Deserialize, Serialize};

use crate::types::{Address, B256, Network, RequestId, UnixSeconds, UsdcAmount};

/// What the buyer gets. The goods are fixed and stored at delivery, so that every repetition of the request gets the
/// same.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Goods {
    /// An access token. Only its claims are stored; the worker makes the same token from them whenever the payer asks.
    Token {
        /// The token's claims.
        claims: Claims,
    },
    /// The credential that the seller's backend has issued.
    Credential {
        /// The claims of the credential: what was sold, and until when.
        claims: Claims,
        /// The backend's answer, sealed.
        sealed: String,
    },
    /// The answer from the seller's API to a call.
    Answer {
        /// The purchase that made the call.
        of: CallOf,
        /// Status and headers of the answer, without its body.
        head: AnswerHead,
        /// The transaction of the payment that goes back. Only set when the answer is not charged for and the money had
        /// arrived before the call.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        refund: Option<B256>,
    },
}

impl Goods {
    /// The claims of the access: what was sold, to whom, and until when. `None` for the answer to a call.
    pub const fn claims(&self) -> Option<&Claims> {
        match self {
            Self::Token { claims } | Self::Credential { claims, .. } => Some(claims),
            Self::Answer { .. } => None,
        }
    }

    /// The purchase that brought the goods.
    pub fn purchase(&self) -> &str {
        match self {
            Self::Token { claims } | Self::Credential { claims, .. } => &claims.sub,
            Self::Answer { of, .. } => of.request_id.as_str(),
        }
    }

    /// Whether the goods are an answer whose payment goes back.
    pub const fn is_refunded(&self) -> bool {
        matches!(
            self,
            Self::Answer {
                refund: Some(_),
                ..
            }
        )
    }

    /// The answer to a call, if that is what was bought.
    pub const fn answer(&self) -> Option<&AnswerHead> {
        match self {
            Self::Answer { head, .. } => Some(head),
            Self::Token { .. } | Self::Credential { .. } => None,
        }
    }
}

/// The purchase of a call, as its buyer knows it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CallOf {
    /// The purchase.
    pub request_id: RequestId,
    /// The offer that it pays. For a free call, a name that says so.
    pub challenge_id: String,
    /// The route's id.
    pub route_id: String,
}

/// An answer from the seller's API without its body. The platform layer keeps the body.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AnswerHead {
    /// The number of the call within the purchase, from 1. The body is kept under it.
    pub number: u32,
    /// The HTTP status.
    pub status: u16,
    /// The headers that are passed on, names in lower case.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(String, String)>,
    /// The length of the body, in bytes.
    pub length: u64,
}

/// Why the seller's API gave no answer that can be passed on.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum OriginFault {
    /// The API could not be reached.
    Unreachable,
    /// The API did not answer in time.
    Timeout,
    /// The answer ended too early.
    Cut,
    /// The answer is larger than what can be held.
    TooLarge,
    /// The API redirects to itself or to a private address.
    Redirect,
    /// The API was not called: the answers held for other calls take up too much memory.
    Busy,
}

/// The receipt of money that arrived for a purchase. It never changes.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Receipt {
    /// The transaction.
    pub transaction: B256,
    /// The chain of the transaction.
    pub network: Network,
    /// The payer.
    pub payer: Address,
    /// The amount that was received.
    pub amount: UsdcAmount,
    /// The time of the transaction's block.
    pub settled_at: UnixSeconds,
}

/// How a delivery failed.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum DeliveryFault {
    /// The backend refused, or its answer made no sense.
    Failed,
    /// The backend gave no answer in time; it may have issued a credential nevertheless.
    Timeout,
    /// The backend was not called: we have nothing to authenticate with.
    Unauthenticated,
    /// The backend was not called, because it is not known what was sold: when the purchase began, the catalog no
    /// longer described the plan as it did when the offer was made, or the target is no plan.
    PlanGone,
    /// The grant takes no such top-up: it belongs to another wallet, is of another plan, or is no more. Nothing was
    /// added.
    GrantClosed,
    /// The seller's API answered a call with this status, which is not charged for.
    Answered(
        /// The status.
        u16,
    ),
    /// The seller's API gave no answer to a call that can be passed on.
    Origin(OriginFault),
    /// It is not known what became of the call; or the call was never made, because no request carried it.
    Unfinished,
    /// The money arrived after the buyer may have been told that nothing was charged for the call.
    Late,
}

impl DeliveryFault {
    /// Whether this is the failure of a call. Such a call is never made again: its price goes back.
    pub const fn is_of_a_call(self) -> bool {
        match self {
            Self::Answered(_) | Self::Origin(_) | Self::Unfinished | Self::Late => true,
            Self::Failed
            | Self::Timeout
            | Self::Unauthenticated
            | Self::PlanGone
            | Self::GrantClosed => false,
        }
    }
}
