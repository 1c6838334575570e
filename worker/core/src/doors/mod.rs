//! The ways in. A door reads its wire format, asks the rooms below, and writes the answer.

pub mod a2a;
mod access_request;
pub mod admin;
pub mod http;
mod instructions;
pub mod mcp;
mod near;
mod proof;
#[cfg(test)]
mod sketch;
#[cfg(test)]
pub(crate) mod test_support;
mod whole;
