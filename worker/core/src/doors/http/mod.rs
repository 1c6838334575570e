//! The x402 door: `POST /x402/access`.

mod answer;
mod door;
mod offers;
mod proof;
mod repeat;
mod request;

pub use door::{Arrival, access};
