//! The life of a purchase, from the first payment attempt to its end.

mod access;
mod admission;
mod ask;
mod begin;
mod begun;
mod driver;
mod effects;
mod env;
mod fault;
mod granted;
mod hold;
mod lifecycle;
mod notice;
mod operator;
mod origin;
mod outbox;
mod outlook;
mod prove;
mod question;
mod rearm;
mod reply;
mod report;
mod retention;
mod route_health;
mod schedule;
mod shared;
mod sold;
mod state;
mod store;
mod stored_form;
mod stream;
mod tell;
#[cfg(test)]
pub(crate) mod test_support;

pub use ask::{Answered, Purchases, joined, purchase};
pub use driver::Driver;
pub use effects::refund_nonce;
pub use env::{PurchaseEnv, PurchaseStore, StoreFault, Versioned};
pub use fault::RefundFault;
pub use granted::granted;
pub use lifecycle::{Event, MAX_REFUND_FAILURES, Refused, apply};
pub use operator::{AuditLine, Call, History, OperatorCommand, OperatorReply, Operators, operate};
pub use origin::{API_FAILS, Arrived, OriginCall, Streams};
pub use outbox::{Message, Notice, NoticeKind, Outbox, Sending, Tries};
pub use question::{Ask, Join, Pay, Prove, Sale};
pub use rearm::nudge;
pub use reply::{NotNow, PayReply};
pub use report::ledger_entry;
pub use retention::{CALL_KEPT_MILLIS, HISTORY_MILLIS, UNCHARGED_KEPT_MILLIS};
pub use route_health::RouteHealth;
pub use schedule::{Effect, next_effect, next_message, wake_at};
pub use shared::{RouteFault, Shared};
pub use sold::{Access, Sold, SoldCall};
pub use state::{
    Attempt, AuditRow, Broadcast, Calling, DeliveryFailure, Payment, Presented, Proof, Purchase,
    Refund, RefundStage, Rest, Sent, Stage, State,
};
pub use stream::{Awaited, StreamEnd};
#[cfg(test)]
pub(crate) use test_support::test_offer;
