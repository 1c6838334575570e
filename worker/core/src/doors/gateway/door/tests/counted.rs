//! Calls with a token whose calls are counted.

use super::*;
use crate::meter::{
    Fate, Granted, Limits, Meter, MeterCommand, MeterReply, Pass, Refused, Reserve, Stored, Why,
};
use crate::purchase::test_support::{answer, answered};
use crate::types::{Address, PlanId};

const GRANT: &str = "2f1d0a52";

fn selling() -> Config {
    let mut config = shop();
    let mut route = testing::route("weather", "GET", "/weather");
    route.plans = vec!["basic".parse().unwrap()];
    route.max_cost = crate::meter::Cost::parse("3");
    config.catalog = Catalog::new(Vec::new(), vec![route]);
    config
}

fn token(limits: &str) -> Access {
    let limits: Limits = serde_json::from_str(limits).unwrap();
    Access {
        ends_at: UnixSeconds(NOW.0 + 60),
        purchase: "purchase".to_owned(),
        plan: "basic".parse::<PlanId>().unwrap(),
        payer: None,
        grant: (!limits.is_none()).then(|| GRANT.to_owned()),
        limits,
        has_expired: false,
    }
}

/// What a meter of these limits says to another call, after so many that have spent a unit, and so many under way.
fn says(limits: &str, spent: u8, under_way: u8) -> MeterReply {
    let granted = Granted {
        plan: "basic".parse().unwrap(),
        resource: "default".parse().unwrap(),
        limits: serde_json::from_str(limits).unwrap(),
        payer: Address::ZERO,
        from: NOW,
        ends_at: UnixSeconds(1_800_003_600),
    };
    let now = NOW.to_millis();
    let mut meter = Meter::new(7, Stored::new(granted), now);
    let mut last = None;
    for number in 0..=spent + under_way {
        let call = CallId::from_random([number; 16]);
        let ask = Reserve {
            call,
            max_cost: None,
            lease: 60_000,
        };
        let reply = meter.reserve(&ask, now);
        if let (true, Ok(pass)) = (number < spent, &reply) {
            let told = crate::meter::Tell {
                call,
                meter: pass.meter,
                fate: Fate::Spent(1),
                is_over: true,
                is_again: false,
                at: now,
                lease: 60_000,
            };
            meter.tell(&told, now);
        }
        last = Some(reply);
    }
    match last.unwrap() {
        Ok(pass) => MeterReply::Reserved(pass),
        Err(refused) => MeterReply::Refused(refused),
    }
}

/// Enters with this token, and perhaps a payment, whose purchase replies so. Returns what becomes of the call, what was
/// asked of purchases, and of meters.
fn enters(
    access: Access,
    meter: Option<MeterReply>,
    purchase: Option<PayReply>,
) -> (Passage, usize, Vec<(String, MeterCommand)>) {
    let config = selling();
    let mut headers = HeaderMap::new();
    if purchase.is_some() {
        let payment = encode(&version1(config.wallets.pay_to, CENT)).unwrap();
        headers.insert(X_PAYMENT, payment.parse().unwrap());
    }
    let [route] = config.catalog.routes() else {
        panic!("one route");
    };
    let call = Call::new(route, "/weather".to_owned(), "", &headers, b"").unwrap();
    let purchases = ScriptedPurchases::new(purchase.into_iter().flat_map(|reply| {
        let last = match reply {
            PayReply::Conflict => Some(PayReply::Unavailable),
            _ => None,
        };
        core::iter::once(reply).chain(last)
    }));
    let meters = ScriptedMeters::new(meter);
    let memory = EndpointMemory::default();
    let chain = RpcChain::new(node(), &config.chain.rpc_urls, config.network, &memory);
    let checkout = checkout(&config, (&purchases, &chain), NOW);
    let arrival = Arrival {
        call: &call,
        method: &Method::GET,
        url: "https://shop.example/weather",
        headers: &headers,
        body: b"",
    };
    let entered = enter(&checkout, &meters, Some(access), &arrival);
    let entered = entered.now_or_never().unwrap();
    let asked = purchases.asked.into_inner().len();
    (entered, asked, meters.asked.into_inner())
}

fn response(passage: Passage) -> (u16, String, Value, HeaderMap) {
    let Passage::Answer(response) = passage else {
        panic!("{passage:?}");
    };
    let body: Value = serde_json::from_slice(response.body()).unwrap_or_default();
    let message = body["message"].as_str().unwrap_or_default().to_owned();
    (
        response.status().as_u16(),
        message,
        body,
        response.headers().clone(),
    )
}

const TWO: &str = r#"{"quota":{"calls":2},"rate":{"calls":9,"per":"minute"},"concurrency":1}"#;

#[test]
fn a_token_without_limits_is_nothing_that_a_meter_hears_of() {
    let (entered, _, meters) = enters(token("{}"), None, None);
    assert!(matches!(entered, Passage::Forward { counted: None, .. }));
    assert!(meters.is_empty());
}

