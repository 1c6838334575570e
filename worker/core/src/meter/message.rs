//! What is said between the place that forwards a call and the place that counts it.
//!
//! Each message may be lost, may arrive twice, and may arrive after a later one. Therefore a call has an id of its own, and
//! what is told of it is its whole fate so far, never a step from the one before.

use core::future::Future;

use serde::{Deserialize, Serialize};

use super::addition::{Barred, TopUp};
use super::cost::Cost;
use super::granted::Granted;
use super::lease::LeaseId;
use super::limits::Limits;
use crate::types::{Address, CallFault, RequestId, UnixMillis, UnixSeconds};

/// The id of one call: random, so that no two calls share one.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct CallId(u128);

impl CallId {
    /// The id that these random bytes make.
    pub const fn from_random(bytes: [u8; 16]) -> Self {
        Self(u128::from_be_bytes(bytes))
    }
}

/// A message to the place that counts the calls of a grant.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum MeterCommand {
    /// May this call be made?
    Reserve(Reserve),
    /// What has become of a call.
    Tell(Tell),
    /// Would this top-up be added?
    MayExtend(TopUp),
    /// Add this top-up. Repeated, it changes nothing, and gets the same reply.
    Extend(TopUp),
    /// Take back what this purchase has added, and add nothing for it from now on.
    Withdraw {
        /// The purchase.
        purchase: RequestId,
    },
    /// How does the grant stand?
    Look,
    /// Take the grant back: from now on it opens nothing. Calls under way go on. A repetition changes nothing.
    Revoke(Revoker),
    /// A backend has served a call, or is about to: it is counted.
    Consume(Consume),
    /// A backend says what it has used of its lease, and asks for more.
    Lease(Report),
}

/// Counts a call at once.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Consume {
    /// The backend's name for the call: the same name is counted once.
    pub key: String,
    /// What the call costs; `None` for one unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<Cost>,
}

/// What a backend says of its lease.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The lease.
    pub lease: LeaseId,
    /// The units that were used of it since it began: a number that only grows.
    pub used: u64,
    /// How many units the backend would like to have lent from now on; with 0 it only reports.
    pub want: u32,
    /// Whether the lease is over, and what is not used of it is given back.
    pub done: bool,
}

/// The question whether a call may be made. If so, its units and its place among the calls under way are set aside.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Reserve {
    /// The call.
    pub call: CallId,
    /// The most that it may cost, as the route says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_cost: Option<Cost>,
    /// After so many milliseconds without news of the call, what was set aside is free again.
    pub lease: u64,
}

/// What has become of a call so far.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Tell {
    /// The call.
    pub call: CallId,
    /// The [`Pass::meter`] of its reservation.
    pub meter: u64,
    /// What it takes.
    pub fate: Fate,
    /// Whether it is over. Otherwise it is under way for another lease.
    pub is_over: bool,
    /// Whether the same was told before, and may have been heard.
    pub is_again: bool,
    /// When it is told.
    pub at: UnixMillis,
    /// As in [`Reserve`].
    pub lease: u64,
}

/// What a call takes of its grant.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Fate {
    /// So many units, because the API has answered.
    Spent(u64),
    /// Nothing.
    GivenBack,
}

/// Who takes a grant back.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Revoker {
    /// The operator.
    Operator,
    /// The wallet that paid.
    Payer,
}

/// That a grant was taken back.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Revoked {
    /// Who has done it.
    pub by: Revoker,
    /// When.
    pub at: UnixMillis,
}

/// What is told of a grant to its payer and to the operator.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Told {
    /// How it stands.
    pub standing: Standing,
    /// The wallet that paid.
    pub payer: Address,
    /// Whether it was taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked: Option<Revoked>,
}

/// The reply to a [`MeterCommand`].
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum MeterReply {
    /// The call may be made.
    Reserved(Pass),
    /// The call must not be made.
    Refused(Refused),
    /// No purchase has sold such a grant, or it is not delivered.
    NotGranted,
    /// What was told is known.
    Heard,
    /// The top-up would be added.
    MayExtend,
    /// The top-up is added. What the grant is good for with it: what was replied the first time.
    Extended(Granted),
    /// The top-up is not added, and that does not change: see [`Barred`].
    Barred(Barred),
    /// Nothing is added for the purchase, and nothing ever will be.
    Withdrawn,
    /// (For `Look` and `Revoke`.) How the grant stands now.
    Stands(Told),
    /// The call is counted.
    Consumed(Standing),
    /// What was used is counted, and so much may be used in all.
    Lent(Lent),
    /// The cost is one of calls and the quota one of dollars, or the reverse. Nothing was counted.
    OtherCost,
}

/// How a lease stands.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Lent {
    /// What may be used of it in all, counted like [`Report::used`], until nothing was reported for a minute.
    pub up_to: u64,
    /// How the grant stands. What is lent is not left.
    pub standing: Standing,
}

/// A call that may be made.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Pass {
    /// Names the memory that knows the reservation: another number says that this memory was lost.
    pub meter: u64,
    /// How the grant stands. What is set aside for this call is still left.
    pub standing: Standing,
}

/// A call that must not be made.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Refused {
    /// Why.
    pub why: Why,
    /// How the grant stands.
    pub standing: Standing,
}

/// Why a call must not be made.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Why {
    /// The calls of this period are made.
    TooFast,
    /// As many calls as are allowed at a time are under way.
    TooMany,
    /// What is left is set aside for calls under way, and may come back.
    Outstanding,
    /// Nothing is left.
    UsedUp,
    /// The grant has ended.
    Ended,
    /// The grant was taken back.
    Revoked,
    /// The call, or the lease, has ended before: this question was late.
    Over,
}

/// How a grant stands.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Standing {
    /// What was promised.
    pub limits: Limits,
    /// The units that are left and not set aside; zero without a quota.
    pub left: u64,
    /// How many calls may still begin in this period; zero without a rate.
    pub left_now: u32,
    /// In how many seconds the next period begins; zero without a rate.
    pub next_in: u64,
    /// When the grant ends.
    pub ends_at: UnixSeconds,
}

/// The grants with a meter, which are found by their ids.
pub trait Meters {
    /// Sends a message to the place that counts the calls of this grant.
    fn ask(
        &self,
        grant: &str,
        command: &MeterCommand,
    ) -> impl Future<Output = Result<MeterReply, CallFault>>;
}
