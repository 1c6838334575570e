//! The MCP door: tools for models (<https://modelcontextprotocol.io/specification/2026-07-28>), over Streamable HTTP.
//!
//! Nothing is remembered between two requests. Clients that begin with a handshake and clients that name their version
//! in each request are served at one address; `era.rs` tells them apart. Payments follow x402 over MCP
//! (<https://github.com/x402-foundation/x402/blob/main/specs/transports-v2/mcp.md>): the offer is a tool's result, and
//! the payment comes with the same call, made again.

mod answer;
mod call;
mod door;
mod era;
mod http;
mod rpc;
mod tools;

pub use door::{Arrival, answer};
pub use http::MAX_BODY_BYTES;
