use crate::json;

use super::super::ids::ContextKey;
use super::*;
use crate::doors::a2a::message::STATUS;

const NOW: UnixMillis = UnixMillis(1_800_000_010_000);

fn task() -> Task {
    let id = TaskId::new(ContextKey::of("c"), [7; 16]);
    Task::new(id, "c".to_owned(), NOW)
}

fn said(length: usize) -> Said {
    Said {
        error: json!({"type": "Error", "code": "PAYMENT_FAILED", "message": "m".repeat(400), "details": "d".repeat(length)}),
        payment: Some("SETTLEMENT_FAILED".to_owned()),
    }
}

fn offered(said: Option<Said>) -> Stage {
    Stage::Offered {
        challenge_id: "i".repeat(512),
        said,
        again: false,
        claim: None,
    }
}

#[test]
fn an_unpaid_task_never_takes_more_than_its_room() {
    let mut task = task();
    task.context_id = "ä".repeat(64);
    task.hear(json!({"messageId": "m", "text": "x".repeat(MAX_MESSAGE_BYTES - 60)}));
    for at in 0..40 {
        task.note(json!({"success": false, "errorReason": "r".repeat(60), "transaction": at}));
        task.let_pass();
        task.hear(json!({"messageId": at, "text": "x".repeat(900)}));
        task.version += 1;
        task.go_on(offered(Some(said(300))), None, NOW);
        let length = serde_json::to_vec(&task).unwrap().len();
        assert!(length <= MAX_UNPAID_BYTES, "{length}");
    }
}

#[test]
fn a_message_that_leads_to_no_other_stage_finds_no_more_room() {
    let mut task = task();
    task.go_on(offered(Some(said(300))), None, NOW);
    for at in 0..4 {
        task.hear(json!({"messageId": at, "text": "x".repeat(900)}));
        let length = serde_json::to_vec(&task).unwrap().len();
        assert!(length <= MAX_UNPAID_BYTES, "{length}");
    }
}

#[test]
fn what_is_said_of_a_payment_under_way_finds_room_too() {
    for known in [Known::Nothing, Known::Again, Known::Begun] {
        let mut task = task();
        let paying = Stage::Paying {
            challenge_id: "i".repeat(512),
            claim: None,
            by: None,
            said: Some(said(2_000)),
            known,
        };
        task.go_on(paying, None, NOW);
        let length = serde_json::to_vec(&task).unwrap().len();
        assert!(length <= MAX_UNPAID_BYTES, "{length}");
    }
}

#[test]
fn where_there_is_room_for_some_the_first_message_and_the_latest_stay() {
    let mut task = task();
    for at in 0..40 {
        task.hear(json!({"messageId": at, "text": "x".repeat(300)}));
        task.go_on(
            Stage::Unclear {
                hint: None,
                said: None,
            },
            None,
            NOW,
        );
    }
    let ids = task.turns.iter().map(|turn| match turn {
        Turn::Theirs(message) => message["messageId"].as_u64().unwrap(),
        Turn::Offer { .. } => panic!("no offer"),
    });
    let ids: Vec<_> = ids.collect();
    assert_eq!((ids.first(), ids.last()), (Some(&0), Some(&39)));
    assert!(ids.len() > 3 && ids.is_sorted(), "{ids:?}");
}

#[test]
fn what_is_paid_is_kept_for_long_and_what_is_not_until_an_hour_after_its_offer() {
    let mut task = task();
    let end = NOW.to_seconds().plus(900);
    task.go_on(offered(None), Some(end), NOW);
    assert!(!task.is_paid());
    assert_eq!(task.until, end.to_millis().plus(UNPAID_TASK));
    for (known, is_paid, is_kept) in [
        (Known::Nothing, false, false),
        (Known::Again, false, false),
        (Known::Begun, false, true),
        (Known::Arrived, true, true),
    ] {
        let paying = Stage::Paying {
            challenge_id: "i".to_owned(),
            claim: None,
            by: None,
            said: Some(said(1)),
            known,
        };
        task.go_on(paying, Some(end), NOW);
        assert_eq!(task.is_paid(), is_paid, "{known:?}");
        let until = match is_kept {
            true => NOW.plus(PAID_TASK),
            false => end.to_millis().plus(UNPAID_TASK),
        };
        assert_eq!(task.until, until);
    }
    for was_paid in [false, true] {
        let said = said(1);
        task.go_on(Stage::Failed { said, was_paid }, None, NOW);
        assert_eq!(task.is_paid(), was_paid);
    }
}

