//! The objects of the x402 protocol, in both versions (<https://github.com/coinbase/x402>).

pub mod authorization;
pub mod extensions;
pub mod header;
pub mod objects;
pub mod payload;
pub mod refusal;
mod unreadable;
pub mod v1;

pub use authorization::Authorization;
pub use objects::{PaymentRequired, PaymentRequirements, SettleResponse, Version};
pub use payload::PaymentPayload;
pub use refusal::Refusal;
pub use unreadable::Unreadable;
