//! How a refund can fail. Stored with the record, and with the notice that tells of it.

use serde::{Deserialize, Serialize};

use crate::x402::Refusal;

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
