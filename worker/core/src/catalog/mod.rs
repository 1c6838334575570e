//! What the seller offers: plans, and the documents by which agents find them.

mod plan;
mod read;

pub use plan::{Catalog, Plan, default_catalog};
pub use read::CatalogError;
