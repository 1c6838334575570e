//! Looking for the use of an authorization by anybody: is the money here, may it still come, or can it not come any more?

use super::super::env::{PurchaseEnv, Stuck};
use super::super::lifecycle::Event;
use super::super::schedule::watched_enough;
use super::super::state::{Attempt, Purchase, Stage};
use super::depth::settled;
use super::diagnose::diagnose;
use super::search::{Search, find_event};
use crate::chain::Chain;
use crate::chain::events::{Verdict, verdict};
use crate::pauses;
use crate::types::UnixSeconds;
use crate::x402::Refusal;

/// How far before an attempt began its events are looked for: nodes behind one address may be blocks apart.
const LOG_MARGIN_BLOCKS: u64 = 150;
/// How long after an authorization's expiry it is given up: a node that is asked may be this far behind, and the newest
/// blocks may be replaced.
const LAPSE_MARGIN_SECONDS: u64 = 30;

/// Our wallet has sent it, and goes on sending it until the authorization ends. Is the money here, may it still come, or can it
/// not come any more?
pub(super) async fn not_included_yet<E: PurchaseEnv>(
    env: &E,
    record: &Purchase,
    attempt: &Attempt,
) -> Result<Event, Stuck> {
    match given_up(env, record, attempt).await? {
        Event::Lapsed {
            may_still_land: true,
        } => Err(Stuck::Waiting),
        event => Ok(event),
    }
}

/// No wallet of ours sends it: it was never begun, and now it is too late; or a facilitator was asked; or a wallet that is not
/// ours any more. Is the money here all the same, may it still come, or can it not come any more?
pub(super) async fn not_included<E: PurchaseEnv>(
    env: &E,
    record: &Purchase,
    attempt: &Attempt,
) -> Result<Event, Stuck> {
    match given_up(env, record, attempt).await? {
        Event::Lapsed {
            may_still_land: true,
        } if is_under_way(env, record, attempt) => Err(Stuck::Waiting),
        event => Ok(event),
    }
}

/// Whether somebody whom we asked may be about to get the transfer included. Everybody gives up sooner or later, and
/// authorizations may be good for years.
fn is_under_way<E: PurchaseEnv>(env: &E, record: &Purchase, attempt: &Attempt) -> bool {
    let begun = !matches!(attempt.stage, Stage::Settling);
    let end = record.terms.expires_at.to_millis().plus(pauses::ANSWER);
    (begun || attempt.exposed) && env.now() < end
}

/// What is known of an authorization that we do not pursue (any more).
pub(in crate::purchase) async fn given_up<E: PurchaseEnv>(
    env: &E,
    record: &Purchase,
    attempt: &Attempt,
) -> Result<Event, Stuck> {
    // The head first: what is included while we ask must not be overlooked.
    let head = env.chain().head().await?;
    if let Some(event) = elsewhere(env, record, attempt, head.number).await? {
        return Ok(event);
    }
    Ok(Event::Lapsed {
        may_still_land: head.timestamp < end(attempt).0,
    })
}

/// When the chain's clock shows this, an authorization that is unused will never be used.
pub(in crate::purchase) fn end(attempt: &Attempt) -> UnixSeconds {
    let expiry = attempt.authorization.authorization().expires_at();
    expiry.plus(LAPSE_MARGIN_SECONDS)
}

/// Looks for a use of the authorization by anybody, up to the newest block that is known. `None` when it is unused.
pub(in crate::purchase) async fn used_by_anybody<E: PurchaseEnv>(
    env: &E,
    record: &Purchase,
    attempt: &Attempt,
) -> Result<Option<Event>, Stuck> {
    let head = env.chain().head().await?;
    elsewhere(env, record, attempt, head.number).await
}

/// The chain would refuse an authorization that others may have seen: was it used, or why else?
pub(in crate::purchase) async fn refused<E: PurchaseEnv>(
    env: &E,
    record: &Purchase,
    attempt: &Attempt,
    text: &str,
    at: u64,
) -> Result<Event, Stuck> {
    if let Some(event) = elsewhere(env, record, attempt, at).await? {
        return Ok(event);
    }
    match diagnose(env, &attempt.authorization, text).await? {
        // Used after that block.
        Refusal::InvalidExactEvmNonceAlreadyUsed => Err(Stuck::Waiting),
        reason => Ok(Event::AttemptFailed {
            reason,
            transaction: None,
        }),
    }
}