#[test]
fn a_message_that_was_heard_is_known_by_all_that_it_says() {
    let mut task = task();
    task.hear(json!({"messageId": "a"}));
    task.hear(json!({"messageId": "a"}));
    let payment = json!({"messageId": "p", "metadata": {STATUS: "payment-submitted"}});
    task.hear(payment.clone());
    assert_eq!(task.turns.len(), 2);
    let (same, other) = (
        json!({"messageId": "a"}),
        json!({"messageId": "a", "parts": []}),
    );
    assert!(task.has_heard(&same) && task.has_heard(&payment) && !task.has_heard(&other));
}

#[test]
fn an_offer_that_was_said_is_history_once() {
    let mut task = task();
    task.let_pass();
    assert!(task.turns.is_empty());
    task.version = 1;
    task.go_on(offered(None), None, NOW);
    task.let_pass();
    task.let_pass();
    assert_eq!(task.turns.len(), 1);
}

#[test]
fn receipts_are_kept_in_order_and_few_and_none_of_money_that_arrived_is_forgotten() {
    let mut task = task();
    let receipt = |at: u8, success| json!({"success": success, "transaction": at});
    task.note(receipt(0, true));
    for at in 1..9 {
        task.note(receipt(at, false));
        task.note(receipt(at, false));
    }
    let kept: Vec<_> = task
        .receipts
        .iter()
        .map(|one| one["transaction"].clone())
        .collect();
    assert_eq!(kept, [0, 6, 7, 8]);
}

#[test]
fn no_payment_is_forgotten_for_another_one() {
    let mut task = task();
    let at = B256::repeat_byte;
    for one in [1, 1, 2] {
        task.present(Presented::Signed(at(one)));
    }
    task.give_up_payments();
    task.present(Presented::Unread);
    assert!(task.waits_for_transfer());
    task.present(Presented::Signed(at(4)));
    assert!(task.takes(Presented::Shown(at(3))) && !task.is_full());
    // The transfer is taken to be the one whose proof could not be read.
    task.present(Presented::Shown(at(3)));
    let all = [
        Presented::Over(at(1)),
        Presented::Over(at(2)),
        Presented::Signed(at(4)),
        Presented::Shown(at(3)),
    ];
    assert_eq!(task.payments, all);
    assert!(task.is_full() && !task.takes(Presented::Signed(at(5))));
    for one in all {
        assert!(task.takes(one));
        task.present(one);
    }
    assert_eq!(task.payments, all);
    task.forget(Presented::Shown(at(3)));
    assert!(!task.is_full() && !task.waits_for_transfer());
}

#[test]
fn payments_find_room_in_an_unpaid_task() {
    let mut task = task();
    for one in 1..9 {
        task.present(Presented::Shown(B256::repeat_byte(one)));
        task.payments.truncate(4);
    }
    task.go_on(offered(Some(said(2_000))), None, NOW);
    let length = serde_json::to_vec(&task).unwrap().len();
    assert!(length <= MAX_UNPAID_BYTES, "{length}");
}

/// Tasks that earlier releases have stored must stay readable: a change here needs a migration.
#[test]
fn the_stored_form_is_unchanged() {
    let mut task = task();
    task.hear(json!({"messageId": "a"}));
    task.version = 1;
    task.go_on(
        Stage::Offered {
            challenge_id: "id".to_owned(),
            said: None,
            again: false,
            claim: None,
        },
        None,
        NOW,
    );
    task.let_pass();
    let stored = serde_json::to_value(&task).unwrap();
    assert_eq!(
        stored,
        json!({
            "id": task.id.to_string(),
            "contextId": "c",
            "turns": [{"theirs": {"messageId": "a"}}, {"offer": {"id": "id", "version": 1}}],
            "stage": {"offered": {"challengeId": "id"}},
            "at": NOW,
            "until": NOW.plus(UNPAID_TASK),
            "version": 1,
        })
    );
    assert_eq!(serde_json::from_value::<Task>(stored).unwrap(), task);
}

/// The stored form of a task that only a payment can ask about.
#[test]
fn the_stored_form_of_payments_is_unchanged() {
    let mut task = task();
    let at = B256::repeat_byte;
    task.present(Presented::Signed(at(1)));
    task.give_up_payments();
    task.present(Presented::Signed(at(2)));
    task.present(Presented::Shown(at(3)));
    task.stage = Stage::Paying {
        challenge_id: "id".to_owned(),
        claim: None,
        by: Some(Presented::Signed(at(2))),
        said: None,
        known: Known::Begun,
    };
    let stored = serde_json::to_value(&task).unwrap();
    assert_eq!(
        stored["payments"],
        json!([{"over": at(1)}, {"signed": at(2)}, {"shown": at(3)}])
    );
    let paying = json!({"challengeId": "id", "by": {"signed": at(2)}, "known": "begun"});
    assert_eq!(stored["stage"], json!({"paying": paying}));
    assert_eq!(serde_json::from_value::<Task>(stored).unwrap(), task);
}
