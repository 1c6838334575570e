//! What the seller offers: plans and routes, and which route a request calls.

mod find;
mod list;
mod own_paths;
mod path;
mod plan;
pub mod read;
mod request_path;
mod route;
mod sample;
#[cfg(test)]
pub(crate) mod testing;

pub use find::{Found, spelt_as};
pub use list::{Catalog, default_catalog};
pub use own_paths::is_own_path;
pub use path::{PathTemplate, Segment};
pub use plan::Plan;
pub use route::{Charged, Route, Settle, Shapes, StatusRange};
pub use sample::Parameter;
