//! The objects of the x402 protocol, in both versions (<https://github.com/coinbase/x402>).

pub mod authorization;
mod description;
mod dialect;
pub mod extensions;
pub mod header;
pub mod objects;
pub mod payload;
pub mod refusal;
mod resource;
mod unreadable;
pub mod v1;

pub use authorization::Authorization;
pub use description::for_facilitators;
pub use dialect::Dialect;
pub use objects::{PaymentRequired, PaymentRequirements, SettleResponse};
pub use payload::PaymentPayload;
pub(crate) use payload::{
    Paths, address as read_address, authorization as read_authorization,
    signature as read_signature,
};
pub use refusal::Refusal;
pub use resource::Resource;
pub use unreadable::Unreadable;
