//! The ways to get a payment included: facilitators, and the gas wallet.

pub mod cdp;
pub mod facilitator;
pub mod routes;

pub use routes::{Route, Settlement};
pub mod wallet;
