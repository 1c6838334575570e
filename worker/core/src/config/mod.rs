//! The deployment's settings: read once, checked as a whole, typed from there on.
//!
//! Every problem is reported at once, by name and reason. No message repeats a value: it might be a secret.

mod a2a;
mod backend;
mod backend_auth;
mod chain;
mod gas;
mod gas_limit;
mod ledger;
mod mcp;
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
pub use chain::ChainSettings;
pub use gas::GasSettings;
pub use gas_limit::GasLimit;
pub use mcp::McpSettings;
pub use offers::{OfferSettings, ProofBinding};
pub use policy::Policy;
pub use problem::Problem;
pub use read::CATALOG_FILE;
pub use refund::RefundSettings;
pub use seller::{Provider, Seller};
pub use settings::Config;
#[cfg(test)]
pub(crate) use tests::{test_config, test_var};
pub use token::TokenSettings;
pub use wallets::SellerWallets;
