//! What a call costs, which payments pay for it, and what its buyer is told.

use crate::json;
use futures_util::FutureExt as _;

use super::super::{Checkout, Order, Outcome, Phase, Retry, Stop, TransferProof};
use crate::catalog::{Catalog, Charged, Route, Settle, testing};
use crate::chain::endpoints::EndpointMemory;
use crate::chain::rpc::RpcChain;
use crate::config::{Config, test_config};
use crate::doors::test_support::{buyer, node};
use crate::goods::OriginFault;
use crate::offer::{CallDigest, Target};
use crate::purchase::{PayReply, Sold, SoldCall, test_offer};
use crate::testing::{ScriptedPurchases, WalletNode, checkout};
use crate::types::{B256, UnixSeconds, UsdcAmount};
use crate::x402::{PaymentRequired, Resource};

const NOW: u64 = 1_800_000_010;

fn route(id: &str, price: Option<u64>, settle: Settle) -> Route {
    Route {
        price: price.map(UsdcAmount::from_units),
        settle,
        description: format!("what {id} says"),
        idempotent: true,
        notify: true,
        ..testing::route(id, "GET", &format!("/{id}"))
    }
}

fn shop() -> Config {
    let mut config = test_config();
    let routes = vec![
        route("weather", Some(500), Settle::After),
        route("message", Some(7_000), Settle::Before),
        route("health", None, Settle::After),
    ];
    config.catalog = Catalog::with_routes(config.catalog.plans().to_vec(), routes);
    config
}

fn call(route: &str, path: &str) -> Target {
    Target::Route {
        id: route.parse().unwrap(),
        call: CallDigest::of([path.as_bytes()]),
    }
}

fn order(target: Target) -> Order {
    Order {
        target: Some(target),
        ..Order::default()
    }
}

fn at_checkout<T>(
    reply: Option<PayReply>,
    work: impl AsyncFnOnce(&Checkout<'_, (&ScriptedPurchases, &RpcChain<'_, WalletNode>)>) -> T,
) -> T {
    let config = shop();
    let shop = ScriptedPurchases::new(reply);
    let memory = EndpointMemory::default();
    let chain = RpcChain::new(node(), &config.chain.rpc_urls, config.network, &memory);
    let checkout = checkout(&config, (&shop, &chain), UnixSeconds(NOW));
    work(&checkout).now_or_never().unwrap()
}

#[test]
fn a_call_costs_what_its_route_says_and_the_offer_is_for_that_call_only() {
    at_checkout(None, async |checkout| {
        let oslo = call("weather", "/oslo");
        let quote = checkout.quote(&order(oslo.clone())).unwrap();
        assert!(quote.is_ordered && quote.more.is_empty());
        assert_eq!(quote.first.description, "what weather says");
        assert_eq!(quote.first.settle, Some(Settle::After));
        let terms = &quote.first.offer.terms;
        assert_eq!(terms.target, oslo);
        assert_eq!(terms.resource.as_str(), "/weather");
        assert_eq!(terms.amount, UsdcAmount::from_units(500));
        assert_eq!((terms.lifetime, terms.extra), (0, None));
        assert_eq!(terms.pay_to, checkout.config.wallets.pay_to);
        let sold = SoldCall {
            settle: Settle::After,
            charged: Charged::default(),
            idempotent: true,
            stream: false,
            notify: true,
        };
        assert_eq!(Sold::of(terms, checkout.config), Some(Sold::Call(sold)));
        let rome = checkout.quote(&order(call("weather", "/rome"))).unwrap();
        assert_ne!(rome.first.offer.terms.target, terms.target);
        let before = checkout.quote(&order(call("message", "/"))).unwrap();
        assert_eq!(before.first.settle, Some(Settle::Before));
        let plan = checkout.quote(&Order::default()).unwrap();
        assert_eq!(plan.first.settle, None, "a call is never offered unasked");
    });
}

#[test]
fn what_is_free_or_unknown_or_of_another_path_is_not_sold() {
    at_checkout(None, async |checkout| {
        for route in ["health", "gone"] {
            let target = call(route, "/");
            let why = checkout.quote(&order(target.clone())).unwrap_err();
            assert_eq!(why, Stop::NotSold { target });
        }
        let mut other = order(call("weather", "/oslo"));
        other.resource = Some("/message".parse().unwrap());
        let why = checkout.quote(&other).unwrap_err();
        assert!(
            matches!(why, Stop::NotOpened { resources, .. } if resources[0].as_str() == "/weather")
        );
        let terms = checkout
            .quote(&order(call("weather", "/oslo")))
            .unwrap()
            .first
            .offer
            .terms;
        let mut config = shop();
        let free = vec![route("weather", None, Settle::After)];
        config.catalog = Catalog::with_routes(Vec::new(), free);
        assert_eq!(Sold::of(&terms, &config), None);
        config.catalog = Catalog::with_routes(Vec::new(), Vec::new());
        assert_eq!(Sold::of(&terms, &config), None);
    });
}

