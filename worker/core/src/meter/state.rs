//! How the calls of one grant are counted.
//!
//! What is stored holds only the units of calls that the seller's API has answered. What is set aside for calls under way is in
//! memory, each with a lease: whoever forwards a call may die, and then its units and its place are free again. So a crash
//! takes nothing from the buyer, and costs the seller at most what was not written yet and the calls that were under way.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::granted::Granted;
use super::lease::{Lease, LeaseId};
use super::limits::{Period, Quota};
use super::message::{CallId, Fate, Pass, Refused, Reserve, Revoked, Standing, Tell, Told, Why};
use crate::pauses::METER_LATE;
use crate::types::UnixMillis;

/// What was counted is written after so many calls.
pub const MOST_UNWRITTEN: u32 = 20;
/// What was counted is written this long after the first call that is not written.
pub const UNWRITTEN_MILLIS: u64 = 5_000;
/// How long a grant is kept after its end.
pub const KEPT_MILLIS: u64 = 35 * 24 * 3_600_000;
/// How long a call that is over is remembered: longer than any message about it is under way.
const REMEMBERED_MILLIS: u64 = 60_000;
/// From one call to the next, what a call is expected to cost falls by this part.
const FORGOTTEN_PART: u64 = 8;

/// What is stored of a grant.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Stored {
    /// What was sold, and what was added since.
    pub granted: Granted,
    /// The units of all calls that were answered; at most the quota.
    pub used: u64,
    /// The current period of the rate: the second in which it began, and how many calls have begun since.
    pub period: (u64, u32),
    /// What a call is expected to cost at most: the largest cost of late.
    pub dear: u64,
    /// How many purchases have added to it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub additions: u32,
    /// Whether the grant was taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked: Option<Revoked>,
    /// The grant's id, for as long as the list of revoked grants has not heard of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unlisted: Option<String>,
    /// What is lent to backends, and what they have used of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) leases: Vec<Lease>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it")]
const fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// What is known of a call under way.
#[derive(Clone, Copy, Debug)]
struct Open {
    /// The units that are set aside; `None` once they are spent.
    reserved: Option<u64>,
    /// The end of its lease.
    until: UnixMillis,
}

/// What is remembered of a call that is over.
#[derive(Clone, Copy, Debug)]
struct Over {
    /// Whether its fate is not known, because its lease has ended before it was told.
    is_lost: bool,
    until: UnixMillis,
}

/// The meter of one grant.
#[derive(Debug)]
pub struct Meter {
    /// Names this memory.
    id: u64,
    /// When this memory began.
    began: UnixMillis,
    stored: Stored,
    /// How many counted calls are not written, and since when. `None` if nothing is to be written.
    unwritten: Option<(u32, UnixMillis)>,
    open: HashMap<CallId, Open>,
    over: HashMap<CallId, Over>,
    /// When the calls that are over were last forgotten.
    swept_at: UnixMillis,
}

impl Stored {
    /// A grant of which nothing is used.
    pub const fn new(granted: Granted) -> Self {
        Self {
            granted,
            used: 0,
            period: (0, 0),
            dear: 1,
            additions: 0,
            revoked: None,
            unlisted: None,
            leases: Vec::new(),
        }
    }

    /// What is not used of the quota. `None` without a quota.
    fn left(&self) -> Option<u64> {
        let quota = self.granted.limits.quota?;
        Some(quota.units().saturating_sub(self.used))
    }

    /// The units that are lent to backends; those of this one left out.
    fn lent(&self, but: Option<LeaseId>, now: UnixMillis) -> u64 {
        let others = self.leases.iter().filter(|lease| Some(lease.id) != but);
        let lent = others.map(|lease| lease.outstanding(now));
        lent.fold(0, u64::saturating_add)
    }

    /// Counts units; never more than was sold.
    fn spend(&mut self, units: u64) {
        if let Some(quota) = self.granted.limits.quota {
            self.used = self.used.saturating_add(units).min(quota.units());
        }
    }

    /// When it is removed.
    pub const fn kept_until(&self) -> UnixMillis {
        self.granted.ends_at.to_millis().plus(KEPT_MILLIS)
    }
}

impl Meter {
    /// Goes on from what is stored. `id`: a random number.
    pub fn new(id: u64, stored: Stored, now: UnixMillis) -> Self {
        Self {
            id,
            began: now,
            stored,
            unwritten: None,
            open: HashMap::new(),
            over: HashMap::new(),
            swept_at: UnixMillis(0),
        }
    }

    /// What is to be stored.
    pub const fn stored(&self) -> &Stored {
        &self.stored
    }

    /// How many counted calls are not written, and since when. `None` if nothing is to be written.
    pub const fn unwritten(&self) -> Option<(u32, UnixMillis)> {
        self.unwritten
    }

