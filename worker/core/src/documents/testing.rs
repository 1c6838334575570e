//! A shop for tests of the documents.

use crate::json;
use http::Method;
use serde_json::Value;

use crate::catalog::testing::route;
use crate::catalog::{Catalog, Route, Settle, Shapes};
use crate::config::{Config, test_config};
use crate::types::{HttpUrl, UsdcAmount};

/// A text with characters that end a quotation or begin markup in each format of the documents.
pub(super) const HOSTILE: &str = "</title></style><script>alert(1)</script> ' \" onload=x --> `rm -rf` ``` \n# Head\n| a | [b](javascript:c) \u{202e}";

/// The address of the shop.
pub(super) fn origin() -> HttpUrl {
    "https://shop.example".parse().unwrap()
}

/// A shop with two plans and four routes: one paid, one paid before the call and with a body, one free, and one paid
/// and without any description.
pub(super) fn shop() -> Config {
    let mut config = test_config();
    config.seller.agent_name = "Weather".to_owned();
    config.seller.agent_description = "The weather of every city.".to_owned();
    let plans = Catalog::from_json(
        r#"[{"planId":"hour","unitAmount":"$0.015","description":"One hour.","expiresIn":3600},
            {"planId":"month","unitAmount":"$15","description":"A month.","expiresIn":2592000,"resourceIds":["maps/eu"]}]"#,
    );
    config.catalog = Catalog::new(plans.unwrap().plans().to_vec(), routes());
    config
}

fn routes() -> Vec<Route> {
    let mut weather = route("weather", "GET", "/api/weather/:city");
    weather.description = "The weather of a city.".to_owned();
    weather.plans = vec!["hour".parse().unwrap()];
    weather.shapes = Shapes {
        params: Some(json!({
            "properties": {
                "city": {"type": "string", "example": "london"},
                "units": {"enum": ["metric", "imperial"]},
            },
            "required": ["units"],
        })),
        body: None,
        output: Some(json!({"type": "object", "properties": {"celsius": {"type": "number"}}})),
        example: Some(json!({"celsius": 11})),
    };
    let mut report = route("report", "POST", "/api/reports");
    report.settle = Settle::Before;
    report.price = Some(UsdcAmount::from_units(2_500_000));
    report.description = "A report.".to_owned();
    report.shapes.body = Some(json!({
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"$ref": "#/$defs/days"}},
        "required": ["city"],
        "$defs": {"days": {"type": "integer"}},
    }));
    let mut status = route("status", "GET", "/api/status");
    status.price = None;
    let mut removal = route("removal", "DELETE", "/api/weather/:place");
    removal.price = Some(UsdcAmount::from_units(1));
    vec![weather, report, status, removal]
}

/// The shop with hostile words in every text that the seller writes.
pub(super) fn hostile_shop() -> Config {
    let mut config = shop();
    config.seller.agent_name = HOSTILE.to_owned();
    config.seller.agent_description = HOSTILE.to_owned();
    config.seller.contact = Some(HOSTILE.to_owned());
    config.backend.resource_endpoint = Some("https://a.example/';ls;'{resourceId}".to_owned());
    let hostile =
        || Some(json!({"properties": {HOSTILE: {"example": HOSTILE}}, "required": [HOSTILE]}));
    let mut plans = config.catalog.plans().to_vec();
    for plan in &mut plans {
        plan.description = HOSTILE.to_owned();
    }
    let mut routes = config.catalog.routes().to_vec();
    for route in &mut routes {
        route.description = HOSTILE.to_owned();
        route.shapes = Shapes {
            params: hostile(),
            body: (route.method == Method::POST).then(hostile).flatten(),
            output: hostile(),
            example: Some(Value::from(HOSTILE)),
        };
    }
    config.catalog = Catalog::new(plans, routes);
    config
}

/// Shops that sell only plans, only calls, or nothing.
pub(super) fn partial_shops() -> [Config; 3] {
    let part = |plans: bool, routes: bool| {
        let mut config = shop();
        let catalog = &config.catalog;
        config.catalog = Catalog::new(
            catalog.plans().iter().filter(|_| plans).cloned().collect(),
            catalog
                .routes()
                .iter()
                .filter(|_| routes)
                .cloned()
                .collect(),
        );
        config
    };
    [part(true, false), part(false, true), part(false, false)]
}
