//! What a door may ask later with a claim.

mod calls;
mod documented;

use crate::json;
use futures_util::FutureExt as _;
use serde_json::Value;

use super::{Checkout, Claim, Order, Outcome, Payment, Phase, Stop, Unpaid};
use crate::book::TargetKey;
use crate::chain::endpoints::EndpointMemory;
use crate::chain::rpc::RpcChain;
use crate::config::test_config;
use crate::doors::test_support::{buyer, node, price, version2};
use crate::offer::{Target, Terms};
use crate::pauses::Patience;
use crate::purchase::{Ask, PayReply, test_offer};
use crate::testing::{ScriptedPurchases, WalletNode, checkout};
use crate::types::{RequestId, UnixSeconds};
use crate::x402::{Dialect, PaymentPayload, Refusal};

const NOW: u64 = 1_800_000_010;
const SOLD: &str = "basic";
const GONE: &str = "gone";

fn pending() -> PayReply {
    PayReply::Pending { transaction: None }
}

fn elsewhere(other: &RequestId, by_attempted: bool) -> PayReply {
    let join = json!({"payer": buyer().address(), "target": "plan basic default", "byAttempted": by_attempted});
    serde_json::from_value(json!({"elsewhere": {"requestId": other, "join": join}})).unwrap()
}

/// Lets `work` use a checkout whose purchases give these replies, at the time `now`. Also returns the ids of the
/// purchases that were asked.
fn at<T>(
    now: u64,
    replies: impl IntoIterator<Item = PayReply>,
    work: impl AsyncFnOnce(&Checkout<'_, (&ScriptedPurchases, &RpcChain<'_, WalletNode>)>) -> T,
) -> (T, Vec<RequestId>) {
    let config = test_config();
    let shop = ScriptedPurchases::new(replies);
    let node = node();
    let memory = EndpointMemory::default();
    let chain = RpcChain::new(node, &config.chain.rpc_urls, config.network, &memory);
    let checkout = checkout(&config, (&shop, &chain), UnixSeconds(now));
    let done = work(&checkout).now_or_never().unwrap();
    let asked = shop.asked.into_inner();
    (done, asked.into_iter().map(|(id, _)| id).collect())
}

/// A payment for an offer of this plan. `keeps_offer`: whether its client sends the offer back.
fn payment(plan: &str, keeps_offer: bool) -> PaymentPayload {
    let config = test_config();
    let offer = config.offers.keys.seal(Terms {
        target: Target::Plan(plan.parse().unwrap()),
        amount: price(&config),
        pay_to: config.wallets.pay_to,
        ..test_offer().terms
    });
    let extra = match keeps_offer {
        true => json!({"challengeId": offer.id}),
        false => Value::Null,
    };
    let value = version2(config.wallets.pay_to, price(&config).units(), &extra);
    PaymentPayload::parse(Dialect::X402V2, &value).unwrap()
}

fn pay(
    payment: &PaymentPayload,
    replies: impl IntoIterator<Item = PayReply>,
) -> (Outcome<'static>, Vec<RequestId>) {
    at(NOW, replies, async |checkout| {
        let order = Order {
            target: Some(Target::Plan(SOLD.parse().unwrap())),
            ..Order::default()
        };
        let order = match payment.challenge_id() {
            Some(_) => Order::default(),
            None => order,
        };
        match checkout.pay(&order, &Payment::from(payment)).await {
            Outcome::Pending {
                phase,
                request_id,
                claim,
                receipt,
                transaction,
            } => Outcome::Pending {
                phase,
                request_id,
                claim,
                receipt,
                transaction,
            },
            Outcome::Stopped { why } => Outcome::Stopped { why },
            Outcome::PayAgain { why, .. } => Outcome::PayAgain {
                why,
                mismatches: Vec::new(),
                transaction: None,
                booked: false,
                quote: None,
            },
            Outcome::Granted { .. } => panic!("nothing is granted"),
        }
    })
}

fn claim_of(outcome: Outcome<'_>) -> Option<Claim> {
    let Outcome::Pending { claim, .. } = outcome else {
        panic!("{outcome:?}");
    };
    claim
}

/// Asks for the status at the time `now`. Returns whether the outcome is pending, and the ids of the purchases that
/// were asked.
fn status(claim: &Claim, now: u64, reply: PayReply) -> (bool, Vec<RequestId>) {
    at(now, [reply], async |checkout| {
        match checkout.status(claim, Patience::NONE).await {
            Outcome::Pending {
                phase: Phase::Settling | Phase::Unheard | Phase::Unbegun,
                ..
            } => true,
            Outcome::PayAgain {
                why: Unpaid::Expired,
                ..
            } => false,
            outcome => panic!("{outcome:?}"),
        }
    })
}

#[test]
fn a_claim_is_for_the_purchase_that_the_payment_counts_for() {
    let other = RequestId::from_random([9; 16]);
    let (outcome, asked) = pay(&payment(SOLD, true), [elsewhere(&other, false), pending()]);
    assert_eq!(asked, [test_offer().terms.request_id, other.clone()]);
    let Outcome::Pending { request_id, .. } = &outcome else {
        panic!("{outcome:?}");
    };
    assert_eq!(*request_id, other);
    let claim = claim_of(outcome).unwrap();
    let (is_pending, asked) = status(&claim, NOW, pending());
    assert_eq!((is_pending, asked), (true, vec![other]));
}

