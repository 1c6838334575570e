//! The deployment sells on another network than the one on which a task's purchase is.

use super::*;

fn text(task: &Value) -> &str {
    let text = task["status"]["message"]["parts"][0]["text"].as_str();
    text.unwrap_or_else(|| panic!("{task}"))
}

/// Checks that the task says which network its purchase is on, and invites nobody to pay.
fn says_where(task: &Value) {
    assert_ne!(state(task), "TASK_STATE_WORKING", "{task}");
    let told = text(task);
    assert!(
        told.contains("is on eip155:84532") && told.contains("sells on eip155:8453 now"),
        "{told}"
    );
    assert!(!told.contains("nothing was charged"), "{told}");
    assert!(!offers(task), "{task}");
}

#[test]
fn a_task_whose_purchase_is_on_another_network_says_so_and_begins_nothing() {
    for first in [
        vec![],
        vec![pending()],
        vec![undelivered()],
        vec![refused(false)],
        vec![PayReply::NotNow(NotNow::GasWalletEmpty)],
    ] {
        let mut shop = Shop::new();
        let task = shop.offered();
        let payment = shop.payment(&task);
        shop.pay(&task, &payment, first);
        shop.config.network = Network::Base;
        shop.later.set(2_000);
        let (before, asked) = (shop.stage(), shop.asked.borrow().len());
        let conflict = || [PayReply::Conflict];
        says_where(&shop.get(&task, conflict()));
        says_where(&shop.pay(&task, &payment, conflict()));
        assert!(*shop.counted.borrow());
        says_where(&shop.pay(&task, &anew(&payment), conflict()));
        says_where(&shop.show(&task, &proof(&task), conflict()));
        says_where(&shop.show(&task, &json!({"planId": "basic"}), conflict()));
        let reject = json!({"x402.payment.status": "payment-rejected"});
        says_where(&shop.message(
            json!({"taskId": task["id"], "metadata": reject}),
            conflict(),
        ));
        let cancel = shop.call("CancelTask", &json!({"id": task["id"]}), conflict());
        assert_eq!(cancel["error"]["code"], -32002, "{cancel}");
        assert_eq!((shop.stage(), shop.asked.borrow().len()), (before, asked));

        shop.config.network = Network::BaseSepolia;
        assert_eq!(state(&shop.get(&task, [granted()])), "TASK_STATE_COMPLETED");
    }
}

#[test]
fn an_offer_for_another_network_is_not_shown() {
    let mut shop = Shop::new();
    let task = shop.offered();
    shop.config.network = Network::Base;
    let told = shop.get(&task, []);
    assert!(!offers(&told), "{told}");
    assert!(text(&told).contains("no longer good"), "{told}");
}

#[test]
fn a_payment_for_an_offer_of_another_network_begins_nothing() {
    for with_task in [true, false] {
        let mut shop = Shop::new();
        let task = shop.offered();
        let payment = shop.payment(&task);
        shop.config.network = Network::Base;
        let on = if with_task { &task } else { &Value::Null };
        let told = shop.pay(on, &payment, [PayReply::Conflict]);
        assert_eq!(state(&told), "TASK_STATE_FAILED", "{told}");
        assert!(told.to_string().contains("CHALLENGE_NOT_FOUND"), "{told}");
        assert!(shop.asked.borrow().is_empty());
    }
}

#[test]
fn what_was_delivered_on_another_network_opens_nothing_and_is_told() {
    let mut shop = Shop::new();
    let task = shop.offered();
    let payment = shop.payment(&task);
    shop.pay(&task, &payment, [granted()]);
    shop.config.network = Network::Base;
    for told in [shop.get(&task, []), shop.pay(&task, &payment, [])] {
        assert_eq!(state(&told), "TASK_STATE_COMPLETED", "{told}");
        says_where(&told);
        assert_eq!(status(&told), "payment-completed");
        assert!(!told.to_string().contains("accessToken"), "{told}");
    }
    shop.config.network = Network::BaseSepolia;
    assert!(shop.get(&task, []).to_string().contains("accessToken"));
}
