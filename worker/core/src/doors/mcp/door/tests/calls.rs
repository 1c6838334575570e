//! Calls of routes with the paid tool.

use super::*;
use crate::catalog::{Catalog, Route, Settle, testing};
use crate::goods::Goods;
use crate::purchase::test_support::{answer as answer_to_call, answered};

const URL: &str = "https://shop.example/api/weather/oslo?days=3";

fn shop() -> Shop {
    let mut shop = Shop::new();
    let routes = vec![
        testing::route("weather", "GET", "/api/weather/:city"),
        Route {
            settle: Settle::Before,
            ..testing::route("note", "POST", "/api/notes")
        },
        Route {
            price: None,
            ..testing::route("status", "GET", "/status")
        },
    ];
    let plans = shop.config.catalog.plans().to_vec();
    shop.config.catalog = Catalog::with_routes(plans, routes);
    shop
}

fn weather() -> Value {
    json!({"routeId": "weather", "resource": {"path": "/api/weather/oslo?days=3"}})
}

fn offered(shop: &Shop, wish: &Value) -> Value {
    let told = shop.access(wish, &Value::Null, []);
    assert!(told.asked.is_empty());
    told.result()["structuredContent"].clone()
}

fn pay(wish: &Value, replies: impl IntoIterator<Item = PayReply>) -> Told {
    let shop = shop();
    let extra = offered(&shop, wish)["accepts"][0]["extra"].clone();
    let payment = version2(shop.config.wallets.pay_to, 10_000, &extra);
    shop.access(wish, &payment, replies)
}

fn answer_of(goods: Goods, is_paid: bool) -> PayReply {
    PayReply::Granted {
        goods,
        receipt: is_paid.then(|| receipt(buyer().address())),
        again: false,
    }
}

/// An answer of JSON with this status.
fn goods(status: u16, refund: Option<B256>) -> Goods {
    let mut head = answer_to_call(1, status);
    head.headers = vec![("content-type".to_owned(), "application/json".to_owned())];
    head.length = 3;
    answered(head, refund)
}

#[test]
fn a_call_is_offered_without_ids_and_for_its_own_url() {
    let shop = shop();
    let offer = offered(&shop, &weather());
    assert_eq!(offer, offered(&shop, &weather()));
    assert_eq!(offer["resource"]["url"], URL);
    let [accepted] = offer["accepts"].as_array().unwrap().as_slice() else {
        panic!("{offer}");
    };
    assert_eq!(accepted["amount"], "10000");
    assert_eq!(accepted["extra"]["routeId"], "weather");
    assert!(accepted["extra"].get("challengeId").is_none());
    assert!(accepted["extra"].get("paymentFlow").is_none());
    let told = shop.access(&weather(), &Value::Null, []);
    let hint = parsed(told.texts()[1]);
    let said = hint["paymentInstructions"].as_str().unwrap();
    assert!(said.contains(&format!("method GET, url {URL}.")), "{said}");
    let note = json!({"routeId": "note", "resource": {"path": "/api/notes", "body": {"a": 1}}});
    let before = offered(&shop, &note);
    assert_eq!(before["accepts"][0]["extra"]["paymentFlow"], "upfront");
}

#[test]
fn a_paid_call_is_brought_to_its_purchase_and_answered_with_the_apis_answer() {
    let told = pay(&weather(), [answer_of(goods(200, None), true)]);
    let brought = told.brought.clone().unwrap();
    assert_eq!(brought.target, "/api/weather/oslo?days=3");
    let [(_, Ask::Pay(asked))] = &told.asked[..] else {
        panic!("{:?}", told.asked);
    };
    let target = &asked.sale.as_ref().unwrap().offer.terms.target;
    let call = brought.digest;
    let id = brought.route;
    assert_eq!(*target, crate::offer::Target::Route { id, call });
    let response = &told.result()["structuredContent"];
    assert_eq!(told.result()["isError"], false);
    assert_eq!(response["type"], "ResourceResponse");
    assert_eq!(response["resource"]["body"], json!([1]));
    assert_eq!(parsed(told.texts()[0]), *response);
    assert_eq!(told.receipt()["success"], true);
    assert_eq!(told.receipt()["transaction"], response["txHash"]);
}

