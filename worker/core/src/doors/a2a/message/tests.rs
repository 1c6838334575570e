use crate::json;

use super::*;
use crate::doors::test_support::version2;
use crate::types::Address;

fn read(message: Value) -> Result<Message, Value> {
    let params = json!({"message": message});
    let read = Message::read(params.as_object().unwrap(), Dialect::V1_0);
    read.map_err(|fault| fault.body(true)["code"].clone())
}

fn with_parts(parts: Value) -> Value {
    json!({"messageId": "m", "role": "ROLE_USER", "parts": parts})
}

fn asks(data: Value) -> Asks {
    read(with_parts(json!([{"data": data}]))).unwrap().asks
}

fn code(asks: Asks) -> &'static str {
    match asks {
        Asks::Refused(error) | Asks::Misproven(error) => error.code.as_str(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_message_must_have_its_form() {
    for (bad, expected) in [
        (json!(null), -32602),
        (
            json!({"role": "ROLE_USER", "parts": [{"text": "x"}]}),
            -32602,
        ),
        (
            json!({"messageId": "", "role": "ROLE_USER", "parts": [{"text": "x"}]}),
            -32602,
        ),
        (
            json!({"messageId": "m", "role": "ROLE_AGENT", "parts": [{"text": "x"}]}),
            -32602,
        ),
        (json!({"messageId": "m", "role": "ROLE_USER"}), -32602),
        (
            json!({"messageId": "m", "role": "ROLE_USER", "parts": [{"text": "x"}], "metadata": []}),
            -32602,
        ),
        (with_parts(json!([])), -32602),
        (with_parts(json!([{}])), -32602),
        (with_parts(json!(["x"])), -32602),
        (with_parts(json!([{"text": 1}])), -32602),
        (with_parts(json!([{"text": "x", "data": {}}])), -32602),
        (
            with_parts(json!([{"raw": "AA==", "mediaType": "image/png"}])),
            -32005,
        ),
        (
            with_parts(json!([{"text": "x"}, {"url": "https://x.example"}])),
            -32005,
        ),
        (
            json!({"messageId": "m", "role": "ROLE_USER", "parts": [{"text": "x"}], "taskId": 1}),
            -32602,
        ),
        (
            json!({"messageId": "m", "role": "ROLE_USER", "parts": [{"text": "x"}], "contextId": "c".repeat(129)}),
            -32602,
        ),
    ] {
        assert_eq!(read(bad.clone()).unwrap_err(), expected, "{bad}");
    }
    let empty = json!({"messageId": "m", "role": "ROLE_USER", "parts": [{"text": "x"}], "taskId": "", "contextId": null});
    let message = read(empty).unwrap();
    assert_eq!((message.task_id, message.context_id), (None, None));
}

#[test]
fn data_or_a_text_that_is_json_says_what_is_wanted() {
    assert!(matches!(asks(json!({})), Asks::Browse));
    assert!(matches!(
        asks(json!({"type": "AccessRequest", "clientAgentId": "a"})),
        Asks::Browse
    ));
    assert!(matches!(
        asks(json!({"planId": "basic", "type": "AccessRequest"})),
        Asks::Price(_)
    ));
    assert!(matches!(
        asks(json!({"plan": "basic"})),
        Asks::Talk(Some("planId"))
    ));
    let call = json!({"routeId": "weather", "resource": {"path": "/weather"}});
    let call = read(with_parts(json!([{"data": call}]))).unwrap();
    assert!(matches!(call.asks, Asks::Price(_)));
    assert_eq!(call.call.unwrap().route.as_str(), "weather");
    let text = read(with_parts(json!([{"text": "{\"planId\":\"basic\"}"}])));
    assert!(matches!(text.unwrap().asks, Asks::Price(_)));
    for words in ["hello", "[1]", "7", ""] {
        let text = read(with_parts(json!([{"text": words}])));
        assert!(matches!(text.unwrap().asks, Asks::Talk(None)), "{words}");
    }
}

#[test]
fn what_cannot_be_had_is_refused_with_its_code() {
    assert_eq!(
        code(asks(json!({"planId": "a", "routeId": "b"}))),
        "INVALID_REQUEST"
    );
    assert_eq!(code(asks(json!({"routeId": "a b"}))), "INVALID_REQUEST");
    assert_eq!(
        code(asks(json!({"planId": "a", "requestId": "1"}))),
        "INVALID_REQUEST"
    );
    assert_eq!(
        code(asks(json!({"challengeId": "x", "txHash": "0x1"}))),
        "INVALID_REQUEST"
    );
}

#[test]
fn a_payment_is_read_from_the_metadata_and_its_signature_is_not_kept() {
    let payment = version2(
        Address::repeat_byte(1),
        15_000,
        &json!({"challengeId": "id"}),
    );
    let signature = payment["payload"]["signature"].as_str().unwrap().to_owned();
    for status in [json!("payment-submitted"), Value::Null] {
        let message = json!({
            "messageId": "m", "role": "ROLE_USER", "parts": [{"text": "pay"}, {"data": payment}],
            "metadata": {STATUS: status, PAYLOAD: payment, "copy": payment},
        });
        let message = read(message).unwrap();
        assert!(matches!(&message.asks, Asks::Pay(payment) if payment.is_ok()));
        assert!(!message.kept.to_string().contains(&signature));
    }
    let bare = json!({
        "messageId": "m", "role": "ROLE_USER", "parts": [{"text": "pay"}],
        "metadata": {STATUS: "payment-submitted"},
    });
    assert!(matches!(read(bare).unwrap().asks, Asks::Pay(payment) if payment.is_err()));
    let no = json!({
        "messageId": "m", "role": "ROLE_USER", "parts": [{"text": "no"}],
        "metadata": {STATUS: "payment-rejected"},
    });
    assert!(matches!(read(no).unwrap().asks, Asks::Reject));
}

#[test]
fn numbers_may_be_floats() {
    let mut payment = version2(
        Address::repeat_byte(1),
        15_000,
        &json!({"challengeId": "id"}),
    );
    payment["x402Version"] = json!(2.0);
    payment["accepted"]["maxTimeoutSeconds"] = json!(300.0);
    let message = json!({
        "messageId": "m", "role": "ROLE_USER", "parts": [{"text": "pay"}], "metadata": {PAYLOAD: payment},
    });
    assert!(matches!(read(message).unwrap().asks, Asks::Pay(payment) if payment.is_ok()));
    let proof =
        json!({"challengeId": "id", "txHash": format!("0x{}", "7".repeat(64)), "chainId": 84532.0});
    assert!(matches!(asks(proof), Asks::Prove(proof) if proof.chain_id == Some(84532)));
}
