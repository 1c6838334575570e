//! What became of an authorization. This is the question behind every lost receipt, every lost answer and every claim
//! of others. Only the chain answers it, by the state at a block that exists.
//!
//! A purchase asks it about a transfer without a receipt (`confirm.rs`), about an authorization that a wallet or a
//! facilitator did not send or did not answer for, about an attempt that failed or was given up, and before a payer is
//! told that nothing was charged. The purchase then does this:
//!
//! | asked about                  | `Paid`  | `Spent` | `Open`                      | `Expired` |
//! |------------------------------|---------|---------|-----------------------------|-----------|
//! | what our wallet sends        | settles | fails   | waits                       | lapses    |
//! | what others may send         | settles | fails   | waits, then lapses, watched | lapses    |
//! | a failed attempt, at the end | settles | lapses  | lapses, watched             | lapses    |
//! | what is watched              | settles | lapses  | waits 30 days, then lapses  | lapses    |
//! | a refund that was given up   | settles | waits   | waits                       | waits     |
//!
//! While we search for the transaction that used an authorization, the purchase stores how far the search has come.

use super::super::env::{PurchaseEnv, Stuck};
use super::super::lifecycle::Event;
use super::super::state::{Attempt, Broadcast, Payment, Purchase, Stage};
use super::depth::settled;
use super::diagnose::diagnose;
use super::search::{Search, find_event};
use crate::chain::Chain;
use crate::chain::base::Head;
use crate::chain::events::{Verdict, verdict};
use crate::pauses;
use crate::types::UnixSeconds;
use crate::x402::Refusal;

/// How many blocks before an attempt the search for its events begins: nodes behind one address may be blocks apart.
const LOG_MARGIN_BLOCKS: u64 = 150;
/// How long after its expiry an authorization is given up: the node that we ask may be this far behind, and the newest
/// blocks may be replaced.
const LAPSE_MARGIN_SECONDS: u64 = 30;

/// What became of an authorization.
pub(in crate::purchase) enum Fate {
    /// The authorization has paid, and the payment counts.
    Paid(Payment),
    /// The authorization was cancelled, or has paid somebody else. It can pay nothing any more.
    Spent,
    /// The authorization was used, but the transaction has not been found yet. The search goes on from this block, or
    /// begins again if it is `None`.
    Searching { from: Option<u64> },
    /// The authorization was not used, and still can be.
    Open,
    /// The authorization was not used, and no longer can be.
    Expired,
}

impl Fate {
    /// The event for a purchase that does not wait for its authorization any longer.
    pub(in crate::purchase) fn event(self) -> Event {
        let lapsed = |may_still_land| Event::Lapsed { may_still_land };
        match self {
            Self::Paid(payment) => Event::Settled { payment },
            Self::Spent => Event::AttemptFailed {
                reason: Refusal::InvalidExactEvmNonceAlreadyUsed,
                transaction: None,
            },
            Self::Searching { from: Some(to) } => Event::Searched { to },
            Self::Searching { from: None } => Event::SearchedInVain,
            Self::Open => lapsed(true),
            Self::Expired => lapsed(false),
        }
    }

    /// The event, if the authorization was used.
    pub(super) fn used(self) -> Option<Event> {
        (!matches!(self, Self::Open | Self::Expired)).then(|| self.event())
    }

    /// The event, if the authorization has paid or may have paid.
    pub(in crate::purchase) fn payment(self) -> Option<Event> {
        (!matches!(self, Self::Open | Self::Expired | Self::Spent)).then(|| self.event())
    }

    /// The event. While `is_awaited`, the purchase waits for an authorization that is still open.
    pub(super) fn awaited(self, is_awaited: bool) -> Result<Event, Stuck> {
        match self {
            Self::Open if is_awaited => Err(Stuck::Waiting),
            fate => Ok(fate.event()),
        }
    }

    /// The fate as it counts for a failed attempt: a spent authorization is as good as expired, and so is an open one
    /// that was watched for long enough (`is_enough`).
    pub(super) fn given_up(self, is_enough: bool) -> Self {
        match self {
            Self::Spent => Self::Expired,
            Self::Open if is_enough => Self::Expired,
            fate => fate,
        }
    }
}

/// What the newest block says became of an authorization.
pub(in crate::purchase) async fn fate_of<E: PurchaseEnv>(
    env: &E,
    record: &Purchase,
    broadcast: &Broadcast,
) -> Result<Fate, Stuck> {
    // The head is read first, so that a transaction included while we ask is not overlooked.
    let head = env.chain().head().await?;
    fate_at(env, record, broadcast, &head).await
}

