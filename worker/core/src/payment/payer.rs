//! The book of one payer: which purchase each of its payments belongs to, and which of its purchases are unresolved.
//!
//! One payment never counts twice, for ever. And an agent that lost an answer and signs anew is not charged anew: while
//! its purchase of a target is unresolved, a second payment for the same target is booked to that purchase and never
//! broadcast.
//!
//! A wallet that is a contract may take a transfer when it is tried out and refuse it when it is executed, which costs the gas
//! wallet ether each time. So the book also counts the transfers that reverted, and lets such a payer wait.

use alloy_primitives::B256;
use serde::{Deserialize, Serialize};

use crate::challenge::Target;
use crate::types::{RequestId, ResourceId, UnixMillis};

/// The number of a purchase's last attempt: what was paid by a transfer is not attempted any more.
const PROOF_ATTEMPT: u32 = u32::MAX;
/// How many transfers of a payer may revert, without one that succeeds in between, before it must wait.
const MAX_REVERTS: u32 = 3;
/// How long it waits after the last of them.
const REVERT_PAUSE_MILLIS: u64 = 3_600_000;

/// What a purchase asks of its payer's book.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum PayerCommand {
    /// Would `Reserve` succeed? Books nothing, unless the payment counts for another purchase: that is booked at once.
    Check(Reservation),
    /// Book this payment to this purchase, for ever. Repeating it gives the same answer.
    Reserve(Reservation),
    /// Book a transfer that was already made to this purchase, for ever. Repeating it gives the same answer.
    Claim(Claim),
    /// Is the client's name for this payment free, or this payment's already? Books nothing.
    Identify {
        /// The name's digest.
        identifier: B256,
        /// The authorization's nonce.
        nonce: B256,
    },
    /// Which purchase does this payment count for, which this one has presented? Books nothing.
    Whose {
        /// The authorization's nonce.
        nonce: B256,
        /// The purchase that is asked for.
        request_id: RequestId,
    },
    /// Which purchase does this payment count for? Books nothing. For the sweep alone: whoever presents a payment asks by the
    /// purchase that it presented ([`Whose`](Self::Whose)).
    Owner {
        /// The authorization's nonce, or the transfer's key.
        payment: B256,
    },
    /// The purchase is resolved: delivered, or not charged by its attempts so far.
    Release {
        /// What it was for.
        target: TargetKey,
        /// The purchase.
        request_id: RequestId,
        /// Its newest attempt that is resolved; `u32::MAX` when there will be no other.
        attempt: u32,
        /// What it says of the payer's transfers.
        #[serde(default, skip_serializing_if = "Outcome::is_other")]
        outcome: Outcome,
    },
}

/// What the end of an attempt says of its payer's transfers.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Outcome {
    /// The money arrived.
    Paid,
    /// The gas wallet's transaction was included and reverted.
    Reverted,
    /// Nothing.
    #[default]
    Other,
}

impl Outcome {
    const fn is_other(&self) -> bool {
        matches!(self, Self::Other)
    }
}

/// A payment, the purchase that presents it, and what it is for.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Reservation {
    /// The authorization's nonce.
    pub nonce: B256,
    /// The purchase.
    pub request_id: RequestId,
    /// Which of the purchase's attempts this is. A message may arrive late, when the attempt is long over: by its number
    /// it is told from the next attempt with the same payment.
    pub attempt: u32,
    /// What is bought.
    pub target: TargetKey,
    /// The digest of the client's own name for the payment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identifier: Option<B256>,
}

/// Transfers of one transaction, of which one is to pay a purchase.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(from = "ClaimWire", into = "ClaimWire")]
pub struct Claim {
    /// The keys of the transfers ([`booking_key`](super::transfer::booking_key)); the first one that is free is taken.
    pub transfers: Vec<B256>,
    /// The purchase.
    pub request_id: RequestId,
    /// What is bought.
    pub target: TargetKey,
    /// Whether it is only asked what would be booked.
    pub only_look: bool,
}

/// On its way to the book: a list needs less code than names would.
type ClaimWire = (Vec<B256>, RequestId, TargetKey, bool);

impl From<ClaimWire> for Claim {
    fn from((transfers, request_id, target, only_look): ClaimWire) -> Self {
        Self {
            transfers,
            request_id,
            target,
            only_look,
        }
    }
}

impl From<Claim> for ClaimWire {
    fn from(claim: Claim) -> Self {
        (
            claim.transfers,
            claim.request_id,
            claim.target,
            claim.only_look,
        )
    }
}

/// A target together with its resource, as one text.
#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct TargetKey(String);

impl TargetKey {
    /// The key of a target and a resource. Plan ids contain no space, so no two pairs share a key.
    pub fn new(target: &Target, resource: &ResourceId) -> Self {
        let Target::Plan(plan) = target;
        Self(format!("plan {plan} {resource}"))
    }

