//! Tests of the form of calls, of their limits, and of which calls count against their client.

use super::*;

#[test]
fn whatever_costs_and_brings_no_money_is_counted() {
    let shop = Shop::new();
    let task = shop.offered();
    assert!(*shop.counted.borrow());
    let proof = json!({"taskId": task["id"], "parts": [{"data": proof(&task)}]});
    shop.message(proof, [PayReply::Unproven(ProofFault::TxUnconfirmed)]);
    assert!(*shop.counted.borrow());
    shop.message(json!({"taskId": shop.offered()["id"]}), []);
    assert!(*shop.counted.borrow());
    let task = shop.offered();
    shop.pay(&task, &shop.payment(&task), [pending()]);
    assert!(!*shop.counted.borrow());
    shop.get(&task, [pending()]);
    assert!(!*shop.counted.borrow());
}

#[test]
fn a_message_of_many_levels_is_not_kept() {
    let shop = Shop::new();
    let deep = (0..33).fold(json!(1), |inner, _| json!([inner]));
    assert_eq!(
        shop.message(json!({"parts": [{"data": deep}]}), [])["code"],
        -32602
    );
}

#[test]
fn a_message_that_is_too_long_is_not_kept() {
    let shop = Shop::new();
    let parts = json!([{"text": "x".repeat(MAX_MESSAGE_BYTES)}]);
    assert_eq!(shop.message(json!({"parts": parts}), [])["code"], -32602);
    assert!(shop.conversations.tasks.0.borrow().is_empty());
    let task = shop.offered();
    let long = json!({"taskId": task["id"], "parts": parts});
    assert_eq!(shop.message(long, [])["code"], -32602);
}

#[test]
fn only_what_is_a_call_comes_from_the_other_door() {
    assert!(is_call(br#"{"jsonrpc":"2.0","id":1}"#));
    for other in [
        &b""[..],
        b"{}",
        br#"{"planId":"jsonrpc"}"#,
        br#"["jsonrpc"]"#,
        br#"{"jsonrpc""#,
    ] {
        assert!(!is_call(other));
    }
}

#[test]
fn each_fault_has_its_code_and_the_calls_id() {
    let shop = Shop::new();
    for (body, code, id) in [
        ("{", -32700, Value::Null),
        ("[]", -32600, Value::Null),
        (r#"{"id":1,"method":"GetTask"}"#, -32600, json!(1)),
        (
            r#"{"jsonrpc":"2.0","id":{},"method":"GetTask"}"#,
            -32600,
            Value::Null,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1.5,"method":"GetTask"}"#,
            -32600,
            Value::Null,
        ),
        (r#"{"jsonrpc":"2.0","id":"a"}"#, -32600, json!("a")),
        (
            r#"{"jsonrpc":"2.0","id":"a","method":"Nope"}"#,
            -32601,
            json!("a"),
        ),
        (
            r#"{"jsonrpc":"2.0","id":2,"method":"GetTask"}"#,
            -32602,
            json!(2),
        ),
        (
            r#"{"jsonrpc":"2.0","id":2,"method":"GetTask","params":[]}"#,
            -32602,
            json!(2),
        ),
        (
            r#"{"jsonrpc":"2.0","id":null,"method":"SendStreamingMessage","params":{}}"#,
            -32004,
            Value::Null,
        ),
        (
            r#"{"jsonrpc":"2.0","id":3,"method":"GetTaskPushNotificationConfig"}"#,
            -32003,
            json!(3),
        ),
        (
            r#"{"jsonrpc":"2.0","id":3,"method":"GetExtendedAgentCard"}"#,
            -32004,
            json!(3),
        ),
        (
            r#"{"jsonrpc":"2.0","id":3,"method":"ListTasks","params":{"pageSize":101}}"#,
            -32602,
            json!(3),
        ),
        (
            r#"{"jsonrpc":"2.0","id":3,"method":"ListTasks","params":{"pageToken":"x"}}"#,
            -32602,
            json!(3),
        ),
        (
            r#"{"jsonrpc":"2.0","id":3,"method":"ListTasks","params":{"status":"done"}}"#,
            -32602,
            json!(3),
        ),
    ] {
        let answer = shop.send(body.as_bytes(), []);
        assert_eq!(
            (&answer["error"]["code"], &answer["id"]),
            (&json!(code), &id),
            "{body}"
        );
        let names: Vec<_> = answer["error"].as_object().unwrap().keys().collect();
        assert!(
            names
                .iter()
                .all(|name| ["code", "message", "data"].contains(&name.as_str()))
        );
    }
}

proptest! {
    #[test]
    fn hostile_bodies_never_panic(body: Vec<u8>) {
        let answer = Shop::new().send(&body, []);
        prop_assert!(answer["error"].is_object());
    }

    #[test]
    fn hostile_messages_never_panic(
        text in ".{0,40}",
        number in any::<f64>(),
        names in proptest::collection::vec("(messageId|role|parts|taskId|contextId|metadata|text|data|planId|txHash|x402\\.payment\\.(status|payload))", 0..8),
    ) {
        let mut message = json!({"messageId": text, "role": "ROLE_USER", "parts": [{"text": text}]});
        for (at, name) in names.iter().enumerate() {
            message[name.as_str()] = match at % 4 {
                0 => json!(text),
                1 => json!(number),
                2 => json!([{(name.as_str()): text}]),
                _ => json!({(name.as_str()): {"x402Version": number, "payload": text}}),
            };
        }
        let shop = Shop::new();
        let params = json!({"message": message, "configuration": {"historyLength": number}});
        let answer = shop.call("SendMessage", &params, []);
        prop_assert!(answer["error"].is_object() || answer["result"].is_object());
    }
}
