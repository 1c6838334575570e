//! Which effect a record asks for next, and when the alarm must look at the record again.

use super::outbox::Message;
use super::retention::{CALL_KEPT_MILLIS, HISTORY_MILLIS, LEEWAY_SECONDS, UNCHARGED_KEPT_MILLIS};
use super::state::{DeliveryFailure, Purchase, RefundStage, Rest, Stage, State};
use crate::config::Policy;
use crate::goods::{DeliveryFault, Goods};
use crate::pauses::{self, Backoff};
use crate::types::{UnixMillis, UnixSeconds};

/// The effect that a record asks for next.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Effect {
    /// Have the payer's book enter the authorization or the transfer.
    Reserve,
    /// Hand the authorization to a facilitator or to a wallet of ours.
    Submit,
    /// Ask the chain what a facilitator has done whose answer was lost.
    Reconcile,
    /// Ask the chain whether the money has arrived.
    Confirm,
    /// End a purchase whose attempt has failed.
    Lapse,
    /// Ask the chain whether somebody else has broadcast an authorization that we have given up, or whether a refund
    /// that we have given up has arrived after all.
    Watch,
    /// Call the seller's API.
    Call,
    /// Simulate the transfer once more, to see whether the price of a held answer can still be charged.
    LookAgain,
    /// Determine what is delivered.
    Issue,
    /// Sign the refund.
    BeginRefund,
    /// Simulate the refund.
    PrepareRefund,
    /// Tell the payer's book that the purchase is resolved.
    ReleaseTarget,
    /// Remove the history.
    RemoveHistory,
    /// Remove the goods.
    RemoveGrant,
    /// Remove everything of the purchase.
    Remove,
    /// Nothing before this time.
    WaitUntil(UnixMillis),
    /// Nothing, ever.
    Rest,
}

/// The effect that a record asks for at `now`.
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
            Stage::Uncalled | Stage::Calling { .. } => Effect::Call,
            Stage::Held => Effect::LookAgain,
            Stage::Settling => Effect::Submit,
            Stage::Asked { .. } => Effect::Reconcile,
            Stage::Submitted(_) => Effect::Confirm,
            Stage::Failed { .. } => at(record.terms.expires_at.to_millis(), now, Effect::Lapse),
        },
        State::Proving { .. } => Effect::Reserve,
        State::Paid { failure, held, .. } if record.is_of_a_call() => match (failure, held) {
            (None, Some(_)) => Effect::Issue,
            (None, None) => Effect::Call,
            (Some(_), _) if policy.refund_after_millis.is_some() => Effect::BeginRefund,
            // Refunds are off, so an operator must act.
            (Some(_), _) => Effect::WaitUntil(now.plus(pauses::DAY)),
        },
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
        // The alarm has counted its try before it runs this effect, so the look is one try back.
        State::Expired { watch: Some(_) }
        | State::Cancelled { watch: Some(_), .. }
        | State::RefundFailed { .. } => at(
            watch_at(record, record.tries.saturating_sub(1)),
            now,
            Effect::Watch,
        ),
        State::Delivered {
            goods: Goods::Answer { .. },
            ..
        } => {
            let kept = policy.answer_kept_millis.max(pauses::ANSWER_KEPT);
            match at(record.changed_at.plus(kept), now, Effect::RemoveGrant) {
                Effect::WaitUntil(end) => match removal(record, now) {
                    Effect::WaitUntil(other) => Effect::WaitUntil(end.min(other)),
                    Effect::Rest => Effect::WaitUntil(end),
                    effect => effect,
                },
                effect => effect,
            }
        }
        State::Expired { .. }
        | State::Delivered { .. }
        | State::Closed { .. }
        | State::Cancelled { .. }
        | State::Refunded { .. } => removal(record, now),
    }
}

/// The effect for a purchase on another network than the configured one. The chain, the wallets and the payers' books
/// that could be asked now are those of the configured network, and the seller's backend expects the purchases of that
/// network. So the purchase asks nobody, and the backend gets no notification of it, until its network is configured
/// again.
fn on_another_network(record: &Purchase, now: UnixMillis) -> Effect {
    let wait = Effect::WaitUntil(now.plus(pauses::OTHER_NETWORK));
    match record.is_over() && record.outbox.open.is_empty() {
        // The payer's book must be told.
        true => match removal(record, now) {
            Effect::Remove => wait,
            effect => effect,
        },
        false => wait,
    }
}

/// The effect that removes the next part of a purchase that is over.
fn removal(record: &Purchase, now: UnixMillis) -> Effect {
    if !record.outbox.is_empty() {
        return Effect::Rest;
    }
    let Some(end) = kept_until(record) else {
        return partial_removal(record, now);
    };
    match partial_removal(record, now) {
        _ if end <= now => Effect::Remove,
        Effect::WaitUntil(part) => Effect::WaitUntil(part.min(end)),
        Effect::Rest => Effect::WaitUntil(end),
        effect => effect,
    }
}

