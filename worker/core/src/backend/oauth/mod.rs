//! OAuth 2.0 client credentials: the client, and the keeper of its one token.

mod client;
mod keeper;

pub use client::{HeldToken, MAX_TOKEN_ANSWER_BYTES, OAuthClient, TOKEN_DEADLINE_MILLIS};
pub use keeper::{TokenEnv, TokenKeeper};
