//! What the seller offers: plans, and the documents by which agents find them.

mod agent_card;
mod discover;
mod plan;

pub use agent_card::{AgentCardVersion, agent_card};
pub use discover::{NextStep, discover};
pub use plan::{Catalog, CatalogError, Plan, default_catalog};
