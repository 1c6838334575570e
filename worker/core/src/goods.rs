//! What a purchase gives: the goods, and the receipt for the money.

use key0_validator::Claims;
use serde::{Deserialize, Serialize};

use crate::types::{Address, B256, Network, UnixSeconds, UsdcAmount};

/// What the buyer gets. Fixed at delivery and stored, so that every repeat gives the same.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Goods {
    /// An access token. Only its claims are stored; the same token is made from them whenever the payer asks.
    Token {
        /// The token's claims.
        claims: Claims,
    },
    /// The credential that the seller's backend has issued.
    Credential {
        /// What was sold, and until when.
        claims: Claims,
        /// The backend's answer, sealed.
        sealed: String,
    },
}

impl Goods {
    /// What was sold, to whom, and until when.
    pub const fn claims(&self) -> &Claims {
        match self {
            Self::Token { claims } | Self::Credential { claims, .. } => claims,
        }
    }
}

/// Money that arrived for a purchase. It never changes: each repeat shows the same.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Receipt {
    /// The transaction.
    pub transaction: B256,
    /// On which chain.
    pub network: Network,
    /// Who paid.
    pub payer: Address,
    /// What was received.
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
    /// The backend was not called: there is nothing to authenticate with.
    Unauthenticated,
    /// The backend was not called: what was sold is not known. When the purchase began, the catalog no longer said of the
    /// plan what it had said when the offer was made; or what was sold is no plan.
    PlanGone,
}
