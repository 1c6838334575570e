//! Challenges: sealed offers, and the life of a purchase from the first payment attempt to its end.

mod driver;
mod lifecycle;
mod purchase;
mod record;
mod seal;
mod terms;

pub use driver::{CallFault, ChallengeEnv, ChallengeStore, Driver, StoreFault, Versioned};
pub use lifecycle::{Effect, Event, Refused, apply, next_effect, wake_at};
pub use purchase::{Ask, Join, Pay, PayReply, Purchases, purchase};
pub use record::{Attempt, AuditRow, Payment, Record, Stage, State};
pub use seal::{Challenge, ChallengeId, SealKeys};
pub use terms::{Target, Terms, lifetime};

#[cfg(test)]
pub(crate) mod test_support;
#[cfg(test)]
pub(crate) use test_support::test_challenge;
