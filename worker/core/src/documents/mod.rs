//! What is published about the seller and its plans.

mod agent_card;
mod discover;

pub use agent_card::{AgentCardVersion, agent_card};
pub use discover::{NextStep, discover};
