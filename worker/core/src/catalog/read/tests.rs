//! What the seller is told about a catalog that cannot be sold.

mod limits;
mod routes;

use crate::json;
use proptest::prelude::*;
use serde_json::Value;

use super::*;

fn said(text: &str) -> String {
    plans(text).unwrap_err().to_string()
}

/// What the seller is told about a good plan in which these members were changed.
fn said_of(members: &Value) -> String {
    let mut plan = json!({"planId": "a", "unitAmount": "$1"});
    let changed = members.as_object().unwrap().clone();
    plan.as_object_mut().unwrap().extend(changed);
    said(&json!([plan]).to_string())
}

#[test]
fn a_fault_names_its_plan_and_its_member() {
    for (members, fault) in [
        (
            json!({"planId": 1}),
            "plan 1: \"planId\" must be a text in quotes",
        ),
        (
            json!({"planId": "a b"}),
            "plan 1: \"planId\" must be 1 to 64 letters, digits",
        ),
        (
            json!({"planId": "system"}),
            "plan 1: \"planId\" is reserved",
        ),
        (
            json!({"unitAmount": 1}),
            "plan \"a\": \"unitAmount\" must be a price in quotes",
        ),
        (
            json!({"unitAmount": "1.2345678"}),
            "plan \"a\": \"unitAmount\" has more than six digits",
        ),
        (
            json!({"unitAmount": "0"}),
            "plan \"a\": \"unitAmount\" must be above zero",
        ),
        (
            json!({"description": "x".repeat(501)}),
            "plan \"a\": \"description\" has more than 500",
        ),
        (
            json!({"expiresIn": 0}),
            "plan \"a\": \"expiresIn\" must be a whole number of seconds",
        ),
        (
            json!({"expiresIn": "3600"}),
            "plan \"a\": \"expiresIn\" must be a number of seconds, without quotes",
        ),
        (
            json!({"resourceIds": ["photos/*"]}),
            "plan \"a\": \"resourceIds\" has a wildcard; name each resource (number 1 of the list)",
        ),
        (
            json!({"expiresIn": 4_000_u64 * 86_400}),
            "plan \"a\": \"expiresIn\" must be a whole number",
        ),
        (
            json!({"resourceIds": "x"}),
            "plan \"a\": \"resourceIds\" must be a list",
        ),
        (
            json!({"resourceIds": ["x", "../y"]}),
            "(number 2 of the list)",
        ),
        (
            json!({"resourceIds": vec!["r"; 65]}),
            "plan \"a\": \"resourceIds\" lists more than 64",
        ),
        (
            json!({"extra": [1]}),
            "plan \"a\": \"extra\" must be a JSON object",
        ),
        (
            json!({"extra": {"a": "x".repeat(2048)}}),
            "plan \"a\": \"extra\" has more than 2048 bytes",
        ),
        (
            json!({"price": "2"}),
            "plan \"a\": \"price\" is unknown; did you mean \"unitAmount\"?",
        ),
        (
            json!({"plan_id": "b"}),
            "plan \"a\": \"plan_id\" is unknown; did you mean \"planId\"?",
        ),
        (
            json!({"colour": "red"}),
            "plan \"a\": \"colour\" is unknown; a plan has planId, unitAmount,",
        ),
    ] {
        let text = said_of(&members);
        assert!(text.starts_with("has a fault:\n"), "{members}: {text}");
        assert!(text.contains(fault), "{members}: {text}");
    }
}

#[test]
fn all_faults_are_told_at_once_one_a_line() {
    let text = r#"[{"unitAmount":1},{"planId":"b","price":"2"},{"planId":"b","unitAmount":"1","extra":1,"extra":{}}]"#;
    assert_eq!(
        said(text),
        "has 7 faults:\n\
         plan 1: \"planId\" is missing\n\
         plan 1: \"unitAmount\" must be a price in quotes, like \"$0.015\"\n\
         plan \"b\": \"price\" is unknown; did you mean \"unitAmount\"?\n\
         plan \"b\": \"unitAmount\" is missing\n\
         plan \"b\": \"extra\" is there twice\n\
         plan \"b\": \"extra\" must be a JSON object\n\
         plan \"b\": is listed twice"
    );
    let many = said(&json!(vec![json!({}); 40]).to_string());
    assert_eq!(many.lines().count(), 22, "{many}");
    assert!(many.ends_with("\nand 60 more"), "{many}");
}

#[test]
fn a_text_that_is_no_list_of_plans_is_told_so() {
    for (text, part) in [
        ("", "is not JSON"),
        (
            "[{]",
            "is not JSON: key must be a string at line 1 column 3",
        ),
        ("{}", "must be a JSON array"),
        ("[1]", "plan 1: is not a JSON object"),
    ] {
        assert!(said(text).contains(part), "{text}: {}", said(text));
    }
    let list = |count: usize| {
        let plan = |at| json!({"planId": format!("p{at}"), "unitAmount": "1"});
        json!((0..count).map(plan).collect::<Vec<_>>()).to_string()
    };
    assert!(plans(&list(64)).is_ok());
    assert!(said(&list(65)).contains("at most 64 plans"));
    assert_eq!(plans("[]"), Ok(Vec::new()));
}

