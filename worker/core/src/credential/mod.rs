//! What the buyer receives: the access token and the grant around it.

mod grant;
pub mod remote;
mod token;

pub use grant::{AccessGrant, resource_endpoint};
pub use token::{TokenInfo, TokenSigner, token_info};
