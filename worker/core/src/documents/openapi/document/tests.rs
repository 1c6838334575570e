//! Tests for what registries look for in the document.

use super::super::super::testing::{HOSTILE, hostile_shop, origin, partial_shops, shop};
use super::*;
use crate::catalog::testing::route;
use crate::catalog::{Catalog, Shapes};

fn pointer<'a>(document: &'a Value, reference: &str) -> Option<&'a Value> {
    document.pointer(reference.strip_prefix('#')?)
}

/// All references in a value.
fn references(value: &Value) -> Vec<&str> {
    match value {
        Value::Array(items) => items.iter().flat_map(references).collect(),
        Value::Object(members) => members
            .iter()
            .flat_map(|(name, value)| match value.as_str() {
                Some(reference) if name == "$ref" => vec![reference],
                _ => references(value),
            })
            .collect(),
        _ => Vec::new(),
    }
}

#[test]
fn every_plan_and_every_route_is_there_with_its_price() {
    let document = openapi(&shop(), &origin());
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(
        document["servers"],
        json!([{"url": "https://shop.example"}])
    );
    let paths = &document["paths"];
    let access = &paths["/x402/access"]["post"];
    let ids = &access["requestBody"]["content"]["application/json"]["schema"]["properties"]["planId"]
        ["enum"];
    assert_eq!(*ids, json!(["hour", "month"]));
    assert_eq!(
        access["x-payment-info"],
        json!({
            "offers": [
                {"intent": "charge", "method": "evm", "amount": "15000", "currency": "0x036CbD53842c5426634e7929541eC2318f3dCF7e",
                 "description": "hour"},
                {"intent": "charge", "method": "evm", "amount": "15000000", "currency": "0x036CbD53842c5426634e7929541eC2318f3dCF7e",
                 "description": "month"},
            ],
            "price": {"mode": "dynamic", "currency": "USD", "min": "0.015", "max": "15.00"},
            "protocols": [{"x402": {}}, {"mpp": {"method": "evm", "intent": "charge", "currency": "0x036CbD53842c5426634e7929541eC2318f3dCF7e"}}],
        })
    );
    let price = |path: &str, method: &str| paths[path][method]["x-payment-info"]["price"].clone();
    let fixed = |amount: &str| json!({"mode": "fixed", "currency": "USD", "amount": amount});
    assert_eq!(price("/api/weather/{city}", "get"), fixed("0.01"));
    assert_eq!(price("/api/weather/{city}", "delete"), fixed("0.000001"));
    assert_eq!(price("/api/reports", "post"), fixed("2.50"));
    assert_eq!(price("/api/status", "get"), Value::Null);
    assert_eq!(paths["/api/status"]["get"]["security"], json!([]));
    assert_eq!(
        paths["/api/status"]["get"]["responses"].get("402"),
        None,
        "what is free is never refused for money"
    );
}

#[test]
fn a_call_says_what_goes_in_and_what_comes_out() {
    let document = openapi(&shop(), &origin());
    let weather = &document["paths"]["/api/weather/{city}"]["get"];
    assert_eq!(
        weather["parameters"],
        json!([
            {"name": "city", "in": "path", "required": true, "schema": {"type": "string", "example": "london"}},
            {"name": "units", "in": "query", "required": true, "schema": {"enum": ["metric", "imperial"]}},
            {"$ref": "#/components/parameters/IdempotencyKey"},
        ])
    );
    assert_eq!(weather["security"], json!([{}, {"accessToken": []}]));
    let answer = &weather["responses"]["200"]["content"]["application/json"];
    assert_eq!(answer["example"], json!({"celsius": 11}));
    assert_eq!(answer["schema"]["type"], "object");
    // All operations of one path must use the same parameter names.
    let removal = &document["paths"]["/api/weather/{city}"]["delete"];
    assert_eq!(removal["parameters"][0]["name"], "city");
    let report =
        &document["paths"]["/api/reports"]["post"]["requestBody"]["content"]["application/json"];
    assert_eq!(
        report["schema"],
        json!({"$ref": "#/components/schemas/report.body"})
    );
    assert_eq!(report["example"], json!({"city": "text"}));
}

#[test]
fn what_is_referred_to_is_there() {
    for config in [shop(), hostile_shop()] {
        let document = openapi(&config, &origin());
        let references = references(&document);
        assert!(references.len() > 3);
        for reference in references {
            assert!(pointer(&document, reference).is_some(), "{reference}");
        }
    }
}

#[test]
fn each_paid_operation_has_what_registries_ask_for() {
    let check = |config: &Config| {
        let document = openapi(config, &origin());
        assert!(document["info"]["contact"]["url"].is_string());
        let guidance = document["info"]["x-guidance"].as_str().unwrap();
        assert!(
            (100..4_000).contains(&guidance.chars().count()),
            "{guidance}"
        );
        let items = document["paths"].as_object().unwrap().values();
        let operations: Vec<_> = items
            .flat_map(|item| item.as_object().unwrap().values())
            .collect();
        for operation in &operations {
            assert!(
                operation["summary"]
                    .as_str()
                    .is_some_and(|it| !it.is_empty())
            );
            assert!(operation["security"].is_array());
            assert!(operation["responses"]["200"]["description"].is_string());
            let is_paid = operation.get("x-payment-info").is_some();
            assert_eq!(operation["responses"].get("402").is_some(), is_paid);
            let has_input = operation.get("requestBody").or(operation.get("parameters"));
            assert!(!is_paid || has_input.is_some());
        }
        operations.len()
    };
    assert_eq!(check(&shop()), 5);
    assert_eq!(partial_shops().map(|config| check(&config)), [1, 4, 0]);
}

