//! What is read of a route, and what the seller is told about a bad one.

use crate::json;
use http::Method;
use serde_json::Value;

use super::super::{Route, routes};
use crate::catalog::{Settle, StatusRange};
use crate::meter::Cost;
use crate::types::{PlanId, UsdcAmount};

/// A good route in which these members were changed; `null` removes a member.
fn text(members: &Value) -> String {
    let mut route =
        json!({"routeId": "r", "method": "GET", "path": "/r/:x", "unitAmount": "$0.01"});
    for (name, value) in members.as_object().unwrap() {
        route[name] = value.clone();
    }
    route
        .as_object_mut()
        .unwrap()
        .retain(|_, value| !value.is_null());
    json!([route]).to_string()
}

fn plans() -> [PlanId; 1] {
    ["month".parse().unwrap()]
}

fn read(members: &Value) -> Route {
    let routes = routes(&text(members), Some(&plans())).unwrap();
    routes.into_iter().next().unwrap()
}

fn said(text: &str) -> String {
    routes(text, Some(&plans())).unwrap_err().to_string()
}

#[test]
fn a_route_has_the_documented_defaults() {
    let route = read(&json!({}));
    assert_eq!(route.id.as_str(), "r");
    assert_eq!(route.resource.as_str(), "/r/:x");
    assert_eq!(route.path.to_string(), "/r/:x");
    assert_eq!(route.price, Some(UsdcAmount::from_units(10_000)));
    assert_eq!(route.max_body, 65_536);
    assert!(route.vary.is_empty() && route.plans.is_empty() && route.description.is_empty());
    assert!(!(route.stream || route.case_sensitive || route.forward_authorization || route.notify));
    for (status, is_charged) in [
        (199, false),
        (200, true),
        (302, true),
        (399, true),
        (404, false),
        (500, false),
    ] {
        assert_eq!(route.charged.includes(status), is_charged, "{status}");
    }
    let streamed = read(&json!({"stream": true}));
    assert_eq!((streamed.stream, streamed.settle), (true, Settle::Before));
    for (method, settle, idempotent) in [
        ("GET", Settle::After, true),
        ("POST", Settle::Before, false),
        ("PUT", Settle::Before, true),
        ("PATCH", Settle::Before, false),
        ("DELETE", Settle::Before, true),
    ] {
        let route = read(&json!({"method": method}));
        assert_eq!(
            (route.settle, route.idempotent),
            (settle, idempotent),
            "{method}"
        );
    }
}

#[test]
fn every_member_is_read() {
    let schema = json!({"type": "object"});
    let route = read(&json!({
        "method": "POST", "settle": "after", "description": "Sends it.", "params": schema, "body": {"a": 1}, "output": {"b": 2},
        "example": [1], "charged": ["2xx", "404"], "idempotent": true, "maxBody": 1_048_576, "vary": ["Accept", "X-Unit"],
        "stream": false, "caseSensitive": true, "forwardAuthorization": true, "notify": true, "plans": ["month"],
        "maxCost": 20,
    }));
    assert_eq!(route.method, Method::POST);
    assert_eq!(
        (route.settle, route.description.as_str()),
        (Settle::After, "Sends it.")
    );
    assert_eq!(route.shapes.params, Some(schema));
    assert_eq!(route.shapes.body, Some(json!({"a": 1})));
    assert_eq!(route.shapes.output, Some(json!({"b": 2})));
    assert_eq!(route.shapes.example, Some(json!([1])));
    for (status, is_charged) in [
        (200, true),
        (299, true),
        (300, false),
        (403, false),
        (404, true),
        (405, false),
    ] {
        assert_eq!(route.charged.includes(status), is_charged, "{status}");
    }
    assert_eq!(route.max_body, 1_048_576);
    assert_eq!(route.vary, ["accept", "x-unit"]);
    assert!(
        route.idempotent && route.case_sensitive && route.forward_authorization && route.notify
    );
    assert_eq!(route.plans, plans());
    assert_eq!(route.max_cost, Cost::parse("20"));
    let dear = read(&json!({"maxCost": "$0.05"}));
    assert_eq!(dear.max_cost, Cost::parse("$0.05"));
    let free = read(&json!({"unitAmount": null, "free": true}));
    assert_eq!(free.price, None);
    assert_eq!(
        read(&json!({"charged": ["4xx"]})).charged,
        crate::catalog::Charged::new([StatusRange(400, 499)])
    );
}

