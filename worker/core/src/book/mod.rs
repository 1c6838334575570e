//! The book of one payer: which purchase each of its payments belongs to, and which of its purchases are under way.
//!
//! One payment never counts twice. And an agent that lost an answer and signs anew is not charged anew: while its
//! purchase of a target is unresolved, a second payment for the same target is booked to that purchase and never
//! broadcast, unless the client chose the second purchase's request id itself.
//!
//! The book counts what the payer has under way. The payer's balance may cover each of a thousand authorizations alone,
//! but not all of them together: each but the first would revert at the gas wallet's cost. So before anything is sent,
//! the book sets the price aside against the balance that was just read. A wallet that is a contract may accept a
//! transfer in the simulation and refuse it when it is executed, so such a wallet may have only a few purchases under
//! way at a time, and a payer whose transfers revert must wait.

mod booking;
mod command;
mod execute;
mod find;
mod grants;
#[cfg(test)]
pub(crate) mod memory;
mod standing;
mod store;
mod target;
#[cfg(test)]
mod tests;

pub use booking::{
    BALANCE_LAG_MILLIS, BOUND_MILLIS, Booking, HOLD_MILLIS, LAST_ATTEMPT, MAX_BOUND, NO_ATTEMPT,
    Open, RECENT_MILLIS, Recent,
};
pub use command::{
    Claim, Hold, Look, Outcome, PayerCode, PayerCommand, PayerReply, Reservation, Seen,
};
pub use execute::execute;
pub use grants::{BoughtGrant, FindGrants, LISTED_SECONDS, MAX_FOUND};
pub use standing::{Calls, Standing};
pub use store::{PayerStore, UnderWay};
pub use target::TargetKey;
