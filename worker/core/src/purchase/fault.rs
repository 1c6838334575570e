//! The reasons for which a refund can fail. They are stored with the record and with the notification of the failure.

use serde::{Deserialize, Serialize};

use crate::x402::Refusal;

/// Why a refund has failed.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum RefundFault {
    /// The chain refused the transfer, in the simulation or when it was executed.
    Refused(Refusal),
    /// The configured key is not that of the wallet that received the money, or no key is configured.
    WalletDiffers,
}

impl RefundFault {
    /// The code of the reason, for programs.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Refused(refusal) => refusal.code(),
            Self::WalletDiffers => "refund_wallet_differs",
        }
    }
}