    /// Whether something is set aside. Then this memory must not be given up for idleness.
    pub fn is_busy(&mut self, now: UnixMillis) -> bool {
        self.sweep(now);
        !self.open.is_empty()
    }

    /// Goes on from what was just written in place of what was stored. If the grant begins anew, calls that began before do
    /// not count for it.
    pub fn replaced(&mut self, stored: Stored, now: UnixMillis) {
        let begins_anew = stored.granted.from != self.stored.granted.from;
        self.stored = stored;
        self.written();
        if begins_anew {
            let open: Vec<_> = self.open.drain().map(|(call, _)| call).collect();
            for call in open {
                self.end(call, false, now);
            }
        }
    }

    /// Notes that everything is written.
    pub const fn written(&mut self) {
        self.unwritten = None;
    }

    /// Takes the grant back, unless that was done before. It must be stored before anybody hears of it.
    /// `grant`: its id, by which it is to be listed.
    pub fn revoke(&mut self, revoked: Revoked, grant: &str) {
        if self.stored.revoked.is_none() {
            self.stored.revoked = Some(revoked);
            self.stored.unlisted = Some(grant.to_owned());
        }
    }

    /// Notes that the list of revoked grants has heard of it.
    pub fn listed(&mut self) {
        self.stored.unlisted = None;
    }

    /// How the grant stands, for its payer and the operator.
    pub fn look(&mut self, now: UnixMillis) -> Told {
        self.sweep(now);
        self.begin_period(now);
        Told {
            standing: self.standing(now),
            payer: self.stored.granted.payer,
            revoked: self.stored.revoked,
        }
    }

    /// Sets aside what a call may take, or says why it must not be made.
    pub fn reserve(&mut self, ask: &Reserve, now: UnixMillis) -> Result<Pass, Refused> {
        self.sweep(now);
        self.begin_period(now);
        if let Some(Open {
            reserved: Some(units),
            ..
        }) = self.open.get(&ask.call)
        {
            let units = *units;
            return Ok(self.pass(units, now));
        }
        let units = self.admit(ask, now).map_err(|why| Refused {
            why,
            standing: self.standing(now),
        })?;
        let limits = self.stored.granted.limits;
        self.stored.period.1 = self.stored.period.1.saturating_add(1);
        // A second is shorter than any memory.
        if limits.rate.is_some_and(|rate| rate.per != Period::Second) {
            self.note(u32::from(limits.quota.is_none()), now);
        }
        match limits.is_followed() {
            true => {
                let open = Open {
                    reserved: Some(units),
                    until: now.plus(ask.lease),
                };
                self.open.insert(ask.call, open);
            }
            false => self.end(ask.call, false, now),
        }
        Ok(self.pass(units, now))
    }

    /// The units to be set aside for a call that may be made.
    fn admit(&self, ask: &Reserve, now: UnixMillis) -> Result<u64, Why> {
        let Stored {
            granted,
            period,
            dear,
            revoked,
            ..
        } = &self.stored;
        let limits = &granted.limits;
        let known = self.open.contains_key(&ask.call) || self.over.contains_key(&ask.call);
        if known {
            return Err(Why::Over);
        }
        if revoked.is_some() {
            return Err(Why::Revoked);
        }
        if now.to_seconds() >= granted.ends_at {
            return Err(Why::Ended);
        }
        let left = self.stored.left();
        if left == Some(0) {
            return Err(Why::UsedUp);
        }
        if limits.rate.is_some_and(|rate| period.1 >= rate.calls) {
            return Err(Why::TooFast);
        }
        let under_way = u32::try_from(self.open.len()).unwrap_or(u32::MAX);
        if under_way >= limits.most_at_a_time() {
            return Err(Why::TooMany);
        }
        let (Some(quota), Some(left)) = (limits.quota, left) else {
            return Ok(0);
        };
        let most = ask.max_cost.and_then(|cost| cost.of(quota));
        // The seller has not said what the call may cost. Most calls count as one, so the largest count of late is a fair
        // guess. There is none for a price: all that is left is set aside, so such calls go one at a time.
        let unknown = match quota {
            Quota::Calls(_) => *dear,
            Quota::Credit(_) => left,
        };
        let wanted = most.unwrap_or(unknown).max(1);
        match self.reserved(now) {
            // The last units are worth a call even if it may cost more than they are.
            0 => Ok(wanted.min(left)),
            reserved if left.saturating_sub(reserved) < wanted => Err(Why::Outstanding),
            _ => Ok(wanted),
        }
    }

