//! The book of one payer: which purchase each of its payments belongs to, and which of its purchases are unresolved.
//!
//! One payment never counts twice, for ever. And an agent that lost an answer and signs anew is not charged anew: while
//! its purchase of a target is unresolved, a second payment for the same target is booked to that purchase and never
//! broadcast.

use alloy_primitives::B256;
use serde::{Deserialize, Serialize};

use crate::challenge::Target;
use crate::types::{RequestId, ResourceId};

/// The number of a purchase's last attempt: what was paid by a transfer is not attempted any more.
const PROOF_ATTEMPT: u32 = u32::MAX;

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
    /// The purchase is resolved: delivered, or not charged by its attempts so far.
    Release {
        /// What it was for.
        target: TargetKey,
        /// The purchase.
        request_id: RequestId,
        /// Its newest attempt that is resolved; `u32::MAX` when there will be no other.
        attempt: u32,
    },
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
    /// Released; or, asked about a name for a payment: it is good.
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
    /// Removes the mark if it is this purchase's, by this attempt or an earlier one.
    fn close(
        &self,
        target: &TargetKey,
        request_id: &RequestId,
        attempt: u32,
    ) -> Result<(), Self::Error>;
}

/// Carries out one command. The caller wraps it in a transaction.
pub fn execute<S: PayerStore>(store: &S, command: &PayerCommand) -> Result<PayerReply, S::Error> {
    match command {
        PayerCommand::Check(reservation) => {
            let reply = decide(store, reservation)?;
            if let PayerReply::Superseded { by } = &reply {
                book(store, reservation, by)?;
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
                PayerReply::Claimed(_) | PayerReply::Taken | PayerReply::Released => {}
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
        PayerCommand::Release {
            target,
            request_id,
            attempt,
        } => {
            store.close(target, request_id, *attempt)?;
            Ok(PayerReply::Released)
        }
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
mod tests {
    use core::cell::RefCell;
    use core::convert::Infallible;
    use std::collections::BTreeMap;

    use super::*;

    #[derive(Default)]
    struct Book {
        bookings: RefCell<BTreeMap<B256, Booking>>,
        open: RefCell<BTreeMap<TargetKey, (RequestId, u32)>>,
        names: RefCell<BTreeMap<B256, B256>>,
    }

    impl PayerStore for Book {
        type Error = Infallible;

        fn booking(&self, nonce: B256) -> Result<Option<Booking>, Infallible> {
            Ok(self.bookings.borrow().get(&nonce).cloned())
        }
        fn book(&self, nonce: B256, booking: &Booking) -> Result<(), Infallible> {
            self.bookings.borrow_mut().insert(nonce, booking.clone());
            Ok(())
        }
        fn identified(&self, identifier: B256) -> Result<Option<B256>, Infallible> {
            Ok(self.names.borrow().get(&identifier).copied())
        }
        fn identify(&self, identifier: B256, nonce: B256) -> Result<(), Infallible> {
            self.names.borrow_mut().insert(identifier, nonce);
            Ok(())
        }
        fn unresolved(&self, target: &TargetKey) -> Result<Option<RequestId>, Infallible> {
            let open = self.open.borrow();
            Ok(open.get(target).map(|(request_id, _)| request_id.clone()))
        }
        fn open(
            &self,
            target: &TargetKey,
            request_id: &RequestId,
            attempt: u32,
        ) -> Result<(), Infallible> {
            let holder = (request_id.clone(), attempt);
            self.open.borrow_mut().insert(target.clone(), holder);
            Ok(())
        }
        fn close(
            &self,
            target: &TargetKey,
            request_id: &RequestId,
            attempt: u32,
        ) -> Result<(), Infallible> {
            let mut open = self.open.borrow_mut();
            if open
                .get(target)
                .is_some_and(|(holder, held)| holder == request_id && *held <= attempt)
            {
                open.remove(target);
            }
            Ok(())
        }
    }

    fn purchase(n: u8) -> RequestId {
        RequestId::from_random([n; 16])
    }

    fn target(plan: &str) -> TargetKey {
        TargetKey::new(&Target::Plan(plan.parse().unwrap()), &ResourceId::default())
    }

    fn reservation(nonce: u8, request: u8, plan: &str) -> Reservation {
        Reservation {
            nonce: B256::repeat_byte(nonce),
            request_id: purchase(request),
            attempt: 1,
            target: target(plan),
            identifier: None,
        }
    }

    #[test]
    fn a_name_is_one_payments_from_its_reservation_on_and_for_ever() {
        let book = Book::default();
        let name = B256::repeat_byte(0x1d);
        let named = |nonce, request| {
            let mut reservation = reservation(nonce, request, "basic");
            reservation.identifier = Some(name);
            reservation
        };
        let ask = |nonce| {
            let nonce = B256::repeat_byte(nonce);
            let identifier = name;
            let Ok(reply) = execute(&book, &PayerCommand::Identify { identifier, nonce });
            reply
        };
        let Ok(checked) = execute(&book, &PayerCommand::Check(named(1, 1)));
        assert_eq!(checked, PayerReply::Reserved);
        assert_eq!(ask(2), PayerReply::Released, "a check names nothing");
        let Ok(reserved) = execute(&book, &PayerCommand::Reserve(named(1, 1)));
        assert_eq!(reserved, PayerReply::Reserved);
        release(&book, 1, "basic");
        assert_eq!((ask(1), ask(2)), (PayerReply::Released, PayerReply::Taken));
        for command in [PayerCommand::Check, PayerCommand::Reserve] {
            let Ok(other) = execute(&book, &command(named(2, 2)));
            assert_eq!(other, PayerReply::Taken);
        }
        assert_eq!(reserve(&book, 2, 2, "basic"), PayerReply::Reserved);
    }

    fn reserve(book: &Book, nonce: u8, request: u8, plan: &str) -> PayerReply {
        reserve_again(book, nonce, request, plan, 1)
    }

    fn reserve_again(book: &Book, nonce: u8, request: u8, plan: &str, attempt: u32) -> PayerReply {
        let mut reservation = reservation(nonce, request, plan);
        reservation.attempt = attempt;
        let Ok(reply) = execute(book, &PayerCommand::Reserve(reservation));
        reply
    }

    fn release(book: &Book, request: u8, plan: &str) {
        let command = PayerCommand::Release {
            target: target(plan),
            request_id: purchase(request),
            attempt: 1,
        };
        assert_eq!(execute(book, &command), Ok(PayerReply::Released));
    }

    #[test]
    fn repeating_a_reservation_changes_nothing() {
        let book = Book::default();
        assert_eq!(reserve(&book, 1, 1, "a"), PayerReply::Reserved);
        assert_eq!(reserve(&book, 1, 1, "a"), PayerReply::Reserved);
        assert_eq!(book.bookings.borrow().len(), 1);
    }

    #[test]
    fn a_payment_belongs_to_one_purchase_for_ever() {
        let book = Book::default();
        assert_eq!(reserve(&book, 1, 1, "a"), PayerReply::Reserved);
        assert_eq!(reserve(&book, 1, 2, "a"), PayerReply::Taken);
        release(&book, 1, "a");
        assert_eq!(reserve(&book, 1, 2, "a"), PayerReply::Taken);
        assert_eq!(reserve(&book, 1, 3, "b"), PayerReply::Taken);
    }

    #[test]
    fn a_second_payment_for_an_unresolved_target_counts_for_the_first_purchase_for_ever() {
        let book = Book::default();
        assert_eq!(reserve(&book, 1, 1, "a"), PayerReply::Reserved);
        let superseded = PayerReply::Superseded { by: purchase(1) };
        assert_eq!(reserve(&book, 2, 2, "a"), superseded);
        release(&book, 1, "a");
        assert_eq!(
            reserve(&book, 2, 2, "a"),
            superseded,
            "a late repeat must not be charged"
        );
        assert_eq!(
            reserve(&book, 3, 3, "a"),
            PayerReply::Reserved,
            "a new purchase is free again"
        );
    }

    #[test]
    fn a_late_copy_of_a_reservation_does_not_lock_a_target_that_was_released() {
        let book = Book::default();
        reserve(&book, 1, 1, "a");
        release(&book, 1, "a");
        assert_eq!(reserve(&book, 1, 1, "a"), PayerReply::Reserved);
        assert!(book.open.borrow().is_empty());
        assert_eq!(reserve(&book, 2, 2, "a"), PayerReply::Reserved);
        reserve(&book, 1, 1, "a");
        assert_eq!(
            book.bookings.borrow()[&B256::repeat_byte(1)].owner,
            purchase(1)
        );
    }

    #[test]
    fn a_late_copy_of_a_release_does_not_open_a_target_that_the_next_attempt_holds() {
        let book = Book::default();
        reserve(&book, 1, 1, "a");
        release(&book, 1, "a");
        assert_eq!(reserve_again(&book, 1, 1, "a", 2), PayerReply::Reserved);
        release(&book, 1, "a");
        let superseded = PayerReply::Superseded { by: purchase(1) };
        assert_eq!(reserve(&book, 2, 2, "a"), superseded);
    }

    #[test]
    fn different_targets_do_not_wait_for_each_other() {
        let book = Book::default();
        assert_eq!(reserve(&book, 1, 1, "a"), PayerReply::Reserved);
        assert_eq!(reserve(&book, 2, 2, "b"), PayerReply::Reserved);
    }

    #[test]
    fn a_release_by_another_purchase_changes_nothing() {
        let book = Book::default();
        reserve(&book, 1, 1, "a");
        release(&book, 2, "a");
        assert_eq!(
            reserve(&book, 2, 2, "a"),
            PayerReply::Superseded { by: purchase(1) }
        );
    }

    fn claim(book: &Book, transfers: &[u8], request: u8, only_look: bool) -> PayerReply {
        let command = PayerCommand::Claim(Claim {
            transfers: transfers.iter().map(|n| B256::repeat_byte(*n)).collect(),
            request_id: purchase(request),
            target: target("a"),
            only_look,
        });
        let Ok(reply) = execute(book, &command);
        reply
    }

    fn claimed(transfer: u8) -> PayerReply {
        PayerReply::Claimed(B256::repeat_byte(transfer))
    }

    fn release_for_good(book: &Book, request: u8) {
        let command = PayerCommand::Release {
            target: target("a"),
            request_id: purchase(request),
            attempt: u32::MAX,
        };
        assert_eq!(execute(book, &command), Ok(PayerReply::Released));
    }

    #[test]
    fn each_transfer_of_a_transaction_pays_one_purchase_for_ever() {
        let book = Book::default();
        assert_eq!(claim(&book, &[1, 2], 1, false), claimed(1));
        assert_eq!(claim(&book, &[1, 2], 2, false), claimed(2));
        assert_eq!(claim(&book, &[1, 2], 3, false), PayerReply::Taken);
        release_for_good(&book, 1);
        release_for_good(&book, 2);
        assert_eq!(claim(&book, &[1, 2], 3, false), PayerReply::Taken);
        assert_eq!(claim(&book, &[1, 2], 2, false), claimed(2), "repeated");
    }

    #[test]
    fn looking_at_a_transfer_books_nothing() {
        let book = Book::default();
        assert_eq!(claim(&book, &[1], 1, true), claimed(1));
        assert!(book.bookings.borrow().is_empty() && book.open.borrow().is_empty());
        claim(&book, &[1], 1, false);
        assert_eq!(claim(&book, &[1], 2, true), PayerReply::Taken);
    }

    #[test]
    fn a_transfer_counts_for_its_own_purchase_also_while_another_is_unresolved() {
        let book = Book::default();
        reserve(&book, 1, 1, "a");
        assert_eq!(claim(&book, &[9], 2, false), claimed(9));
        release_for_good(&book, 2);
        let superseded = PayerReply::Superseded { by: purchase(1) };
        assert_eq!(
            reserve(&book, 3, 3, "a"),
            superseded,
            "the first still holds it"
        );
    }

    #[test]
    fn who_paid_by_transfer_and_waits_is_not_charged_anew() {
        let book = Book::default();
        claim(&book, &[9], 1, false);
        let superseded = PayerReply::Superseded { by: purchase(1) };
        assert_eq!(reserve(&book, 2, 2, "a"), superseded);
        // A release of an attempt before it comes late.
        release(&book, 1, "a");
        assert_eq!(reserve(&book, 3, 3, "a"), superseded);
        release_for_good(&book, 1);
        assert_eq!(claim(&book, &[9], 1, false), claimed(9), "a late copy");
        assert_eq!(reserve(&book, 4, 4, "a"), PayerReply::Reserved);
    }

    #[test]
    fn checking_books_nothing_but_what_counts_elsewhere() {
        let book = Book::default();
        let check = |nonce, request| {
            let Ok(reply) = execute(
                &book,
                &PayerCommand::Check(reservation(nonce, request, "a")),
            );
            reply
        };
        assert_eq!(check(1, 1), PayerReply::Reserved);
        assert!(book.bookings.borrow().is_empty() && book.open.borrow().is_empty());
        reserve(&book, 1, 1, "a");
        let superseded = PayerReply::Superseded { by: purchase(1) };
        assert_eq!(check(2, 2), superseded);
        release(&book, 1, "a");
        assert_eq!(check(2, 2), superseded);
    }
}
