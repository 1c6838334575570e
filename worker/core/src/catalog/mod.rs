//! What the seller offers: plans, and the documents by which agents find them.

mod plan;

pub use plan::{Catalog, CatalogError, Plan, default_catalog};
