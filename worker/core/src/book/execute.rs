//! What each command changes in the book, and the reply to it.

use super::booking::{
    BALANCE_LAG_MILLIS, Booking, LAST_ATTEMPT, NO_ATTEMPT, Open, RECENT_MILLIS, RETURNED_ATTEMPT,
    Recent,
};
use super::command::{
    Claim, Hold, Look, Outcome, PayerCode, PayerCommand, PayerReply, Reservation, Seen,
};
use super::find::find;
use super::store::PayerStore;
use crate::types::{B256, RequestId, UnixMillis, UsdcAmount};

/// Carries out one command. The caller wraps it in a storage transaction.
pub fn execute<S: PayerStore>(
    store: &S,
    command: &PayerCommand,
    now: UnixMillis,
) -> Result<PayerReply, S::Error> {
    match command {
        PayerCommand::Hold(hold) => self::hold(store, hold, now),
        PayerCommand::Withdraw { request_id } => {
            let open = store.opened(request_id)?;
            // If an attempt keeps the purchase open, this command came late, and changes nothing.
            if open.is_some_and(|open| open.held == NO_ATTEMPT) {
                store.close(request_id)?;
                // Nothing is kept of a payer that has never paid.
                store.forget_stranger()?;
            }
            Ok(PayerReply::Noted)
        }
        PayerCommand::Reserve(reservation) => reserve(store, reservation, now),
        PayerCommand::Claim(claim) => self::claim(store, claim, now),
        PayerCommand::Return { transfer } => give_back(store, *transfer, now),
        PayerCommand::Look(look) => self::look(store, look),
        PayerCommand::Arrived { request_id } => arrived(store, request_id),
        PayerCommand::ArrivedLate { request_id, nonce } => {
            arrived_late(store, request_id, *nonce, now)
        }
        PayerCommand::Forget {
            request_id,
            nonce,
            identifier,
        } => forget(store, request_id, *nonce, *identifier),
        PayerCommand::Release {
            request_id,
            attempt,
            outcome,
            grant,
        } => {
            if let Some(grant) = grant {
                store.add_grant(grant, now.to_seconds())?;
            }
            release(store, request_id, *attempt, *outcome, now)
        }
        PayerCommand::FindGrants(question) => find(store, question, now),
    }
}

/// Sets a price aside. First decides which purchase the payment belongs to: a payment that counts for another purchase
/// is never judged by today's balance.
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
    // The balance may have been read before the newest payments were deducted from it, so what was delivered shortly
    // before still counts.
    let counted_since = UnixMillis(hold.read_at.0.saturating_sub(BALANCE_LAG_MILLIS));
    let under_way = store.under_way(&reservation.request_id, counted_since)?;
    if under_way.purchases >= standing.slots {
        match hold.code {
            PayerCode::None => {}
            PayerCode::Some => return Ok(PayerReply::Crowded),
            PayerCode::Unknown => return Ok(PayerReply::NameCode),
        }
    }
    if !reservation.target.is_plan()
        && let Some(millis) = standing.calls.pause(under_way.purchases, now)
    {
        return Ok(PayerReply::TooManyCalls { millis });
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
    if held.as_ref().is_none_or(|open| open.held == NO_ATTEMPT) {
        // Another offer for this purchase may be checked at the same moment. Whichever begins must be covered.
        let other = held.map_or(hold.amount, |open| open.amount);
        store.open(&Open {
            request_id: reservation.request_id.clone(),
            target: reservation.target.clone(),
            amount: hold.amount.max(other),
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
        // The purchase that presented the payment first did not begin, but the payment is still bound to it.
        None => PayerReply::Taken,
    })
}

/// Leads a payment whose client chose no request id to an earlier purchase of the same target: to an unresolved one;
/// or, of a plan, to one that was delivered so recently that its answer may have been lost.
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
    // What is set aside is for another offer: another request for this purchase came in between.
    if open.target != reservation.target {
        return Ok(PayerReply::Lapsed);
    }
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

/// Books one of the transaction's transfers for the command's purchase. The money has moved already, so the transfer
/// counts for this purchase even if another purchase of the same plan or call is unresolved. If this purchase has
/// booked one of the transfers before, the reply names that transfer and nothing changes: a delayed copy of the command
/// must not make the purchase unresolved again.
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

/// Books a transfer as returned, unless a purchase has it: then only that purchase can return the money.
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

/// Counts a price as arrived: it is not taken from the payer again, and cannot revert. The purchase stays open, so
/// further payments for its target are still led to it.
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

/// Counts a call whose payment arrived after it had ended. The payment is booked as finally attempted, so that it is
/// counted once.
fn arrived_late<S: PayerStore>(
    store: &S,
    request_id: &RequestId,
    nonce: B256,
    now: UnixMillis,
) -> Result<PayerReply, S::Error> {
    if let Some(booking) = store.booking(nonce)?
        && booking.is_by(request_id)
        && booking.attempt != LAST_ATTEMPT
    {
        let last = Booking {
            attempt: LAST_ATTEMPT,
            ..booking
        };
        store.book(nonce, &last, now)?;
        let mut standing = store.standing()?;
        standing.calls = standing.calls.after(Outcome::Returned, now);
        store.set_standing(standing)?;
    }
    Ok(PayerReply::Noted)
}

/// Forgets a payment that this purchase has presented. If nothing else is left, forgets the payer.
fn forget<S: PayerStore>(
    store: &S,
    request_id: &RequestId,
    nonce: B256,
    identifier: Option<B256>,
) -> Result<PayerReply, S::Error> {
    if store
        .booking(nonce)?
        .is_some_and(|booking| booking.is_by(request_id))
    {
        store.unbook(nonce)?;
        if let Some(identifier) = identifier
            && store.identified(identifier)? == Some(nonce)
        {
            store.unidentify(identifier)?;
        }
        store.forget_stranger()?;
    }
    Ok(PayerReply::Noted)
}

/// Closes an open purchase. The open entry names its attempt and can be closed only once, so a command that is repeated
/// or comes late counts nothing.
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
        // No attempt will follow that could need the price that is set aside.
        if attempt == LAST_ATTEMPT {
            store.close(request_id)?;
        }
        return Ok(PayerReply::Noted);
    }
    if open.held > attempt {
        return Ok(PayerReply::Noted);
    }
    store.close(request_id)?;
    let is_call = !open.target.is_plan();
    if outcome == Outcome::Delivered {
        let recent = Recent {
            target: open.target,
            request_id: open.request_id,
            amount: open.amount,
        };
        store.delivered(&recent, now)?;
    }
    // A transfer that the payer itself sent says nothing about the authorizations that we execute.
    if open.held != LAST_ATTEMPT {
        let before = store.standing()?;
        let mut after = before.after(outcome, now);
        if is_call {
            after.calls = after.calls.after(outcome, now);
        }
        if after != before {
            store.set_standing(after)?;
        }
    }
    Ok(PayerReply::Noted)
}

/// Whether the client has given this name to another payment.
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

/// Whether this attempt has reserved the payment before. Then the command is a late copy and must change nothing: the
/// purchase may be resolved by now, and must not be opened again.
fn is_known(booking: Option<&Booking>, reservation: &Reservation) -> bool {
    booking.is_some_and(|booking| {
        booking.claimant == reservation.request_id
            && booking.owner == reservation.request_id
            && booking.attempt >= reservation.attempt
    })
}

/// Writes which purchase a payment belongs to. A payment that was attempted keeps its owner, because it may have paid
/// that purchase already.
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