#[test]
fn a_fault_names_its_route_and_its_member() {
    let free =
        |member: &str, value: Value| json!({"unitAmount": null, "free": true, member: value});
    let long = "x".repeat(8192);
    for (members, fault) in [
        (
            json!({"routeId": "a b"}),
            "route 1: \"routeId\" must be 1 to 64",
        ),
        (json!({"routeId": null}), "route 1: \"routeId\" is missing"),
        (json!({"method": null}), "\"method\" is missing"),
        (
            json!({"method": "get"}),
            "\"method\" must be GET, POST, PUT, PATCH or DELETE",
        ),
        (json!({"method": "HEAD"}), "answered for the route with GET"),
        (json!({"method": "OPTIONS"}), "the worker answers it"),
        (json!({"path": null}), "\"path\" is missing"),
        (
            json!({"path": "/a//b"}),
            "\"path\" has nothing between two slashes",
        ),
        (
            json!({"path": "/Admin/:x"}),
            "\"path\" is a path that the worker itself answers",
        ),
        (
            json!({"unitAmount": null}),
            "\"unitAmount\" is missing; a route that everybody may call has",
        ),
        (
            json!({"unitAmount": "0"}),
            "\"unitAmount\" must be above zero",
        ),
        (
            json!({"free": true}),
            "\"free\" and \"unitAmount\" exclude each other",
        ),
        (
            json!({"free": false, "unitAmount": null}),
            "\"free\" must be true, or absent",
        ),
        (
            free("settle", json!("after")),
            "\"settle\" has no meaning on a free route",
        ),
        (
            free("charged", json!(["2xx"])),
            "\"charged\" has no meaning on a free route",
        ),
        (
            free("notify", json!(true)),
            "\"notify\" has no meaning on a free route",
        ),
        (
            free("plans", json!(["month"])),
            "\"plans\" has no meaning on a free route",
        ),
        (
            free("maxCost", json!(20)),
            "\"maxCost\" has no meaning on a free route",
        ),
        (json!({"maxCost": 0}), "\"maxCost\" must be a whole number"),
        (
            json!({"maxCost": "20"}),
            "\"maxCost\" must be a whole number",
        ),
        (
            json!({"maxCost": "$0"}),
            "\"maxCost\" must be a whole number",
        ),
        (
            json!({"maxCost": 1.5}),
            "\"maxCost\" must be a whole number",
        ),
        (
            json!({"maxCost": 1_000_000_000_001_u64}),
            "\"maxCost\" must be a whole number",
        ),
        (
            json!({"settle": "later"}),
            "\"settle\" must be \"after\" or \"before\"",
        ),
        (
            json!({"description": "x".repeat(501)}),
            "\"description\" has more than 500",
        ),
        (
            json!({"params": []}),
            "\"params\" must be a JSON Schema, which is an object",
        ),
        (
            json!({"output": {"a": long}}),
            "\"output\" has more than 8192 bytes",
        ),
        (
            json!({"example": long}),
            "\"example\" has more than 8192 bytes",
        ),
        (
            json!({"body": {}}),
            "\"body\" has no meaning: a GET has no body",
        ),
        (
            json!({"method": "DELETE", "maxBody": 1}),
            "\"maxBody\" has no meaning: a DELETE has no body",
        ),
        (json!({"charged": []}), "\"charged\" must not be empty"),
        (
            json!({"charged": [200]}),
            "must be a text in quotes (number 1 of the list)",
        ),
        (
            json!({"charged": ["2xx", "5xx"]}),
            "\"2xx\", \"3xx\" or \"4xx\" (number 2 of the list)",
        ),
        (
            json!({"charged": ["199"]}),
            "must be a status from \"200\" to \"499\"",
        ),
        (json!({"charged": ["+20"]}), "must be a status from"),
        (json!({"charged": ["20xx"]}), "must be a status from"),
        (
            json!({"charged": vec!["200"; 17]}),
            "\"charged\" lists more than 16 statuses",
        ),
        (
            json!({"idempotent": "yes"}),
            "\"idempotent\" must be true or false",
        ),
        (
            json!({"method": "PUT", "maxBody": 0}),
            "\"maxBody\" must be a whole number of bytes, from 1 to 1048576",
        ),
        (
            json!({"method": "PUT", "maxBody": 1_048_577}),
            "\"maxBody\" must be a whole number",
        ),
        (
            json!({"vary": ["a b"]}),
            "\"vary\" is not the name of a header (number 1 of the list)",
        ),
        (
            json!({"vary": ["Authorization"]}),
            "a header that your API does not get as it came",
        ),
        (
            json!({"vary": ["X-Key0-Payer"]}),
            "a header that your API does not get as it came",
        ),
        (
            json!({"vary": vec!["x"; 9]}),
            "\"vary\" lists more than 8 headers",
        ),
        (
            json!({"stream": true, "settle": "after"}),
            "\"stream\" goes with \"settle\": \"before\"",
        ),
        (json!({"stream": "yes"}), "\"stream\" must be true or false"),
        (
            json!({"plans": ["week"]}),
            "\"plans\" names \"week\", and there is no such plan",
        ),
        (json!({"plans": "month"}), "\"plans\" must be a list"),
        (
            json!({"price": "2"}),
            "\"price\" is unknown; did you mean \"unitAmount\"?",
        ),
        (
            json!({"max_body": 1}),
            "\"max_body\" is unknown; did you mean \"maxBody\"?",
        ),
        (
            json!({"planId": "x"}),
            "\"planId\" is unknown; did you mean \"plans\"?",
        ),
        (
            json!({"setle": "before"}),
            "\"setle\" is unknown; did you mean \"settle\"?",
        ),
        (
            json!({"descirption": "x"}),
            "\"descirption\" is unknown; did you mean \"description\"?",
        ),
        (
            json!({"bode": {}}),
            "\"bode\" is unknown; did you mean \"body\"?",
        ),
        (
            json!({"fee": true}),
            "\"fee\" is unknown; did you mean \"free\"?",
        ),
        (
            json!({"streaks": true}),
            "\"streaks\" is unknown; a route has routeId,",
        ),
        (
            json!({"colour": "red"}),
            "\"colour\" is unknown; a route has routeId, method, path,",
        ),
    ] {
        let text = said(&text(&members));
        assert!(
            text.starts_with("has a fault:\nroute "),
            "{members}: {text}"
        );
        assert!(text.contains(fault), "{members}: {text}");
    }
}