/// Looks for a use of the authorization by anybody. `None` when it is unused up to and including the block `at`: the nodes
/// behind one address may be blocks apart, and what one of them does not know yet must not pass for "no money moved".
pub(super) async fn elsewhere<E: PurchaseEnv>(
    env: &E,
    record: &Purchase,
    attempt: &Attempt,
    at: u64,
) -> Result<Option<Event>, Stuck> {
    let authorization = attempt.authorization.authorization();
    let chain = env.chain();
    if !chain
        .authorization_used(authorization.from, authorization.nonce, Some(at))
        .await?
    {
        return Ok(None);
    }
    let first = attempt.from_block.saturating_sub(LOG_MARGIN_BLOCKS);
    let first = first.max(attempt.searched_to);
    let events = match find_event(chain, authorization, first, at).await? {
        Search::Found(events) => events,
        Search::NotBefore(block) => {
            // Who was asked may not have had the newest blocks, so they are looked through again.
            let to = block.min(at.saturating_sub(LOG_MARGIN_BLOCKS));
            return match to > first {
                true => Ok(Some(Event::Searched { to })),
                false => Err(Stuck::Fault("a search gets no further".to_owned())),
            };
        }
        // Who was asked for the older blocks may not have them any more. The next search begins again.
        Search::Nothing if attempt.searched_to > 0 => return Ok(Some(Event::SearchedInVain)),
        // A guess could lose a payment.
        Search::Nothing => {
            return Err(Stuck::Fault(
                "an authorization is used, but its event is not visible yet".to_owned(),
            ));
        }
    };
    let mut paid_somebody_else = false;
    for transaction in events.used_in {
        let Some(receipt) = chain.receipt(transaction).await? else {
            return Err(Stuck::Waiting);
        };
        match verdict(&receipt, authorization, record.terms.network.usdc()) {
            Verdict::Transferred => return settled(env, record, &receipt).await.map(Some),
            // The payer has signed the nonce twice.
            Verdict::OtherTransfer if receipt.block <= at => paid_somebody_else = true,
            // The event says that it was used here, and the receipt does not.
            Verdict::OtherTransfer | Verdict::NoTransfer | Verdict::Unclear | Verdict::Reverted => {
            }
        }
    }
    if events.cancelled || paid_somebody_else {
        return Ok(Some(Event::AttemptFailed {
            reason: Refusal::InvalidExactEvmNonceAlreadyUsed,
            transaction: None,
        }));
    }
    // Two answers that contradict each other are no knowledge. A guess could lose a payment.
    Err(Stuck::Fault(
        "an authorization is used, but no receipt shows for what yet".to_owned(),
    ))
}

/// The end of a failed attempt, unless somebody else broadcast it.
pub(super) async fn lapse<E: PurchaseEnv>(
    env: &E,
    record: &Purchase,
    attempt: &Attempt,
) -> Result<Event, Stuck> {
    Ok(match given_up(env, record, attempt).await? {
        // Used up without paying us.
        Event::AttemptFailed { .. } => Event::Lapsed {
            may_still_land: false,
        },
        event => event,
    })
}

/// Looks at an authorization that was given up.
pub(super) async fn watch<E: PurchaseEnv>(
    env: &E,
    record: &Purchase,
    attempt: &Attempt,
) -> Result<Event, Stuck> {
    match lapse(env, record, attempt).await? {
        Event::Lapsed {
            may_still_land: true,
        } if !watched_enough(record, env.now()) => Err(Stuck::Waiting),
        Event::Lapsed { .. } => Ok(Event::Lapsed {
            may_still_land: false,
        }),
        event => Ok(event),
    }
}

/// Looks whether a refund that was given up has arrived after all: its authorization is good for years, and its transactions
/// are public.
pub(super) async fn watch_refund<E: PurchaseEnv>(
    env: &E,
    record: &Purchase,
    attempt: &Attempt,
) -> Result<Event, Stuck> {
    match used_by_anybody(env, record, attempt).await? {
        // Cancelled by the seller: the operator knows.
        None | Some(Event::AttemptFailed { .. }) => Err(Stuck::Waiting),
        Some(event) => Ok(event),
    }
}