/// Reads a file whose own plans are sold.
fn own(text: &str) -> Result<File, CatalogError> {
    file(text, OtherPlans::Nowhere)
}

#[test]
fn a_file_has_plans_or_routes_or_both() {
    let plan = r#"[{"planId":"a","unitAmount":"1"}]"#;
    let route = r#"[{"routeId":"r","method":"GET","path":"/r","unitAmount":"1","plans":["a"]}]"#;
    let free = r#"[{"routeId":"r","method":"GET","path":"/r","free":true}]"#;
    let read = own(&format!(
        r#"{{"$schema":"./catalog.schema.json","plans":{plan},"routes":{route}}}"#
    ));
    let read = read.unwrap();
    assert_eq!(read.plans.unwrap(), plans(plan).unwrap());
    let ids = ["a".parse().unwrap()];
    assert_eq!(read.routes.unwrap(), routes(route, Some(&ids)).unwrap());
    let read = own(&format!(r#"{{"routes":{free}}}"#)).unwrap();
    assert_eq!((read.plans, read.routes.unwrap().len()), (None, 1));
    let read = own(&format!(r#"{{"plans":{plan}}}"#)).unwrap();
    assert_eq!((read.plans.unwrap().len(), read.routes), (1, None));
    let read = own(&format!(r#"{{"plans":[],"routes":{free}}}"#)).unwrap();
    assert_eq!(read.plans, Some(Vec::new()));
}

#[test]
fn a_text_that_is_no_file_is_told_so() {
    for (text, part) in [
        ("[]", "must be a JSON object like {\"plans\""),
        (
            "{}",
            "must list a plan in \"plans\" or a route in \"routes\"",
        ),
        (r#"{"plans":[],"routes":[]}"#, "must list a plan"),
        (
            r#"{"plans":{}}"#,
            "must have a member \"plans\" that is an array",
        ),
        (
            r#"{"plans":[],"routes":{}}"#,
            "must have a member \"routes\" that is an array",
        ),
        (r#"{"plans":[{}]}"#, "plan 1: \"planId\" is missing"),
        (r#"{"routes":[1]}"#, "route 1: is not a JSON object"),
        (
            r#"{"plans":[],"prices":[]}"#,
            "a member \"prices\", which is unknown",
        ),
    ] {
        let said = own(text).unwrap_err().to_string();
        assert!(said.contains(part), "{text}: {said}");
    }
}

#[test]
fn the_faults_of_plans_and_routes_are_told_together() {
    let text = r#"{"plans":[{"planId":"a"}],"routes":[{"routeId":"r","method":"GET","path":"r","unitAmount":"1","plans":["a","b"]}]}"#;
    assert_eq!(
        own(text).unwrap_err().to_string(),
        "has 3 faults:\n\
         plan \"a\": \"unitAmount\" is missing\n\
         route \"r\": \"path\" must begin with a slash, like \"/api/weather/:city\"\n\
         route \"r\": \"plans\" names \"b\", and there is no such plan (number 2 of the list)"
    );
}

#[test]
fn a_files_routes_may_name_the_plans_that_are_sold_instead_of_its_own() {
    let text = r#"{"plans":[{"planId":"a","unitAmount":"1"}],"routes":[{"routeId":"r","method":"GET","path":"/r","unitAmount":"1","plans":["b"]}]}"#;
    let sold: [PlanId; 1] = ["b".parse().unwrap()];
    assert!(file(text, OtherPlans::These(&sold)).is_ok());
    assert!(file(text, OtherPlans::These(&[])).is_err());
    assert!(file(text, OtherPlans::Nowhere).is_err());
    // The plans that are sold cannot be read, which is reported elsewhere, so the routes' plans are not checked.
    assert!(file(text, OtherPlans::Unreadable).is_ok());
}

proptest! {
    #[test]
    fn hostile_plans_never_panic(text in ".{0,200}") {
        let _ = plans(&text);
        let _ = routes(&text, None);
        let _ = own(&text);
    }
}

/// The example catalogs, each with its verdict. The JSON Schema is tested with the same examples.
#[test]
fn the_verdict_on_each_example_catalog_is_the_schemas() {
    let rows: Vec<Value> =
        serde_json::from_str(include_str!("../../../../../tests/catalogs.json")).unwrap();
    for row in rows {
        let read = own(&row["catalog"].to_string());
        assert_eq!(
            read.is_ok(),
            row["good"] == true,
            "{}: {read:?}",
            row["about"]
        );
    }
}
