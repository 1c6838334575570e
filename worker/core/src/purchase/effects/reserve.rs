//! What a purchase tells the payer's book. The book knows which purchase an authorization or a transfer belongs to, and which
//! purchases are under way.

use super::super::env::{PurchaseEnv, Stuck};
use super::super::granted::granted;
use super::super::hold::{Wanted, hold};
use super::super::lifecycle::Event;
use super::super::state::{Attempt, Purchase, Stage, State};
use crate::book::{
    BoughtGrant, Claim, LAST_ATTEMPT, Outcome, PayerCommand, PayerReply, Reservation, TargetKey,
};
use crate::chain::Chain;
use crate::chain::transfer::booking_key;
use crate::settlement::Route;
use crate::types::{B256, UnixSeconds, UsdcAmount};
use crate::x402::Refusal;

use super::charge::last_moment;

pub(super) async fn reserve<E: PurchaseEnv>(
    env: &E,
    record: &Purchase,
    attempt: &Attempt,
) -> Result<Event, Stuck> {
    let wanted = Wanted {
        terms: &record.terms,
        signed: &attempt.broadcast.authorization,
        attempt: attempt.broadcast.number,
        identifier: attempt.identifier,
        chosen: record.chosen,
    };
    let reserve = || PayerCommand::Reserve(wanted.reservation());
    let mut reply = env.payer(record.payer, reserve()).await?;
    if reply == PayerReply::Lapsed {
        reply = hold(env, &wanted).await?;
        if reply == PayerReply::Reserved {
            reply = env.payer(record.payer, reserve()).await?;
        }
    }
    match reply {
        PayerReply::Reserved => Ok(Event::Reserved),
        PayerReply::Superseded { by } => Ok(Event::Superseded { by }),
        PayerReply::Taken | PayerReply::NamedOtherwise | PayerReply::Presented { .. } => {
            Ok(Event::Taken)
        }
        // The purchase waits for its turn until its last moment, and then fails. Nothing was broadcast.
        PayerReply::Lapsed
        | PayerReply::Wait
        | PayerReply::Uncovered { .. }
        | PayerReply::Crowded
        | PayerReply::TooManyCalls { .. }
        | PayerReply::Paused { .. }
            if env.now().to_seconds() >= last_moment(record, attempt) =>
        {
            Ok(Event::AttemptFailed {
                reason: Refusal::InsufficientFunds,
                transaction: None,
            })
        }
        PayerReply::Lapsed
        | PayerReply::Wait
        | PayerReply::Uncovered { .. }
        | PayerReply::Crowded
        | PayerReply::TooManyCalls { .. }
        | PayerReply::Paused { .. } => Err(Stuck::Waiting),
        PayerReply::NameCode
        | PayerReply::Claimed(_)
        | PayerReply::Seen(_)
        | PayerReply::Grants { .. }
        | PayerReply::NonceUsed
        | PayerReply::Noted => Err(Stuck::Fault(
            "the payer's book gave a wrong answer".to_owned(),
        )),
    }
}

/// The outcome of the purchase, as the payer's book is told it.
async fn outcome<E: PurchaseEnv>(env: &E, record: &Purchase) -> Result<Outcome, Stuck> {
    let State::Pending { attempt } = &record.state else {
        return Ok(match &record.state {
            State::Delivered { .. } | State::Closed { .. } => Outcome::Delivered,
            state if record.is_of_a_call() && state.payment().is_some() && !record.excused => {
                Outcome::Returned
            }
            state if state.payment().is_some() => Outcome::Paid,
            // Its answer was held. (An attempt that ends before that fails, and the book hears of the failure first.)
            State::Expired { .. } if record.is_paid_after_its_answer() => Outcome::Withheld,
            _ => Outcome::Other,
        });
    };
    match (&attempt.stage, env.config().settlement.route(attempt.via)) {
        (
            Stage::Failed {
                reason: Refusal::InvalidExactEvmTransactionFailed,
                transaction: Some(transaction),
            },
            Route::GasWallet(_),
        ) => {
            let good_until = attempt.broadcast.authorization.authorization().expires_at();
            Ok(match included_at(env, *transaction).await? {
                Some(time) if time < good_until => Outcome::Reverted,
                // Either the chain included the transaction only after the authorization had expired, which is not the payer's fault; or
                // the chain does not have the transaction any more.
                _ => Outcome::Other,
            })
        }
        _ if attempt.held.is_some() => Ok(Outcome::Withheld),
        (
            Stage::Failed {
                reason: Refusal::CallUncharged | Refusal::CallUnfinished,
                ..
            },
            _,
        ) if attempt.calls > 0 => Ok(Outcome::Uncharged),
        _ => Ok(Outcome::Other),
    }
}

