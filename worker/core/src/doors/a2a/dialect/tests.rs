use crate::json;
use http::HeaderValue;

use super::*;

fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(*name, HeaderValue::from_static(value));
    }
    headers
}

#[test]
fn the_version_is_read_from_header_or_query_and_absence_is_0_3() {
    let spoken = |header: &'static str, query| {
        Dialect::negotiate(&headers(&[("a2a-version", header)]), query).ok()
    };
    let unnamed = Dialect::negotiate(&HeaderMap::new(), "");
    assert_eq!(unnamed, Ok(Dialect::V0_3));
    let by_query = Dialect::negotiate(&HeaderMap::new(), "x=1&A2A-Version=1.0");
    assert_eq!(by_query, Ok(Dialect::V1_0));
    for (header, version) in [
        ("", Some(Dialect::V0_3)),
        ("0.3", Some(Dialect::V0_3)),
        ("0.3.0", Some(Dialect::V0_3)),
        ("1.0", Some(Dialect::V1_0)),
        (" 1.0.1 ", Some(Dialect::V1_0)),
        ("1", None),
        ("1.1", None),
        ("2.0", None),
        ("latest", None),
    ] {
        assert_eq!(spoken(header, ""), version, "{header}");
    }
    assert_eq!(spoken("1.0", "A2A-Version=0.3"), Some(Dialect::V1_0));
}

#[test]
fn a_method_belongs_to_its_version() {
    for (new, old, method) in METHODS {
        assert_eq!(Dialect::V1_0.method(new), Ok(method));
        let wrong = Dialect::V0_3.method(new).unwrap_err();
        assert_eq!(wrong.body(false)["code"], -32009, "{new}");
        if !old.is_empty() {
            assert_eq!(Dialect::V0_3.method(old), Ok(method));
            let wrong = Dialect::V1_0.method(old).unwrap_err();
            assert_eq!(wrong.body(true)["code"], -32601, "{old}");
        }
    }
    for name in ["", "tasks/list", "sendMessage"] {
        for dialect in [Dialect::V0_3, Dialect::V1_0] {
            let fault = dialect.method(name).unwrap_err();
            assert_eq!(fault.body(true)["code"], -32601, "{name}");
        }
    }
}

#[test]
fn what_is_asked_for_and_declared_is_active_whatever_the_header_is_called() {
    let [new, old] = X402_EXTENSIONS;
    let asked = headers(&[
        (
            "x-a2a-extensions",
            "https://other.example, https://github.com/google-a2a/a2a-x402/v0.1",
        ),
        (
            "a2a-extensions",
            "https://github.com/google-agentic-commerce/a2a-x402/blob/main/spec/v0.2",
        ),
    ]);
    let both = format!("{new}, {old}");
    assert_eq!(
        Dialect::V1_0.active(&asked),
        Some(("a2a-extensions", both.clone()))
    );
    assert_eq!(
        Dialect::V0_3.active(&asked),
        Some(("x-a2a-extensions", both))
    );
    let foreign = headers(&[("a2a-extensions", "https://other.example")]);
    assert_eq!(Dialect::V1_0.active(&foreign), None);
}

#[test]
fn a_task_in_0_3_has_a_kind_everywhere_and_its_own_words() {
    let task = json!({
        "id": "t", "contextId": "c",
        "status": {"state": "TASK_STATE_INPUT_REQUIRED", "message": {"role": "ROLE_AGENT", "parts": [{"text": "x"}, {"data": {}}]}},
        "history": [{"role": "ROLE_USER", "parts": [{"text": "y"}]}],
        "artifacts": [{"artifactId": "a", "parts": [{"data": {}}]}],
    });
    assert_eq!(Dialect::V1_0.task(task.clone()), task);
    assert_eq!(
        Dialect::V0_3.task(task),
        json!({
            "kind": "task", "id": "t", "contextId": "c",
            "status": {"state": "input-required", "message": {
                "kind": "message", "role": "agent",
                "parts": [{"kind": "text", "text": "x"}, {"kind": "data", "data": {}}],
            }},
            "history": [{"kind": "message", "role": "user", "parts": [{"kind": "text", "text": "y"}]}],
            "artifacts": [{"artifactId": "a", "parts": [{"kind": "data", "data": {}}]}],
        })
    );
}

#[test]
fn a_message_of_0_3_is_brought_into_our_form() {
    let sent = json!({"kind": "message", "role": "user", "parts": [{"kind": "data", "data": {"a": 1}}, {"text": "no kind"}]});
    let arrived = Dialect::V0_3.arrived(sent.as_object().unwrap());
    let ours = json!({"role": "ROLE_USER", "parts": [{"data": {"a": 1}}, {"text": "no kind"}]});
    assert_eq!(Value::Object(arrived), ours);
}
