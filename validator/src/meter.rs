//! Has the calls of plans with limits counted by the gateway, many with one question.

mod body;
mod client;
mod grant;
mod layer;
mod message;
mod refusal;

pub use body::MeteredBody;
pub use client::CallMeter;
pub use layer::{MeterLayer, Metered};
pub use refusal::MeterRefusal;
