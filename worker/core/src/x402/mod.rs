//! The objects of the x402 protocol, in both versions (<https://github.com/coinbase/x402>).

pub mod extensions;
pub mod header;
pub mod objects;
pub mod payload;
pub mod refusal;
pub mod v1;

pub use objects::{PaymentRequired, PaymentRequirements, SettleResponse, Version};
pub use payload::{PaymentPayload, Unreadable};
pub use refusal::Refusal;
