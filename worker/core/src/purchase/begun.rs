//! What came of trying to begin a purchase, by a payment or by a proof.

use super::env::{PurchaseEnv, Stuck};
use super::reply::PayReply;

/// What came of trying to begin.
pub(super) enum Begun {
    /// The outcome is known.
    Refused(PayReply),
    /// An attempt has begun.
    Now,
    /// The record has changed.
    LookAgain,
    /// Another purchase of this payment or target is being checked right now.
    Wait,
}

/// An attempt was made, and the chain cannot tell what became of it.
pub(super) fn unknown<E: PurchaseEnv>(env: &E, stuck: &Stuck) -> Begun {
    if let Stuck::Fault(fault) = stuck {
        env.log("check_failed", fault);
    }
    Begun::Refused(PayReply::Pending { transaction: None })
}

pub(super) fn unavailable<E: PurchaseEnv>(env: &E, fault: &str) -> Begun {
    env.log("check_failed", fault);
    Begun::Refused(PayReply::Unavailable)
}
