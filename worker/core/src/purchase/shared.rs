//! The state that all purchases and requests of one isolate share: whether backend and facilitators work, and the
//! chain's last answers. Without it each purchase would have to find that out anew.
//!
//! The state lives in memory and may be lost at any time. Then a few failures build it up again.

use core::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use alloy_primitives::{Address, U256};

use super::route_health::RouteHealth;
use crate::breaker::Breaker;
use crate::chain::base::Head;
use crate::pauses::{DELIVERIES, FACILITATOR};
use crate::settlement::wallet::DataFee;
use crate::types::{HttpUrl, UnixMillis};

/// The state that all purchases and requests of one isolate share.
#[derive(Debug)]
pub struct Shared {
    /// Whether the backend issues credentials. Of each purchase only the failure of its first try counts, so that one
    /// purchase that can never be delivered does not keep the others from beginning.
    pub deliveries: Breaker,
    /// Whether the seller's API serves the calls of each route.
    pub routes: RouteHealth,
    /// The chain's last answers.
    pub(super) chain: ChainMemory,
    facilitators: RefCell<BTreeMap<String, Facilitator>>,
}

/// The last answers of the chain, each with its time, so that requests that cost their senders nothing do not use up
/// the RPC calls that payments need.
#[derive(Debug, Default)]
pub(super) struct ChainMemory {
    pub(super) head: Cell<Option<(UnixMillis, Head)>>,
    pub(super) tip: Cell<Option<(UnixMillis, u128)>>,
    pub(super) data: Cell<Option<(UnixMillis, DataFee)>>,
    pub(super) ether: Cell<Option<(UnixMillis, Address, U256)>>,
}

impl ChainMemory {
    /// Nothing is known.
    const fn new() -> Self {
        Self {
            head: Cell::new(None),
            tip: Cell::new(None),
            data: Cell::new(None),
            ether: Cell::new(None),
        }
    }
}

#[derive(Debug)]
struct Facilitator {
    breaker: Breaker,
    fault: Option<RouteFault>,
    moved_to: Option<String>,
}

/// The fault of a facilitator that did not answer our question.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RouteFault {
    /// What the facilitator said instead, for the operator.
    pub said: String,
    /// Whether the facilitator does not accept our key.
    pub refuses_key: bool,
}

impl Shared {
    /// Nothing is known.
    pub const fn new() -> Self {
        Self {
            deliveries: Breaker::new(DELIVERIES),
            routes: RouteHealth::new(),
            chain: ChainMemory::new(),
            facilitators: RefCell::new(BTreeMap::new()),
        }
    }

    /// Whether a facilitator may be asked now. A facilitator that keeps failing is asked by one purchase at a time.
    pub(super) fn may_ask(&self, facilitator: &HttpUrl, now: UnixMillis) -> bool {
        let known = self.facilitators.borrow();
        known
            .get(facilitator.as_str())
            .is_none_or(|known| known.breaker.admit(now).is_ok())
    }

    /// For how many more milliseconds none of these facilitators is asked. `None` if one of them may be asked now.
    pub(super) fn pause<'a>(
        &self,
        facilitators: impl Iterator<Item = &'a HttpUrl>,
        now: UnixMillis,
    ) -> Option<u64> {
        let known = self.facilitators.borrow();
        let pauses = facilitators.map(|url| known.get(url.as_str())?.breaker.pause(now));
        pauses.collect::<Option<Vec<u64>>>()?.into_iter().min()
    }

    /// Records that a facilitator has answered whether it would settle.
    pub(super) fn answered(&self, facilitator: &HttpUrl, now: UnixMillis) {
        if let Some(known) = self.facilitators.borrow_mut().get_mut(facilitator.as_str()) {
            known.breaker.worked(now);
            known.fault = None;
        }
    }

    /// Records that a facilitator has not answered our question.
    pub(super) fn failed(&self, facilitator: &HttpUrl, fault: RouteFault, now: UnixMillis) {
        self.note(facilitator, |known| {
            known.breaker.failed(now);
            known.fault = Some(fault);
        });
    }

    /// Records that a facilitator redirects its callers to another host. Returns whether that is news.
    pub fn moved(&self, facilitator: &HttpUrl, host: &str) -> bool {
        let mut is_news = false;
        self.note(facilitator, |known| {
            is_news = known.moved_to.as_deref() != Some(host);
            known.moved_to = Some(host.to_owned());
        });
        is_news
    }

    /// The facilitator's last fault, if it has not answered properly since.
    pub fn fault(&self, facilitator: &HttpUrl) -> Option<RouteFault> {
        let known = self.facilitators.borrow();
        known.get(facilitator.as_str())?.fault.clone()
    }

    /// The host to which a facilitator redirects its callers.
    pub fn moved_to(&self, facilitator: &HttpUrl) -> Option<String> {
        let known = self.facilitators.borrow();
        known.get(facilitator.as_str())?.moved_to.clone()
    }

    /// Changes what is known of a facilitator. The map cannot grow beyond the facilitators that the settings name.
    fn note(&self, facilitator: &HttpUrl, change: impl FnOnce(&mut Facilitator)) {
        let mut known = self.facilitators.borrow_mut();
        let known = known
            .entry(facilitator.as_str().to_owned())
            .or_insert_with(|| Facilitator {
                breaker: Breaker::new(FACILITATOR),
                fault: None,
                moved_to: None,
            });
        change(known);
    }
}

impl Default for Shared {
    fn default() -> Self {
        Self::new()
    }
}
