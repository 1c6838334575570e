//! Payments for another purchase than that of the task's offer, and purchases that a task can be led to.

use super::super::super::task::Known;
use super::super::super::test_support::MemoryTasks;
use super::*;
use crate::chain::usdc;
use crate::config::ProofBinding;
use crate::types::{B256, Network, U256};
use crate::x402::Authorization;

const ANOTHER: &str = "09090909-0909-4909-8909-090909090909";

/// The same payment with another nonce.
fn anew(payment: &Value) -> Value {
    let mut payment = payment.clone();
    let old = payment["payload"]["authorization"].clone();
    let authorization = Authorization {
        from: buyer().address(),
        to: serde_json::from_value(old["to"].clone()).unwrap(),
        value: U256::from(old["value"].as_str().unwrap().parse::<u64>().unwrap()),
        valid_after: U256::ZERO,
        valid_before: U256::from(1_800_000_300_u64),
        nonce: B256::repeat_byte(2),
    };
    let digest = usdc::authorization_digest(&authorization, Network::BaseSepolia);
    let signature = buyer().sign(&digest).unwrap().as_bytes();
    payment["payload"]["signature"] = json!(hex::encode_prefixed(signature));
    payment["payload"]["authorization"]["nonce"] = json!(authorization.nonce);
    payment
}

fn elsewhere(id: &str, by_attempted: bool) -> PayReply {
    let join = json!({"payer": buyer().address(), "target": "plan basic default", "byAttempted": by_attempted});
    serde_json::from_value(json!({"elsewhere": {"requestId": id, "join": join}})).unwrap()
}

/// An offer whose client has named no purchase.
fn unnamed(shop: &Shop) -> Value {
    shop.message(json!({"parts": [{"data": {"planId": "basic"}}]}), [])
}

/// The same task with an offer for another purchase.
fn renewed(shop: &Shop, task: &Value, replies: impl IntoIterator<Item = PayReply>) -> Value {
    let wish = json!({"planId": "basic", "requestId": ANOTHER});
    let renewed = shop.message(
        json!({"parts": [{"data": wish}], "taskId": task["id"]}),
        replies,
    );
    assert!(offers(&renewed), "{renewed}");
    renewed
}

fn first_asked(shop: &Shop, act: impl FnOnce()) -> Ask {
    let before = shop.asked.borrow().len();
    act();
    shop.asked.borrow()[before].clone()
}

#[test]
fn before_a_second_payment_on_a_task_the_purchase_that_the_task_follows_is_asked() {
    // The first payment was led to another purchase, which is delivered by now.
    let shop = Shop::new();
    let task = unnamed(&shop);
    let payment = shop.payment(&task);
    let working = shop.pay(&task, &payment, [elsewhere(ANOTHER, false), pending()]);
    assert_eq!(state(&working), "TASK_STATE_WORKING");
    shop.later.set(200);
    let asked = first_asked(&shop, || {
        let done = shop.pay(&task, &anew(&payment), [granted()]);
        assert_eq!(state(&done), "TASK_STATE_COMPLETED");
    });
    assert!(matches!(asked, Ask::Join(_)), "{asked:?}");

    // Nothing had begun by the payment for the offer before.
    let shop = Shop::new();
    let task = shop.offered();
    shop.pay(&task, &shop.payment(&task), [refused(false)]);
    let second = anew(&shop.payment(&renewed(&shop, &task, [PayReply::Unbegun])));
    let asked = first_asked(&shop, || {
        let done = shop.pay(&task, &second, [PayReply::Unbegun, granted()]);
        assert_eq!(state(&done), "TASK_STATE_COMPLETED");
    });
    assert!(matches!(asked, Ask::Join(_)), "{asked:?}");
}

#[test]
fn who_was_led_to_a_purchase_that_nobody_can_ask_about_is_to_send_the_same_payment_again() {
    let derived = format!("x402-{}", "ab".repeat(16));
    for by_attempted in [false, true] {
        let shop = Shop::new();
        let task = unnamed(&shop);
        let payment = shop.payment(&task);
        shop.pay(
            &task,
            &payment,
            [elsewhere(&derived, by_attempted), pending()],
        );
        shop.later.set(86_400);
        let polled = shop.get(&task, [PayReply::Unbegun]);
        assert_eq!(state(&polled), "TASK_STATE_INPUT_REQUIRED", "{polled}");
        assert!(!offers(&polled), "{polled}");
        assert!(polled.to_string().contains("Send the same"), "{polled}");
        let cancel = shop.call("CancelTask", &json!({"id": task["id"]}), []);
        assert_eq!(cancel["error"]["code"], -32002);
        let (reply, end) = match by_attempted {
            false => (granted(), "TASK_STATE_COMPLETED"),
            // It is public by now, and opens nothing any more.
            true => (PayReply::Taken, "TASK_STATE_FAILED"),
        };
        assert_eq!(state(&shop.pay(&task, &payment, [reply])), end);
    }
}

