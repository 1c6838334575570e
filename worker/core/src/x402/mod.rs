//! The x402 door: `POST /x402/access` (x402 sheet, section 2). Wire types in, core calls, wire types out.

mod answer;
mod door;
mod offers;
mod proof;
mod repeat;
mod request;

pub use door::{Arrival, access};
