//! Tests of offers, payments and their outcomes.

use super::*;

const OWN_ID: &str = "01010101-0101-4101-8101-010101010101";

fn refused(begun: bool) -> PayReply {
    PayReply::Refused {
        reason: Refusal::InsufficientFunds,
        transaction: None,
        begun,
    }
}

/// The offer of an answer, after checks of the form that clients expect.
fn offered(told: &Told) -> &Value {
    let result = told.result();
    let offer = &result["structuredContent"];
    assert_eq!(result["isError"], true);
    assert_eq!(&result["_meta"]["x402/error"], offer);
    assert_eq!(&parsed(told.texts()[0]), offer);
    assert_eq!(offer["x402Version"], 2);
    assert_eq!(offer["accepts"].as_array().map(Vec::len), Some(1));
    assert!(offer.to_string().is_ascii(), "{offer}");
    offer
}

#[test]
fn an_offer_is_the_same_each_time_and_plain_ascii() {
    let mut shop = Shop::new();
    let plans = r#"[{"planId":"basic","unitAmount":"$0.015","description":"Une heure \u2014 acc\u00e8s \ud83d\udcf7"}]"#;
    shop.config.catalog = crate::catalog::Catalog::from_json(plans).unwrap();
    let first = shop.access(&basic(), &Value::Null, []);
    let offer = offered(&first);
    assert_eq!(offer["error"], "Payment required");
    assert_eq!(offer["resource"]["url"], "https://shop.example/x402/access");
    let accepts = &offer["accepts"][0];
    assert_eq!(
        (&accepts["amount"], &accepts["extra"]["planId"]),
        (&json!("15000"), &json!("basic"))
    );
    for id in ["challengeId", "requestId"] {
        assert_eq!(accepts["extra"].get(id), None);
    }
    let hint = parsed(first.texts()[1]);
    assert_eq!(hint["x402PaymentUrl"], "https://shop.example/x402/access");
    let said = hint["paymentInstructions"].as_str().unwrap();
    assert!(
        said.contains("make_http_request_with_x402") && said.contains(r#""planId":"basic""#),
        "{said}"
    );
    for name in ["request_access", "access"] {
        let params =
            json!({"name": name, "arguments": {"planId": "basic", "resourceId": null, "more": 1}});
        assert_eq!(shop.send("tools/call", params).body, first.body);
    }
    assert!(!first.counts && first.receipt().is_null());
}

#[test]
fn a_payment_is_read_in_each_of_its_forms() {
    let shop = Shop::new();
    let payment = shop.payment();
    let base64 = encode(&payment).unwrap();
    let url_safe = base64
        .trim_end_matches('=')
        .replace('+', "-")
        .replace('/', "_");
    let mut floats = payment.clone();
    floats["x402Version"] = json!(2.0);
    floats["accepted"]["maxTimeoutSeconds"] = json!(300.0);
    floats["extensions"] = Value::Null;
    let forms = [
        payment.clone(),
        json!(payment.to_string()),
        json!(base64),
        json!(url_safe),
        floats,
    ];
    for form in forms {
        let told = shop.access(&basic(), &form, [granted()]);
        assert_eq!(told.result()["isError"], false, "{form}: {}", told.body);
    }
    for name in [PAYMENT_SIGNATURE, X_PAYMENT] {
        let shop = Shop::new().header(name, &base64);
        let told = shop.access(&basic(), &Value::Null, [granted()]);
        assert_eq!(told.result()["isError"], false, "{}", told.body);
        // If a payment stands in the call too, it is used, and not the header.
        let told = shop.access(&basic(), &json!("nonsense"), []);
        assert!(offered(&told)["error"] != "Payment required");
    }
}

#[test]
fn a_payment_where_none_is_read_is_told_its_place() {
    let shop = Shop::new();
    let payment = shop.payment();
    let call = |arguments: Value, meta: Value| json!({"name": "request_access", "arguments": arguments, "_meta": meta});
    let mut beside = call(basic(), json!({}));
    beside["payment"] = payment.clone();
    for (params, place) in [
        (
            call(json!({"planId": "basic", "payment": payment}), json!({})),
            "`payment` in the arguments",
        ),
        (
            call(
                json!({"planId": "basic", "x402/payment": payment.to_string()}),
                json!({}),
            ),
            "`x402/payment` in the arguments",
        ),
        (call(payment.clone(), json!({})), "The arguments as a whole"),
        (
            call(basic(), json!({"x402.payment.payload": payment})),
            "`x402.payment.payload` in the _meta",
        ),
        (beside, "`payment` in the params"),
    ] {
        let told = shop.send("tools/call", params);
        assert_eq!(told.fails(), "INVALID_REQUEST", "{place}");
        let text = told.texts()[0];
        assert!(text.contains(place), "{text}");
        assert!(text.contains(r#"params._meta[\"x402/payment\"]"#), "{text}");
        assert!(
            text.contains("Nothing was charged") && !told.counts,
            "{text}"
        );
    }
    let header = Shop::new().header("x-payment-signature", &encode(&payment).unwrap());
    let told = header.access(&basic(), &Value::Null, []);
    assert_eq!(told.fails(), "INVALID_REQUEST");
    // With a payment in `_meta`, the one in the arguments is ignored.
    let both = json!({"planId": "basic", "payment": payment});
    let told = shop.access(&both, &payment, [granted()]);
    assert_eq!(told.result()["isError"], false, "{}", told.body);
}

#[test]
fn a_payment_that_is_no_object_is_told_its_form() {
    for payment in [json!(5), json!([]), json!(true)] {
        let told = Shop::new().access(&basic(), &payment, []);
        let error = parsed(told.texts()[1]);
        let message = error["message"].as_str().unwrap();
        assert!(
            message.contains("an object, or its JSON or base64"),
            "{payment}: {message}"
        );
        assert_eq!(error["details"], json!({"reason": "invalid_payload"}));
    }
}

#[test]
fn a_payment_that_cannot_be_read_is_told_so_beside_the_offer() {
    let shop = Shop::new();
    let mut version1 = shop.payment();
    version1["x402Version"] = json!(1);
    let mut unsigned = shop.payment();
    unsigned["payload"]["signature"] = Value::Null;
    let mut long = shop.payment();
    long["filler"] = json!("x".repeat(16 * 1024));
    for payment in [
        json!("nonsense"),
        json!(long.to_string()),
        json!(encode(&long)),
        json!(7),
        json!([]),
        json!({}),
        version1,
        unsigned,
    ] {
        let told = shop.access(&basic(), &payment, []);
        let reason = &offered(&told)["error"];
        assert!(reason != "Payment required", "{payment}");
        assert_eq!(told.receipt()["success"], false);
        assert_eq!(
            (
                &told.receipt()["errorReason"],
                &told.receipt()["transaction"]
            ),
            (reason, &json!(""))
        );
        let beside = parsed(told.texts()[1]);
        assert_eq!(beside["code"], "INVALID_REQUEST");
        let message = beside["message"].as_str().unwrap();
        assert!(!message.contains("header"), "{message}");
        assert!(told.counts && told.asked.is_empty());
    }
    let one = encode(&shop.payment()).unwrap();
    let twice = Shop::new().header(PAYMENT_SIGNATURE, &format!("{one}, {one}"));
    let told = twice.access(&basic(), &Value::Null, []);
    assert_eq!(offered(&told)["error"], "invalid_payload");
}

#[test]
fn a_paid_call_gets_the_grant_and_the_receipt() {
    let told = Shop::new().buy([granted()]);
    let result = told.result();
    let grant = &result["structuredContent"];
    assert_eq!(&parsed(told.texts()[0]), grant);
    assert_eq!(
        (&grant["status"], &grant["type"]),
        (&json!("access_granted"), &json!("AccessGrant"))
    );
    assert!(grant["accessToken"].is_string() && grant["txHash"].is_string());
    assert_eq!(result["isError"], false);
    let receipt = told.receipt();
    assert_eq!(
        (&receipt["success"], &receipt["transaction"]),
        (&json!(true), &grant["txHash"])
    );
    assert_eq!(receipt["payer"], buyer().address().to_checksum(None));
    assert!(!told.counts);
    let [(id, Ask::Pay(pay))] = told.asked.as_slice() else {
        panic!("{:?}", told.asked);
    };
    assert!(id.as_str().starts_with("x402-"));
    let is_chosen = pay.sale.as_ref().map(|sale| sale.chosen);
    assert_eq!(is_chosen, Some(false), "what is signed anew may join it");
    let again = Shop::new().buy([granted()]);
    assert_eq!(again.asked[0].0, *id, "the id follows from the payment");
    assert_eq!(again.body, told.body);
}

#[test]
fn a_purchase_that_its_client_has_named_keeps_its_name() {
    let shop = Shop::new();
    let named = json!({"planId": "basic", "requestId": OWN_ID});
    let told = shop.access(&named, &shop.payment(), [granted()]);
    assert_eq!(told.asked[0].0.as_str(), OWN_ID);
    let told = shop.access(&named, &Value::Null, []);
    let plain = shop.access(&basic(), &Value::Null, []);
    assert_eq!(offered(&told), offered(&plain));
    assert!(told.texts()[1].contains(OWN_ID));
    let told = shop.access(&named, &shop.payment(), [refused(true)]);
    offered(&told);
    assert!(
        told.texts()[1].contains("Leave requestId out"),
        "{}",
        told.texts()[1]
    );
    assert!(!told.texts()[1].contains(OWN_ID));
}

#[test]
fn while_a_payment_is_under_way_nobody_is_invited_to_pay_again() {
    let transaction = Some(B256::repeat_byte(0x66));
    let undelivered = || PayReply::Undelivered {
        fault: DeliveryFault::Failed,
        receipt: receipt(buyer().address()),
        refund_at: None,
    };
    let refunding = PayReply::Refund {
        status: Status::RefundPending,
        transaction,
    };
    let cases = [
        (
            vec![PayReply::Pending { transaction }],
            "SETTLEMENT_PENDING",
            false,
        ),
        (vec![PayReply::Unbegun], "SETTLEMENT_PENDING", false),
        (vec![], "SETTLEMENT_PENDING", false),
        (vec![undelivered()], "TOKEN_ISSUE_FAILED", true),
        (vec![refunding], "TOKEN_ISSUE_FAILED", false),
    ];
    for (replies, code, is_paid) in cases {
        let told = Shop::new().buy(replies);
        assert_eq!(told.fails(), code);
        let said = told.texts();
        let id = &told.asked[0].0;
        let next = format!("repeat this call with \"requestId\": \"{id}\".");
        assert!(said[0].contains(&next), "{}", said[0]);
        let details = &told.result()["structuredContent"]["details"];
        assert_eq!(details["requestId"], id.as_str());
        assert_eq!(&parsed(said[1]), &told.result()["structuredContent"]);
        assert_eq!(told.receipt()["success"] == true, is_paid);
        assert!(
            is_paid || told.receipt().is_null(),
            "no success reads as: pay again"
        );
        assert!(!told.counts);
    }
    let shop = Shop::new();
    let named = json!({"planId": "basic", "requestId": OWN_ID});
    let told = shop.access(&named, &shop.payment(), [PayReply::Pending { transaction }]);
    assert!(told.texts()[0].ends_with("repeat this call unchanged."));
    let told = Shop::new().buy([PayReply::Pending { transaction }]);
    let details = &told.result()["structuredContent"]["details"];
    assert_eq!(details["retryAfterSeconds"], 2);
    assert_eq!(details["transaction"], json!(transaction));
}

#[test]
fn where_no_money_moved_the_offer_is_made_again_with_the_reason() {
    for begun in [false, true] {
        let told = Shop::new().buy([refused(begun)]);
        assert_eq!(offered(&told)["error"], "insufficient_funds");
        assert_eq!(told.receipt()["errorReason"], "insufficient_funds");
        let beside = parsed(told.texts()[1]);
        assert_eq!(
            (&beside["code"], &beside["details"]["reason"]),
            (&json!("PAYMENT_FAILED"), &json!("insufficient_funds"))
        );
        assert!(told.counts);
    }
    let told = Shop::new().buy([PayReply::Expired]);
    assert_eq!(offered(&told)["error"], "challenge_expired");
    assert!(!told.texts()[1].contains("new requestId"), "it has none");
}

#[test]
fn what_a_client_repeats_of_the_offer_decides_nothing_and_must_not_contradict_it() {
    let shop = Shop::new();
    let change = |path: &str, value: Value| {
        let mut payment = shop.payment();
        *payment.pointer_mut(path).unwrap() = value;
        payment
    };
    for payment in [
        change("/accepted/amount", json!("1")),
        change("/accepted/payTo", json!(buyer().address())),
        change("/accepted/network", json!("eip155:8453")),
        change("/accepted/asset", json!(buyer().address())),
        change("/accepted/scheme", json!("upto")),
        change("/accepted/extra/planId", json!("premium")),
    ] {
        // These payments may be for an earlier offer, so their purchase is asked, and begins nothing.
        let told = shop.access(&basic(), &payment, [PayReply::Conflict]);
        assert_eq!(offered(&told)["error"], "invalid_payment_requirements");
        assert_eq!(offered(&told)["accepts"][0]["amount"], "15000");
        let begins =
            |(_, ask): &(RequestId, Ask)| matches!(ask, Ask::Pay(pay) if pay.sale.is_some());
        assert!(!told.asked.iter().any(begins));
    }
    let mut more = shop.payment();
    more["accepted"]["extra"]["assetTransferMethod"] = json!("eip3009");
    let mut less = shop.payment();
    less["accepted"]["extra"] = Value::Null;
    for payment in [more, less] {
        let told = shop.access(&basic(), &payment, [granted()]);
        assert_eq!(told.result()["isError"], false, "{}", told.body);
    }
}

#[test]
fn a_payment_that_leads_to_nothing_else_is_told_why_without_an_offer() {
    for (reply, code, counts, is_failure) in [
        (PayReply::Taken, "TX_ALREADY_REDEEMED", true, true),
        (PayReply::Conflict, "TX_ALREADY_REDEEMED", true, true),
        (PayReply::Unavailable, "ADAPTER_ERROR", false, false),
        (
            PayReply::Paused { seconds: 60 },
            "RATE_LIMITED",
            false,
            false,
        ),
        (
            PayReply::NotNow(NotNow::GasWalletEmpty),
            "TEMPORARILY_UNAVAILABLE",
            false,
            false,
        ),
        (
            PayReply::Spent {
                reason: Refusal::InsufficientFunds,
            },
            "REQUEST_CONFLICT",
            true,
            true,
        ),
    ] {
        let told = Shop::new().buy([reply]);
        assert_eq!(told.fails(), code);
        assert_eq!(told.counts, counts, "{code}");
        assert_eq!(told.receipt()["success"] == false, is_failure, "{code}");
    }
}

#[test]
fn a_payment_that_is_public_by_now_is_asked_for_a_fresh_signature() {
    let told = Shop::new().buy([PayReply::NeedsFreshSignature]);
    assert_eq!(told.fails(), "TX_ALREADY_REDEEMED");
    let error = &told.result()["structuredContent"];
    assert_eq!(error["details"]["requestId"], told.asked[0].0.as_str());
    assert!(told.receipt().is_null(), "it was paid");
    assert!(
        error["message"]
            .as_str()
            .unwrap()
            .contains("request_access")
    );
}

#[test]
fn a_wallet_that_could_not_be_asked_counts_and_nothing_is_begun() {
    let mut shop = Shop::new();
    let mut payment = shop.payment();
    payment["payload"]["authorization"]["nonce"] = json!(B256::repeat_byte(2));
    let told = shop.access(&basic(), &payment, []);
    assert_eq!(
        offered(&told)["error"],
        "invalid_exact_evm_payload_signature"
    );
    shop.wallets_say = Err("gone");
    let told = shop.access(&basic(), &payment, []);
    assert_eq!(told.fails(), "ADAPTER_ERROR");
    assert!(told.counts && told.asked.is_empty());
}

#[test]
fn a_plan_that_is_sold_no_more_gives_what_was_paid_for() {
    let shop = Shop::new();
    let told = shop.access(
        &json!({"planId": "gone"}),
        &version2(
            shop.config.wallets.pay_to,
            price(&shop.config).units(),
            &Value::Null,
        ),
        [granted()],
    );
    assert_eq!(told.result()["isError"], false, "{}", told.body);
}

#[test]
fn what_is_said_of_the_order_says_nothing_of_its_payment() {
    let shop = Shop::new();
    let payment = version2(
        shop.config.wallets.pay_to,
        price(&shop.config).units(),
        &Value::Null,
    );
    let gone = json!({"planId": "gone"});
    // The payment may be under way for another plan.
    let told = shop.access(&gone, &payment, [PayReply::Conflict]);
    assert_eq!(told.fails(), "TIER_NOT_FOUND");
    assert!(told.receipt().is_null(), "{}", told.body);
    let transaction = B256::repeat_byte(9);
    let told = shop.buy([PayReply::AccessEnded { transaction }]);
    assert_eq!(told.fails(), "ACCESS_ENDED");
    assert!(told.receipt().is_null(), "{}", told.body);
}

#[test]
fn who_pays_a_sealed_offer_of_another_payers_purchase_is_told_of_its_id() {
    let shop = Shop::new();
    let mut payment = shop.payment();
    let terms = test_offer().terms;
    let sealed = shop.config.offers.keys.seal(terms);
    payment["accepted"]["extra"]["challengeId"] = json!(sealed.id);
    let told = shop.access(&basic(), &payment, [PayReply::Conflict]);
    assert_eq!(told.fails(), "REQUEST_CONFLICT");
}

#[test]
fn who_shows_what_another_purchase_has_attempted_does_not_hear_its_name() {
    let secret = RequestId::from_random([9; 16]);
    let target = TargetKey::of(&test_offer().terms);
    let elsewhere = PayReply::Elsewhere {
        request_id: secret.clone(),
        join: Join {
            payer: buyer().address(),
            target,
            by_attempted: true,
        },
    };
    let pending = PayReply::Pending { transaction: None };
    for replies in [vec![elsewhere.clone(), pending], vec![elsewhere]] {
        let told = Shop::new().buy(replies);
        assert_eq!(told.fails(), "SETTLEMENT_PENDING");
        assert!(
            !told.body.to_string().contains(secret.as_str()),
            "{}",
            told.body
        );
        let said = told.texts()[0];
        assert!(said.ends_with("do not sign another one."), "{said}");
    }
}

#[test]
fn who_has_named_another_purchase_is_told_which_one_to_name() {
    let other = RequestId::derived(&[1; 16]);
    let elsewhere = PayReply::Elsewhere {
        request_id: other.clone(),
        join: Join {
            payer: buyer().address(),
            target: TargetKey::of(&test_offer().terms),
            by_attempted: false,
        },
    };
    let shop = Shop::new();
    let named = json!({"planId": "basic", "requestId": RequestId::derived(&[2; 16])});
    let replies = [elsewhere, PayReply::Pending { transaction: None }];
    let told = shop.access(&named, &shop.payment(), replies);
    assert!(
        told.texts()[0].contains(other.as_str()),
        "{}",
        told.texts()[0]
    );
}

#[test]
fn who_pays_a_sealed_offer_is_to_send_the_same_payment_again() {
    let shop = Shop::new();
    let mut payment = shop.payment();
    let sealed = shop.config.offers.keys.seal(test_offer().terms);
    payment["accepted"]["extra"]["challengeId"] = json!(sealed.id);
    let told = shop.access(&basic(), &payment, []);
    let said = told.texts()[0];
    assert!(said.ends_with("do not sign another one."), "{said}");
}

#[test]
fn who_has_chosen_no_name_is_told_to_leave_it_out() {
    let derived = json!({"planId": "basic", "requestId": RequestId::derived(&[2; 16])});
    let chosen = json!({"planId": "basic", "requestId": RequestId::from_random([2; 16])});
    let reason = Refusal::InsufficientFunds;
    let refunded = PayReply::Refund {
        status: Status::Refunded,
        transaction: None,
    };
    let transaction = B256::repeat_byte(9);
    for reply in [
        PayReply::Spent { reason },
        PayReply::Conflict,
        refunded,
        PayReply::AccessEnded { transaction },
    ] {
        let shop = Shop::new();
        let said = |named: &Value| {
            let told = shop.access(named, &shop.payment(), [reply.clone()]);
            let message = told.result()["structuredContent"]["message"].clone();
            message.as_str().unwrap().to_owned()
        };
        let advice = "Leaving requestId out does that.";
        assert!(said(&derived).ends_with(advice), "{}", said(&derived));
        assert!(!said(&chosen).contains(advice), "{}", said(&chosen));
    }
}

#[test]
fn a_refund_that_has_failed_is_told_how_to_ask_again() {
    let failed = PayReply::Refund {
        status: Status::RefundFailed,
        transaction: None,
    };
    let shop = Shop::new();
    let told = shop.buy([failed.clone()]);
    let id = &told.asked[0].0;
    let text = told.texts()[0];
    assert!(text.contains("refund has not succeeded yet"), "{text}");
    let next = format!("repeat this call with \"requestId\": \"{id}\".");
    assert!(text.contains(&next), "{text}");
    let details = &told.result()["structuredContent"]["details"];
    assert_eq!(details["requestId"], id.as_str());
    assert_eq!(details["state"], "REFUND_FAILED");
    assert!(told.receipt().is_null());
    // Anybody who has seen the payment may present it, as another purchase has attempted it. So the id of that purchase
    // is not told.
    let secret = RequestId::from_random([9; 16]);
    let elsewhere = PayReply::Elsewhere {
        request_id: secret.clone(),
        join: Join {
            payer: buyer().address(),
            target: TargetKey::of(&test_offer().terms),
            by_attempted: true,
        },
    };
    let told = shop.buy([elsewhere, failed]);
    assert!(
        !told.body.to_string().contains(secret.as_str()),
        "{}",
        told.body
    );
}
