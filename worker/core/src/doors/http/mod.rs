//! The x402 door: `POST /x402/access`.

mod answer;
mod arrival;
mod door;
mod request;

pub use arrival::Arrival;
pub use door::access;