/// The time of the block that includes a transaction, if one does.
async fn included_at<E: PurchaseEnv>(
    env: &E,
    transaction: B256,
) -> Result<Option<UnixSeconds>, Stuck> {
    let Some(receipt) = env.chain().receipt(transaction).await? else {
        return Ok(None);
    };
    let time = env.chain().block_time(receipt.block).await?;
    Ok(Some(UnixSeconds(time.ok_or(Stuck::Waiting)?)))
}

pub(in crate::purchase) async fn release<E: PurchaseEnv>(
    env: &E,
    record: &Purchase,
) -> Result<Event, Stuck> {
    if let State::Cancelled {
        reserving: Some(nonce),
        ..
    } = record.state
    {
        // The purchase's `Reserve` command may still be on its way, and would open the purchase again after its
        // release. So it is sent once more first: when the payment is booked, a late copy changes nothing.
        let reserve = PayerCommand::Reserve(Reservation {
            nonce,
            request_id: record.terms.request_id.clone(),
            attempt: 1,
            target: TargetKey::of(&record.terms),
            identifier: None,
        });
        env.payer(record.payer, reserve).await?;
    }
    let release = PayerCommand::Release {
        request_id: record.terms.request_id.clone(),
        attempt: match &record.state {
            State::Pending { attempt } => attempt.broadcast.number,
            _ => LAST_ATTEMPT,
        },
        outcome: outcome(env, record).await?,
        grant: bought(record),
    };
    env.payer(record.payer, release).await?;
    Ok(Event::TargetReleased)
}

/// The grant that a delivered purchase has founded, if its calls are counted.
fn bought(record: &Purchase) -> Option<BoughtGrant> {
    let granted = granted(record, record.terms.network)?;
    Some(BoughtGrant {
        id: record.terms.request_id.clone(),
        plan: record.terms.target.plan()?.clone(),
        ends_at: granted.ends_at,
    })
}

/// The keys under which the payer's book knows these transfers.
pub(in crate::purchase) fn booking_keys(
    transaction: B256,
    transfers: &[(u32, UsdcAmount)],
) -> Vec<B256> {
    let keys = transfers
        .iter()
        .map(|(log, _)| booking_key(transaction, *log));
    keys.collect()
}

/// Has the payer's book enter one of the transfers.
pub(super) async fn book<E: PurchaseEnv>(
    env: &E,
    record: &Purchase,
    transaction: B256,
    transfers: &[(u32, UsdcAmount)],
) -> Result<Event, Stuck> {
    let claim = PayerCommand::Claim(Claim {
        transfers: booking_keys(transaction, transfers),
        request_id: record.terms.request_id.clone(),
        target: TargetKey::of(&record.terms),
    });
    match env.payer(record.payer, claim).await? {
        PayerReply::Taken => Some(Event::Taken),
        PayerReply::Claimed(transfer) => transfers
            .iter()
            .find(|(log, _)| booking_key(transaction, *log) == transfer)
            .map(|(log, _)| Event::Claimed { log: *log }),
        _ => None,
    }
    .ok_or_else(|| Stuck::Fault("the payer's book gave a wrong answer".to_owned()))
}
