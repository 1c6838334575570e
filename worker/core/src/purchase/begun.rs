//! The result of an attempt to begin a purchase, by a payment or by a proof.

use super::env::{PurchaseEnv, Stuck};
use super::reply::PayReply;

/// The result of an attempt to begin a purchase.
pub(super) enum Begun {
    /// Nothing was begun, and this is the reply.
    Refused(PayReply),
    /// The purchase or its next attempt has begun.
    Now,
    /// The record has changed meanwhile, and must be read again.
    LookAgain,
    /// Another purchase of this payment or target is being checked right now.
    Wait,
}

/// The reply when an earlier attempt was made and the chain cannot tell now what became of it.
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
