//! While one payment is under way, a second payment or a faster request arrives.

use super::super::super::task::Known;
use super::super::super::test_support::MemoryTasks;
use super::*;

#[test]
fn a_payment_that_fails_beside_another_one_ends_nothing() {
    let shop = Shop::new();
    let task = shop.offered();
    let payment = shop.payment(&task);
    shop.pay(&task, &payment, [pending()]);
    // Two payments with the same nonce: one has a signature that is not the payer's, the other a version that is not
    // spoken.
    let mut forged = payment.clone();
    forged["payload"]["signature"] = json!(format!("0x{}1b", "22".repeat(64)));
    let mut old = payment.clone();
    old["x402Version"] = json!(1);
    for bad in [forged, old] {
        let working = shop.pay(&task, &bad, []);
        assert_eq!(state(&working), "TASK_STATE_WORKING", "{working}");
        assert!(!offers(&working), "{working}");
    }
    for message in [
        json!({"taskId": task["id"]}),
        json!({"taskId": task["id"], "parts": [{"data": {}}]}),
        json!({"taskId": task["id"], "metadata": {"x402.payment.status": "payment-rejected"}}),
    ] {
        let working = shop.message(message, [pending()]);
        assert_eq!(state(&working), "TASK_STATE_WORKING", "{working}");
    }
    assert_eq!(state(&shop.get(&task, [granted()])), "TASK_STATE_COMPLETED");
}

#[test]
fn what_is_said_of_a_payment_alone_takes_no_task_off_the_payment_that_is_under_way() {
    for alive in [pending(), undelivered()] {
        for alone in [
            PayReply::Unavailable,
            PayReply::NamedOtherwise,
            PayReply::NotNow(NotNow::Crowded),
            PayReply::Conflict,
            PayReply::Taken,
            refused(false),
        ] {
            let shop = Shop::new();
            let task = shop.offered();
            let payment = shop.payment(&task);
            let before = shop.pay(&task, &payment, [alive.clone()]);
            let after = shop.pay(&task, &payment, [alone.clone()]);
            assert_eq!(state(&after), "TASK_STATE_WORKING", "{alone:?}");
            assert_eq!(status(&after), status(&before));
            let kept = shop.conversations.tasks.0.borrow()[0].clone();
            assert!(kept.is_paid() || kept.has_begun());
            let id = json!({"id": task["id"]});
            let cancel = shop.call("CancelTask", &id, [alive.clone()]);
            assert_eq!(cancel["error"]["code"], -32002);
            assert_eq!(state(&shop.get(&task, [granted()])), "TASK_STATE_COMPLETED");
        }
    }
}

#[test]
fn an_outcome_is_taken_into_what_a_faster_request_has_left() {
    let shop = Shop::new();
    let task = shop.offered();
    let payment = shop.payment(&task);
    // An identical request was refused and has put the offer back, before the outcome of this request is kept.
    shop.before(|tasks, command| {
        if matches!(command, TaskCommand::Keep(task) if task.version == 3) {
            let mut tasks = tasks.0.borrow_mut();
            let task = tasks.last_mut().unwrap();
            if task.version == 2 {
                let challenge_id = task.stage.challenge_id().unwrap().to_owned();
                task.stage = Stage::Offered {
                    challenge_id,
                    said: None,
                    again: false,
                    claim: None,
                };
                task.version = 3;
            }
        }
        Ok(())
    });
    let done = shop.pay(&task, &payment, [granted()]);
    assert_eq!(state(&done), "TASK_STATE_COMPLETED");
    assert_eq!(shop.asked.borrow().len(), 1, "it was not presented again");
}

#[test]
fn one_wallet_pays_a_task_at_a_time() {
    let shop = Shop::new();
    let task = shop.offered();
    let mut payment = shop.payment(&task);
    shop.pay(&task, &payment, [pending()]);
    let asked = shop.asked.borrow().len();
    payment["payload"]["authorization"]["from"] = json!(Address::repeat_byte(5));
    let working = shop.pay(&task, &payment, [pending()]);
    assert_eq!(state(&working), "TASK_STATE_WORKING");
    let asked: Vec<_> = shop.asked.borrow()[asked..].to_vec();
    assert!(matches!(asked.as_slice(), [Ask::Join(join)] if join.payer == buyer().address()));
}