#[test]
fn a_transfer_that_was_shown_without_signature_is_to_be_shown_again() {
    for reply in [pending(), undelivered()] {
        let mut shop = Shop::new();
        shop.config.offers.proof_binding = ProofBinding::TxHash;
        let task = shop.offered();
        let mut proof = proof(&task);
        proof.as_object_mut().unwrap().remove("signature");
        let message = json!({"taskId": task["id"], "parts": [{"data": proof}]});
        shop.message(message.clone(), [reply]);
        shop.later.set(86_400);
        let polled = shop.get(&task, []);
        assert_eq!(state(&polled), "TASK_STATE_INPUT_REQUIRED", "{polled}");
        assert!(polled.to_string().contains("Send the same"), "{polled}");
        let done = shop.message(message, [granted()]);
        assert_eq!(state(&done), "TASK_STATE_COMPLETED");
    }
}

thread_local! {
    static READS: Cell<u32> = const { Cell::new(0) };
}

#[test]
fn a_payment_that_is_sent_again_begins_nothing_on_a_task_that_was_called_off_meanwhile() {
    for first in [vec![], vec![pending()]] {
        let shop = Shop::new();
        let task = shop.offered();
        let payment = shop.payment(&task);
        shop.pay(&task, &payment, first);
        READS.set(0);
        // After the request has read the task, and before it asks the purchase.
        shop.before(|tasks, command| {
            if matches!(command, TaskCommand::Read { .. }) {
                READS.set(READS.get() + 1);
                if READS.get() == 2 {
                    let mut tasks = tasks.0.borrow_mut();
                    let task = tasks.last_mut().unwrap();
                    task.stage = Stage::Canceled;
                    task.version += 1;
                }
            }
            Ok(())
        });
        let before = shop.asked.borrow().len();
        shop.pay(&task, &payment, [granted()]);
        assert_eq!(READS.get(), 3, "it was read once more");
        assert_eq!(shop.asked.borrow().len(), before);
    }
}

#[test]
fn what_was_charged_though_the_task_was_called_off_has_a_task_of_its_own() {
    let shop = Shop::new();
    let task = shop.offered();
    // While its purchase works.
    shop.before(|tasks, command| {
        if matches!(command, TaskCommand::Keep(task) if task.version == 3) {
            let mut tasks = tasks.0.borrow_mut();
            let kept = tasks.last_mut().unwrap();
            if kept.version == 2 {
                kept.stage = Stage::Canceled;
                kept.version = 3;
            }
        }
        Ok(())
    });
    let payment = shop.payment(&task);
    let done = shop.pay(&task, &payment, [granted()]);
    assert_eq!(state(&done), "TASK_STATE_COMPLETED", "{done}");
    assert_ne!(done["id"], task["id"]);
    assert_eq!(state(&shop.get(&task, [])), "TASK_STATE_CANCELED");
    assert_eq!(shop.get(&done, [])["status"], done["status"]);
}

/// The offer of the task is paid while the purchase of an earlier one is asked.
fn is_paid_meanwhile(tasks: &MemoryTasks, command: &TaskCommand) -> Result<(), CallFault> {
    if matches!(command, TaskCommand::Keep(_)) {
        let mut tasks = tasks.0.borrow_mut();
        let task = tasks.last_mut().unwrap();
        if let Stage::Offered { challenge_id, .. } = task.stage.clone() {
            let claim = json!({"requestId": ANOTHER, "payer": buyer().address(), "target": "plan basic default"});
            task.stage = Stage::Paying {
                challenge_id,
                claim: serde_json::from_value(claim).unwrap(),
                said: None,
                known: Known::Begun,
            };
            task.version += 1;
        }
    }
    Ok(())
}

