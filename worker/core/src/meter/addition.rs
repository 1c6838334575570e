//! What purchases add to a grant after it was founded.
//!
//! Each purchase adds at most once, whatever is lost or repeated: the grant stores what came of each. Before the money of
//! such a purchase goes back, its addition is withdrawn; from then on it cannot come any more. What was used is not
//! withdrawn, so no buyer has both the units and the money.

use serde::{Deserialize, Serialize};

use super::limits::Quota;
use super::message::Granted;
use super::state::{Meter, Stored};
use crate::types::{Address, PlanId, RequestId, UnixMillis};

/// The most additions to one grant. Each is stored until the grant is removed.
pub(super) const MAX_ADDITIONS: u32 = 1_000;

/// What is added to a grant.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Adds {
    /// How much may be used in addition. `None` where the grant has no quota either.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota: Option<Quota>,
    /// By how many seconds the grant ends later.
    pub seconds: u64,
}

/// A top-up: a purchase that adds to a grant.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TopUp {
    /// The purchase.
    pub purchase: RequestId,
    /// The plan that was bought for the grant.
    pub plan: PlanId,
    /// What it adds.
    pub adds: Adds,
    /// The wallet that pays.
    pub payer: Address,
    /// Whether the buyer has shown a token of the grant. If not, only the grant's own wallet may top it up.
    pub is_holder: bool,
    /// When the payment was first shown.
    pub shown_at: UnixMillis,
}

/// Why a grant takes no such top-up.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Barred {
    /// No delivered purchase has founded such a grant, or it is no more.
    NotGranted,
    /// It belongs to another wallet, and its token was not shown.
    NotYours,
    /// It is a grant of another plan.
    OtherPlan,
    /// The plan counts otherwise than the grant: calls, credit or nothing.
    OtherQuota,
    /// It was topped up as often as is possible.
    TooOften,
    /// The addition was withdrawn, so that the money can go back.
    Withdrawn,
}

/// What has come of a purchase that adds to a grant.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Addition {
    /// It was added.
    Added {
        /// What was added.
        adds: Adds,
        /// If the grant had ended before the payment was shown: the grant as it was then, and what was used of it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        anew: Option<(Granted, u64)>,
        /// The grant with it.
        grant: Granted,
    },
    /// It is not added, and never will be.
    Withdrawn,
}

impl Meter {
    /// Why this top-up would not be added. `None` if it would be.
    pub fn bars(&self, top_up: &TopUp) -> Option<Barred> {
        let Stored {
            granted, additions, ..
        } = self.stored();
        if !top_up.is_holder && top_up.payer != granted.payer {
            return Some(Barred::NotYours);
        }
        if top_up.plan != granted.plan {
            return Some(Barred::OtherPlan);
        }
        let is_alike = matches!(
            (granted.limits.quota, top_up.adds.quota),
            (Some(Quota::Calls(_)), Some(Quota::Calls(_)))
                | (Some(Quota::Credit(_)), Some(Quota::Credit(_)))
                | (None, None)
        );
        if !is_alike {
            return Some(Barred::OtherQuota);
        }
        (*additions >= MAX_ADDITIONS).then_some(Barred::TooOften)
    }

    /// What is to be stored once this top-up is added. A payment that was shown before the grant's end adds its time to
    /// that end and its units to what is left. A later one begins anew at `now`: what was left has ended with the grant.
    pub fn extended(&self, top_up: &TopUp, now: UnixMillis) -> Result<(Stored, Addition), Barred> {
        if let Some(why) = self.bars(top_up) {
            return Err(why);
        }
        let mut next = self.stored().clone();
        next.additions = next.additions.saturating_add(1);
        let Adds { quota, seconds } = top_up.adds;
        let is_alive = top_up.shown_at < next.granted.ends_at.to_millis();
        let anew = (!is_alive).then(|| (next.granted.clone(), next.used));
        match is_alive {
            true => {
                next.granted.ends_at = next.granted.ends_at.plus(seconds);
                next.granted.limits.quota = next.granted.limits.quota.zip(quota).map(sum);
            }
            false => {
                next.granted.from = now.to_seconds();
                next.granted.ends_at = next.granted.from.plus(seconds);
                next.granted.limits.quota = quota;
                next.used = 0;
            }
        }
        let addition = Addition::Added {
            adds: top_up.adds,
            anew,
            grant: next.granted.clone(),
        };
        Ok((next, addition))
    }

    /// What is to be stored once this addition is withdrawn. `None` if something of it was used.
    pub fn without(&self, addition: &Addition, now: UnixMillis) -> Option<Stored> {
        let mut next = self.stored().clone();
        let Addition::Added { adds, anew, grant } = addition else {
            return Some(next);
        };
        let taken = next.used.saturating_add(self.reserved());
        if let Some((before, used)) = anew {
            // What was added later stands on it.
            let is_last = next.granted == *grant;
            next.granted = before.clone();
            next.used = *used;
            return (is_last && taken == 0).then_some(next);
        }
        let ends_at = next.granted.ends_at.0.saturating_sub(adds.seconds);
        next.granted.ends_at.0 = ends_at;
        let is_unused_time = adds.seconds == 0 || now.to_seconds().0 < ends_at;
        let rest = match (next.granted.limits.quota, adds.quota) {
            (Some(all), Some(added)) => Some(all.less(added)),
            (all, _) => all,
        };
        let is_unused = rest.is_none_or(|rest| taken <= rest.units());
        next.granted.limits.quota = rest;
        (is_unused_time && is_unused).then_some(next)
    }
}

fn sum((all, added): (Quota, Quota)) -> Quota {
    all.with_units(all.units().saturating_add(added.units()))
}

impl Quota {
    fn less(self, added: Self) -> Self {
        self.with_units(self.units().saturating_sub(added.units()))
    }
}

#[cfg(test)]
mod tests;
