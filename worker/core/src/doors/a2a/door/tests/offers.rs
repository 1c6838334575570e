//! Tests of which offer a payment is for.

use super::*;

#[test]
fn an_id_that_follows_from_a_payment_is_not_sold_under() {
    let shop = Shop::new();
    let wish = json!({"planId": "basic", "requestId": format!("x402-{}", "ab".repeat(16))});
    let failed = shop.message(json!({"parts": [{"data": wish}]}), []);
    assert_eq!(
        failed["status"]["message"]["parts"][1]["data"]["code"],
        "INVALID_REQUEST"
    );
    let offer = shop.config.offers.keys.seal(Terms {
        request_id: format!("x402-{}", "ab".repeat(16)).parse().unwrap(),
        ..test_offer().terms
    });
    let units = price(&shop.config).units();
    let payment = version2(
        shop.config.wallets.pay_to,
        units,
        &json!({"challengeId": offer.id}),
    );
    let failed = shop.pay(&Value::Null, &payment, [granted()]);
    assert_eq!(state(&failed), "TASK_STATE_FAILED");
    let metadata = &failed["status"]["message"]["metadata"];
    assert_eq!(metadata["x402.payment.receipts"][0]["success"], false);
    assert!(shop.asked.borrow().is_empty());
}

#[test]
fn a_payment_without_a_task_is_found_by_its_offer() {
    let shop = Shop::new();
    let task = shop.offered();
    let mut payment = shop.payment(&task);
    let done = shop.pay(&Value::Null, &payment, [granted()]);
    assert_eq!(state(&done), "TASK_STATE_COMPLETED");
    assert_ne!(done["id"], task["id"]);
    payment["accepted"]["extra"] = json!({});
    let asked = shop.asked.borrow().len();
    let failed = shop.pay(&Value::Null, &payment, [granted()]);
    assert_eq!(state(&failed), "TASK_STATE_FAILED");
    assert_eq!(shop.asked.borrow().len(), asked);
}

#[test]
fn a_payment_to_somebody_else_is_refused_unless_the_purchase_has_begun_with_it() {
    let shop = Shop::new();
    let task = shop.offered();
    let extra = shop.payment(&task)["accepted"]["extra"].clone();
    let payment = version2(Address::repeat_byte(9), price(&shop.config).units(), &extra);
    let refused = shop.pay(&task, &payment, [PayReply::Conflict]);
    let metadata = &refused["status"]["message"]["metadata"];
    assert_eq!(metadata["x402.payment.error"], "INVALID_AMOUNT");
    // The purchase was asked in a way that cannot begin it.
    let asked = shop.asked.borrow();
    assert!(
        matches!(&asked[..], [Ask::Pay(pay)] if pay.sale.is_none()),
        "{asked:?}"
    );
}

#[test]
fn a_payment_for_an_earlier_offer_of_the_same_purchase_gets_its_outcome() {
    let shop = Shop::new();
    let task = shop.offered();
    let payment = shop.payment(&task);
    // The price has changed, and the task has a new offer at that price.
    let mut tasks = shop.conversations.tasks.0.borrow_mut();
    let Stage::Offered { challenge_id, .. } = &mut tasks[0].stage else {
        panic!("no offer");
    };
    let terms = shop.config.offers.keys.open(challenge_id).unwrap().terms;
    let dearer = Terms {
        amount: UsdcAmount::from_units(terms.amount.units() + 1),
        ..terms
    };
    *challenge_id = shop.config.offers.keys.seal(dearer).id.to_string();
    drop(tasks);
    let done = shop.pay(&task, &payment, [granted()]);
    assert_eq!(state(&done), "TASK_STATE_COMPLETED", "{done}");
    let asked = shop.asked.borrow();
    assert!(
        matches!(&asked[..], [Ask::Pay(pay)] if pay.sale.is_none()),
        "{asked:?}"
    );
}
