//! The x402 door: `POST /x402/access`.

pub(super) mod answer;
mod arrival;
mod door;
pub(super) mod request;

pub use arrival::Arrival;
pub use door::access;
