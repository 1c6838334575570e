//! Where a book is kept.

use super::booking::{Booking, Open, Recent};
use super::grants::BoughtGrant;
use super::standing::Standing;
use super::target::TargetKey;
use crate::types::{B256, RequestId, UnixMillis, UnixSeconds};

/// What a payer has under way.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct UnderWay {
    /// How many purchases may still take something.
    pub purchases: u32,
    /// What these purchases may still take, together with what delivered ones took since the given time, in
    /// micro-units.
    pub amount: u64,
}

/// Where the book is kept. One command runs inside one storage transaction, so that no two commands interleave.
pub trait PayerStore {
    /// The store's own error.
    type Error;

    /// The booking of a payment.
    fn booking(&self, nonce: B256) -> Result<Option<Booking>, Self::Error>;
    /// Writes the booking of a payment, in place of an earlier one.
    fn book(&self, nonce: B256, booking: &Booking, now: UnixMillis) -> Result<(), Self::Error>;
    /// Removes the booking of a payment.
    fn unbook(&self, nonce: B256) -> Result<(), Self::Error>;
    /// The payment to which the client has given this name.
    fn identified(&self, identifier: B256) -> Result<Option<B256>, Self::Error>;
    /// Writes that the payment has this name, unless another payment has it.
    fn identify(&self, identifier: B256, nonce: B256) -> Result<(), Self::Error>;
    /// Removes a name.
    fn unidentify(&self, identifier: B256) -> Result<(), Self::Error>;
    /// The open purchase with this request id, if it is open.
    fn opened(&self, request_id: &RequestId) -> Result<Option<Open>, Self::Error>;
    /// The open purchase of a target, other than this one: the oldest of those with an attempt, or else of those without.
    fn holder(
        &self,
        target: &TargetKey,
        other_than: &RequestId,
    ) -> Result<Option<Open>, Self::Error>;
    /// All open purchases except this one, and what was delivered since `delivered_since`.
    fn under_way(
        &self,
        except: &RequestId,
        delivered_since: UnixMillis,
    ) -> Result<UnderWay, Self::Error>;
    /// Writes an open purchase, in place of its earlier entry.
    fn open(&self, open: &Open) -> Result<(), Self::Error>;
    /// Removes an open purchase.
    fn close(&self, request_id: &RequestId) -> Result<(), Self::Error>;
    /// The newest purchase of a target that was delivered after the time `after`.
    fn recent(
        &self,
        target: &TargetKey,
        after: UnixMillis,
    ) -> Result<Option<RequestId>, Self::Error>;
    /// Writes that a purchase was delivered now. Forgets deliveries older than
    /// [`RECENT_MILLIS`](super::booking::RECENT_MILLIS).
    fn delivered(&self, recent: &Recent, now: UnixMillis) -> Result<(), Self::Error>;
    /// Forgets what purchases that did not begin have left: prices that were set aside longer ago than
    /// [`HOLD_MILLIS`](super::booking::HOLD_MILLIS), and payments that were bound longer ago than
    /// [`BOUND_MILLIS`](super::booking::BOUND_MILLIS) or exceed [`MAX_BOUND`](super::booking::MAX_BOUND).
    fn forget(&self, now: UnixMillis) -> Result<(), Self::Error>;
    /// Forgets everything, if nothing is open and no payment was ever attempted or claimed.
    fn forget_stranger(&self) -> Result<(), Self::Error>;
    /// Writes a grant, or its later end. Removes those that ended [`LISTED_SECONDS`](super::LISTED_SECONDS) ago.
    fn add_grant(&self, grant: &BoughtGrant, now: UnixSeconds) -> Result<(), Self::Error>;
    /// The [`MAX_FOUND`](super::MAX_FOUND) grants that end last, and how many end after `since`.
    fn grants(&self, since: UnixSeconds) -> Result<(Vec<BoughtGrant>, usize), Self::Error>;
    /// The grant with this id.
    fn grant(&self, id: &RequestId) -> Result<Option<BoughtGrant>, Self::Error>;
    /// Remembers a nonce until then. Returns whether it was not remembered before. Forgets those whose time is over.
    fn use_nonce(
        &self,
        nonce: &str,
        until: UnixSeconds,
        now: UnixSeconds,
    ) -> Result<bool, Self::Error>;
    /// The payer's standing.
    fn standing(&self) -> Result<Standing, Self::Error>;
    /// Writes the payer's standing.
    fn set_standing(&self, standing: Standing) -> Result<(), Self::Error>;
}
