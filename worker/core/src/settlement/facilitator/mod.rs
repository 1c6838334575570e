//! A facilitator: what it is asked, and how its answers are read.
//!
//! What is sent is built from our own terms, never from what the client echoed; and it names neither offer nor request,
//! because who knows both these and the payment can ask for the grant. An answer is only a claim. What it says of money is
//! checked on the chain before it counts.

mod answer;
mod call;
mod redirect;
#[cfg(test)]
mod tests;

pub use answer::{FacilitatorAnswer, Settled, Verification, supports};
pub use call::{Action, Facilitator, FacilitatorCall, MAX_ANSWER_BYTES, request};
pub use redirect::{MAX_REDIRECTS, host_of, redirect};
