//! Facilitators: the requests to them, and how their answers are read.
//!
//! A request is built from our own terms, never from what the client repeated. It names neither the offer nor the
//! purchase, because whoever knows both of them and the payment can ask for the grant. An answer proves nothing: what
//! it says about money is checked on the chain before it counts.

mod answer;
mod call;
mod redirect;
#[cfg(test)]
mod tests;

pub use answer::{FacilitatorAnswer, Settled, Verification, supports};
pub use call::{Action, Facilitator, FacilitatorCall, MAX_ANSWER_BYTES, request};
pub use redirect::{MAX_REDIRECTS, host_of, redirect};
