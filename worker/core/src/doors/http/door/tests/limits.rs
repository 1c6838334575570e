//! Which answers count against the address of the client.

use super::*;

#[test]
fn a_payment_that_is_refused_counts_and_one_that_is_good_or_only_unlucky_does_not() {
    let config = test_config();
    let body = json!({"planId": PLAN});
    let good = version1(config.wallets.pay_to, price(&config).units());
    let pending = PayReply::Pending { transaction: None };
    for (reply, counts) in [
        (granted(), false),
        (pending, false),
        (PayReply::Unavailable, false),
        (PayReply::Paused { seconds: 9 }, false),
        (PayReply::Taken, true),
        (PayReply::Expired, true),
        (refused(true), true),
        (refused(false), true),
    ] {
        let shown = format!("{reply:?}");
        assert_eq!(send(&body, &good, [reply]).counts, counts, "{shown}");
    }
    let mut unsigned = good.clone();
    unsigned["payload"]["authorization"]["nonce"] = json!(B256::repeat_byte(2));
    assert!(send(&body, &unsigned, []).counts);
    let down = Err("no answer");
    let unknown = post_with(down, &config, &body.to_string(), Some(&unsigned), []);
    assert_eq!(unknown.status, StatusCode::BAD_GATEWAY);
    assert!(unknown.counts, "a wallet was asked, and nothing was paid");
    assert!(send(&body, &json!({"x402Version": 1}), []).counts);
    assert!(send(&json!({"planId": "gold"}), &good, [PayReply::Conflict]).counts);
}

#[test]
fn a_question_for_a_price_never_counts() {
    for body in [
        "",
        "{}",
        r#"{"planId":"basic"}"#,
        r#"{"planId":"gold"}"#,
        "{",
    ] {
        assert!(!post(&test_config(), body, None, []).counts, "{body}");
    }
}
