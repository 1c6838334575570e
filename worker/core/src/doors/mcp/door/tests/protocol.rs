//! Tests of both generations of clients, and of the tools.

use super::*;

const CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
const ENVELOPE_VERSION: &str = "io.modelcontextprotocol/protocolVersion";

fn envelope(version: &str) -> Value {
    json!({ENVELOPE_VERSION: version, CAPABILITIES: {}})
}

/// A client that names its version in each request.
fn modern(method: &str) -> Shop {
    Shop::new()
        .header(VERSION, MCP_MODERN)
        .header("mcp-method", method)
}

#[test]
fn a_handshake_agrees_on_a_version_and_never_fails() {
    for (asked, agreed) in [
        (json!("2025-11-25"), "2025-11-25"),
        (json!("2025-06-18"), "2025-06-18"),
        (json!("2025-03-26"), "2025-03-26"),
        (json!("2024-11-05"), "2024-11-05"),
        (json!("2026-07-28"), "2025-11-25"),
        (json!("1999-01-01"), "2025-11-25"),
        (json!(7), "2025-11-25"),
        (Value::Null, "2025-11-25"),
    ] {
        let told = Shop::new()
            .header(VERSION, "nonsense")
            .send("initialize", json!({"protocolVersion": asked}));
        let result = told.result();
        assert_eq!(result["protocolVersion"], agreed);
        assert_eq!(result["capabilities"], json!({"tools": {}}));
        assert_eq!(result["serverInfo"]["name"], "key0");
        assert_eq!(result.get("resultType"), None);
    }
}

#[test]
fn a_header_may_name_the_versions_that_are_served_and_no_other() {
    for version in ["", "2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"] {
        let told = Shop::new()
            .header(VERSION, version)
            .send("ping", Value::Null);
        assert_eq!(told.result(), &json!({}), "{version}");
    }
    for version in ["2025-01-01", "1", "zzzz-zz-zz", "2025-11-25, 2025-11-25"] {
        let told = Shop::new()
            .header(VERSION, version)
            .send("ping", Value::Null);
        assert_eq!(
            (told.status, told.code()),
            (StatusCode::BAD_REQUEST, -32600)
        );
        assert_eq!(told.body["id"], 7);
    }
    for version in [MCP_MODERN, "2027-01-01"] {
        let told = Shop::new()
            .header(VERSION, version)
            .send("initialize", json!({"protocolVersion": version}));
        assert_eq!(
            (told.status, told.code()),
            (StatusCode::BAD_REQUEST, -32602)
        );
    }
}

#[test]
fn methods_that_are_not_served_are_unknown() {
    for method in [
        "resources/list",
        "prompts/list",
        "logging/setLevel",
        "completion/complete",
        "",
        "server/discover",
    ] {
        let told = Shop::new().send(method, json!({}));
        assert_eq!(
            (told.status, told.code()),
            (StatusCode::OK, -32601),
            "{method}"
        );
    }
    for method in [
        "initialize",
        "ping",
        "resources/list",
        "subscriptions/listen",
    ] {
        let told = modern(method).send(method, json!({"_meta": envelope(MCP_MODERN)}));
        assert_eq!(
            (told.status, told.code()),
            (StatusCode::NOT_FOUND, -32601),
            "{method}"
        );
        assert_eq!(told.body["id"], 7);
    }
    for params in [json!([]), json!("x")] {
        let told = Shop::new().send("tools/list", params);
        assert_eq!((told.status, told.code()), (StatusCode::OK, -32602));
    }
}