#[test]
fn the_outcome_of_another_offers_purchase_takes_no_task_off_its_own_that_has_begun() {
    let returned = |status| PayReply::Refund {
        status,
        transaction: None,
    };
    for reply in [
        pending(),
        returned(Status::Refunded),
        returned(Status::RefundFailed),
        granted(),
    ] {
        let shop = Shop::new();
        let task = shop.offered();
        let payment = shop.payment(&task);
        renewed(&shop, &task, []);
        shop.before(is_paid_meanwhile);
        shop.pay(&task, &payment, [reply, PayReply::Conflict]);
        let stage = shop.stage();
        let claim = stage.claim().map(|claim| claim.request_id.to_string());
        assert_eq!(claim.as_deref(), Some(ANOTHER), "{stage:?}");
    }
}

#[test]
fn a_payment_of_an_earlier_offer_of_which_nothing_has_begun_leaves_the_offer_of_the_task() {
    for replies in [vec![PayReply::Unbegun], vec![], vec![PayReply::Taken]] {
        let shop = Shop::new();
        let task = shop.offered();
        let payment = shop.payment(&task);
        renewed(&shop, &task, []);
        let own = shop.stage().challenge_id().unwrap().to_owned();
        let told = shop.pay(&task, &payment, replies);
        assert_eq!(state(&told), "TASK_STATE_INPUT_REQUIRED", "{told}");
        assert!(!offers(&told), "nobody is invited to pay once more: {told}");
        assert_eq!(shop.stage().challenge_id(), Some(own.as_str()));
        // Sent again it begins nothing either.
        let asked = first_asked(&shop, || {
            let done = shop.pay(&task, &payment, [granted()]);
            assert_eq!(state(&done), "TASK_STATE_COMPLETED");
        });
        assert!(
            matches!(&asked, Ask::Pay(pay) if pay.sale.is_none()),
            "{asked:?}"
        );
        // And then it has its end.
        assert_eq!(
            state(&shop.pay(&task, &payment, [])),
            "TASK_STATE_COMPLETED"
        );
    }
}

#[test]
fn another_wallets_payment_is_held_against_the_offer_that_stands_after_the_look() {
    let shop = Shop::new();
    let task = shop.offered();
    let payment = shop.payment(&task);
    shop.pay(&task, &payment, [pending()]);
    let mut other = payment;
    other["payload"]["authorization"]["from"] = json!(Address::repeat_byte(5));
    let extra = other["accepted"]["extra"].as_object_mut().unwrap();
    let dead = extra.remove("challengeId").unwrap();
    shop.pay(&task, &other, [refused(true), PayReply::Conflict]);
    let stage = shop.stage();
    assert!(
        stage.challenge_id().is_some() && stage.challenge_id() != dead.as_str(),
        "{stage:?}"
    );
}

#[test]
fn versions_of_a_task_that_made_room_go_on() {
    let shop = Shop::new();
    let task = shop.offered();
    shop.before(|tasks, command| {
        if matches!(command, TaskCommand::Keep(task) if task.version == 3) {
            tasks.0.borrow_mut().clear();
        }
        Ok(())
    });
    shop.pay(&task, &shop.payment(&task), [pending()]);
    assert!(shop.conversations.tasks.0.borrow()[0].version > 1_000);
}

#[test]
fn beside_a_purchase_that_only_the_payment_can_ask_about_no_other_payment_begins_anything() {
    let derived = format!("x402-{}", "ab".repeat(16));
    let shop = Shop::new();
    let task = shop.offered();
    let payment = shop.payment(&task);
    let told = shop.pay(&task, &payment, [elsewhere(&derived, false), undelivered()]);
    assert_eq!(state(&told), "TASK_STATE_INPUT_REQUIRED", "{told}");
    assert_eq!(status(&told), "payment-verified");
    let before = shop.asked.borrow().len();
    let same = shop.pay(&task, &anew(&payment), [granted()]);
    assert_eq!(same["status"], told["status"]);
    assert_eq!(shop.asked.borrow().len(), before);
}

#[test]
fn that_a_payment_is_another_purchases_ends_no_task_that_waits_for_a_transfer() {
    let mut shop = Shop::new();
    shop.config.offers.proof_binding = ProofBinding::TxHash;
    let task = shop.offered();
    let payment = shop.payment(&task);
    shop.pay(&task, &payment, [refused(false)]);
    let mut proof = proof(&task);
    proof.as_object_mut().unwrap().remove("signature");
    let message = json!({"taskId": task["id"], "parts": [{"data": proof}]});
    shop.message(message.clone(), [undelivered()]);
    let after = shop.pay(&task, &payment, [PayReply::Taken]);
    assert_eq!(state(&after), "TASK_STATE_INPUT_REQUIRED", "{after}");
    assert_eq!(
        state(&shop.message(message, [granted()])),
        "TASK_STATE_COMPLETED"
    );
}

