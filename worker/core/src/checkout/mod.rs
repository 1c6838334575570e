//! What every door asks for: a price, a payment, a grant.

mod grant;

pub use grant::{AccessGrant, resource_endpoint};