#[test]
fn a_request_that_describes_itself_is_held_to_what_it_says() {
    let list = |shop: Shop, meta: Value| {
        let told = shop.send("tools/list", json!({"_meta": meta}));
        assert_eq!(told.body["id"], 7);
        (told.status, told.code())
    };
    let good = || modern("tools/list");
    let bad = |code| (StatusCode::BAD_REQUEST, code);
    for meta in [
        json!({ENVELOPE_VERSION: MCP_MODERN}),
        json!({ENVELOPE_VERSION: 7, CAPABILITIES: {}}),
        json!({ENVELOPE_VERSION: MCP_MODERN, CAPABILITIES: []}),
        json!({CAPABILITIES: {}}),
        json!("x"),
    ] {
        assert_eq!(list(good(), meta), bad(-32602));
    }
    for shop in [
        good().header(VERSION, ""),
        good().header(VERSION, "2025-11-25"),
        good().header("mcp-method", ""),
        good().header("mcp-method", "Tools/list"),
    ] {
        assert_eq!(list(shop, envelope(MCP_MODERN)), bad(-32020));
    }
    let later = modern("tools/list").header(VERSION, "2027-01-01");
    let told = later.send("tools/list", json!({"_meta": envelope("2027-01-01")}));
    assert_eq!((told.status, told.code()), bad(-32022));
    let data = json!({"supported": [MCP_MODERN], "requested": "2027-01-01"});
    assert_eq!(told.body["error"]["data"], data);
    let without_id = json!({"jsonrpc": "2.0", "id": null, "method": "tools/list", "params": {"_meta": envelope(MCP_MODERN)}});
    let told = good().post(without_id.to_string().as_bytes(), []);
    assert_eq!((told.status, told.code()), bad(-32600));
    assert_eq!(told.body.get("id"), None);
}

#[test]
fn a_call_that_describes_itself_repeats_the_tools_name() {
    let call = |name: &str| {
        let params = json!({"name": "discover_plans", "_meta": envelope(MCP_MODERN)});
        modern("tools/call")
            .header("mcp-name", name)
            .send("tools/call", params)
    };
    for name in [
        "discover_plans",
        " discover_plans ",
        "=?base64?ZGlzY292ZXJfcGxhbnM=?=",
    ] {
        let told = call(name);
        let result = told.result();
        assert_eq!(result["resultType"], "complete");
        let info = &result["_meta"]["io.modelcontextprotocol/serverInfo"];
        assert_eq!(info["name"], "key0");
        assert_eq!(result.get("ttlMs"), None);
    }
    for name in ["", "request_access", "=?base64?ZGlz*?=", "=?base64?/w==?="] {
        let told = call(name);
        assert_eq!(
            (told.status, told.code()),
            (StatusCode::BAD_REQUEST, -32020),
            "{name}"
        );
    }
}

#[test]
fn what_is_the_same_for_everybody_may_be_kept() {
    for method in ["server/discover", "tools/list"] {
        let told = modern(method).send(method, json!({"_meta": envelope(MCP_MODERN)}));
        let result = told.result();
        assert_eq!(result["ttlMs"], 60_000);
        assert_eq!(result["cacheScope"], "public");
        assert_eq!(result["resultType"], "complete");
    }
    let told =
        modern("server/discover").send("server/discover", json!({"_meta": envelope(MCP_MODERN)}));
    assert_eq!(told.result()["supportedVersions"], json!([MCP_MODERN]));
    assert_eq!(told.result()["capabilities"], json!({"tools": {}}));
}

#[test]
fn two_tools_are_listed_the_same_every_time() {
    let list = |params: Value| Shop::new().send("tools/list", params);
    let told = list(json!({"cursor": null}));
    assert_eq!(told.body, list(json!({})).body);
    assert_eq!(told.result().get("nextCursor"), None);
    let [free, paid] = told.result()["tools"].as_array().unwrap().as_slice() else {
        panic!("{}", told.body);
    };
    assert_eq!(
        (&free["name"], &paid["name"]),
        (&json!("discover_plans"), &json!("request_access"))
    );
    assert_eq!(free["annotations"]["readOnlyHint"], true);
    assert_eq!(paid["annotations"]["readOnlyHint"], false);
    assert_eq!(
        paid.get("outputSchema"),
        None,
        "it would keep clients from paying"
    );
    assert_eq!(paid["_meta"], json!({"agents-x402/paymentRequired": true}));
    assert!(
        paid["description"]
            .as_str()
            .unwrap()
            .contains("basic $0.015 (at most 10 calls a minute and 2 at a time), ")
    );
    assert_eq!(list(json!({"cursor": "x"})).code(), -32602);
}

