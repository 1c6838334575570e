//! Where a book is kept.

use super::booking::{Booking, Open, Recent};
use super::standing::Standing;
use super::target::TargetKey;
use crate::types::{B256, RequestId, UnixMillis};

/// What a payer has under way.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct UnderWay {
    /// How many purchases may still take something.
    pub purchases: u32,
    /// What they may still take, and what was taken since the given moment, in micro-units.
    pub amount: u64,
}

/// Where the book is kept. One command runs inside one transaction, so that no two commands interleave.
pub trait PayerStore {
    /// The store's own error.
    type Error;

    /// Who a payment belongs to.
    fn booking(&self, nonce: B256) -> Result<Option<Booking>, Self::Error>;
    /// Writes who a payment belongs to, in place of what was written of it before.
    fn book(&self, nonce: B256, booking: &Booking, now: UnixMillis) -> Result<(), Self::Error>;
    /// Which payment has this name.
    fn identified(&self, identifier: B256) -> Result<Option<B256>, Self::Error>;
    /// Writes which payment has this name, unless another one has.
    fn identify(&self, identifier: B256, nonce: B256) -> Result<(), Self::Error>;
    /// The purchase, if it is open.
    fn opened(&self, request_id: &RequestId) -> Result<Option<Open>, Self::Error>;
    /// The open purchase of a target, other than this one: the oldest of those with an attempt, or else of those without.
    fn holder(
        &self,
        target: &TargetKey,
        other_than: &RequestId,
    ) -> Result<Option<Open>, Self::Error>;
    /// Everything that is open but for this purchase, and what was delivered since.
    fn under_way(
        &self,
        except: &RequestId,
        delivered_since: UnixMillis,
    ) -> Result<UnderWay, Self::Error>;
    /// Writes that a purchase is open, in place of what was written of it before.
    fn open(&self, open: &Open) -> Result<(), Self::Error>;
    /// Removes an open purchase.
    fn close(&self, request_id: &RequestId) -> Result<(), Self::Error>;
    /// The newest purchase of a target that was delivered after this moment.
    fn recent(
        &self,
        target: &TargetKey,
        after: UnixMillis,
    ) -> Result<Option<RequestId>, Self::Error>;
    /// Writes that a purchase was delivered now. Forgets those before [`RECENT_MILLIS`](super::booking::RECENT_MILLIS).
    fn delivered(&self, recent: &Recent, now: UnixMillis) -> Result<(), Self::Error>;
    /// Forgets what purchases that did not begin have left: prices set aside before [`HOLD_MILLIS`](super::booking::HOLD_MILLIS), and
    /// payments bound before [`BOUND_MILLIS`](super::booking::BOUND_MILLIS) or more than [`MAX_BOUND`](super::booking::MAX_BOUND) of them.
    fn forget(&self, now: UnixMillis) -> Result<(), Self::Error>;
    /// Forgets everything, if nothing is open and no payment was ever attempted or claimed.
    fn forget_stranger(&self) -> Result<(), Self::Error>;
    /// How the payer stands.
    fn standing(&self) -> Result<Standing, Self::Error>;
    /// Writes it.
    fn set_standing(&self, standing: Standing) -> Result<(), Self::Error>;
}
