//! All that a task knows about money concerns one purchase: that of its offer.

use super::*;
use crate::chain::transfer::ProofFault;

/// The id of another plan.
fn other_plan(shop: &Shop) -> String {
    let plans = shop.config.catalog.plans();
    let mut ids = plans.iter().map(|plan| plan.id.to_string());
    ids.find(|id| id != "basic").unwrap()
}

#[test]
fn who_has_presented_something_is_told_to_ask_for_another_price_without_the_task() {
    let unconfirmed = || PayReply::Unproven(ProofFault::TxUnconfirmed);
    type Act<'a> = &'a dyn Fn(&Shop, &Value);
    let tries: [Act<'_>; 4] = [
        &|shop, task| drop(shop.pay(task, &shop.payment(task), [refused(false)])),
        &|shop, task| drop(shop.pay(task, &shop.payment(task), [pending()])),
        &|shop, task| drop(shop.pay(task, &shop.payment(task), [])),
        &|shop, task| drop(shop.show(task, &proof(task), [unconfirmed()])),
    ];
    for (at, present) in tries.iter().enumerate() {
        let shop = Shop::new();
        let id = "08080808-0808-4808-8808-080808080808";
        let wish = json!({"planId": "basic", "requestId": id});
        let task = shop.message(json!({"parts": [{"data": wish}]}), []);
        present(&shop, &task);
        let stage = shop.stage();
        for wish in [
            json!({"planId": "basic"}),
            json!({"planId": "basic", "requestId": ANOTHER}),
            json!({"planId": other_plan(&shop), "requestId": id}),
            json!({"planId": "nothing"}),
        ] {
            let message = json!({"taskId": task["id"], "parts": [{"data": wish}]});
            let replies = (at != 2).then(pending_of(at)).into_iter();
            let told = shop.message(message, replies);
            assert_eq!(told["code"], -32004, "{at}: {told}");
            assert!(told.to_string().contains("without taskId"), "{told}");
            assert!(*shop.counted.borrow());
            assert_eq!(shop.stage(), stage);
        }
        let done = match at {
            3 => shop.show(&task, &proof(&task), [granted()]),
            _ => shop.get(&task, [granted()]),
        };
        assert_eq!(state(&done), "TASK_STATE_COMPLETED", "{at}");
    }
}

/// The reply of the purchase of the try number `at`, when it is asked.
fn pending_of(at: usize) -> fn() -> PayReply {
    match at {
        0 => || PayReply::Unbegun,
        _ => pending,
    }
}

#[test]
fn a_price_is_asked_for_anew_where_nothing_was_presented_or_its_purchase_is_over() {
    let shop = Shop::new();
    let task = shop.offered();
    renewed(&shop, &task);
    let mut forged = shop.payment(&shop.get(&task, []));
    forged["payload"]["signature"] = json!(format!("0x{}1b", "22".repeat(64)));
    shop.pay(&task, &forged, []);
    let again = renewed(&shop, &task);
    shop.pay(&task, &shop.payment(&again), [refused(true)]);
    let last = renewed(&shop, &task);
    let done = shop.pay(&task, &anew(&shop.payment(&last)), [granted()]);
    assert_eq!(state(&done), "TASK_STATE_COMPLETED");
}

#[test]
fn a_payment_for_another_offer_is_not_taken_and_is_told_where_to_send_it() {
    let shop = Shop::new();
    let other = shop.offered();
    let task = shop.offered();
    let id = "08080808-0808-4808-8808-080808080808";
    let wish = |plan: &str| json!({"parts": [{"data": {"planId": plan, "requestId": id}}]});
    let same_name = shop.message(wish(&other_plan(&shop)), []);
    let named = shop.message(wish("basic"), []);
    let earlier = shop.payment(&task);
    let renewed = renewed(&shop, &task);
    for (on, payment) in [
        (&task, earlier.clone()),
        (&task, shop.payment(&other)),
        (&named, shop.payment(&same_name)),
    ] {
        let kept = shop.conversations.tasks.0.borrow().clone();
        let told = shop.pay(on, &payment, [granted()]);
        assert_eq!(told["code"], -32004, "{told}");
        assert!(told.to_string().contains("without taskId"), "{told}");
        assert!(*shop.counted.borrow());
        assert_eq!(*shop.conversations.tasks.0.borrow(), kept);
    }
    assert!(shop.asked.borrow().is_empty());
    // Sent without a task id, the payment for the earlier offer reaches the purchase of that offer.
    let done = shop.pay(&Value::Null, &earlier, [granted()]);
    assert_eq!(state(&done), "TASK_STATE_COMPLETED");
    let done = shop.pay(&task, &anew(&shop.payment(&renewed)), [granted()]);
    assert_eq!(state(&done), "TASK_STATE_COMPLETED");
}

#[test]
fn while_a_payment_is_under_way_one_for_another_offer_is_not_taken_either() {
    let shop = Shop::new();
    let other = shop.offered();
    let task = shop.offered();
    shop.pay(&task, &shop.payment(&task), [pending()]);
    let asked = shop.asked.borrow().len();
    let told = shop.pay(&task, &anew(&shop.payment(&other)), [pending()]);
    assert_eq!(told["code"], -32004, "{told}");
    assert_eq!(shop.asked.borrow().len(), asked);
}

