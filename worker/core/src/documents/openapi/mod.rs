//! The OpenAPI document, for registries and programs.

mod document;
mod operation;
mod payment;
mod schemas;

pub use document::openapi;