#[test]
fn a_counted_call_is_asked_for_with_what_its_route_may_cost_and_its_answer_says_what_is_left() {
    let (entered, _, meters) = enters(token(TWO), Some(says(TWO, 0, 0)), None);
    let Passage::Forward {
        counted: Some(counted),
        ..
    } = entered
    else {
        panic!("{entered:?}");
    };
    let [(grant, MeterCommand::Reserve(ask))] = &meters[..] else {
        panic!("{meters:?}");
    };
    assert_eq!(grant, GRANT);
    assert_eq!(ask.max_cost, crate::meter::Cost::parse("3"));
    assert_eq!(
        ask.lease,
        30_000 + u64::from(selling().gateway.timeout_millis)
    );
    let spent = counted.fate(404, &HeaderMap::new());
    assert_eq!(spent, Ok(Fate::Spent(1)));
    assert_eq!(counted.fate(500, &HeaderMap::new()), Ok(Fate::GivenBack));
    let headers: Vec<_> = counted
        .headers(Fate::Spent(1), NOW)
        .into_iter()
        .map(|(_, value)| value)
        .collect();
    assert_eq!(headers[1], r#""rate";r=8;t=50, "quota";r=1;t=3590"#);
    assert_eq!(headers[2], "1");
}

#[test]
fn a_caller_is_asked_for_money_only_when_nothing_can_come_back() {
    let (used_up, ..) = enters(token(TWO), Some(says(TWO, 2, 0)), None);
    let (status, message, body, headers) = response(used_up);
    assert_eq!(
        (status, body["type"].as_str()),
        (402, Some("X402Challenge"))
    );
    assert!(message.contains("used up: 2 calls"), "{message}");
    assert!(message.contains("2027-01-15T09:00:00"), "{message}");
    assert_eq!(headers["key0-left"], "0");
    let two = r#"{"quota":{"calls":2}}"#;
    let slow = r#"{"rate":{"calls":1,"per":"minute"}}"#;
    for (limits, reply, reason, seconds) in [
        (two, says(two, 0, 2), "units_outstanding", "1"),
        (TWO, says(TWO, 0, 1), "too_many_at_once", "1"),
        (slow, says(slow, 1, 0), "too_fast", "50"),
    ] {
        let (entered, ..) = enters(token(limits), Some(reply), None);
        let (status, _, body, headers) = response(entered);
        assert_eq!(status, 429);
        assert_eq!(body["details"]["reason"], reason);
        assert_eq!(headers["retry-after"], seconds);
    }
    let (entered, ..) = enters(token(TWO), None, None);
    let (status, _, body, _) = response(entered);
    assert_eq!(
        (status, body["details"]["reason"].as_str()),
        (503, Some("meter_unavailable"))
    );
    // We have signed the token: that its purchase is not found is our fault, unless it ended long ago.
    for (has_expired, status) in [(false, 503), (true, 402)] {
        let token = Access {
            has_expired,
            ..token(TWO)
        };
        let (entered, ..) = enters(token, Some(MeterReply::NotGranted), None);
        assert_eq!(response(entered).0, status);
    }
}

#[test]
fn nothing_is_sold_for_a_grant_that_was_taken_back() {
    let MeterReply::Reserved(Pass { standing, .. }) = says(TWO, 0, 0) else {
        panic!("it is good");
    };
    let revoked = || {
        let why = Why::Revoked;
        Some(MeterReply::Refused(Refused { why, standing }))
    };
    for (purchase, purchases_asked) in [(None, 0), (Some(PayReply::Conflict), 1)] {
        let (entered, asked, _) = enters(token(TWO), revoked(), purchase);
        let (status, message, body, headers) = response(entered);
        assert_eq!(
            (status, body["code"].as_str()),
            (401, Some("GRANT_REVOKED"))
        );
        assert!(message.contains("nothing was charged"), "{message}");
        assert!(headers.get("payment-required").is_none());
        assert_eq!(
            asked, purchases_asked,
            "a payment is looked up and not used"
        );
    }
}

#[test]
fn whoever_has_paid_for_the_call_gets_that_and_spends_no_unit() {
    let delivered = PayReply::Granted {
        goods: answered(answer(1, 200), None),
        receipt: None,
        again: true,
    };
    for reply in [delivered, PayReply::Pending { transaction: None }] {
        let (entered, asked, meters) = enters(token(TWO), None, Some(reply));
        assert!(matches!(entered, Passage::Answer(_)), "{entered:?}");
        assert_eq!((asked, meters.len()), (1, 0));
    }
}

#[test]
fn a_payment_that_has_begun_nothing_is_not_used_while_something_is_left() {
    let reply = || Some(PayReply::Conflict);
    let (entered, asked, _) = enters(token(TWO), Some(says(TWO, 0, 0)), reply());
    let Passage::Forward {
        counted: Some(_),
        adds,
        ..
    } = entered
    else {
        panic!("{entered:?}");
    };
    assert_eq!((asked, adds.len()), (1, 1));
    // Nothing is left: it counts.
    let (entered, asked, _) = enters(token(TWO), Some(says(TWO, 2, 0)), reply());
    assert_eq!((response(entered).0, asked), (502, 2));
    // Something may come back: neither.
    let (entered, asked, _) = enters(token(TWO), Some(says(TWO, 0, 1)), reply());
    assert_eq!((response(entered).0, asked), (429, 1));
}
