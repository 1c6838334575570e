//! What all purchases of one isolate know of the outside, so that not each of them must learn it anew.
//!
//! It lives in memory and may be lost at any time: then it is learnt again, from a few failures.

use core::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use alloy_primitives::{Address, U256};

use crate::breaker::Breaker;
use crate::chain::base::Head;
use crate::pauses::{DELIVERIES, FACILITATOR};
use crate::settlement::wallet::DataFee;
use crate::types::{HttpUrl, UnixMillis};

/// What all purchases of one isolate know of the outside.
#[derive(Debug)]
pub struct Shared {
    /// Whether the backend issues credentials. Counted is the first try of each purchase, so that one purchase that can
    /// never be delivered does not keep the others from beginning.
    pub deliveries: Breaker,
    /// What the chain said a moment ago.
    pub(super) chain: ChainMemory,
    facilitators: RefCell<BTreeMap<String, Facilitator>>,
}

/// What an isolate remembers of the chain, so that requests that cost their senders nothing do not use up the calls on which
/// payments live.
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

/// What a facilitator said that did not answer what it was asked.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RouteFault {
    /// For the operator.
    pub said: String,
    /// Whether it does not accept our key.
    pub refuses_key: bool,
}

impl Shared {
    /// Nothing is known.
    pub const fn new() -> Self {
        Self {
            deliveries: Breaker::new(DELIVERIES),
            chain: ChainMemory::new(),
            facilitators: RefCell::new(BTreeMap::new()),
        }
    }

    /// Whether a facilitator may be asked now. One that keeps failing is asked by one purchase at a time.
    pub(super) fn may_ask(&self, facilitator: &HttpUrl, now: UnixMillis) -> bool {
        let known = self.facilitators.borrow();
        known
            .get(facilitator.as_str())
            .is_none_or(|known| known.breaker.admit(now).is_ok())
    }

    /// A facilitator has answered whether it would settle.
    pub(super) fn answered(&self, facilitator: &HttpUrl, now: UnixMillis) {
        if let Some(known) = self.facilitators.borrow_mut().get_mut(facilitator.as_str()) {
            known.breaker.worked(now);
            known.fault = None;
        }
    }

    /// A facilitator has not answered what it was asked.
    pub(super) fn failed(&self, facilitator: &HttpUrl, fault: RouteFault, now: UnixMillis) {
        self.note(facilitator, |known| {
            known.breaker.failed(now);
            known.fault = Some(fault);
        });
    }

    /// A facilitator sends its callers to another host. Whether that is news.
    pub fn moved(&self, facilitator: &HttpUrl, host: &str) -> bool {
        let mut is_news = false;
        self.note(facilitator, |known| {
            is_news = known.moved_to.as_deref() != Some(host);
            known.moved_to = Some(host.to_owned());
        });
        is_news
    }

    /// What a facilitator answered last in place of what it was asked, if it has not answered since.
    pub fn fault(&self, facilitator: &HttpUrl) -> Option<RouteFault> {
        let known = self.facilitators.borrow();
        known.get(facilitator.as_str())?.fault.clone()
    }

    /// To which host a facilitator sends its callers.
    pub fn moved_to(&self, facilitator: &HttpUrl) -> Option<String> {
        let known = self.facilitators.borrow();
        known.get(facilitator.as_str())?.moved_to.clone()
    }

    /// There are as many as the settings name.
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
