//! A second payment or a faster request while one is under way.

use super::*;

#[test]
fn a_payment_that_fails_beside_another_one_ends_nothing() {
    let shop = Shop::new();
    let task = shop.offered();
    let payment = shop.payment(&task);
    shop.pay(&task, &payment, [pending()]);
    // The same nonce with a signature that is not the payer's; a version that is not spoken.
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
        json!({"taskId": task["id"], "parts": [{"data": {"planId": "nope"}}]}),
        json!({"taskId": task["id"], "parts": [{"data": {"planId": "basic"}}]}),
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
    // An identical request was refused, and has put the offer back, before this one's outcome is kept.
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
    // The task is called off when the payer is proven, but not yet noted: nobody settles it.
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
    // The note gets no answer, and meanwhile the task is called off.
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
    // Another request presents it between the refusal and the moment when that is kept.
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
    // Others need its room while its purchase works.
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
