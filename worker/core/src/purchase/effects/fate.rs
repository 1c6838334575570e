//! What became of an authorization: the question behind every lost receipt, lost answer and claim of
//! others. Only the chain answers it, by the state of a block that is there.
//!
//! It is asked about a transfer without a receipt (`confirm.rs`), about what a wallet or a facilitator
//! did not send or did not answer for, about what failed or was given up, and before a payer is told
//! that nothing was charged. The purchase then does this:
//!
//! | asked about                  | `Paid`  | `Spent` | `Open`                      | `Expired` |
//! |------------------------------|---------|---------|-----------------------------|-----------|
//! | what our wallet sends        | settles | fails   | waits                       | lapses    |
//! | what others may send         | settles | fails   | waits, then lapses, watched | lapses    |
//! | a failed attempt, at the end | settles | lapses  | lapses, watched             | lapses    |
//! | what is watched              | settles | lapses  | waits 30 days, then lapses  | lapses    |
//! | a refund that was given up   | settles | waits   | waits                       | waits     |
//!
//! While the transaction that used it is searched for, the purchase stores how far the search has come.

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

/// How far before an attempt began its events are looked for: nodes behind one address may be blocks apart.
const LOG_MARGIN_BLOCKS: u64 = 150;
/// How long after an authorization's expiry it is given up: a node that is asked may be this far behind, and the newest
/// blocks may be replaced.
const LAPSE_MARGIN_SECONDS: u64 = 30;

/// What became of an authorization.
pub(in crate::purchase) enum Fate {
    /// It has paid, and the payment counts.
    Paid(Payment),
    /// It was cancelled, or has paid somebody else. It can pay nothing.
    Spent,
    /// It was used, and nothing is known of the transaction yet. The search goes on from this block,
    /// or begins again.
    Searching { from: Option<u64> },
    /// It was not used, and still can be.
    Open,
    /// It was not used, and cannot be.
    Expired,
}

impl Fate {
    /// What happened to a purchase that does not wait for its authorization.
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

    /// What happened, if it was used.
    pub(super) fn used(self) -> Option<Event> {
        (!matches!(self, Self::Open | Self::Expired)).then(|| self.event())
    }

    /// What happened, if it has paid or may have.
    pub(in crate::purchase) fn payment(self) -> Option<Event> {
        (!matches!(self, Self::Open | Self::Expired | Self::Spent)).then(|| self.event())
    }

    /// What happened. An open one is waited for while it `is_awaited`.
    pub(super) fn awaited(self, is_awaited: bool) -> Result<Event, Stuck> {
        match self {
            Self::Open if is_awaited => Err(Stuck::Waiting),
            fate => Ok(fate.event()),
        }
    }

    /// Of an attempt that has failed: spent is as good as expired, and so is open once it was watched
    /// for long enough.
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
    // The head first: what is included while we ask must not be overlooked.
    let head = env.chain().head().await?;
    fate_at(env, record, broadcast, &head).await
}

/// What this block says: the nodes behind one address may be blocks apart, and what one of them does not know yet must not
/// pass for "no money moved".
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
            // The node may have lacked the newest blocks, so they are searched again.
            let to = block.min(at.saturating_sub(LOG_MARGIN_BLOCKS));
            return match to > first {
                true => Ok(Fate::Searching { from: Some(to) }),
                false => Err(Stuck::Fault("a search gets no further".to_owned())),
            };
        }
        // The node that was asked for the older blocks may have removed them by now. The next search begins again.
        Search::Nothing if broadcast.searched_to > 0 => return Ok(Fate::Searching { from: None }),
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
            Verdict::Transferred => return settled(env, record, &receipt).await.map(Fate::Paid),
            // The payer has signed the nonce twice.
            Verdict::OtherTransfer if receipt.block <= at => paid_somebody_else = true,
            // The event says that it was used here, and the receipt does not.
            Verdict::OtherTransfer | Verdict::NoTransfer | Verdict::Unclear | Verdict::Reverted => {
            }
        }
    }
    if events.cancelled || paid_somebody_else {
        return Ok(Fate::Spent);
    }
    // Two answers that contradict each other are no knowledge. A guess could lose a payment.
    Err(Stuck::Fault(
        "an authorization is used, but no receipt shows for what yet".to_owned(),
    ))
}

/// When the chain's clock shows this, an authorization that is unused will never be used.
pub(in crate::purchase) fn end(broadcast: &Broadcast) -> UnixSeconds {
    let expiry = broadcast.authorization.authorization().expires_at();
    expiry.plus(LAPSE_MARGIN_SECONDS)
}

/// What happened to an attempt that no wallet of ours sends: it was never begun, and now it is too late; or a facilitator was
/// asked; or a wallet that is not ours any more.
pub(super) async fn not_included<E: PurchaseEnv>(
    env: &E,
    record: &Purchase,
    attempt: &Attempt,
) -> Result<Event, Stuck> {
    let fate = fate_of(env, record, &attempt.broadcast).await?;
    let begun = !matches!(attempt.stage, Stage::Settling);
    // Everybody gives up sooner or later, and authorizations may be good for years.
    let end = record.terms.expires_at.to_millis().plus(pauses::ANSWER);
    fate.awaited((begun || attempt.exposed) && env.now() < end)
}

/// The chain would refuse an authorization that others may have seen: was it used, or why else?
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
        // Used after that block.
        Refusal::InvalidExactEvmNonceAlreadyUsed => Err(Stuck::Waiting),
        reason => Ok(Event::AttemptFailed {
            reason,
            transaction: None,
        }),
    }
}