/// What the block `head` says became of an authorization. All questions are about this block: the nodes behind one
/// address may be blocks apart, and a node that lacks a block must not make us conclude "no money moved".
pub(super) async fn fate_at<E: PurchaseEnv>(
    env: &E,
    record: &Purchase,
    broadcast: &Broadcast,
    head: &Head,
) -> Result<Fate, Stuck> {
    let authorization = broadcast.authorization.authorization();
    let chain = env.chain();
    let at = head.number;
    if !chain
        .authorization_used(authorization.from, authorization.nonce, Some(at))
        .await?
    {
        return Ok(match head.timestamp < end(broadcast).0 {
            true => Fate::Open,
            false => Fate::Expired,
        });
    }
    let first = broadcast.from_block.saturating_sub(LOG_MARGIN_BLOCKS);
    let first = first.max(broadcast.searched_to);
    let events = match find_event(chain, authorization, first, at).await? {
        Search::Found(events) => events,
        Search::NotBefore(block) => {
            // The node may have lacked the newest blocks, so the next search covers them again.
            let to = block.min(at.saturating_sub(LOG_MARGIN_BLOCKS));
            return match to > first {
                true => Ok(Fate::Searching { from: Some(to) }),
                false => Err(Stuck::Fault("a search gets no further".to_owned())),
            };
        }
        // The node that searched the older blocks may have missed the event. The next search begins at the start.
        Search::Nothing if broadcast.searched_to > 0 => return Ok(Fate::Searching { from: None }),
        // No event is visible, although the authorization is used: to guess now could lose a payment.
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
            Verdict::Transferred => return settled(env, record, &receipt).await.map(Fate::Paid),
            // The transaction pays somebody else: the payer has signed two authorizations with this nonce.
            Verdict::OtherTransfer if receipt.block <= at => paid_somebody_else = true,
            // The event says that the authorization was used in this transaction, and the receipt does not.
            Verdict::OtherTransfer | Verdict::NoTransfer | Verdict::Unclear | Verdict::Reverted => {
            }
        }
    }
    if events.cancelled || paid_somebody_else {
        return Ok(Fate::Spent);
    }
    // The two answers contradict each other, so neither is believed: to guess now could lose a payment.
    Err(Stuck::Fault(
        "an authorization is used, but no receipt shows for what yet".to_owned(),
    ))
}

/// From this block time on, an unused authorization can never be used.
pub(in crate::purchase) fn end(broadcast: &Broadcast) -> UnixSeconds {
    let expiry = broadcast.authorization.authorization().expires_at();
    expiry.plus(LAPSE_MARGIN_SECONDS)
}

/// The event for an attempt that no wallet of ours sends: the gas wallet never began it and now it is too late, or a
/// facilitator was asked, or the wallet that it was handed to is no longer ours.
pub(super) async fn not_included<E: PurchaseEnv>(
    env: &E,
    record: &Purchase,
    attempt: &Attempt,
) -> Result<Event, Stuck> {
    let fate = fate_of(env, record, &attempt.broadcast).await?;
    let begun = !matches!(attempt.stage, Stage::Held | Stage::Settling);
    // An authorization may be good for years, so we stop waiting soon after the offer's end.
    let end = record.terms.expires_at.to_millis().plus(pauses::ANSWER);
    // The answer is stored, and only our own RPC endpoint has seen the authorization: the buyer may present the same
    // payment again.
    if attempt.held.is_some() && !begun && !attempt.exposed && matches!(fate, Fate::Open) {
        return Ok(Event::AttemptFailed {
            reason: Refusal::CallUnfinished,
            transaction: None,
        });
    }
    fate.awaited((begun || attempt.exposed) && env.now() < end)
}

/// The event for an authorization that the chain would refuse and that others may have seen: it was used, or the chain
/// refuses it for another reason.
pub(in crate::purchase) async fn refused<E: PurchaseEnv>(
    env: &E,
    record: &Purchase,
    broadcast: &Broadcast,
    text: &str,
    head: &Head,
) -> Result<Event, Stuck> {
    if let Some(event) = fate_at(env, record, broadcast, head).await?.used() {
        return Ok(event);
    }
    match diagnose(env, &broadcast.authorization, text).await? {
        // The authorization was used after the block `head`, so the next look will find out how.
        Refusal::InvalidExactEvmNonceAlreadyUsed => Err(Stuck::Waiting),
        reason => Ok(Event::AttemptFailed {
            reason,
            transaction: None,
        }),
    }
}
