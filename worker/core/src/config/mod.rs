//! The deployment's settings. They are read once, checked as a whole, and typed from then on.
//!
//! Every problem is reported at once, with the setting's name and the reason. No message repeats a value, which might
//! be a secret.

mod a2a;
mod backend;
mod backend_auth;
mod catalog;
mod chain;
mod documents;
mod gas;
mod gas_limit;
mod gateway;
mod ledger;
mod mcp;
mod mpp;
mod offers;
mod policy;
mod problem;
mod read;
mod refund;
mod safety;
mod seal;
mod secrets;
mod seller;
mod settings;
mod settlement;
#[cfg(test)]
mod tests;
mod token;
mod vars;
mod wallets;

pub use a2a::A2aSettings;
pub use backend::BackendSettings;
pub use catalog::CATALOG_FILE;
pub use chain::ChainSettings;
pub use documents::DocumentSettings;
pub use gas::GasSettings;
pub use gas_limit::GasLimit;
pub use gateway::GatewaySettings;
pub use mcp::McpSettings;
pub use mpp::MppSettings;
pub use offers::{OfferSettings, ProofBinding};
pub use policy::Policy;
pub use problem::Problem;
pub use refund::RefundSettings;
pub use seller::{Provider, Seller};
pub use settings::Config;
#[cfg(test)]
pub(crate) use tests::{test_config, test_var};
pub use token::TokenSettings;
pub use wallets::SellerWallets;
