use futures_util::FutureExt as _;
use http::HeaderMap;
use http::header::AUTHORIZATION;

use super::*;
use crate::config::test_config;
use crate::limit;
use crate::testing::{OneMeter, ScriptedMeters};
use crate::types::{BearerSecret, Secret, UnixSeconds};

const NOW: UnixSeconds = UnixSeconds(1_800_000_000);
const SECRET: &str = "a-secret-of-backends-that-count-calls";
const GRANT: &str = "2f1d0a52";
const LEASE: &str = "0123456789abcdef0123456789abcdef";

fn config() -> Config {
    let mut config = test_config();
    config.meter_secret = Some(BearerSecret::new(&Secret::new(SECRET)));
    config
}

fn headers(secret: &str, key: Option<&str>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(AUTHORIZATION, format!("Bearer {secret}").parse().unwrap());
    if let Some(key) = key {
        headers.insert("idempotency-key", key.parse().unwrap());
    }
    headers
}

fn meter(limits: &str) -> OneMeter {
    OneMeter::new(GRANT, limits, NOW, UnixSeconds(NOW.0 + 3_600))
}

fn ask<M: Meters>(meters: &M, key: Option<&str>, body: &Value) -> (u16, Value, Option<u64>) {
    let (headers, body) = (&headers(SECRET, key), body.to_string());
    let body = body.as_bytes();
    let config = config();
    let arrival = Arrival { headers, body };
    let answer = consume(&config, meters, &arrival).now_or_never().unwrap();
    let retry = answer.headers().get(RETRY_AFTER);
    let retry = retry.map(|seconds| seconds.to_str().unwrap().parse().unwrap());
    let body = serde_json::from_slice(answer.body()).unwrap();
    (answer.status().as_u16(), body, retry)
}