#[test]
fn who_can_be_reached_says_so() {
    let mut config = shop();
    config.seller.contact = Some("team@shop.example".to_owned());
    let info = openapi(&config, &origin())["info"].clone();
    assert_eq!(
        info["contact"],
        json!({"name": "Weather", "url": "https://shop.example/", "email": "team@shop.example"})
    );
    assert_eq!(info["title"], "Weather");
}

#[test]
fn the_text_for_models_is_named_where_it_is() {
    let mut config = shop();
    let guidance = |config: &Config| {
        openapi(config, &origin())
            .get("x-agentcash-guidance")
            .cloned()
    };
    assert_eq!(
        guidance(&config),
        Some(json!({"llmsTxtUrl": "https://shop.example/llms.txt"}))
    );
    config.documents.llms = false;
    assert_eq!(guidance(&config), None);
    assert!(!openapi(&config, &origin()).to_string().contains("llms.txt"));
}

#[test]
fn no_two_operations_have_one_name() {
    let mut config = shop();
    let routes = ["buyAccess", "buyAccess_"].map(|id| route(id, "GET", &format!("/{id}")));
    config.catalog = Catalog::new(config.catalog.plans().to_vec(), routes.to_vec());
    let document = openapi(&config, &origin());
    assert_eq!(
        document["paths"]["/x402/access"]["post"]["operationId"],
        "buyAccess__"
    );
}

#[test]
fn hostile_words_stay_words() {
    let document = openapi(&hostile_shop(), &origin());
    assert_eq!(document["info"]["title"], HOSTILE);
    let access = document["paths"]["/x402/access"]["post"]["description"]
        .as_str()
        .unwrap();
    assert_eq!(access.lines().count(), 4, "{access}");
    let summary = &document["paths"]["/api/weather/{city}"]["get"]["summary"];
    assert_eq!(summary.as_str().unwrap().lines().count(), 1);
}

#[test]
fn a_large_catalog_leaves_out_what_registries_do_not_read() {
    let mut config = shop();
    let many = |count: usize, words: usize| {
        let routes = (0..count).map(|at| {
            let mut route = route(&format!("route-{at}"), "GET", &format!("/api/{at}/:city"));
            route.description = "d".repeat(words);
            route.shapes = Shapes {
                params: None,
                body: None,
                output: Some(json!({"title": "t".repeat(300)})),
                example: Some(json!({"example": "e".repeat(300)})),
            };
            route
        });
        routes.collect::<Vec<_>>()
    };
    let mut length = |count, words| {
        config.catalog = Catalog::new(Vec::new(), many(count, words));
        let document = openapi(&config, &origin());
        assert_eq!(document["paths"].as_object().unwrap().len(), count);
        let text = document.to_string();
        let has = |part: &str| text.contains(part);
        let parts = [has("eeee"), has("tttt"), has("dddddddddd")];
        (text.len() <= MAX_BYTES, parts)
    };
    assert_eq!(length(10, 200), (true, [true, true, true]));
    assert_eq!(length(45, 100), (true, [false, true, true]));
    assert_eq!(length(60, 100), (true, [false, false, true]));
    assert_eq!(length(110, 500), (true, [false, false, true]), "a title");
    assert_eq!(length(200, 500), (true, [false, false, false]));
}

/// As many routes as a catalog may have, with paths of this many characters.
fn full_shop(length: usize) -> Config {
    let mut config = shop();
    let text = |at: usize| format!("{at:03}-{}", "x".repeat(300));
    let routes = (0..200).map(|at| {
        let rest = format!("/:city/{}", "p".repeat(length.saturating_sub(15)));
        let mut route = route(&format!("r{at}"), "GET", &format!("/api/{at:03}{rest}"));
        route.description = format!("\u{fc}{}", text(at));
        route.plans = vec!["basic".parse().unwrap()];
        route.shapes = Shapes {
            params: Some(json!({"properties": {
                "city": {"description": text(at)},
                "days": {"description": text(at)},
            }})),
            body: None,
            output: Some(json!({"description": text(at)})),
            example: Some(json!(text(at))),
        };
        route
    });
    let plans = config.catalog.plans().to_vec();
    config.catalog = Catalog::new(plans, routes.collect());
    config
}

#[test]
fn two_hundred_routes_with_long_texts_are_listed_with_price_and_parameters() {
    let document = openapi(&full_shop(20), &origin());
    assert!(document.to_string().len() <= MAX_BYTES);
    let paths = document["paths"].as_object().unwrap();
    assert_eq!(paths.len(), 201);
    assert!(document["info"].get("x-left-out").is_none());
    for (path, item) in paths.iter().filter(|(path, _)| path.starts_with("/api/")) {
        let call = &item["get"];
        let [city] = call["parameters"].as_array().unwrap().as_slice() else {
            panic!("{path}: {call}");
        };
        let city = pointer(&document, city["$ref"].as_str().unwrap()).unwrap();
        assert_eq!(
            (&city["name"], &city["in"]),
            (&json!("city"), &json!("path"))
        );
        let price = &call["x-payment-info"]["price"];
        assert_eq!(price["amount"], "0.01", "{call}");
        let unpaid = call["responses"]["402"]["$ref"].as_str().unwrap();
        assert!(pointer(&document, unpaid).is_some());
    }
}

#[test]
fn routes_that_do_not_fit_in_any_way_are_left_out_and_the_document_says_so() {
    let document = openapi(&full_shop(120), &origin());
    let length = document.to_string().len();
    assert!(
        length <= MAX_BYTES && length > MAX_BYTES - 1_000,
        "{length}"
    );
    let count = document["paths"].as_object().unwrap().len() - 1;
    assert!((100..200).contains(&count), "{count}");
    let said = document["info"]["x-left-out"].as_str().unwrap();
    assert!(said.contains(&format!("{count} of 200")), "{said}");
}
