//! What becomes of the book by each command.

use super::booking::{
    BALANCE_LAG_MILLIS, Booking, LAST_ATTEMPT, NO_ATTEMPT, Open, RECENT_MILLIS, RETURNED_ATTEMPT,
    Recent,
};
use super::command::{
    Claim, Hold, Look, Outcome, PayerCode, PayerCommand, PayerReply, Reservation, Seen,
};
use super::store::PayerStore;
use crate::types::{B256, RequestId, UnixMillis, UsdcAmount};

/// Carries out one command. The caller wraps it in a transaction.
pub fn execute<S: PayerStore>(
    store: &S,
    command: &PayerCommand,
    now: UnixMillis,
) -> Result<PayerReply, S::Error> {
    match command {
        PayerCommand::Hold(hold) => self::hold(store, hold, now),
        PayerCommand::Withdraw { request_id } => {
            let open = store.opened(request_id)?;
            // What an attempt holds stays: this one was told late.
            if open.is_some_and(|open| open.held == NO_ATTEMPT) {
                store.close(request_id)?;
                // Nothing is kept of who has never paid.
                store.forget_stranger()?;
            }
            Ok(PayerReply::Noted)
        }
        PayerCommand::Reserve(reservation) => reserve(store, reservation, now),
        PayerCommand::Claim(claim) => self::claim(store, claim, now),
        PayerCommand::Return { transfer } => give_back(store, *transfer, now),
        PayerCommand::Look(look) => self::look(store, look),
        PayerCommand::Arrived { request_id } => arrived(store, request_id),
        PayerCommand::Release {
            request_id,
            attempt,
            outcome,
        } => release(store, request_id, *attempt, *outcome, now),
    }
}

/// Decides first which purchase the payment belongs to: a payment that counts for another purchase is never judged by today's
/// balance.
fn hold<S: PayerStore>(store: &S, hold: &Hold, now: UnixMillis) -> Result<PayerReply, S::Error> {
    store.forget(now)?;
    let reservation = &hold.reservation;
    let booking = store.booking(reservation.nonce)?;
    // A late copy, or an identical request that was faster.
    if is_known(booking.as_ref(), reservation) {
        return Ok(PayerReply::Reserved);
    }
    if is_named_otherwise(store, reservation.identifier, reservation.nonce)? {
        return Ok(PayerReply::NamedOtherwise);
    }
    if let Some(booking) = &booking {
        if booking.claimant != reservation.request_id {
            return whose(store, booking);
        }
        if booking.owner != booking.claimant {
            let by = booking.owner.clone();
            return Ok(PayerReply::Superseded { by });
        }
    }
    if !hold.chosen
        && let Some(reply) = join(store, reservation, booking.as_ref(), now)?
    {
        return Ok(reply);
    }
    let standing = store.standing()?;
    if let Some(millis) = standing.pause(now) {
        return Ok(PayerReply::Paused { millis });
    }
    // The balance may have been read before the last payments arrived.
    let counted_since = UnixMillis(hold.read_at.0.saturating_sub(BALANCE_LAG_MILLIS));
    let under_way = store.under_way(&reservation.request_id, counted_since)?;
    if under_way.purchases >= standing.slots {
        match hold.code {
            PayerCode::None => {}
            PayerCode::Some => return Ok(PayerReply::Crowded),
            PayerCode::Unknown => return Ok(PayerReply::NameCode),
        }
    }
    let wanted = under_way.amount.checked_add(hold.amount.units());
    if wanted.is_none_or(|wanted| wanted > hold.balance) {
        return Ok(PayerReply::Uncovered {
            under_way: under_way.amount > 0,
        });
    }
    if booking.is_none() {
        book(
            store,
            reservation,
            None,
            &reservation.request_id,
            NO_ATTEMPT,
            now,
        )?;
    }
    let held = store.opened(&reservation.request_id)?;
    if held.is_none_or(|open| open.held == NO_ATTEMPT) {
        store.open(&Open {
            request_id: reservation.request_id.clone(),
            target: reservation.target.clone(),
            amount: hold.amount,
            chosen: hold.chosen,
            held: NO_ATTEMPT,
            at: now,
        })?;
    }
    Ok(PayerReply::Reserved)
}