#[test]
fn only_a_call_that_is_paid_for_first_says_that_it_is() {
    let flow = |target, is_upfront: bool| {
        at_checkout(None, async |checkout| {
            let quote = checkout.quote(&order(target)).unwrap();
            let offer = &quote.first.offer;
            let resource = Resource::json("https://shop.example/weather", "");
            let required = PaymentRequired::new(offer, [], resource, "");
            let required = match is_upfront {
                true => required.upfront(),
                false => required,
            };
            let shown = serde_json::to_value(required).unwrap();
            shown["accepts"][0]["extra"].get("paymentFlow").cloned()
        })
    };
    assert_eq!(flow(call("weather", "/oslo"), false), None);
    assert_eq!(flow(call("message", "/"), true), Some(json!("upfront")));
    let plan = Target::Plan("basic".parse().unwrap());
    assert_eq!(flow(plan, false), Some(json!("upfront")));
}

#[test]
fn a_transfer_is_refused_for_a_call_before_any_purchase_is_asked() {
    at_checkout(None, async |checkout| {
        let quote = checkout.quote(&order(call("weather", "/oslo"))).unwrap();
        let proof = TransferProof {
            challenge_id: quote.first.offer.id.to_string(),
            transaction: B256::repeat_byte(7),
            signature: None,
            chain_id: None,
            payer: Some(buyer().address()),
        };
        let outcome = checkout.redeem(&Order::default(), &proof).await;
        assert!(
            matches!(
                outcome,
                Outcome::Stopped {
                    why: Stop::NotByTransfer
                }
            ),
            "{outcome:?}"
        );
        assert!(checkout.deployment.0.asked.borrow().is_empty());
    });
}

/// What the buyer of a call is told after this reply: code, status, reason, what may be done, and when to come back.
fn told(reply: PayReply) -> (&'static str, u16, &'static str, Option<Retry>, Option<u64>) {
    let (outcome, error) = at_checkout(Some(reply), async |checkout| {
        let claim = serde_json::from_value(json!({
            "requestId": test_offer().terms.request_id,
            "payer": buyer().address(),
            "target": "plan basic default",
        }));
        let patience = crate::pauses::Patience::NONE;
        let outcome = checkout.status(&claim.unwrap(), patience).await;
        let error = outcome.error(&checkout.origin, checkout.config.network);
        let retry = match &outcome {
            Outcome::Stopped { why } => Some(why.retry()),
            Outcome::Pending { phase, .. } => {
                assert_eq!(*phase, Phase::Calling);
                None
            }
            outcome => panic!("{outcome:?}"),
        };
        let after = outcome.retry_after(checkout.now);
        ((outcome.reason(), retry, after), error.unwrap())
    });
    let (reason, retry, after) = outcome;
    let code = error.code;
    (code.as_str(), code.status().as_u16(), reason, retry, after)
}

#[test]
fn each_way_in_which_a_call_ends_without_an_answer_has_its_words() {
    let transaction = B256::repeat_byte(7);
    let origin = |fault| PayReply::Origin {
        fault,
        refund: None,
    };
    let anew = Some(Retry::NewId);
    assert_eq!(
        told(PayReply::Calling { transaction: None }),
        ("CALL_IN_PROGRESS", 409, "call_in_progress", None, Some(2))
    );
    assert_eq!(
        told(PayReply::AnswerGone { transaction }),
        ("ANSWER_GONE", 410, "answer_gone", anew, None)
    );
    assert_eq!(
        told(PayReply::TooManyCalls { seconds: 30 }),
        (
            "RATE_LIMITED",
            429,
            "too_many_calls",
            Some(Retry::Same),
            Some(30)
        )
    );
    assert_eq!(
        told(origin(OriginFault::TooLarge)),
        ("ANSWER_TOO_LARGE", 502, "answer_too_large", anew, None)
    );
    assert_eq!(
        told(origin(OriginFault::Timeout)),
        ("TOKEN_ISSUE_TIMEOUT", 504, "origin_timeout", anew, None)
    );
    assert_eq!(
        told(origin(OriginFault::Unreachable)),
        ("ADAPTER_ERROR", 502, "origin_unreachable", anew, None)
    );
}

#[test]
fn who_gets_no_answer_hears_whether_money_moved() {
    let config = test_config();
    let says = |refund| {
        let fault = OriginFault::Cut;
        let why = Stop::Origin { fault, refund };
        let origin = "https://shop.example".parse().unwrap();
        why.error(&origin, config.network).body().to_string()
    };
    assert!(says(None).contains("Nothing was charged"));
    let back = says(Some(B256::repeat_byte(7)));
    assert!(back.contains("sent back") && !back.contains("othing was charged"));
}