#[test]
fn who_was_faster_decides() {
    // The task is called off after the payer was proven, and before the payment is noted: the payment is not settled.
    let shop = Shop::new();
    let task = shop.offered();
    shop.before(|tasks, command| {
        if matches!(command, TaskCommand::Keep(task) if task.is_paying()) {
            let mut tasks = tasks.0.borrow_mut();
            let task = tasks.last_mut().unwrap();
            task.stage = Stage::Canceled;
            task.version += 1;
        }
        Ok(())
    });
    let over = shop.pay(&task, &shop.payment(&task), [granted()]);
    assert_eq!(over["code"], -32004);
    assert!(shop.asked.borrow().is_empty());
}

#[test]
fn a_write_without_an_answer_is_followed_by_no_other_that_skips_what_was_written_instead() {
    // The write that notes the payment gets no answer, and meanwhile the task is called off.
    let shop = Shop::new();
    let task = shop.offered();
    shop.before(|tasks, command| {
        let mut tasks = tasks.0.borrow_mut();
        match (command, tasks.last_mut()) {
            (TaskCommand::Keep(task), Some(kept)) if !kept.stage.is_end() => {
                kept.stage = Stage::Canceled;
                kept.version = task.version;
                Err(CallFault("no answer".to_owned()))
            }
            _ => Ok(()),
        }
    });
    let canceled = shop.pay(&task, &shop.payment(&task), [granted()]);
    assert_eq!(state(&canceled), "TASK_STATE_CANCELED");
    assert!(matches!(shop.stage(), Stage::Canceled));
    assert!(shop.asked.borrow().is_empty());
}

#[test]
fn a_refusal_is_not_kept_while_the_same_payment_is_presented_once_more() {
    let shop = Shop::new();
    let task = shop.offered();
    let payment = shop.payment(&task);
    shop.pay(&task, &payment, [pending()]);
    // Another request presents the payment after this one's refusal, and before that refusal is kept.
    shop.before(|tasks, command| {
        if matches!(command, TaskCommand::Keep(task) if !task.is_paying()) {
            tasks.0.borrow_mut().last_mut().unwrap().version += 1;
        }
        Ok(())
    });
    let working = shop.pay(&task, &payment, [refused(false), pending()]);
    assert_eq!(state(&working), "TASK_STATE_WORKING");
    assert!(!offers(&working), "{working}");
}

#[test]
fn what_became_of_a_payment_is_kept_though_its_task_has_made_room() {
    let shop = Shop::new();
    let task = shop.offered();
    let payment = shop.payment(&task);
    // The task is removed to make room for others while its purchase works.
    shop.before(|tasks, command| {
        if matches!(command, TaskCommand::Keep(task) if task.version == 3) {
            tasks.0.borrow_mut().clear();
        }
        Ok(())
    });
    let done = shop.pay(&task, &payment, [granted()]);
    assert_eq!(state(&done), "TASK_STATE_COMPLETED", "{done}");
    assert_eq!(state(&shop.get(&task, [])), "TASK_STATE_COMPLETED");
}

/// The task is called off while its purchase works.
fn is_called_off(tasks: &MemoryTasks, command: &TaskCommand) -> Result<(), CallFault> {
    if matches!(command, TaskCommand::Keep(task) if task.version == 3) {
        let mut tasks = tasks.0.borrow_mut();
        let kept = tasks.last_mut().unwrap();
        if kept.version == 2 {
            kept.stage = Stage::Canceled;
            kept.version = 3;
        }
    }
    Ok(())
}

/// While this payment's purchase works, it ends for another request, and the next offer of the task is paid.
fn is_paid_for_another(tasks: &MemoryTasks, command: &TaskCommand) -> Result<(), CallFault> {
    if matches!(command, TaskCommand::Keep(task) if task.version == 3) {
        let mut tasks = tasks.0.borrow_mut();
        let task = tasks.last_mut().unwrap();
        if task.version == 2 {
            let claim = json!({"requestId": ANOTHER, "payer": buyer().address(), "target": "plan basic default"});
            task.stage = Stage::Paying {
                challenge_id: "another".to_owned(),
                claim: serde_json::from_value(claim).unwrap(),
                by: None,
                said: None,
                known: Known::Nothing,
            };
            task.version = 5;
        }
    }
    Ok(())
}