#[test]
fn while_the_purchase_of_the_offer_before_gives_no_answer_the_next_offer_is_not_paid() {
    let shop = Shop::new();
    let task = shop.offered();
    shop.pay(&task, &shop.payment(&task), [refused(false)]);
    let second = anew(&shop.payment(&renewed(&shop, &task, [PayReply::Unbegun])));
    let before = shop.asked.borrow().len();
    let told = shop.pay(&task, &second, []);
    assert_eq!(state(&told), "TASK_STATE_INPUT_REQUIRED", "{told}");
    assert!(!offers(&told), "{told}");
    let asked = shop.asked.borrow()[before..].to_vec();
    assert!(matches!(asked[..], [Ask::Join(_)]), "{asked:?}");
    let kept = shop.conversations.tasks.0.borrow().clone();
    let over = shop.get(&task, [PayReply::Expired]);
    assert!(offers(&over), "it waits for nobody: {over}");
    *shop.conversations.tasks.0.borrow_mut() = kept;
    let done = shop.pay(&task, &second, [PayReply::Unbegun, granted()]);
    assert_eq!(state(&done), "TASK_STATE_COMPLETED");
}

#[test]
fn a_payment_on_a_task_that_was_called_off_is_told_that_it_may_have_been_charged_elsewhere() {
    let shop = Shop::new();
    let task = shop.offered();
    let payment = shop.payment(&task);
    shop.pay(&Value::Null, &payment, [pending()]);
    shop.call("CancelTask", &json!({"id": task["id"]}), []);
    let over = shop.pay(&task, &payment, []);
    assert_eq!(over["code"], -32004);
    assert!(over.to_string().contains("may have been charged"), "{over}");
}

#[test]
fn a_payment_that_its_purchase_had_taken_before_gets_the_finished_task_when_it_is_sent_again() {
    let shop = Shop::new();
    let task = shop.offered();
    let mut payment = shop.payment(&task);
    // Of an offer with another price.
    payment["accepted"]["amount"] = json!("1");
    for _ in 0..2 {
        let done = shop.pay(&task, &payment, [granted()]);
        assert_eq!(state(&done), "TASK_STATE_COMPLETED", "{done}");
    }
}

#[test]
fn what_was_charged_without_a_task_id_has_another_task_than_the_one_that_was_ended() {
    let shop = Shop::new();
    let payment = shop.payment(&shop.offered());
    // The task that the payment has begun is ended while its purchase works.
    shop.before(|tasks, command| {
        if matches!(command, TaskCommand::Keep(task) if task.version == 2) {
            let mut tasks = tasks.0.borrow_mut();
            let kept = tasks.last_mut().unwrap();
            if kept.is_paying() {
                kept.stage = Stage::Canceled;
                kept.version = 2;
            }
        }
        Ok(())
    });
    let done = shop.pay(&Value::Null, &payment, [granted()]);
    assert_eq!(state(&done), "TASK_STATE_COMPLETED", "{done}");
    assert_eq!(shop.get(&done, [])["status"], done["status"]);
}

#[test]
fn a_payment_that_was_sent_before_its_task_was_called_off_may_have_been_charged() {
    let shop = Shop::new();
    let task = shop.offered();
    let payment = shop.payment(&task);
    shop.pay(&task, &payment, [pending()]);
    for stage in [Stage::Canceled, Stage::Rejected] {
        shop.conversations.tasks.0.borrow_mut()[0].stage = stage;
        let over = shop.pay(&task, &payment, []);
        assert_eq!(over["code"], -32004);
        assert!(over.to_string().contains("may have been charged"), "{over}");
    }
}

#[test]
fn who_pays_on_a_task_that_is_gone_is_told_not_to_pay_anew() {
    let shop = Shop::new();
    let task = shop.offered();
    let payment = shop.payment(&task);
    shop.conversations.tasks.0.borrow_mut().clear();
    let gone = shop.pay(&task, &payment, []);
    assert_eq!(gone["code"], -32001);
    assert!(gone.to_string().contains("do not pay anew"), "{gone}");
    let other = shop.call("GetTask", &json!({"id": task["id"]}), []);
    assert_eq!(other["error"]["message"], "Task not found");
}

