//! What all documents have in common.

use crate::json;
use http::HeaderMap;

use super::testing::{origin, shop};
use super::*;
use crate::catalog::Catalog;
use crate::config::Config;

/// Each document that describes plans, by its name.
fn documents(config: &Config) -> Vec<(&'static str, String)> {
    let origin = origin();
    let page = front(config, &origin, &HeaderMap::new(), 60).into_body();
    vec![
        ("discover", json!(discover(config, &origin)).to_string()),
        (
            "agent card",
            agent_card(config, &origin, AgentCardVersion::V1_0).to_string(),
        ),
        ("openapi", openapi(config, &origin).to_string()),
        ("llms", llms(config, &origin)),
        ("skills", skills(config, &origin)),
        ("page", String::from_utf8(page).unwrap()),
    ]
}

/// The shop with this member in its first plan.
fn with(member: &str) -> Config {
    let plan =
        r#"{"planId":"hour","unitAmount":"$0.015","description":"One hour.","expiresIn":3600"#;
    let plans = Catalog::from_json(&format!("[{plan}{member}}}]")).unwrap();
    let mut config = shop();
    let routes = config.catalog.routes().to_vec();
    config.catalog = Catalog::new(plans.plans().to_vec(), routes);
    config
}

#[test]
fn every_document_says_a_plans_limits_in_the_same_words() {
    let limits = r#","quota":{"calls":1650},"rate":{"calls":100,"per":"minute"},"concurrency":10"#;
    let said = "1,650 calls, at most 100 a minute and 10 at a time";
    for (name, text) in documents(&with(limits)) {
        assert!(text.contains(said), "{name}: {text}");
    }
    let document = openapi(&with(limits), &origin());
    let answers = &document["paths"]["/api/weather/{city}"]["get"]["responses"];
    let answer = answers["429"]["$ref"].as_str().unwrap();
    let answer = document.pointer(answer.trim_start_matches('#'));
    assert!(answer.unwrap()["headers"]["Retry-After"].is_object());
    let unlimited = openapi(&with(""), &origin()).to_string();
    assert!(!unlimited.contains("\"429\""), "{unlimited}");
    let claims = |config: &Config| json!(token_info(config, &origin()))["claims"].to_string();
    assert!(claims(&with(limits)).contains(r#""name":"limits""#));
    assert!(!claims(&with("")).contains("limits"));
    let told = json!(discover(&with(limits), &origin()));
    let limits = json!({
        "quota": {"calls": 1650},
        "rate": {"calls": 100, "per": "minute"},
        "concurrency": 10,
    });
    assert_eq!(told["plans"][0]["limits"], limits);
}

#[test]
fn no_document_speaks_of_limits_where_there_are_none() {
    for (name, text) in documents(&with("")) {
        for word in ["at most", "at a time", "limits", "RateLimit"] {
            assert!(!text.contains(word), "{name}, {word}: {text}");
        }
    }
}
