//! The doors for buyers, callers and the operator. A door reads a request in its own format, asks the rooms below, and
//! writes the answer.

pub mod a2a;
mod access_request;
pub mod admin;
pub mod call;
mod described;
mod former;
mod free;
pub mod gateway;
pub mod grants;
pub mod http;
mod instructions;
pub mod mcp;
mod misplaced;
mod mpp;
mod near;
mod proof;
mod resource_response;
#[cfg(test)]
mod sketch;
#[cfg(test)]
pub(crate) mod test_support;
mod whole;