#[test]
fn ids_hold_no_control_characters() {
    let shop = Shop::new();
    for name in ["messageId", "contextId", "taskId"] {
        let mut message = json!({"parts": [{"text": "x"}]});
        message[name] = json!("a\u{1}");
        let refused = shop.message(message, []);
        assert_eq!(refused["code"], -32602, "{name}");
    }
}

#[test]
fn what_was_charged_though_the_task_was_delivered_for_another_offer_has_a_task_of_its_own() {
    let returned = |status| PayReply::Refund {
        status,
        transaction: None,
    };
    for reply in [
        pending(),
        granted(),
        returned(Status::Refunded),
        returned(Status::RefundFailed),
    ] {
        let shop = Shop::new();
        let task = shop.offered();
        // While its purchase works.
        shop.before(|tasks, command| {
            if matches!(command, TaskCommand::Keep(task) if task.version == 3) {
                let mut tasks = tasks.0.borrow_mut();
                let kept = tasks.last_mut().unwrap();
                if kept.version == 2 {
                    let mut claims = claims();
                    "another request".clone_into(&mut claims.sub);
                    "another purchase".clone_into(&mut claims.jti);
                    kept.stage = Stage::Delivered {
                        goods: Goods::Token { claims },
                        receipt: None,
                    };
                    kept.version = 3;
                }
            }
            Ok(())
        });
        let told = shop.pay(&task, &shop.payment(&task), [reply]);
        assert_ne!(told["id"], task["id"], "{told}");
        assert_eq!(shop.conversations.tasks.0.borrow().len(), 2);
    }
}

#[test]
fn a_task_that_was_delivered_meanwhile_by_the_same_purchase_stays_the_only_one() {
    let shop = Shop::new();
    let task = shop.offered();
    shop.before(|tasks, command| {
        if matches!(command, TaskCommand::Keep(task) if task.version == 3) {
            let mut tasks = tasks.0.borrow_mut();
            let kept = tasks.last_mut().unwrap();
            if kept.version == 2 {
                let mut claims = claims();
                claims.sub = format!("07070707-0707-4707-8707-{:012}", 0);
                kept.stage = Stage::Delivered {
                    goods: Goods::Token { claims },
                    receipt: None,
                };
                kept.version = 3;
            }
        }
        Ok(())
    });
    for reply in [pending(), granted()] {
        let done = shop.pay(&task, &shop.payment(&task), [reply]);
        assert_eq!(done["id"], task["id"]);
        assert_eq!(state(&done), "TASK_STATE_COMPLETED", "{done}");
        assert_eq!(shop.conversations.tasks.0.borrow().len(), 1);
    }
}

#[test]
fn the_end_of_an_earlier_offers_purchase_leaves_the_offer_of_the_task() {
    for reply in [refused(true), PayReply::Expired, PayReply::Cancelled] {
        let shop = Shop::new();
        let task = shop.offered();
        shop.pay(&task, &shop.payment(&task), [refused(false)]);
        let second = anew(&shop.payment(&renewed(&shop, &task, [PayReply::Unbegun])));
        let own = shop.stage().challenge_id().unwrap().to_owned();
        let looked = shop.get(&task, [reply]);
        assert!(offers(&looked), "{looked}");
        let stage = shop.stage();
        assert_eq!(stage.challenge_id(), Some(own.as_str()));
        assert_eq!(stage.claim(), None, "it is asked once");
        let asked = first_asked(&shop, || {
            let done = shop.pay(&task, &second, [granted()]);
            assert_eq!(state(&done), "TASK_STATE_COMPLETED");
        });
        assert!(matches!(asked, Ask::Pay(_)), "{asked:?}");
    }
}

#[test]
fn before_a_payment_for_a_third_offer_the_purchase_that_the_task_follows_is_asked() {
    let shop = Shop::new();
    let other = shop.offered();
    let third = anew(&shop.payment(&other));
    let task = shop.offered();
    shop.pay(&task, &shop.payment(&task), [refused(false)]);
    let asked = first_asked(&shop, || {
        let told = shop.pay(&task, &third, [pending(), pending()]);
        assert_eq!(state(&told), "TASK_STATE_WORKING");
    });
    assert!(matches!(asked, Ask::Join(_)), "{asked:?}");
    // That one has begun meanwhile: the task follows it.
    let claim = shop
        .stage()
        .claim()
        .map(|claim| claim.request_id.to_string());
    assert_ne!(claim, None);
}