#[test]
fn who_was_led_to_a_purchase_by_what_it_has_attempted_has_no_better_claim_later() {
    let other = RequestId::from_random([9; 16]);
    for by_attempted in [false, true] {
        let replies = [elsewhere(&other, by_attempted), pending()];
        let (outcome, _) = pay(&payment(SOLD, true), replies);
        let kept = serde_json::to_value(claim_of(outcome).unwrap()).unwrap();
        let claim: Claim = serde_json::from_value(kept).unwrap();
        let config = test_config();
        let shop = ScriptedPurchases::new([pending()]);
        let memory = EndpointMemory::default();
        let chain = RpcChain::new(node(), &config.chain.rpc_urls, config.network, &memory);
        let checkout = checkout(&config, (&shop, &chain), UnixSeconds(NOW));
        let status = checkout.status(&claim, Patience::NONE).now_or_never();
        let told = status
            .as_ref()
            .unwrap()
            .error(&checkout.origin, config.network);
        let is_named = told.unwrap().body().to_string().contains(other.as_str());
        assert_eq!(is_named, !by_attempted, "it may be anybody");
        let kept = claim_of(status.unwrap()).unwrap();
        assert_eq!(kept, claim);
        let asked = shop.asked.into_inner();
        assert!(
            matches!(&asked[..], [(id, Ask::Join(join))] if *id == other && join.by_attempted == by_attempted),
            "{asked:?}"
        );
    }
}

#[test]
fn a_dated_payment_opens_nothing_but_what_its_offer_is_for() {
    let mut dated = payment(SOLD, true);
    dated.accepted["amount"] = json!("1");
    let config = test_config();
    let shop = ScriptedPurchases::new([pending()]);
    let memory = EndpointMemory::default();
    let chain = RpcChain::new(node(), &config.chain.rpc_urls, config.network, &memory);
    let checkout = checkout(&config, (&shop, &chain), UnixSeconds(NOW));
    let (order, payment) = (Order::default(), Payment::from(&dated));
    let outcome = checkout.pay(&order, &payment).now_or_never();
    assert!(outcome.is_some());
    let asked = shop.asked.into_inner();
    let [(_, Ask::Pay(pay))] = &asked[..] else {
        panic!("{asked:?}");
    };
    assert!(pay.sale.is_none());
    assert_eq!(pay.target, TargetKey::of(&test_offer().terms));
}

#[test]
fn a_purchase_that_has_not_begun_is_never_called_uncharged() {
    let (outcome, _) = pay(&payment(SOLD, true), []);
    let claim = claim_of(outcome).unwrap();
    let end = test_offer().terms.expires_at.0;
    for now in [NOW, end, end + 86_400] {
        // The purchase has not begun: its payment may be on its way, or count for another purchase.
        assert!(status(&claim, now, PayReply::Unbegun).0, "{now}");
        // The purchase has begun and expired, which is final.
        assert!(!status(&claim, now, PayReply::Expired).0);
    }
}

#[test]
fn no_claim_is_given_where_the_payment_itself_may_be_all_that_proves_who_asks() {
    let (outcome, asked) = pay(&payment(SOLD, false), [pending()]);
    assert!(asked[0].is_derived());
    assert_eq!(claim_of(outcome), None);
}

#[test]
fn what_is_sold_no_more_is_said_to_have_expired_where_it_was_begun_and_has() {
    let gone = payment(GONE, true);
    let (outcome, _) = pay(&gone, [PayReply::Expired]);
    assert!(
        matches!(
            outcome,
            Outcome::PayAgain {
                why: Unpaid::Expired,
                ..
            }
        ),
        "{outcome:?}"
    );
    let refused = PayReply::Refused {
        reason: Refusal::InsufficientFunds,
        transaction: None,
        begun: false,
    };
    let (outcome, _) = pay(&gone, [refused]);
    assert!(
        matches!(
            outcome,
            Outcome::Stopped {
                why: Stop::NotSold { .. }
            }
        ),
        "{outcome:?}"
    );
}

#[test]
fn the_purchase_of_an_offer_that_is_sold_no_more_answers_only_for_the_resource_that_is_named() {
    let config = test_config();
    let terms = test_offer().terms;
    let target = Target::Plan(GONE.parse().unwrap());
    for named in [None, Some("another")] {
        let shop = ScriptedPurchases::new([PayReply::Conflict]);
        let memory = EndpointMemory::default();
        let chain = RpcChain::new(node(), &config.chain.rpc_urls, config.network, &memory);
        let checkout = checkout(&config, (&shop, &chain), UnixSeconds(NOW));
        let order = Order {
            resource: named.map(|resource| resource.parse().unwrap()),
            ..Order::default()
        };
        let payment = payment(GONE, true);
        let payment = Payment::from(&payment);
        let outcome = checkout.recall(&order, &payment);
        assert!(outcome.now_or_never().unwrap().is_none());
        let resource = order.resource.as_ref().unwrap_or(&terms.resource);
        let asked = shop.asked.into_inner();
        let [(_, Ask::Pay(pay))] = &asked[..] else {
            panic!("{asked:?}");
        };
        assert_eq!(pay.target, TargetKey::new(&target, resource));
    }
}
