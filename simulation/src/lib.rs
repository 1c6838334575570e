//! The simulation of key0's purchases: the real lifecycle, payer book and gas wallet run against a model chain, model
//! storage and a model network that fail in every way, driven by one seed.
//!
//! A run has two phases. While faults strike, buyers buy, retry, give up and come back, and others interfere. Then nothing
//! goes wrong any more, and the world runs until everything must have come to rest. [`rules`] watches every step and
//! compares the end with the model chain.

#![forbid(unsafe_code)]
#![expect(
    clippy::indexing_slicing,
    reason = "a test tool: an index out of bounds is a bug to stop at"
)]

pub mod actors;
pub mod aftermath;
pub mod backend;
pub mod chain;
pub mod executor;
pub mod facilitator;
pub mod faults;
pub mod journal;
pub mod network;
pub mod objects;
pub mod oneshot;
pub mod origin;
pub mod random;
pub mod rpc;
pub mod rules;
pub mod run;
pub mod setting;
pub mod world;
