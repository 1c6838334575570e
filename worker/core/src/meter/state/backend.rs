//! Counts the calls that a backend serves by itself.
//!
//! Unlike the calls of the gateway these are written before the backend hears that they are counted: so each method says
//! what is to be stored, and [`Meter::adopt`] takes it over once it is.

use super::super::lease::{LEASE_MILLIS, Lease, remember};
use super::super::limits::Quota;
use super::super::message::{Consume, Lent, MeterReply, Refused, Report, Why};
use super::{Meter, Stored};
use crate::types::UnixMillis;

/// No lease is larger than this part of what is left, so that one backend does not keep it from the others.
const LENT_PART: u64 = 8;

impl Meter {
    /// Counts a call of a backend. Returns the reply, and what must be stored before it is given.
    pub fn consume(&mut self, ask: &Consume, now: UnixMillis) -> (MeterReply, Option<Stored>) {
        self.sweep(now);
        self.begin_period(now);
        let quota = self.stored.granted.limits.quota;
        let units = match (quota, ask.cost) {
            (None, _) => Some(0),
            (Some(_), None) => Some(1),
            (Some(quota), Some(cost)) => cost.of(quota),
        };
        let Some(units) = units else {
            return (MeterReply::OtherCost, None);
        };
        if let Err(why) = self.may_take(units, now) {
            return (self.refused(why, now), None);
        }
        let mut next = self.stored.clone();
        next.spend(units);
        next.period.1 = next.period.1.saturating_add(1);
        let standing = self.standing_of(&next, now);
        (MeterReply::Consumed(standing), Some(next))
    }

    fn may_take(&self, units: u64, now: UnixMillis) -> Result<(), Why> {
        let stored = &self.stored;
        if stored.revoked.is_some() {
            return Err(Why::Revoked);
        }
        if now.to_seconds() >= stored.granted.ends_at {
            return Err(Why::Ended);
        }
        if stored.left() == Some(0) {
            return Err(Why::UsedUp);
        }
        if stored.rest_of_period() == Some(0) {
            return Err(Why::TooFast);
        }
        match (stored.left(), self.reserved(now)) {
            // The last units are worth a call even if it costs more than they are.
            (Some(left), set_aside) if set_aside > 0 && left.saturating_sub(set_aside) < units => {
                Err(Why::Outstanding)
            }
            _ => Ok(()),
        }
    }

    /// Counts what a backend has used of its lease, and lends it more. Returns the reply, and what must be stored before it is
    /// given, if anything has changed.
    pub fn lend(&mut self, report: &Report, now: UnixMillis) -> (MeterReply, Option<Stored>) {
        self.sweep(now);
        self.begin_period(now);
        let mut next = self.stored.clone();
        let known = next.leases.iter().find(|known| known.id == report.lease);
        let is_known = known.is_some();
        let unknown = || Lease::unknown(report.lease, report.used, now);
        let mut lease = known.copied().unwrap_or_else(unknown);

        let more = report.used.saturating_sub(lease.counted);
        next.spend(more);
        lease.counted = lease.counted.saturating_add(more);
        let own = lease.outstanding(now);
        let share = match report.want {
            _ if lease.is_over() => Err(Why::Over),
            _ if report.done => Ok(0),
            0 => Ok(own),
            want => {
                let others = next.lent(Some(lease.id), now);
                let set_aside = self.under_way().saturating_add(others);
                next.share(want.into(), own, set_aside, now)
            }
        };
        let lent = share.unwrap_or_default();
        lease.up_to = lease.counted.saturating_add(lent);
        match share {
            _ if report.done => lease.until = UnixMillis(0),
            Ok(_) => lease.until = now.plus(LEASE_MILLIS),
            // Refusals may be many, and are not worth a write.
            Err(_) => {}
        }
        let has_room = (!is_known && lent == 0) || remember(&mut next.leases, lease, now);
        let share = share.and_then(|lent| has_room.then_some(lent).ok_or(Why::Outstanding));
        if share.is_ok() && next.counts_periods() {
            let begun = u32::try_from(lent.saturating_sub(own)).unwrap_or(u32::MAX);
            next.period.1 = next.period.1.saturating_add(begun);
        }
        let standing = self.standing_of(&next, now);
        let reply = match share {
            Ok(_) => MeterReply::Lent(Lent {
                up_to: lease.up_to,
                standing,
            }),
            Err(why) => MeterReply::Refused(Refused { why, standing }),
        };
        (reply, (next != self.stored).then_some(next))
    }

    /// Takes over what is stored now.
    pub fn adopt(&mut self, stored: Stored) {
        self.stored = stored;
        self.written();
    }

    fn refused(&self, why: Why, now: UnixMillis) -> MeterReply {
        let standing = self.standing_of(&self.stored, now);
        MeterReply::Refused(Refused { why, standing })
    }
}

impl Stored {
    /// How many units a backend may hold that would like to have so many and holds `own`. `set_aside`: what others hold.
    fn share(&self, want: u64, own: u64, set_aside: u64, now: UnixMillis) -> Result<u64, Why> {
        if self.revoked.is_some() {
            return Err(Why::Revoked);
        }
        if now.to_seconds() >= self.granted.ends_at {
            return Err(Why::Ended);
        }
        let most = match self.left() {
            None => want,
            Some(0) => return Err(Why::UsedUp),
            Some(left) => match left.saturating_sub(set_aside) {
                0 => return Err(Why::Outstanding),
                // Who asks has no use for what it holds. So it gets one more, as long as there is one.
                free => want.min((free / LENT_PART).max(own.saturating_add(1)).min(free)),
            },
        };
        let more = most.saturating_sub(own);
        let more = match self.rest_of_period() {
            Some(rest) if self.counts_periods() => more.min(rest.into()),
            _ => more,
        };
        match own.saturating_add(more) {
            0 => Err(Why::TooFast),
            lent => Ok(lent),
        }
    }

    /// How many calls may still begin in this period. `None` without a rate.
    fn rest_of_period(&self) -> Option<u32> {
        let rate = self.granted.limits.rate?;
        Some(rate.calls.saturating_sub(self.period.1))
    }

    /// Whether a unit that is lent is a call, so that it counts against the rate. Of a credit, nobody can tell.
    const fn counts_periods(&self) -> bool {
        !matches!(self.granted.limits.quota, Some(Quota::Credit(_)))
    }
}

#[cfg(test)]
mod tests;
