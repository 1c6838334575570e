//! What a record asks for next, and when the alarm must look at it again.

use super::outbox::Message;
use super::retention::{HISTORY_MILLIS, LEEWAY_SECONDS};
use super::state::{DeliveryFailure, Purchase, RefundStage, Rest, Stage, State};
use crate::config::Policy;
use crate::goods::DeliveryFault;
use crate::pauses::{self, Backoff};
use crate::types::{UnixMillis, UnixSeconds};

/// What a record asks for next.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Effect {
    /// Book the authorization with the payer.
    Reserve,
    /// Hand the transfer to a facilitator or to a wallet of ours.
    Submit,
    /// Look what a facilitator has done whose answer was lost.
    Reconcile,
    /// Look whether the money has arrived.
    Confirm,
    /// End a purchase whose attempt has failed.
    Lapse,
    /// Look whether an authorization that was given up was broadcast by somebody else; or whether a refund that was given up has
    /// arrived after all.
    Watch,
    /// Fix the credential.
    Issue,
    /// Sign the refund.
    BeginRefund,
    /// Look whether the refund would succeed now.
    PrepareRefund,
    /// Tell the payer's book that the purchase is resolved.
    ReleaseTarget,
    /// Forget the history.
    RemoveHistory,
    /// Forget the grant.
    RemoveGrant,
    /// Nothing before this moment.
    WaitUntil(UnixMillis),
    /// Nothing, ever.
    Rest,
}

/// What a record asks for at `now`.
pub fn next_effect(record: &Purchase, now: UnixMillis, policy: &Policy) -> Effect {
    if record.terms.network != policy.network {
        return on_another_network(record, now);
    }
    if record.holds_target && record.state.is_resolved() {
        return Effect::ReleaseTarget;
    }
    match &record.state {
        State::Pending { attempt } => match attempt.stage {
            Stage::Reserving => Effect::Reserve,
            Stage::Settling => Effect::Submit,
            Stage::Asked { .. } => Effect::Reconcile,
            Stage::Submitted(_) => Effect::Confirm,
            Stage::Failed { .. } => at(record.terms.expires_at.to_millis(), now, Effect::Lapse),
        },
        State::Proving { .. } => Effect::Reserve,
        State::Paid { since, failure, .. } => after_payment(*since, *failure, now, policy),
        State::RefundPending { refund, .. } => {
            let effect = match refund.stage {
                RefundStage::Preparing => Effect::PrepareRefund,
                RefundStage::Settling => Effect::Submit,
                RefundStage::Submitted(_) => Effect::Confirm,
            };
            at(refund.not_before, now, effect)
        }
        State::RefundBlocked { retried: true, .. } => Effect::BeginRefund,
        State::RefundBlocked { .. } => Effect::Rest,
        // The alarm counts its try before it looks.
        State::Expired { watch: Some(_) }
        | State::Cancelled { watch: Some(_), .. }
        | State::RefundFailed { .. } => at(
            watch_at(record, record.tries.saturating_sub(1)),
            now,
            Effect::Watch,
        ),
        State::Expired { .. }
        | State::Delivered { .. }
        | State::Closed { .. }
        | State::Cancelled { .. }
        | State::Refunded { .. } => removal(record, now),
    }
}

/// The chain, the wallets and the books that could be asked now are another network's, and the backend expects that one's
/// purchases. So nothing outside is asked or told until the seller is back on this network.
fn on_another_network(record: &Purchase, now: UnixMillis) -> Effect {
    match record.is_over() && record.outbox.open.is_empty() {
        true => removal(record, now),
        false => Effect::WaitUntil(now.plus(pauses::OTHER_NETWORK)),
    }
}

/// What is to be removed next of a purchase, if it is over.
fn removal(record: &Purchase, now: UnixMillis) -> Effect {
    match (record.rest, &record.state) {
        _ if !record.outbox.is_empty() => Effect::Rest,
        (Rest::Since(since), _) => at(since.plus(HISTORY_MILLIS), now, Effect::RemoveHistory),
        (Rest::WithoutHistory, State::Delivered { goods, .. }) => {
            let end = UnixSeconds(goods.claims().exp).plus(LEEWAY_SECONDS);
            at(end.to_millis(), now, Effect::RemoveGrant)
        }
        (Rest::WithoutHistory | Rest::NotYet, _) => Effect::Rest,
    }
}