#[test]
fn an_answer_that_is_not_charged_for_is_an_error_with_the_apis_status_and_no_receipt() {
    let back = B256::repeat_byte(9);
    for (status, refund) in [(404, None), (204, None), (500, Some(back))] {
        let told = pay(&weather(), [answer_of(goods(status, refund), false)]);
        let response = &told.result()["structuredContent"];
        assert_eq!(told.result()["isError"], true);
        assert_eq!(response["resource"]["status"], status);
        assert_eq!(response["charged"], false);
        assert_eq!(
            response.get("refundOf"),
            refund.map(|hash| json!(hash)).as_ref()
        );
        assert!(told.receipt().is_null() && response.get("txHash").is_none());
        assert!(!told.offers());
    }
}

#[test]
fn a_call_without_an_answer_has_the_code_of_every_door() {
    for (fault, code) in [
        (OriginFault::Unreachable, "ADAPTER_ERROR"),
        (OriginFault::Timeout, "TOKEN_ISSUE_TIMEOUT"),
        (OriginFault::TooLarge, "ANSWER_TOO_LARGE"),
    ] {
        let refund = None;
        let told = pay(&weather(), [PayReply::Origin { fault, refund }]);
        assert_eq!(told.fails(), code);
    }
    let transaction = B256::repeat_byte(7);
    let told = pay(&weather(), [PayReply::AnswerGone { transaction }]);
    assert_eq!(told.fails(), "ANSWER_GONE");
    assert!(told.receipt().is_null());
    let told = pay(&weather(), [PayReply::Calling { transaction: None }]);
    assert_eq!(told.fails(), "CALL_IN_PROGRESS");
}

#[test]
fn the_payment_for_one_call_does_not_pay_for_another_route() {
    let shop = shop();
    let extra = offered(&shop, &weather())["accepts"][0]["extra"].clone();
    let payment = version2(shop.config.wallets.pay_to, 10_000, &extra);
    let note = json!({"routeId": "note", "resource": {"path": "/api/notes"}});
    let told = shop.access(&note, &payment, []);
    assert!(told.offers() && told.asked.is_empty(), "{}", told.body);
}

#[test]
fn a_free_call_needs_no_payment() {
    let mut shop = shop();
    let wish = json!({"routeId": "status", "resource": {"path": "/status"}});
    assert_eq!(
        shop.access(&wish, &Value::Null, []).fails(),
        "TOKEN_ISSUE_TIMEOUT"
    );
    for (status, is_error) in [(200, false), (503, true)] {
        let mut head = answer_to_call(1, status);
        head.length = 3;
        shop.free = Ok(head);
        let told = shop.access(&wish, &Value::Null, []);
        assert_eq!(told.result()["isError"], is_error);
        let response = &told.result()["structuredContent"];
        assert_eq!(response["resource"]["status"], status);
        let id = response["challengeId"].as_str().unwrap();
        assert!(id.starts_with("free-"), "{id}");
    }
}

#[test]
fn the_tool_says_the_limits_of_a_plan_beside_its_price() {
    let mut shop = Shop::new();
    let plans = r#"[{"planId":"month","unitAmount":"$15","quota":{"calls":1650},"concurrency":10},{"planId":"hour","unitAmount":"$1"}]"#;
    shop.config.catalog = Catalog::from_json(plans).unwrap();
    let told = shop.send("tools/list", json!({}));
    let description = told.result()["tools"][1]["description"].as_str().unwrap();
    let said = "Prices: month $15.00 (1,650 calls, at most 10 at a time), hour $1.00. ";
    assert!(description.contains(said), "{description}");
}

#[test]
fn the_tool_says_how_a_route_is_called_only_where_there_are_routes() {
    let listed = |shop: &Shop| {
        let told = shop.send("tools/list", json!({}));
        let tool = told.result()["tools"][1].clone();
        let about = shop.send("initialize", json!({}));
        let about = about.result()["instructions"].as_str().unwrap().to_owned();
        (tool, about)
    };
    let (tool, about) = listed(&shop());
    let schema = &tool["inputSchema"];
    assert_eq!(schema.get("required"), None);
    assert_eq!(
        schema["properties"]["resource"]["required"],
        json!(["path"])
    );
    let description = tool["description"].as_str().unwrap();
    assert!(
        description.contains("weather $0.01 a call"),
        "{description}"
    );
    assert!(description.contains("status free"), "{description}");
    assert_eq!(tool["annotations"]["destructiveHint"], true);
    assert!(about.contains("routeId"), "{about}");
    let (tool, about) = listed(&Shop::new());
    assert_eq!(tool["inputSchema"]["required"], json!(["planId"]));
    assert!(tool["inputSchema"]["properties"].get("routeId").is_none());
    assert!(!about.contains("routeId") && !tool.to_string().contains("routeId"));
}
