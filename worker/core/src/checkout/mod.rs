//! The one way from every door to a purchase. A door reads a request in its own protocol, calls one of these methods,
//! and writes the answer:
//!
//! | call | when | ends in |
//! |---|---|---|
//! | [`Checkout::quote`] | a client asks for the price | a [`Quote`], or a [`Stop`] |
//! | [`Checkout::pay`] | it sends an [`Order`] and a signed [`Payment`] | an [`Outcome`] |
//! | [`Checkout::redeem`] | it shows a [`TransferProof`] of a transfer that it made itself | an [`Outcome`] |
//! | [`Checkout::status`] | it asks again, and the door kept the [`Claim`] of an earlier outcome | an [`Outcome`] |
//!
//! An [`Outcome`] says what happened, in words for every door ([`Outcome::error`]), and whether another payment is safe. The
//! door `doors/sketch.rs` is as small as a door can be.

mod brought;
mod desk;
mod grant;
mod order;
mod outcome;
mod owned;
mod pay;
mod payment;
mod quote;
mod redeem;
mod reply;
mod status;
mod stop;

pub use brought::{Brought, Calls, MAX_TOLD_BYTES};
pub use desk::{Checkout, Deployment};
pub use grant::{AccessGrant, GrantError};
pub use order::{Claim, Order};
pub use outcome::{Outcome, Phase, Unpaid};
pub use owned::{Books, OwnGrant, OwnGrants, SignedNonce};
pub use payment::{Echo, Payment, TransferProof};
pub use quote::{Priced, Quote};
pub use stop::{Retry, Stop};

#[cfg(test)]
mod tests;