#[test]
fn without_the_setting_there_is_no_door_and_without_the_secret_it_is_closed() {
    let meters = meter(r#"{"quota":{"calls":2}}"#);
    let body = json!({"grant": GRANT}).to_string();
    let tried = |config: &Config, headers: &HeaderMap| {
        let body = body.as_bytes();
        let arrival = Arrival { headers, body };
        let answer = consume(config, &meters, &arrival).now_or_never().unwrap();
        (answer.status().as_u16(), limit::counts(&answer))
    };
    let good = headers(SECRET, Some("a"));
    assert_eq!(tried(&test_config(), &good), (404, false));
    for wrong in ["", "x", &SECRET[1..]] {
        assert_eq!(tried(&config(), &headers(wrong, Some("a"))), (401, true));
    }
    assert_eq!(tried(&config(), &HeaderMap::new()), (401, true));
    assert_eq!(meters.used(), 0);
    assert_eq!(tried(&config(), &good), (200, false));
}

#[test]
fn a_call_is_counted_with_its_cost_and_the_backend_hears_what_is_left() {
    let meters = meter(r#"{"quota":{"calls":5}}"#);
    let (status, body, _) = ask(&meters, Some("a"), &json!({"grant": GRANT}));
    assert_eq!(
        (status, body),
        (
            200,
            json!({"left": 4, "endsAt": "2027-01-15T09:00:00.000Z"})
        )
    );
    let (_, body, _) = ask(&meters, Some("b"), &json!({"grant": GRANT, "cost": 3}));
    assert_eq!(body["left"], 1);
    let (status, body, _) = ask(
        &meters,
        Some("c"),
        &json!({"grant": GRANT, "cost": "$0.01"}),
    );
    assert_eq!((status, &body["code"]), (400, &json!("INVALID_REQUEST")));
    let (_, body, _) = ask(&meters, Some("d"), &json!({"grant": GRANT, "cost": "9"}));
    assert_eq!(body["left"], 0, "the rest");
    let (status, body, retry) = ask(&meters, Some("e"), &json!({"grant": GRANT}));
    assert_eq!(
        (status, &body["code"], retry),
        (402, &json!("QUOTA_USED_UP"), None)
    );
    assert_eq!(body["details"]["left"], 0);

    let credit = meter(r#"{"quota":{"credit":"$1"}}"#);
    let (_, body, _) = ask(
        &credit,
        Some("a"),
        &json!({"grant": GRANT, "cost": "$0.0123"}),
    );
    assert_eq!(body["left"], "$0.9877");
    let fast = meter(r#"{"rate":{"calls":1,"per":"hour"}}"#);
    let (_, body, _) = ask(&fast, Some("a"), &json!({"grant": GRANT}));
    assert_eq!(body.get("left"), None);
    let (status, body, retry) = ask(&fast, Some("b"), &json!({"grant": GRANT}));
    assert_eq!(
        (status, &body["code"], retry),
        (429, &json!("RATE_LIMITED"), Some(3_600))
    );
    let (status, ..) = ask(&fast, Some("a"), &json!({"grant": "another"}));
    assert_eq!(status, 404);
    let (status, _, retry) = ask(
        &ScriptedMeters::default(),
        Some("a"),
        &json!({"grant": GRANT}),
    );
    assert_eq!((status, retry), (503, Some(1)));
}

#[test]
fn units_are_lent_and_what_was_used_of_them_is_counted_even_in_a_refusal() {
    let meters = meter(r#"{"quota":{"calls":400}}"#);
    let lease = |used: u64, more: Value| {
        let mut lease = json!({"id": LEASE, "used": used});
        for (name, value) in more.as_object().unwrap() {
            lease[name] = value.clone();
        }
        ask(&meters, None, &json!({"grant": GRANT, "lease": lease}))
    };
    let (status, body, _) = lease(0, json!({"want": 50}));
    assert_eq!(
        (status, &body["upTo"], &body["left"]),
        (200, &json!(50), &json!(350))
    );
    assert_eq!(body["leaseSeconds"], 60);
    let (_, body, _) = lease(30, json!({}));
    assert_eq!((&body["upTo"], &body["left"]), (&json!(50), &json!(350)));
    let (status, body, _) = lease(40, json!({"done": true}));
    assert_eq!((status, &body["left"]), (200, &json!(360)));
    let (status, body, _) = lease(41, json!({"want": 50}));
    assert_eq!(
        (status, &body["details"]["reason"]),
        (409, &json!("lease_over"))
    );
    assert_eq!(meters.used(), 41);
    let other = json!({"id": "f".repeat(32), "used": 0, "want": 1000});
    let (_, body, _) = ask(&meters, None, &json!({"grant": GRANT, "lease": other}));
    assert_eq!(body["upTo"], 44);
    let (status, _, _) = ask(&meters, Some("a"), &json!({"grant": GRANT, "cost": 350}));
    assert_eq!(status, 429);
}

#[test]
fn what_cannot_be_read_counts_nothing() {
    let meters = meter(r#"{"quota":{"calls":5}}"#);
    let lease = json!({"id": LEASE, "used": 1, "want": 1});
    for body in [
        json!([]),
        json!({}),
        json!({"grant": 7}),
        json!({"grant": GRANT, "units": 1}),
        json!({"grant": GRANT, "cost": -1}),
        json!({"grant": GRANT, "cost": 1.5}),
        json!({"grant": GRANT, "cost": "many"}),
        json!({"grant": GRANT, "cost": true}),
        json!({"grant": GRANT, "cost": 1, "lease": lease}),
        json!({"grant": GRANT, "lease": {"id": "mine", "used": 1}}),
        json!({"grant": GRANT, "lease": {"id": "0".repeat(32), "used": 1}}),
        json!({"grant": GRANT, "lease": {"id": LEASE}}),
        json!({"grant": GRANT, "lease": {"id": LEASE, "used": -1}}),
        json!({"grant": GRANT, "lease": {"id": LEASE, "used": 1, "want": 4_294_967_296_u64}}),
    ] {
        let (status, answer, _) = ask(&meters, Some("a"), &body);
        assert_eq!(
            (status, &answer["code"]),
            (400, &json!("INVALID_REQUEST")),
            "{body}"
        );
    }
    let (status, ..) = ask(&meters, None, &json!({"grant": GRANT}));
    assert_eq!(status, 400, "no Idempotency-Key");
    assert_eq!(meters.used(), 0);
}
