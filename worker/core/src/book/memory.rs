//! A payer's book in memory, for tests of this crate.

use core::cell::{Cell, RefCell};
use core::convert::Infallible;
use std::collections::BTreeMap;

use super::{
    BOUND_MILLIS, Booking, BoughtGrant, HOLD_MILLIS, LISTED_SECONDS, MAX_BOUND, MAX_FOUND,
    NO_ATTEMPT, Open, PayerStore, RECENT_MILLIS, Recent, Standing, TargetKey, UnderWay,
};
use crate::types::{B256, RequestId, UnixMillis, UnixSeconds};

/// The tables of the book.
#[derive(Default)]
pub(crate) struct MemoryBook {
    pub(crate) bookings: RefCell<BTreeMap<B256, (Booking, UnixMillis)>>,
    pub(crate) open: RefCell<BTreeMap<RequestId, Open>>,
    pub(crate) recent: RefCell<Vec<(UnixMillis, Recent)>>,
    pub(crate) names: RefCell<BTreeMap<B256, B256>>,
    pub(crate) grants: RefCell<BTreeMap<RequestId, BoughtGrant>>,
    pub(crate) used: RefCell<BTreeMap<String, UnixSeconds>>,
    pub(crate) standing: Cell<Standing>,
}

impl PayerStore for MemoryBook {
    type Error = Infallible;

    fn booking(&self, nonce: B256) -> Result<Option<Booking>, Infallible> {
        let bookings = self.bookings.borrow();
        Ok(bookings.get(&nonce).map(|(booking, _)| booking.clone()))
    }
    fn book(&self, nonce: B256, booking: &Booking, now: UnixMillis) -> Result<(), Infallible> {
        let row = (booking.clone(), now);
        self.bookings.borrow_mut().insert(nonce, row);
        Ok(())
    }
    fn identified(&self, identifier: B256) -> Result<Option<B256>, Infallible> {
        Ok(self.names.borrow().get(&identifier).copied())
    }
    fn identify(&self, identifier: B256, nonce: B256) -> Result<(), Infallible> {
        self.names.borrow_mut().entry(identifier).or_insert(nonce);
        Ok(())
    }
    fn unidentify(&self, identifier: B256) -> Result<(), Infallible> {
        self.names.borrow_mut().remove(&identifier);
        Ok(())
    }
    fn unbook(&self, nonce: B256) -> Result<(), Infallible> {
        self.bookings.borrow_mut().remove(&nonce);
        Ok(())
    }
    fn opened(&self, request_id: &RequestId) -> Result<Option<Open>, Infallible> {
        Ok(self.open.borrow().get(request_id).cloned())
    }
    fn holder(
        &self,
        target: &TargetKey,
        other_than: &RequestId,
    ) -> Result<Option<Open>, Infallible> {
        let open = self.open.borrow();
        let others = open
            .values()
            .filter(|open| open.target == *target && open.request_id != *other_than);
        Ok(others
            .min_by_key(|open| (open.held == NO_ATTEMPT, open.at))
            .cloned())
    }
    fn under_way(&self, except: &RequestId, since: UnixMillis) -> Result<UnderWay, Infallible> {
        let mut sum = UnderWay::default();
        for open in self.open.borrow().values() {
            if open.request_id != *except {
                sum.purchases += u32::from(open.amount.units() > 0);
                sum.amount += open.amount.units();
            }
        }
        for (at, recent) in self.recent.borrow().iter() {
            if *at >= since {
                sum.amount += recent.amount.units();
            }
        }
        Ok(sum)
    }
    fn open(&self, open: &Open) -> Result<(), Infallible> {
        let row = (open.request_id.clone(), open.clone());
        self.open.borrow_mut().extend([row]);
        Ok(())
    }
    fn close(&self, request_id: &RequestId) -> Result<(), Infallible> {
        self.open.borrow_mut().remove(request_id);
        Ok(())
    }
    fn recent(
        &self,
        target: &TargetKey,
        after: UnixMillis,
    ) -> Result<Option<RequestId>, Infallible> {
        let recent = self.recent.borrow();
        let its = recent
            .iter()
            .rev()
            .find(|(at, recent)| *at > after && recent.target == *target);
        Ok(its.map(|(_, recent)| recent.request_id.clone()))
    }
    fn delivered(&self, recent: &Recent, now: UnixMillis) -> Result<(), Infallible> {
        let mut all = self.recent.borrow_mut();
        all.retain(|(at, _)| at.plus(RECENT_MILLIS) > now);
        all.push((now, recent.clone()));
        Ok(())
    }
    fn forget(&self, now: UnixMillis) -> Result<(), Infallible> {
        let is_held = |open: &Open| open.held != NO_ATTEMPT || open.at.plus(HOLD_MILLIS) > now;
        self.open.borrow_mut().retain(|_, open| is_held(open));
        let mut bookings = self.bookings.borrow_mut();
        bookings.retain(|_, (booking, at)| {
            booking.attempt != NO_ATTEMPT || at.plus(BOUND_MILLIS) > now
        });
        let bound = bookings
            .iter()
            .filter(|(_, (booking, _))| booking.attempt == NO_ATTEMPT);
        let mut bound: Vec<_> = bound.map(|(nonce, (_, at))| (*at, *nonce)).collect();
        bound.sort();
        let keep = usize::try_from(MAX_BOUND).unwrap();
        for (_, nonce) in bound.iter().rev().skip(keep) {
            bookings.remove(nonce);
        }
        Ok(())
    }
    fn forget_stranger(&self) -> Result<(), Infallible> {
        let mut bookings = self.bookings.borrow_mut();
        let mut attempts = bookings.values().map(|(booking, _)| booking.attempt);
        if self.open.borrow().is_empty() && attempts.all(|attempt| attempt == NO_ATTEMPT) {
            bookings.clear();
        }
        Ok(())
    }

    fn add_grant(&self, grant: &BoughtGrant, now: UnixSeconds) -> Result<(), Infallible> {
        let mut grants = self.grants.borrow_mut();
        grants.retain(|_, grant| grant.ends_at.plus(LISTED_SECONDS) > now);
        let row = grants
            .entry(grant.id.clone())
            .or_insert_with(|| grant.clone());
        row.ends_at = row.ends_at.max(grant.ends_at);
        Ok(())
    }
    fn grants(&self, since: UnixSeconds) -> Result<(Vec<BoughtGrant>, usize), Infallible> {
        let grants = self.grants.borrow();
        let mut all: Vec<_> = grants
            .values()
            .filter(|grant| grant.ends_at > since)
            .cloned()
            .collect();
        all.sort_by_key(|grant| core::cmp::Reverse(grant.ends_at));
        let count = all.len();
        all.truncate(MAX_FOUND);
        Ok((all, count))
    }
    fn grant(&self, id: &RequestId) -> Result<Option<BoughtGrant>, Infallible> {
        Ok(self.grants.borrow().get(id).cloned())
    }
    fn use_nonce(
        &self,
        nonce: &str,
        until: UnixSeconds,
        now: UnixSeconds,
    ) -> Result<bool, Infallible> {
        let mut used = self.used.borrow_mut();
        used.retain(|_, until| *until > now);
        Ok(used.insert(nonce.to_owned(), until).is_none())
    }

    fn standing(&self) -> Result<Standing, Infallible> {
        Ok(self.standing.get())
    }
    fn set_standing(&self, standing: Standing) -> Result<(), Infallible> {
        self.standing.set(standing);
        Ok(())
    }
}
