//! How a delivery or a refund can fail. Stored with the record, and with the notice that tells of it.

use serde::{Deserialize, Serialize};

use crate::x402::Refusal;

/// How a backend failed to issue a credential.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum IssueFault {
    /// It refused, or its answer made no sense.
    Failed,
    /// It gave no answer in time; it may have issued one all the same.
    Timeout,
    /// It was not asked: we have nothing to authenticate with.
    Unauthenticated,
    /// The backend was not asked: what was sold is not known. When the purchase began, the catalog no longer said of the plan what
    /// it had said when the offer was made; or what was sold is no plan.
    PlanGone,
}

/// Why money could not be returned.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum RefundFault {
    /// The chain would not take the transfer, or did not.
    Refused(Refusal),
    /// The configured key is not that of the wallet that received the money, or there is none.
    WalletDiffers,
}

impl RefundFault {
    /// The reason as programs read it.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Refused(refusal) => refusal.code(),
            Self::WalletDiffers => "refund_wallet_differs",
        }
    }
}
