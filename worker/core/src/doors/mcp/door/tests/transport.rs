//! Tests of the transport's rules.

use super::*;

fn ping(shop: &Shop) -> Told {
    shop.send("ping", Value::Null)
}

#[test]
fn only_json_is_read_and_only_json_is_answered() {
    for (media, is_read) in [
        ("application/json", true),
        ("Application/JSON; charset=utf-8", true),
        ("text/plain", false),
        ("application/jsonp", false),
        ("", false),
    ] {
        let told = ping(&Shop::new().with(CONTENT_TYPE, media));
        let status = match is_read {
            true => StatusCode::OK,
            false => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        };
        assert_eq!(told.status, status, "{media}");
    }
    for (accept, is_served) in [
        ("application/json, text/event-stream", true),
        ("text/event-stream;q=0.9, application/json;q=0.5", true),
        ("*/*", true),
        ("application/*", true),
        ("", true),
        (" ", true),
        ("text/event-stream", false),
        ("text/html, application/xml", false),
    ] {
        let told = ping(&Shop::new().with(ACCEPT, accept));
        let status = match is_served {
            true => StatusCode::OK,
            false => StatusCode::NOT_ACCEPTABLE,
        };
        assert_eq!(told.status, status, "{accept}");
    }
}

#[test]
fn web_pages_may_call_from_origins_that_are_known() {
    let ours = "https://shop.example";
    let here = "http://127.0.0.1:8787";
    // A web page whose own host name was made to point to this server.
    let rebound = "http://evil.example:8787";
    for (origin, own, is_allowed) in [
        (ours, ours, true),
        ("https://shop.example:443", ours, true),
        ("https://SHOP.example", ours, true),
        ("https://app.example", ours, true),
        ("http://app.example", ours, false),
        ("https://app.example:8443", ours, false),
        ("https://evil.example", ours, false),
        ("http://shop.example", ours, false),
        ("null", ours, false),
        ("\u{e9}", ours, false),
        ("http://localhost:6274", ours, false),
        ("http://localhost:6274", here, true),
        ("http://[::1]:3000", here, true),
        ("http://127.0.0.1", here, true),
        ("https://evil.example", here, false),
        ("http://localhost.evil.example", here, false),
        (rebound, rebound, false),
        ("http://localhost:8787", rebound, false),
    ] {
        let mut shop = Shop::new();
        shop.headers
            .insert(ORIGIN, HeaderValue::from_bytes(origin.as_bytes()).unwrap());
        shop.config.mcp.allowed_origins = vec!["https://app.example".parse().unwrap()];
        shop.origin = own;
        let told = ping(&shop);
        let status = match is_allowed {
            true => StatusCode::OK,
            false => StatusCode::FORBIDDEN,
        };
        assert_eq!(told.status, status, "{origin} at {own}");
        if !is_allowed {
            assert_eq!((told.code(), told.body.get("id")), (-32600, None));
        }
    }
}

#[test]
fn what_waits_for_no_answer_gets_none_and_does_nothing() {
    let call =
        json!({"jsonrpc": "2.0", "method": "tools/call", "params": {"name": "discover_plans"}});
    for body in [
        call,
        json!({"jsonrpc": "2.0", "method": "notifications/initialized"}),
        json!({"jsonrpc": "2.0", "id": 1, "result": {}}),
        json!({"jsonrpc": "2.0", "id": 1, "error": {"code": 1, "message": ""}}),
    ] {
        let told = Shop::new().post(body.to_string().as_bytes(), []);
        assert_eq!(
            (told.status, told.body),
            (StatusCode::ACCEPTED, Value::Null)
        );
    }
}

#[test]
fn what_is_no_message_is_told_so() {
    let cases = [
        ("", -32700, Value::Null),
        ("{", -32700, Value::Null),
        ("[]", -32600, Value::Null),
        (
            r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#,
            -32600,
            Value::Null,
        ),
        ("7", -32600, Value::Null),
        (r#"{"id":1,"method":"ping"}"#, -32600, json!(1)),
        (
            r#"{"jsonrpc":"1.0","id":"a","method":"ping"}"#,
            -32600,
            json!("a"),
        ),
        (r#"{"jsonrpc":"2.0","id":1}"#, -32600, json!(1)),
        (r#"{"jsonrpc":"2.0","id":1,"method":7}"#, -32600, json!(1)),
        (
            r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#,
            -32600,
            Value::Null,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1.5,"method":"ping"}"#,
            -32600,
            Value::Null,
        ),
        (
            r#"{"jsonrpc":"2.0","id":[],"method":"ping"}"#,
            -32600,
            Value::Null,
        ),
    ];
    for (body, code, id) in cases {
        let told = Shop::new().post(body.as_bytes(), []);
        assert_eq!(told.status, StatusCode::BAD_REQUEST, "{body}");
        assert_eq!((told.code(), &told.body["id"]), (code, &id), "{body}");
        let modern = Shop::new()
            .header(VERSION, MCP_MODERN)
            .post(body.as_bytes(), []);
        let id = Some(id).filter(|id| !id.is_null());
        assert_eq!(modern.body.get("id"), id.as_ref(), "null is no id there");
        assert_eq!(modern.status, StatusCode::BAD_REQUEST);
    }
}

proptest! {
    #[test]
    fn hostile_bytes_never_panic(body: Vec<u8>, version in ".{0,30}") {
        let mut shop = Shop::new();
        if let Ok(value) = HeaderValue::from_bytes(version.as_bytes()) {
            shop.headers.insert(VERSION, value);
        }
        shop.post(&body, []);
    }

    #[test]
    fn hostile_members_never_panic(method in "(tools/call|tools/list|initialize|.{0,9})", name in "(request_access|.{0,9})", plan in ".{0,70}", payment in "(\\{.{0,99}\\}|.{0,99})") {
        for payment in [json!(payment), parse(&payment)] {
            let params = json!({"name": name, "arguments": {"planId": plan}, "_meta": {"x402/payment": payment}});
            let told = Shop::new().send(&method, params);
            prop_assert!(told.asked.is_empty());
        }
    }
}

fn parse(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_default()
}