/// The reply to a payment that another purchase presented first.
fn whose<S: PayerStore>(store: &S, booking: &Booking) -> Result<PayerReply, S::Error> {
    if booking.owner != booking.claimant {
        let by = booking.owner.clone();
        return Ok(PayerReply::Superseded { by });
    }
    if booking.attempt != NO_ATTEMPT {
        let to = booking.claimant.clone();
        return Ok(PayerReply::Presented { to });
    }
    Ok(match store.opened(&booking.claimant)? {
        Some(_) => PayerReply::Wait,
        // The other purchase did not begin.
        None => PayerReply::Taken,
    })
}

/// The purchase that a payment counts for whose client has named none: one that is unresolved, or of a plan one that was delivered
/// so lately that its answer may have been lost.
fn join<S: PayerStore>(
    store: &S,
    reservation: &Reservation,
    booking: Option<&Booking>,
    now: UnixMillis,
) -> Result<Option<PayerReply>, S::Error> {
    let own = &reservation.request_id;
    let by = match store.holder(&reservation.target, own)? {
        Some(holder) if holder.held == NO_ATTEMPT => return Ok(Some(PayerReply::Wait)),
        Some(holder) => Some(holder.request_id),
        None if !reservation.target.is_plan() => None,
        None => {
            let after = UnixMillis(now.0.saturating_sub(RECENT_MILLIS));
            let recent = store.recent(&reservation.target, after)?;
            recent.filter(|recent| recent != own)
        }
    };
    let Some(by) = by else {
        return Ok(None);
    };
    book(store, reservation, booking, &by, reservation.attempt, now)?;
    Ok(Some(PayerReply::Superseded { by }))
}

fn reserve<S: PayerStore>(
    store: &S,
    reservation: &Reservation,
    now: UnixMillis,
) -> Result<PayerReply, S::Error> {
    let booking = store.booking(reservation.nonce)?;
    if is_known(booking.as_ref(), reservation) {
        return Ok(PayerReply::Reserved);
    }
    if is_named_otherwise(store, reservation.identifier, reservation.nonce)? {
        return Ok(PayerReply::NamedOtherwise);
    }
    if let Some(booking) = &booking {
        if booking.claimant != reservation.request_id {
            return Ok(PayerReply::Taken);
        }
        if booking.owner != booking.claimant {
            let by = booking.owner.clone();
            return Ok(PayerReply::Superseded { by });
        }
    }
    let Some(mut open) = store.opened(&reservation.request_id)? else {
        return Ok(PayerReply::Lapsed);
    };
    open.held = reservation.attempt;
    store.open(&open)?;
    book(
        store,
        reservation,
        booking.as_ref(),
        &reservation.request_id,
        reservation.attempt,
        now,
    )?;
    Ok(PayerReply::Reserved)
}

/// The money has moved already, so it counts for the purchase that it was sent for, also when another one of the same target
/// is unresolved. What was booked before is answered by its booking alone: a late copy must not open the purchase again.
fn claim<S: PayerStore>(store: &S, claim: &Claim, now: UnixMillis) -> Result<PayerReply, S::Error> {
    let mut free = None;
    for transfer in claim.transfers.iter().copied() {
        match store.booking(transfer)? {
            Some(booking) if booking.is_by(&claim.request_id) => {
                return Ok(PayerReply::Claimed(transfer));
            }
            Some(_) => {}
            None => free = free.or(Some(transfer)),
        }
    }
    let Some(transfer) = free else {
        return Ok(PayerReply::Taken);
    };
    let request_id = &claim.request_id;
    let booking = Booking {
        claimant: request_id.clone(),
        owner: request_id.clone(),
        attempt: LAST_ATTEMPT,
    };
    store.book(transfer, &booking, now)?;
    store.open(&Open {
        request_id: request_id.clone(),
        target: claim.target.clone(),
        amount: UsdcAmount::from_units(0),
        chosen: false,
        held: LAST_ATTEMPT,
        at: now,
    })?;
    Ok(PayerReply::Claimed(transfer))
}

