//! What the seller offers: plans, and the documents by which agents find them.

mod list;
mod plan;
mod read;

pub use list::{Catalog, default_catalog};
pub use plan::Plan;
pub use read::CatalogError;