/// Delivery is tried at least once, whatever the time; then again, until the grace period is over.
fn after_payment(
    since: UnixMillis,
    failure: Option<DeliveryFailure>,
    now: UnixMillis,
    policy: &Policy,
) -> Effect {
    let Some(failure) = failure else {
        return Effect::Issue;
    };
    let refund_at = policy.refund_after_millis.map(|age| since.plus(age));
    if refund_at.is_some_and(|refund_at| refund_at <= now) {
        return Effect::BeginRefund;
    }
    let pause = match failure.fault {
        // Trying again cannot help.
        DeliveryFault::PlanGone => pauses::DAY,
        _ => pauses::DELIVERY.after(failure.tries.saturating_sub(1)),
    };
    let again = failure.at.plus(pause);
    if again <= now {
        return Effect::Issue;
    }
    Effect::WaitUntil(refund_at.map_or(again, |refund_at| refund_at.min(again)))
}

/// The message that is sent next, and when.
pub fn next_message(record: &Purchase, policy: &Policy) -> Option<(Message, UnixMillis)> {
    let outbox = &record.outbox;
    // What the ledger calls over, no sweep looks at again. So the payer's book is told first: there
    // the purchase would stay open.
    let hears_report = !(record.holds_target && record.is_end());
    let report = outbox.report.filter(|_| hears_report);
    let report = report.map(|tries| (Message::Report, tries.not_before));
    // The backend of one network hears of no purchase on another.
    let notice_at = outbox.notice_at();
    let notice_at = notice_at.filter(|_| record.terms.network == policy.network);
    let notice = notice_at.map(|at| (Message::Notice(outbox.number()), at));
    report.into_iter().chain(notice).min_by_key(|(_, at)| *at)
}

/// When the alarm must look at a record again, if nobody else does before.
pub fn wake_at(record: &Purchase, now: UnixMillis, policy: &Policy) -> Option<UnixMillis> {
    let retry = retry_at(now, record.tries);
    // They are told where a purchase comes to rest, and in passing when the alarm looks after it
    // anyway.
    let told_at = next_message(record, policy).map(|(_, at)| at);
    let at = match next_effect(record, now, policy) {
        Effect::Rest => return told_at,
        Effect::WaitUntil(at) => at.min(now.plus(pauses::SLEEP)),
        Effect::Watch => match next_look(record) {
            next if next > now => next.max(retry),
            _ => now.plus(pauses::LATE_WATCH.after(record.tries)),
        },
        Effect::Reconcile => {
            return Some(answer_due(record, now).map_or(retry, |due| due.min(retry)));
        }
        // The buyer's answer does not wait for this, so the alarm does it at once.
        Effect::ReleaseTarget if record.tries == 0 => return Some(now),
        _ => return Some(retry),
    };
    Some(told_at.map_or(at, |told_at| told_at.min(at)))
}

/// How long to wait after a refund's failures.
pub(super) fn refund_pause(policy: &Policy, failures: u32) -> u64 {
    let pauses = Backoff {
        first: policy.refund_interval_millis,
        cap: u64::MAX,
    };
    pauses.after(failures.saturating_sub(1))
}

/// Whether an authorization that was given up has been watched for long enough.
pub(super) fn watched_enough(record: &Purchase, now: UnixMillis) -> bool {
    now >= record.changed_at.plus(pauses::WATCH_END)
}

/// When it is looked next at an authorization that was given up.
pub(super) fn next_look(record: &Purchase) -> UnixMillis {
    watch_at(record, record.tries)
}

/// The look with this number: in growing distances, and for the last time when the chain cannot accept it any more.
fn watch_at(record: &Purchase, number: u32) -> UnixMillis {
    let days = number.saturating_sub(pauses::WATCH_DOUBLINGS);
    let look = record
        .changed_at
        .plus(pauses::WATCH.after(number))
        .plus(pauses::DAY.saturating_mul(days.into()));
    let Some(attempt) = record.state.watch() else {
        return look;
    };
    let expiry = attempt
        .broadcast
        .authorization
        .authorization()
        .expires_at()
        .to_millis();
    let last = expiry
        .plus(pauses::CHAIN_LAG)
        .min(record.changed_at.plus(pauses::WATCH_END));
    look.min(last)
}

/// When a facilitator's answer is given up, if that lies ahead.
fn answer_due(record: &Purchase, now: UnixMillis) -> Option<UnixMillis> {
    match &record.state {
        State::Pending { attempt } => match attempt.stage {
            Stage::Asked { since } => Some(since.plus(pauses::ANSWER)).filter(|due| *due > now),
            _ => None,
        },
        _ => None,
    }
}

fn retry_at(now: UnixMillis, tries: u32) -> UnixMillis {
    now.plus(pauses::EFFECT.after(tries))
}

fn at(moment: UnixMillis, now: UnixMillis, effect: Effect) -> Effect {
    if moment <= now {
        effect
    } else {
        Effect::WaitUntil(moment)
    }
}