    /// Stands for all keys of a target, to look a purchase up whose resource is not known. Nothing is booked under it.
    pub fn of_any_resource(target: &Target) -> Self {
        let Target::Plan(plan) = target;
        Self(format!("plan {plan} "))
    }

    /// Whether this is the other key, or stands for it. (A resource id is never empty.)
    pub(crate) fn covers(&self, other: &Self) -> bool {
        self == other || (self.0.ends_with(' ') && other.0.starts_with(&self.0))
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The book's answer.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum PayerReply {
    /// The payment belongs to this purchase (for `Check`: it is free or already belongs to it).
    Reserved,
    /// The same payer's purchase of the same target is unresolved; this payment counts for that one.
    Superseded {
        /// The other purchase.
        by: RequestId,
    },
    /// The transfer with this key belongs to this purchase (or would, if it was only asked).
    Claimed(
        /// Its key.
        B256,
    ),
    /// The payment belongs to another purchase.
    Taken,
    /// (Only for `Check`.) The payment is free, but too many of this payer's transfers have reverted: none is sent for now.
    Paused {
        /// For how long.
        millis: u64,
    },
    /// Released; or, asked about a name for a payment: it is good; or, asked whose a payment is: nobody's.
    Released,
}

/// A booked payment.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Booking {
    /// The purchase that presented it.
    pub claimant: RequestId,
    /// The purchase that it counts for.
    pub owner: RequestId,
    /// The newest attempt that it was reserved for.
    pub attempt: u32,
}

/// A payer's transfers that reverted since the last one that succeeded.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Reverts {
    /// How many.
    pub count: u32,
    /// When the book was told of the last one.
    pub last: UnixMillis,
}

impl Reverts {
    /// How long the payer must wait, if it must.
    fn pause(self, now: UnixMillis) -> Option<u64> {
        let end = self.last.plus(REVERT_PAUSE_MILLIS);
        (self.count >= MAX_REVERTS && now < end).then(|| end.since(now))
    }
}

/// Where the book is kept. One command runs inside one transaction, so that no two commands interleave.
pub trait PayerStore {
    /// The store's own error.
    type Error;

    /// Who a payment belongs to.
    fn booking(&self, nonce: B256) -> Result<Option<Booking>, Self::Error>;
    /// Writes who a payment belongs to.
    fn book(&self, nonce: B256, booking: &Booking) -> Result<(), Self::Error>;
    /// Which payment has this name.
    fn identified(&self, identifier: B256) -> Result<Option<B256>, Self::Error>;
    /// Writes which payment has this name, for ever.
    fn identify(&self, identifier: B256, nonce: B256) -> Result<(), Self::Error>;
    /// The unresolved purchase of a target.
    fn unresolved(&self, target: &TargetKey) -> Result<Option<RequestId>, Self::Error>;
    /// Marks a purchase of a target as unresolved, by this attempt.
    fn open(
        &self,
        target: &TargetKey,
        request_id: &RequestId,
        attempt: u32,
    ) -> Result<(), Self::Error>;
    /// Removes the mark if it is this purchase's, by this attempt or an earlier one. Answers whether it was.
    fn close(
        &self,
        target: &TargetKey,
        request_id: &RequestId,
        attempt: u32,
    ) -> Result<bool, Self::Error>;
    /// The transfers that reverted.
    fn reverts(&self) -> Result<Reverts, Self::Error>;
    /// Writes them.
    fn set_reverts(&self, reverts: Reverts) -> Result<(), Self::Error>;
}

/// Carries out one command. The caller wraps it in a transaction.
pub fn execute<S: PayerStore>(
    store: &S,
    command: &PayerCommand,
    now: UnixMillis,
) -> Result<PayerReply, S::Error> {
    match command {
        PayerCommand::Check(reservation) => {
            let reply = decide(store, reservation)?;
            if let PayerReply::Superseded { by } = &reply {
                book(store, reservation, by)?;
            }
            // What counts elsewhere costs no gas.
            if let PayerReply::Reserved = reply
                && let Some(millis) = store.reverts()?.pause(now)
            {
                return Ok(PayerReply::Paused { millis });
            }
            Ok(reply)
        }
        PayerCommand::Reserve(reservation) => {
            if is_known(store, reservation)? {
                return Ok(PayerReply::Reserved);
            }
            let reply = decide(store, reservation)?;
            match &reply {
                PayerReply::Reserved => {
                    book(store, reservation, &reservation.request_id)?;
                    store.open(
                        &reservation.target,
                        &reservation.request_id,
                        reservation.attempt,
                    )?;
                }
                PayerReply::Superseded { by } => book(store, reservation, by)?,
                PayerReply::Claimed(_)
                | PayerReply::Taken
                | PayerReply::Paused { .. }
                | PayerReply::Released => {}
            }
            Ok(reply)
        }
        PayerCommand::Claim(claim) => self::claim(store, claim),
        PayerCommand::Identify { identifier, nonce } => Ok(
            match is_named_otherwise(store, Some(*identifier), *nonce)? {
                true => PayerReply::Taken,
                false => PayerReply::Released,
            },
        ),
        PayerCommand::Whose { nonce, request_id } => Ok(match store.booking(*nonce)? {
            Some(booking) if booking.claimant != *request_id => PayerReply::Taken,
            Some(booking) if booking.owner != booking.claimant => {
                PayerReply::Superseded { by: booking.owner }
            }
            Some(_) => PayerReply::Reserved,
            None => PayerReply::Released,
        }),
        PayerCommand::Owner { payment } => Ok(match store.booking(*payment)? {
            Some(booking) => PayerReply::Superseded { by: booking.owner },
            None => PayerReply::Released,
        }),
        PayerCommand::Release {
            target,
            request_id,
            attempt,
            outcome,
        } => {
            // The mark names purchase and attempt, and is removed once: a message that comes again, or late, counts nothing.
            if store.close(target, request_id, *attempt)? {
                count(store, *outcome, now)?;
            }
            Ok(PayerReply::Released)
        }
    }
}