fn look<S: PayerStore>(store: &S, look: &Look) -> Result<PayerReply, S::Error> {
    let bookings = look.payments.iter().map(|payment| store.booking(*payment));
    Ok(PayerReply::Seen(Seen {
        bookings: bookings.collect::<Result<_, _>>()?,
        named: match look.identifier {
            Some(identifier) => store.identified(identifier)?,
            None => None,
        },
    }))
}

/// A transfer that a purchase counts can be returned only by that purchase.
fn give_back<S: PayerStore>(
    store: &S,
    transfer: B256,
    now: UnixMillis,
) -> Result<PayerReply, S::Error> {
    match store.booking(transfer)? {
        Some(booking) if booking.attempt != RETURNED_ATTEMPT => {
            return Ok(PayerReply::Superseded { by: booking.owner });
        }
        Some(_) => {}
        None => {
            let nobody = RequestId::derived(&[0; 16]);
            let booking = Booking {
                claimant: nobody.clone(),
                owner: nobody,
                attempt: RETURNED_ATTEMPT,
            };
            store.book(transfer, &booking, now)?;
        }
    }
    Ok(PayerReply::Claimed(transfer))
}

/// Money that has arrived is not taken from the payer again, and cannot revert. The purchase stays open: further payments for
/// its target wait for it.
fn arrived<S: PayerStore>(store: &S, request_id: &RequestId) -> Result<PayerReply, S::Error> {
    let nothing = UsdcAmount::from_units(0);
    if let Some(open) = store.opened(request_id)?
        && open.held != NO_ATTEMPT
        && open.amount != nothing
    {
        store.open(&Open {
            amount: nothing,
            ..open
        })?;
    }
    Ok(PayerReply::Noted)
}

/// The open purchase names its attempt and is closed once: a message that comes again, or late, counts nothing.
fn release<S: PayerStore>(
    store: &S,
    request_id: &RequestId,
    attempt: u32,
    outcome: Outcome,
    now: UnixMillis,
) -> Result<PayerReply, S::Error> {
    let Some(open) = store.opened(request_id)? else {
        return Ok(PayerReply::Noted);
    };
    if open.held == NO_ATTEMPT {
        // No attempt will follow for which the price could be set aside.
        if attempt == LAST_ATTEMPT {
            store.close(request_id)?;
        }
        return Ok(PayerReply::Noted);
    }
    if open.held > attempt {
        return Ok(PayerReply::Noted);
    }
    store.close(request_id)?;
    if outcome == Outcome::Delivered {
        let recent = Recent {
            target: open.target,
            request_id: open.request_id,
            amount: open.amount,
        };
        store.delivered(&recent, now)?;
    }
    // A transfer that the payer sent says nothing about the transfers that we send.
    if open.held != LAST_ATTEMPT {
        let before = store.standing()?;
        let after = before.after(outcome, now);
        if after != before {
            store.set_standing(after)?;
        }
    }
    Ok(PayerReply::Noted)
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
/// may be resolved by now, and must not be opened again.
fn is_known(booking: Option<&Booking>, reservation: &Reservation) -> bool {
    booking.is_some_and(|booking| {
        booking.claimant == reservation.request_id
            && booking.owner == reservation.request_id
            && booking.attempt >= reservation.attempt
    })
}

/// Writes which purchase a payment belongs to. A payment that was attempted keeps its owner, which it may have paid already.
fn book<S: PayerStore>(
    store: &S,
    reservation: &Reservation,
    before: Option<&Booking>,
    owner: &RequestId,
    attempt: u32,
    now: UnixMillis,
) -> Result<(), S::Error> {
    if before.is_some_and(|before| before.attempt != NO_ATTEMPT && before.owner != *owner) {
        return Ok(());
    }
    if let Some(identifier) = reservation.identifier.filter(|_| attempt != NO_ATTEMPT) {
        store.identify(identifier, reservation.nonce)?;
    }
    store.book(
        reservation.nonce,
        &Booking {
            claimant: reservation.request_id.clone(),
            owner: owner.clone(),
            attempt,
        },
        now,
    )
}