#[test]
fn a_payment_of_an_earlier_offer_whose_purchase_is_over_gets_the_task_as_it_stands() {
    for reply in [refused(true), PayReply::Expired, PayReply::Cancelled] {
        for polled in [false, true] {
            let shop = Shop::new();
            let task = shop.offered();
            let payment = shop.payment(&task);
            let next = match polled {
                false => shop.pay(&task, &payment, [reply.clone()]),
                true => {
                    shop.pay(&task, &payment, [pending()]);
                    shop.get(&task, [reply.clone()])
                }
            };
            assert!(offers(&next), "{next}");
            assert_eq!(shop.stage().claim(), None);
            let asked = shop.asked.borrow().len();
            let mut bare = payment.clone();
            bare["accepted"]["extra"]
                .as_object_mut()
                .unwrap()
                .remove("challengeId");
            for again in [&payment, &bare] {
                let same = shop.pay(&task, again, [granted()]);
                assert_eq!(same["status"], next["status"]);
                assert_eq!(shop.asked.borrow().len(), asked);
            }
            let second = anew(&shop.payment(&next));
            assert_eq!(
                state(&shop.pay(&task, &second, [pending()])),
                "TASK_STATE_WORKING"
            );
            let same = shop.pay(&task, &payment, []);
            assert_eq!(state(&same), "TASK_STATE_WORKING");
            assert_eq!(state(&shop.get(&task, [granted()])), "TASK_STATE_COMPLETED");
        }
    }
}

#[test]
fn a_transfer_for_another_offer_is_not_taken_and_one_for_an_earlier_price_of_the_same_purchase_is()
{
    let shop = Shop::new();
    let (task, other) = (shop.offered(), shop.offered());
    let told = shop.show(&task, &proof(&other), [granted()]);
    assert_eq!(told["code"], -32004, "{told}");
    assert!(*shop.counted.borrow());
    // The price has changed, and the task has a new offer at that price.
    let mut tasks = shop.conversations.tasks.0.borrow_mut();
    let kept = tasks
        .iter_mut()
        .find(|kept| task["id"] == kept.id.to_string());
    let Some(Stage::Offered { challenge_id, .. }) = kept.map(|kept| &mut kept.stage) else {
        panic!("no offer");
    };
    let terms = shop.config.offers.keys.open(challenge_id).unwrap().terms;
    let dearer = Terms {
        amount: UsdcAmount::from_units(terms.amount.units() + 1),
        ..terms
    };
    *challenge_id = shop.config.offers.keys.seal(dearer).id.to_string();
    drop(tasks);
    let done = shop.show(&task, &proof(&task), [granted()]);
    assert_eq!(state(&done), "TASK_STATE_COMPLETED", "{done}");
}

#[test]
fn a_task_forgets_no_payment_and_ends_when_it_takes_no_other() {
    let shop = Shop::new();
    let task = shop.offered();
    let first = shop.payment(&task);
    let mut next = shop.pay(&task, &first, [refused(true)]);
    for at in 12..14 {
        next = shop.pay(&task, &nth(&shop.payment(&next), at), [refused(true)]);
        assert!(offers(&next), "{next}");
    }
    // The first payment belongs to an earlier offer. Sent again, it is not presented to the current purchase, which
    // would charge it.
    let same = shop.pay(&task, &first, [granted()]);
    assert_eq!(same["status"], next["status"]);
    let last = nth(&shop.payment(&next), 14);
    let ended = shop.pay(&task, &last, [refused(true)]);
    assert_eq!(state(&ended), "TASK_STATE_FAILED", "{ended}");
    assert!(ended.to_string().contains("Nothing was charged"), "{ended}");
    let same = shop.pay(&task, &first, [granted()]);
    assert_eq!(same["status"], ended["status"]);
}

#[test]
fn a_payment_that_a_task_has_no_room_for_is_sent_without_it_and_charges_nothing() {
    let shop = Shop::new();
    let task = shop.offered();
    let payment = shop.payment(&task);
    for at in 11..15 {
        let told = shop.pay(&task, &nth(&payment, at), [refused(false)]);
        assert!(offers(&told), "{told}");
    }
    let asked = shop.asked.borrow().len();
    let told = shop.pay(&task, &nth(&payment, 15), [granted()]);
    assert_eq!(told["code"], -32004, "{told}");
    let text = told["message"].as_str().unwrap();
    assert!(text.contains("nothing was charged by it"), "{text}");
    assert!(text.contains("without taskId"), "{text}");
    assert!(*shop.counted.borrow());
    assert_eq!(shop.asked.borrow().len(), asked);
    // Sent without a task id, a payment reaches the purchase of its own offer.
    let done = shop.pay(&Value::Null, &nth(&payment, 15), [granted()]);
    assert_eq!(state(&done), "TASK_STATE_COMPLETED");
    let done = shop.pay(&task, &nth(&payment, 12), [granted()]);
    assert_eq!(state(&done), "TASK_STATE_COMPLETED");
}
