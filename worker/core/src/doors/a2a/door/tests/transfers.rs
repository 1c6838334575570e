//! A transfer that the buyer has made.

use super::*;

#[test]
fn a_transfer_is_shown_until_it_is_credited_and_meanwhile_nobody_is_invited_to_pay() {
    let shop = Shop::new();
    let task = shop.offered();
    let show = |replies: Vec<PayReply>| {
        let parts = json!([{"data": proof(&task)}]);
        shop.message(json!({"taskId": task["id"], "parts": parts}), replies)
    };
    shop.before(|_, command| match command {
        TaskCommand::Keep(task) if task.version > 2 => Err(CallFault("died".to_owned())),
        _ => Ok(()),
    });
    assert_eq!(show(vec![granted()])["code"], -32603);
    *shop.conversations.before.borrow_mut() = None;
    let again = shop.get(&task, []);
    assert_eq!(state(&again), "TASK_STATE_INPUT_REQUIRED");
    assert!(!offers(&again), "{again}");
    let cancel = shop.call("CancelTask", &json!({"id": task["id"]}), []);
    assert_eq!(cancel["error"]["code"], -32002);
    let again = show(vec![PayReply::Unproven(ProofFault::TxUnconfirmed)]);
    assert_eq!(state(&again), "TASK_STATE_INPUT_REQUIRED");
    assert!(!offers(&again), "{again}");
    assert!(again.to_string().contains("TX_UNCONFIRMED"));
    assert!(
        !shop.conversations.tasks.0.borrow()[0].is_paid(),
        "it may never have been made"
    );
    let wrong = show(vec![PayReply::Unproven(ProofFault::NoTransfer)]);
    assert_eq!(state(&wrong), "TASK_STATE_INPUT_REQUIRED");
    assert!(!offers(&wrong), "the transfer may be shown that does pay");
    assert_eq!(state(&show(vec![granted()])), "TASK_STATE_COMPLETED");
}

#[test]
fn a_proof_of_another_offer_or_of_none_of_ours_leaves_the_tasks_offer() {
    let shop = Shop::new();
    let (task, other) = (shop.offered(), shop.offered());
    let show = |proof: Value, replies: Vec<PayReply>| {
        shop.message(
            json!({"taskId": task["id"], "parts": [{"data": proof}]}),
            replies,
        )
    };
    let mut long = proof(&task);
    long["challengeId"] = json!("x".repeat(50_000));
    for bad in [proof(&other), long] {
        assert_eq!(
            state(&show(bad.clone(), vec![granted()])),
            "TASK_STATE_INPUT_REQUIRED"
        );
        let alone = shop.message(json!({"parts": [{"data": bad}]}), []);
        assert_ne!(state(&alone), "TASK_STATE_COMPLETED", "{alone}");
    }
    for task in shop.conversations.tasks.0.borrow().iter() {
        assert!(serde_json::to_vec(task).unwrap().len() <= MAX_UNPAID_BYTES);
    }
    // In the form of the other door.
    let done = show(json!({"proof": proof(&task)}), vec![granted()]);
    assert_eq!(state(&done), "TASK_STATE_COMPLETED");
}
