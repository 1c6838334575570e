//! The values that have rules: each can only be built by parsing, so holding one proves that it is right.

mod amount;
mod bearer_secret;
mod card_key;
mod fault;
mod ids;
mod network;
mod pem;
mod secret;
mod status;
mod time;
mod url;
mod wallet_key;

pub use alloy_primitives::{Address, B256, Bytes, U256};
pub use amount::{PriceError, UsdcAmount};
pub use bearer_secret::BearerSecret;
pub use card_key::CardKey;
#[cfg(test)]
pub(crate) use card_key::TEST_CARD_KEY;
pub use fault::CallFault;
pub use ids::{IdError, PlanId, RequestId, ResourceId, RouteId, SERVICE_PLAN};
pub use network::Network;
pub use pem::{PemBlock, pem_blocks};
pub use secret::Secret;
pub use status::{Status, UnknownStatus};
pub use time::{UnixMillis, UnixSeconds};
pub use url::HttpUrl;
pub use wallet_key::{SigningFailed, WalletKey};