#[test]
fn routes_that_one_request_could_mean_are_refused() {
    let line = |id: &str, method: &str, path: &str| json!({"routeId": id, "method": method, "path": path, "unitAmount": "1"});
    let list = |lines: &[Value]| json!(lines).to_string();
    let text = list(&[
        line("a", "GET", "/x/:city"),
        line("b", "GET", "/X/:town/"),
        line("b", "POST", "/x/:city"),
        line("c", "POST", "/x/:town"),
    ]);
    assert_eq!(
        said(&text),
        "has 3 faults:\n\
         route \"b\": \"path\" matches requests that route \"a\" matches too, and neither goes first\n\
         route \"b\": is listed twice\n\
         route \"c\": \"path\" matches requests that route \"b\" matches too, and neither goes first"
    );
    let mut exact = line("b", "GET", "/X/:city");
    exact["caseSensitive"] = json!(true);
    assert!(said(&list(&[line("a", "GET", "/x/:city"), exact])).contains("neither goes first"));
    let text = list(&[
        line("a", "GET", "/x/:city"),
        line("b", "GET", "/x/london"),
        line("c", "PUT", "/x/:city"),
        line("d", "GET", "/:x/london"),
    ]);
    assert_eq!(routes(&text, None).unwrap().len(), 4);
}

#[test]
fn two_hundred_routes_are_read_and_not_one_more() {
    let list = |count: usize| {
        let line = |at| json!({"routeId": format!("r{at}"), "method": "GET", "path": format!("/r{at}/:x"), "unitAmount": "1"});
        json!((0..count).map(line).collect::<Vec<_>>()).to_string()
    };
    assert_eq!(routes(&list(200), None).unwrap().len(), 200);
    assert!(said(&list(201)).contains("must list at most 200 routes"));
    assert!(said("{}").starts_with("must be a JSON array of routes, like"));
}