#[test]
fn a_single_price_is_said_as_a_number() {
    let mut shop = Shop::new();
    let one = r#"[{"planId":"one","unitAmount":"$0.10"}]"#;
    shop.config.catalog = crate::catalog::Catalog::from_json(one).unwrap();
    let told = shop.send("tools/list", Value::Null);
    let meta = &told.result()["tools"][1]["_meta"];
    assert_eq!(meta["agents-x402/priceUSD"], 0.1);
}

#[test]
fn the_price_list_is_a_text_and_an_object_of_the_same() {
    for (name, arguments) in [
        ("discover_plans", Value::Null),
        ("discover", json!({"x": 1})),
    ] {
        let told = Shop::new().send("tools/call", json!({"name": name, "arguments": arguments}));
        let catalog = &told.result()["structuredContent"];
        assert_eq!(&parsed(told.texts()[0]), catalog);
        assert_eq!(catalog["plans"].as_array().unwrap().len(), 4);
        assert_eq!(
            (&catalog["chainId"], &catalog["routes"]),
            (&json!(84532), &json!([]))
        );
        assert_eq!(told.result()["isError"], false);
        let tools = Shop::new().send("tools/list", Value::Null);
        let schema = &tools.result()["tools"][0]["outputSchema"]["required"];
        for name in schema.as_array().unwrap() {
            assert!(catalog.get(name.as_str().unwrap()).is_some(), "{name}");
        }
    }
}

#[test]
fn a_call_without_a_tool_or_with_arguments_that_are_no_object_is_no_call() {
    for params in [
        json!({}),
        json!({"name": 7}),
        json!({"name": "delete_everything"}),
        json!({"name": "request_access", "arguments": []}),
        json!({"name": "request_access", "arguments": "basic"}),
    ] {
        let told = Shop::new().send("tools/call", params);
        assert_eq!((told.status, told.code()), (StatusCode::OK, -32602));
    }
}

#[test]
fn arguments_that_cannot_be_met_are_a_result_that_says_why() {
    for (arguments, code, part) in [
        (json!({}), "INVALID_REQUEST", "planId is missing"),
        (
            json!({"planId": "basic", "requestID": "41fca0bb-55b6-425f-82a2-b8a4ebd4ca15"}),
            "INVALID_REQUEST",
            "did you mean `requestId`?",
        ),
        (
            json!({"plan": "basic"}),
            "INVALID_REQUEST",
            "Instead of a member like `plan` send `planId`.",
        ),
        (json!({"planId": 7}), "INVALID_REQUEST", "must be a string"),
        (
            json!({"planId": "gold"}),
            "TIER_NOT_FOUND",
            "There is no plan",
        ),
        (
            json!({"planId": "basic", "requestId": "1"}),
            "INVALID_REQUEST",
            "requestId",
        ),
        (
            json!({"planId": "basic", "proof": {}}),
            "INVALID_REQUEST",
            "/x402/access",
        ),
        (
            json!({"routeId": "x"}),
            "TIER_NOT_FOUND",
            "Route \"x\" not found",
        ),
        (
            json!({"routeId": "a b"}),
            "INVALID_REQUEST",
            "routeId must be",
        ),
        (
            json!({"routeId": "x", "planId": "basic"}),
            "INVALID_REQUEST",
            "not both",
        ),
    ] {
        let told = Shop::new().access(&arguments, &Value::Null, []);
        assert_eq!(told.fails(), code, "{arguments}");
        let body = parsed(told.texts()[0]);
        assert_eq!(body["type"], "Error");
        assert!(body["message"].as_str().unwrap().contains(part), "{body}");
        assert!(!told.counts && told.receipt().is_null());
    }
}
