//! The deployment's settings: read once, checked as a whole, typed from there on.
//!
//! Every problem is reported at once, by name and reason. No message repeats a value: it might be a secret.

mod backend;
mod factories;
mod gas_limit;
mod ledger;
mod policy;
mod problem;
mod proof;
mod read;
mod safety;
mod seal;
mod settings;
mod settlement;
#[cfg(test)]
mod tests;
mod vars;

pub use gas_limit::GasLimit;
pub use policy::Policy;
pub use problem::Problem;
pub use proof::ProofBinding;
pub use settings::{Config, Provider, Seller};
#[cfg(test)]
pub(crate) use tests::{test_config, test_var};