fn returned(status: Status) -> PayReply {
    PayReply::Refund {
        status,
        transaction: None,
    }
}

#[test]
fn a_return_of_money_is_told_by_the_task_of_its_own() {
    let ended = PayReply::AccessEnded {
        transaction: B256::repeat_byte(7),
    };
    for (reply, end) in [
        (returned(Status::Refunded), "TASK_STATE_FAILED"),
        (returned(Status::RefundFailed), "TASK_STATE_WORKING"),
        (ended, "TASK_STATE_FAILED"),
    ] {
        let shop = Shop::new();
        let task = shop.offered();
        shop.before(is_called_off);
        let told = shop.pay(&task, &shop.payment(&task), [reply]);
        assert_ne!(told["id"], task["id"], "{told}");
        assert_eq!(state(&told), end, "{told}");
        // The payment belongs to the new task.
        shop.before(|_, _| Ok(()));
        assert_eq!(state(&shop.pay(&told, &shop.payment(&task), [])), end);
    }
}

#[test]
fn silence_or_a_refusal_about_an_earlier_offers_payment_changes_nothing() {
    for replies in [vec![], vec![refused(false)], vec![refused(true)]] {
        let shop = Shop::new();
        let task = shop.offered();
        shop.before(is_paid_for_another);
        shop.pay(&task, &shop.payment(&task), replies);
        let stage = shop.stage();
        let claim = stage.claim().map(|claim| claim.request_id.to_string());
        assert_eq!(claim.as_deref(), Some(ANOTHER), "{stage:?}");
    }
}

#[test]
fn what_was_charged_for_an_earlier_offer_has_a_task_of_its_own() {
    for (reply, end) in [
        (granted(), "TASK_STATE_COMPLETED"),
        (pending(), "TASK_STATE_WORKING"),
        (returned(Status::RefundFailed), "TASK_STATE_WORKING"),
        (returned(Status::Refunded), "TASK_STATE_FAILED"),
    ] {
        let shop = Shop::new();
        let task = shop.offered();
        shop.before(is_paid_for_another);
        let told = shop.pay(&task, &shop.payment(&task), [reply]);
        assert_ne!(told["id"], task["id"], "{told}");
        assert_eq!(state(&told), end, "{told}");
        let tasks = shop.conversations.tasks.0.borrow();
        let kept = tasks.iter().find(|kept| task["id"] == kept.id.to_string());
        let claim = kept.unwrap().stage.claim().unwrap();
        assert_eq!(claim.request_id.as_str(), ANOTHER);
    }
}

#[test]
fn the_refusal_of_one_attempt_takes_no_task_off_the_next_attempt_of_the_same_payment() {
    let shop = Shop::new();
    let task = shop.offered();
    // After the refusal, another request has presented the payment, and the purchase has begun again.
    shop.before(|tasks, command| {
        if matches!(command, TaskCommand::Keep(task) if task.version == 3) {
            let mut tasks = tasks.0.borrow_mut();
            let kept = tasks.last_mut().unwrap();
            if kept.version == 2
                && let Stage::Paying { known, .. } = &mut kept.stage
            {
                *known = Known::Begun;
                kept.version = 3;
            }
        }
        Ok(())
    });
    let told = shop.pay(&task, &shop.payment(&task), [refused(true)]);
    assert!(!offers(&told), "{told}");
    assert!(matches!(shop.stage(), Stage::Paying { .. }));
}

#[test]
fn a_payment_that_is_sent_again_is_noted_before_its_purchase_is_asked() {
    let shop = Shop::new();
    let task = shop.offered();
    let payment = shop.payment(&task);
    shop.pay(&task, &payment, []);
    shop.before(|_, command| match command {
        TaskCommand::Keep(_) => Err(CallFault("storage".to_owned())),
        _ => Ok(()),
    });
    let before = shop.asked.borrow().len();
    shop.pay(&task, &payment, [pending()]);
    assert_eq!(shop.asked.borrow().len(), before);
}
