//! Tests for the texts that models read.

use super::super::testing::{hostile_shop, origin, partial_shops, shop};
use super::{llms, skills};
use crate::config::Config;

/// The headings of a Markdown text, without those in code.
fn headings(text: &str) -> Vec<&str> {
    let mut in_code = false;
    let mut headings = Vec::new();
    for line in text.lines() {
        if line.starts_with("```") {
            in_code = !in_code;
        } else if line.starts_with('#') && !in_code {
            headings.push(line);
        }
    }
    assert!(!in_code, "a fence stays open:\n{text}");
    headings
}

#[test]
fn every_plan_and_every_route_is_told_to_models() {
    let text = llms(&shop(), &origin());
    for line in [
        "# Weather",
        "> The weather of every city.",
        "- `hour`: $0.015 for 1 hour. One hour.",
        "- `month`: $15.00 for 30 days. A month.",
        "- `GET https://shop.example/api/weather/:city`: $0.01 per call. The weather of a city. Charged only when the API has \
         answered with success. A token of the plan hour opens it too.",
        "- `POST https://shop.example/api/reports`: $2.50 per call. A report. Charged before the API is called.",
        "- `GET https://shop.example/api/status`: free.",
        "- [Buyer's guide](https://shop.example/skills.md): commands that buy",
    ] {
        assert!(text.lines().any(|it| it == line), "{line}\n\n{text}");
    }
    assert_eq!(
        headings(&text),
        ["# Weather", "## Plans", "## Calls", "## Links"]
    );
    assert!(text.len() < 4_000, "{}", text.len());
}

#[test]
fn what_is_switched_off_is_not_named() {
    let mut config = shop();
    config.documents.skills = false;
    config.a2a.enabled = false;
    config.mcp.enabled = false;
    let text = llms(&config, &origin());
    for path in ["/skills.md", "/a2a", "/mcp"] {
        assert!(!text.contains(path), "{path}");
    }
}

#[test]
fn the_guide_has_commands_for_what_is_sold() {
    let text = skills(&shop(), &origin());
    for part in [
        "---\nname: buy-from-shop-example\ndescription: \"Buy from Weather: ",
        "curl -i 'https://shop.example/x402/access' -H 'content-type: application/json' -d '{\"planId\":\"hour\"}'",
        "curl -i 'https://shop.example/api/weather/london?units=metric'",
        "JSON.stringify({ planId: \"hour\", requestId })",
        "network: 'eip155:84532'",
        "maxAmountPerPayment: '$1.00'",
        "npm run --silent agent -- --url 'https://shop.example' --token",
        "'https://backend.example/default'",
    ] {
        assert!(text.contains(part), "{part}\n\n{text}");
    }
}

#[test]
fn clients_of_both_protocols_are_told_that_they_can_pay_while_they_can() {
    let mut config = shop();
    let texts = |config: &Config| {
        [llms(config, &origin()), skills(config, &origin())].map(|text| text.contains("MPP"))
    };
    assert_eq!(texts(&config), [true; 2]);
    config.mpp.enabled = false;
    assert_eq!(texts(&config), [false; 2]);
}

#[test]
fn a_guide_to_a_part_of_a_shop_is_about_that_part() {
    let titles = |config: &Config| {
        let text = skills(config, &origin());
        let titles = headings(&text).into_iter().skip(1).map(str::to_owned);
        titles.collect::<Vec<_>>()
    };
    let [plans, calls, nothing] = partial_shops().map(|config| titles(&config));
    assert_eq!(
        plans,
        [
            "## See what is sold",
            "## Ask for the price of a plan",
            "## Buy with JavaScript",
            "## Or with the example agent",
            "## Use the token",
            "## What answers mean",
        ]
    );
    assert_eq!(
        calls,
        [
            "## See what is sold",
            "## Ask for the price of a call",
            "## Buy with JavaScript",
            "## What answers mean",
        ]
    );
    assert_eq!(nothing, ["## See what is sold", "## What answers mean"]);
}

#[test]
fn hostile_words_begin_nothing() {
    let (config, plain) = (hostile_shop(), shop());
    let text = llms(&config, &origin());
    assert_eq!(
        headings(&text).len(),
        headings(&llms(&plain, &origin())).len()
    );
    let bare = text.replace(r"\<", "").replace(r"\[", "");
    assert!(!bare.contains('<'), "{text}");
    assert_eq!(
        bare.matches('[').count(),
        5,
        "the links of the shop: {text}"
    );
    let text = skills(&config, &origin());
    assert_eq!(
        headings(&text).len(),
        headings(&skills(&plain, &origin())).len()
    );
    // The head holds nothing but data, and no hostile word ends the quotes of a command.
    let head = text.split("---\n").nth(1).unwrap();
    assert_eq!(head.lines().count(), 2, "{head}");
    for command in text.lines().filter(|line| line.starts_with("curl ")) {
        assert_eq!(
            command.replace(r"'\''", "").matches('\'').count() % 2,
            0,
            "{command}"
        );
    }
}
