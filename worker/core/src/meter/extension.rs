//! What an addition to a grant changes, and what its withdrawal does.

use super::addition::{Addition, Adds, Barred, TopUp};
use super::limits::Quota;
use super::state::{Meter, Stored};
use crate::types::UnixMillis;

/// The most additions to one grant. Each is stored until the grant is removed.
pub(super) const MAX_ADDITIONS: u32 = 1_000;

impl Meter {
    /// Why this top-up would not be added. `None` if it would be.
    pub fn bars(&self, top_up: &TopUp) -> Option<Barred> {
        let Stored {
            granted,
            additions,
            revoked,
            ..
        } = self.stored();
        if !top_up.is_holder && top_up.payer != granted.payer {
            return Some(Barred::NotYours);
        }
        if revoked.is_some() {
            return Some(Barred::Revoked);
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
                // Of time that has passed before it could be added, the buyer has had nothing.
                let from = next.granted.ends_at.max(now.to_seconds());
                next.granted.ends_at = from.plus(seconds);
                next.granted.limits.quota = next.granted.limits.quota.zip(quota).map(sum);
            }
            false => {
                next.granted.from = now.to_seconds();
                next.granted.ends_at = next.granted.from.plus(seconds);
                next.granted.limits.quota = quota;
                next.used = 0;
                next.leases.clear();
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
        let taken = next.used.saturating_add(self.reserved(now));
        if let Some((before, used)) = anew {
            // What was added later stands on it.
            let is_last = next.granted == *grant;
            // Without a quota nobody can tell whether its time was used.
            let is_counted = next.granted.limits.quota.is_some();
            next.granted = before.clone();
            next.used = *used;
            return (is_last && is_counted && taken == 0).then_some(next);
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