    /// Takes note of what has become of a call.
    pub fn tell(&mut self, told: &Tell, now: UnixMillis) {
        self.sweep(now);
        // Its reservation was lost with the memory that knew it. If it was told before, or may have been told again, it may
        // have been counted and written; so that no buyer pays twice, it is not counted then.
        let is_foreign = told.meter != self.id;
        let is_doubtful = told.is_again || told.at.plus(METER_LATE) < self.began;
        let is_counted = match (self.open.get(&told.call), self.over.get(&told.call)) {
            _ if is_foreign && is_doubtful => true,
            (Some(open), _) => open.reserved.is_none(),
            (None, Some(over)) if over.is_lost => false,
            // What comes after the end of a call changes nothing.
            (None, Some(_)) => return,
            (None, None) => !is_foreign,
        };
        let is_known = self.open.contains_key(&told.call);
        if let (Fate::Spent(units), false) = (told.fate, is_counted) {
            self.spend(units, now);
        }
        // Such news cannot be older than the end of its call: that end was told later, and to this memory. So the call goes
        // on, counted before, and takes a place again.
        let is_news = self.began.plus(METER_LATE) <= told.at;
        let goes_on = is_foreign && is_news && !self.over.contains_key(&told.call);
        let is_under_way = matches!(told.fate, Fate::Spent(_))
            && !told.is_over
            && (is_known || !is_counted || goes_on);
        match is_under_way {
            true => {
                let open = Open {
                    reserved: None,
                    until: now.plus(told.lease),
                };
                self.over.remove(&told.call);
                self.open.insert(told.call, open);
            }
            false => {
                self.open.remove(&told.call);
                self.end(told.call, false, now);
            }
        }
    }

    fn end(&mut self, call: CallId, is_lost: bool, now: UnixMillis) {
        let until = now.plus(REMEMBERED_MILLIS);
        self.over.insert(call, Over { is_lost, until });
    }

    fn spend(&mut self, units: u64, now: UnixMillis) {
        if self.stored.granted.limits.quota.is_none() {
            return;
        }
        self.stored.spend(units);
        let expected = self.stored.dear - self.stored.dear / FORGOTTEN_PART;
        self.stored.dear = units.max(expected).max(1);
        self.note(1, now);
    }

    /// Notes that there is something to be written, and how many calls more it counts.
    fn note(&mut self, more: u32, now: UnixMillis) {
        let (calls, since) = self.unwritten.unwrap_or((0, now));
        self.unwritten = Some((calls.saturating_add(more), since));
    }

    /// The units that are set aside for calls under way, and those that are lent.
    pub(super) fn reserved(&self, now: UnixMillis) -> u64 {
        self.under_way().saturating_add(self.stored.lent(None, now))
    }

    /// The units that are set aside for calls under way.
    fn under_way(&self) -> u64 {
        let reserved = self.open.values().filter_map(|open| open.reserved);
        reserved.fold(0, u64::saturating_add)
    }

    /// Ends the leases that have run out, and forgets calls that are long over.
    fn sweep(&mut self, now: UnixMillis) {
        let ended = self.open.iter().filter(|(_, open)| open.until <= now);
        let ended: Vec<_> = ended
            .map(|(call, open)| (*call, open.reserved.is_some()))
            .collect();
        for (call, is_lost) in ended {
            self.open.remove(&call);
            self.end(call, is_lost, now);
        }
        // There may be many of these.
        if now.since(self.swept_at) >= REMEMBERED_MILLIS / 4 {
            self.swept_at = now;
            self.over.retain(|_, over| now < over.until);
        }
    }

    fn begin_period(&mut self, now: UnixMillis) {
        if let Some(rate) = self.stored.granted.limits.rate {
            let now = now.to_seconds().0;
            let begin = now - now % rate.per.seconds();
            if self.stored.period.0 != begin {
                self.stored.period = (begin, 0);
            }
        }
    }

    /// The pass of a call for which so many units are set aside.
    fn pass(&self, units: u64, now: UnixMillis) -> Pass {
        let standing = self.standing(now);
        Pass {
            meter: self.id,
            standing: Standing {
                left: standing.left.saturating_add(units),
                ..standing
            },
        }
    }

    fn standing(&self, now: UnixMillis) -> Standing {
        self.standing_of(&self.stored, now)
    }

    /// How the grant stands once this is stored.
    fn standing_of(&self, stored: &Stored, now: UnixMillis) -> Standing {
        let Stored {
            granted, period, ..
        } = stored;
        let limits = granted.limits;
        let left = stored.left().unwrap_or_default();
        Standing {
            limits,
            left: left.saturating_sub(self.under_way().saturating_add(stored.lent(None, now))),
            left_now: limits
                .rate
                .map_or(0, |rate| rate.calls.saturating_sub(period.1)),
            next_in: limits.rate.map_or(0, |rate| {
                let end = period.0.saturating_add(rate.per.seconds());
                end.saturating_sub(now.to_seconds().0)
            }),
            ends_at: granted.ends_at,
        }
    }
}

mod backend;
#[cfg(test)]
mod tests;
