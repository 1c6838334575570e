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

/// A challenge for tests of this crate.
#[cfg(test)]
pub(crate) fn test_challenge() -> Challenge {
    use crate::types::{Network, RequestId, ResourceId, Secret, UnixSeconds, UsdcAmount};
    SealKeys::new(&Secret::new("test"), &[]).seal(Terms {
        request_id: RequestId::from_random([7; 16]),
        target: Target::Plan("basic".parse().unwrap()),
        resource: ResourceId::default(),
        amount: UsdcAmount::from_units(15_000),
        pay_to: "0x209693Bc6afc0C5328bA36FaF03C514EF312287C"
            .parse()
            .unwrap(),
        network: Network::BaseSepolia,
        issued_at: UnixSeconds(1_800_000_000),
        expires_at: UnixSeconds(1_800_000_960),
    })
}
