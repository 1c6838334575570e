//! The one call that every door makes: what it costs, what a payment brings, what became of it.
//!
//! A door reads its wire into an [`Order`] and a [`Payment`], calls [`Checkout`], and writes the [`Outcome`] in its own words.

mod desk;
mod grant;
mod order;
mod outcome;
mod pay;
mod payment;
mod quote;
mod redeem;
mod reply;
mod status;
mod stop;

pub use desk::{Checkout, Deployment};
pub use grant::{AccessGrant, GrantError};
pub use order::{Claim, Order};
pub use outcome::{Outcome, Phase, Unpaid};
pub use payment::{Echo, Payment, TransferProof};
pub use quote::{Priced, Quote};
pub use stop::{Retry, Stop};