fn count<S: PayerStore>(store: &S, outcome: Outcome, now: UnixMillis) -> Result<(), S::Error> {
    let before = store.reverts()?;
    let after = match outcome {
        Outcome::Reverted => Reverts {
            count: before.count.saturating_add(1),
            last: now,
        },
        Outcome::Paid => Reverts::default(),
        Outcome::Other => before,
    };
    match after == before {
        true => Ok(()),
        false => store.set_reverts(after),
    }
}

/// The money has moved already, so it counts for the purchase that it was sent for, also when another one of the same target
/// is unresolved. What was booked before is answered by its booking alone: a late copy must not lock the target again.
fn claim<S: PayerStore>(store: &S, claim: &Claim) -> Result<PayerReply, S::Error> {
    let mut free = None;
    for transfer in claim.transfers.iter().copied() {
        match store.booking(transfer)? {
            Some(booking) if booking.claimant == claim.request_id => {
                return Ok(PayerReply::Claimed(transfer));
            }
            Some(_) => {}
            None => free = free.or(Some(transfer)),
        }
    }
    let Some(transfer) = free else {
        return Ok(PayerReply::Taken);
    };
    if !claim.only_look {
        let request_id = &claim.request_id;
        let booking = Booking {
            claimant: request_id.clone(),
            owner: request_id.clone(),
            attempt: PROOF_ATTEMPT,
        };
        store.book(transfer, &booking)?;
        if store.unresolved(&claim.target)?.is_none() {
            store.open(&claim.target, request_id, PROOF_ATTEMPT)?;
        }
    }
    Ok(PayerReply::Claimed(transfer))
}

/// Whether this name is another payment's.
fn is_named_otherwise<S: PayerStore>(
    store: &S,
    identifier: Option<B256>,
    nonce: B256,
) -> Result<bool, S::Error> {
    let Some(identifier) = identifier else {
        return Ok(false);
    };
    Ok(store
        .identified(identifier)?
        .is_some_and(|named| named != nonce))
}

/// Whether this very attempt has reserved the payment before. A late copy of that message must change nothing: the purchase
/// may be resolved by now, and its target must not be locked again.
fn is_known<S: PayerStore>(store: &S, reservation: &Reservation) -> Result<bool, S::Error> {
    let booking = store.booking(reservation.nonce)?;
    Ok(booking.is_some_and(|booking| {
        booking.claimant == reservation.request_id
            && booking.owner == reservation.request_id
            && booking.attempt >= reservation.attempt
    }))
}

fn book<S: PayerStore>(
    store: &S,
    reservation: &Reservation,
    owner: &RequestId,
) -> Result<(), S::Error> {
    if let Some(identifier) = reservation.identifier {
        store.identify(identifier, reservation.nonce)?;
    }
    store.book(
        reservation.nonce,
        &Booking {
            claimant: reservation.request_id.clone(),
            owner: owner.clone(),
            attempt: reservation.attempt,
        },
    )
}

fn decide<S: PayerStore>(store: &S, reservation: &Reservation) -> Result<PayerReply, S::Error> {
    if is_named_otherwise(store, reservation.identifier, reservation.nonce)? {
        return Ok(PayerReply::Taken);
    }
    if let Some(booking) = store.booking(reservation.nonce)? {
        if booking.claimant != reservation.request_id {
            return Ok(PayerReply::Taken);
        }
        if booking.owner != booking.claimant {
            return Ok(PayerReply::Superseded { by: booking.owner });
        }
    }
    Ok(match store.unresolved(&reservation.target)? {
        Some(other) if other != reservation.request_id => PayerReply::Superseded { by: other },
        _ => PayerReply::Reserved,
    })
}

#[cfg(test)]
mod tests;