fn partial_removal(record: &Purchase, now: UnixMillis) -> Effect {
    match (record.rest, &record.state) {
        (Rest::Since(since), _) => at(since.plus(HISTORY_MILLIS), now, Effect::RemoveHistory),
        (Rest::WithoutHistory, State::Delivered { goods, .. }) => match goods.claims() {
            Some(claims) => {
                let end = UnixSeconds(claims.exp).plus(LEEWAY_SECONDS);
                at(end.to_millis(), now, Effect::RemoveGrant)
            }
            None => Effect::Rest,
        },
        (Rest::WithoutHistory | Rest::NotYet | Rest::Leaving, _) => Effect::Rest,
    }
}

/// The effect for a paid plan: one try to deliver, however late; then further tries until the grace period is over;
/// then the refund.
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
        // Another try cannot help.
        DeliveryFault::PlanGone | DeliveryFault::GrantClosed => pauses::DAY,
        _ => pauses::DELIVERY.after(failure.tries.saturating_sub(1)),
    };
    let again = failure.at.plus(pause);
    if again <= now {
        return Effect::Issue;
    }
    Effect::WaitUntil(refund_at.map_or(again, |refund_at| refund_at.min(again)))
}

/// The message that is sent next, and the time for it.
pub fn next_message(record: &Purchase, policy: &Policy) -> Option<(Message, UnixMillis)> {
    let outbox = &record.outbox;
    // The payer's book is told first. No sweep looks at a purchase that the ledger counts as over, so a lost alarm
    // could leave it open in the book.
    let hears_report = !(record.holds_target && record.is_end());
    let report = outbox.report.filter(|_| hears_report);
    let report = report.map(|tries| (Message::Report, tries.not_before));
    // The backend belongs to the configured network, and is told nothing of purchases on another.
    let notice_at = outbox.notice_at();
    let notice_at = notice_at.filter(|_| record.terms.network == policy.network);
    let notice = notice_at.map(|at| (Message::Notice(outbox.number()), at));
    report.into_iter().chain(notice).min_by_key(|(_, at)| *at)
}

/// When the alarm must look at a record again. `None`: never.
pub fn wake_at(record: &Purchase, now: UnixMillis, policy: &Policy) -> Option<UnixMillis> {
    let retry = retry_at(now, record.tries);
    // Messages set the alarm only for a purchase that rests or waits. Otherwise the alarm that drives the purchase also
    // sends them.
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
        Effect::Call if record.streaming().is_some() => now.plus(pauses::STREAM),
        Effect::Call => call_end(record, policy).max(retry),
        // The buyer is answered before this effect, so the alarm runs it at once.
        Effect::ReleaseTarget if record.tries == 0 => return Some(now),
        _ => return Some(retry),
    };
    Some(told_at.map_or(at, |told_at| told_at.min(at)))
}

/// Until when a purchase that is over is kept. `None`: for ever, or the purchase is not over.
fn kept_until(record: &Purchase) -> Option<UnixMillis> {
    let presented = record.presented?;
    match (&record.state, record.rest) {
        (_, Rest::NotYet) => None,
        (State::Delivered { .. } | State::Closed { .. } | State::Refunded { .. }, _) => {
            Some(record.changed_at.plus(CALL_KEPT_MILLIS))
        }
        (State::Expired { .. } | State::Cancelled { .. }, rest) => {
            let end = presented.until.max(record.terms.expires_at).to_millis();
            let end = end.plus(pauses::CHAIN_LAG);
            Some(match rest {
                Rest::Since(since) => end.max(since.plus(UNCHARGED_KEPT_MILLIS)),
                _ => end,
            })
        }
        _ => None,
    }
}

/// When we give up a call that no request has carried again. (The alarm carries no call, so it cannot make it.)
pub(super) fn call_end(record: &Purchase, policy: &Policy) -> UnixMillis {
    match &record.state {
        // The alarm first asks memory whether the answer is still being passed on.
        _ if record.streaming().is_some() => UnixMillis::default(),
        State::Pending { attempt } => attempt.contact.plus(pauses::CONTACT),
        State::Paid { since, .. } => since.plus(policy.refund_after_millis.unwrap_or(pauses::DAY)),
        _ => UnixMillis::default(),
    }
}

/// How long a refund waits after `failures` failed tries.
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

/// When we look next at an authorization that was given up.
pub(super) fn next_look(record: &Purchase) -> UnixMillis {
    watch_at(record, record.tries)
}

/// The time of the look with this number. The pauses between looks grow, and the last look comes when the chain can no
/// longer accept the authorization.
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

/// When we stop waiting for a facilitator's answer, if that time lies ahead.
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
