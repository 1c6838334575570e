//! Tests for what people see on the page, without a browser.

use http::StatusCode;

use super::super::super::testing::{hostile_shop, origin, partial_shops, shop};
use super::*;
use crate::catalog::Catalog;

fn shown(config: &Config) -> String {
    let response = front(config, &origin(), &HeaderMap::new(), 60);
    String::from_utf8(response.into_body()).unwrap()
}

/// The names of the elements, in order.
fn elements(html: &str) -> Vec<&str> {
    let tags = html.split('<').skip(1);
    let name = |tag: &'_ str| tag.find([' ', '>']);
    tags.filter_map(|tag| tag.get(..name(tag)?)).collect()
}

#[test]
fn every_plan_and_every_route_is_shown_with_its_price() {
    let html = shown(&shop());
    for part in [
        "<h1>Weather</h1>",
        "<code>hour</code>",
        "$0.015<span>for 1 hour</span>",
        "$15.00<span>for 30 days</span>",
        "Opens maps/eu.",
        "<code>GET /api/weather/:city</code>",
        "$0.01<span>per call</span>",
        "A token of the plan hour opens it too.",
        "<code>GET /api/status</code>",
        "free<span></span>",
        "curl -i &#39;https://shop.example/x402/access&#39;",
        "https://sepolia.basescan.org/address/0x209693Bc6afc0C5328bA36FaF03C514EF312287C",
        "href=\"https://shop.example/openapi.json\"",
        "Test shop",
    ] {
        assert!(html.contains(part), "{part}\n\n{html}");
    }
}

#[test]
fn the_page_is_whole_and_needs_nothing_else() {
    let html = shown(&shop());
    let mut open = Vec::new();
    for element in elements(&html) {
        match element.strip_prefix('/') {
            Some(name) => assert_eq!(open.pop(), Some(name), "{html}"),
            None if ["!doctype", "meta", "link"].contains(&element) => {}
            None => open.push(element),
        }
    }
    assert!(open.is_empty(), "{open:?}");
    let names = elements(&html);
    for foreign in ["script", "img", "iframe", "form", "object"] {
        assert!(!names.contains(&foreign), "{foreign}");
    }
    for foreign in ["url(", "@import", "src="] {
        assert!(!html.contains(foreign), "{foreign}");
    }
}

#[test]
fn hostile_words_are_shown_and_change_nothing() {
    // A shop with harmless words in the same places, whose page has the same parts.
    let mut plain = shop();
    plain.seller.contact = Some("x".to_owned());
    let mut routes = plain.catalog.routes().to_vec();
    for route in &mut routes {
        route.description = "x".to_owned();
    }
    plain.catalog = Catalog::new(plain.catalog.plans().to_vec(), routes);
    assert_eq!(elements(&shown(&hostile_shop())), elements(&shown(&plain)));
    assert!(shown(&hostile_shop()).contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
}

#[test]
fn a_browser_is_told_to_load_nothing() {
    let response = front(&shop(), &origin(), &HeaderMap::new(), 60);
    let header = |name| response.headers()[name].to_str().unwrap().to_owned();
    let policy = header("content-security-policy");
    assert!(policy.starts_with("default-src 'none'; style-src 'unsafe-inline'; img-src 'self'"));
    assert_eq!(header("content-type"), "text/html; charset=utf-8");
    let mut known = HeaderMap::new();
    known.insert(header::IF_NONE_MATCH, response.headers()["etag"].clone());
    let again = front(&shop(), &origin(), &known, 60);
    assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
    assert!(again.body().is_empty());
}

#[test]
fn a_part_of_a_shop_has_no_empty_sections() {
    let titles = |config: &Config| {
        let html = shown(config);
        let titles = html.split("<h2>").skip(1);
        let titles = titles.filter_map(|rest| Some(rest.split_once("</h2>")?.0.to_owned()));
        titles.take(2).collect::<Vec<_>>()
    };
    let [plans, calls, nothing] = partial_shops().map(|config| titles(&config));
    assert_eq!(plans, ["Plans", "How an agent buys"]);
    assert_eq!(calls, ["Calls", "How an agent buys"]);
    assert_eq!(nothing, ["How an agent buys", "Who is paid"]);
}

#[test]
fn real_money_is_not_called_a_test() {
    let mut config = shop();
    config.network = Network::Base;
    let html = shown(&config);
    assert!(html.contains("Paid in USDC on Base<") && !html.contains("Test shop"));
    assert!(html.contains("https://basescan.org/address/"));
}
