//! The A2A door: agents buy in a conversation (<https://a2a-protocol.org/latest/specification/>), in protocol versions 1.0 and
//! 0.3, with the extension for x402 payments (<https://github.com/google-agentic-commerce/a2a-x402>).
//!
//! Inside, everything has the form of version 1.0: what arrives is translated into that form, and what leaves is
//! translated back ([`dialect`]). A conversation consists of tasks ([`task`]); the tasks of one context live in one
//! object ([`tasks`]).

mod desk;
mod dialect;
mod door;
mod fault;
mod hear;
mod ids;
mod message;
mod network;
mod outcome;
mod params;
mod pay;
mod rpc;
mod show;
mod task;
mod tasks;
#[cfg(test)]
mod test_support;
mod words;

pub use desk::Desk;
pub use door::{Arrival, answer, is_call};
pub use ids::{ContextKey, TaskId};
pub use task::{Known, Presented, Said, Stage, Task, Turn};
pub use tasks::{
    Conversations, MAX_COUNTED, MAX_UNPAID, Page, Place, Standing, TaskCommand, TaskReply,
    TaskStore, execute,
};
