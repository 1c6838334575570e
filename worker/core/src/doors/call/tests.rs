//! Which differences between two requests make them different calls, and which do not.

use http::header::ACCEPT;
use proptest::prelude::*;

use super::*;
use crate::catalog::testing::{route, routes};
use crate::catalog::{Catalog, Found};
use crate::types::RouteId;

const JSON: (&str, &str) = ("content-type", "application/json");
const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

fn shop() -> Catalog {
    routes(&[
        "GET /api/weather/:city",
        "GET /api/time/:city",
        "POST /api/sms",
        "PUT /api/sms",
        "PATCH /api/sms",
        "DELETE /api/sms",
    ])
}

fn headers(list: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in list {
        let name = HeaderName::from_static(name);
        headers.append(name, HeaderValue::from_str(value).unwrap());
    }
    headers
}

/// The call that a request makes. `line` is the method and the URL without its origin.
fn call<'a>(
    shop: &'a Catalog,
    line: &str,
    list: &[(&'static str, &str)],
    body: &str,
) -> Result<Call<'a>, CallFault> {
    let (method, url) = line.split_once(' ').unwrap();
    let (path, query) = url.split_once('?').unwrap_or((url, ""));
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    let Found::Route(route, path) = shop.find(&method, path) else {
        panic!("{line}")
    };
    Call::new(route, path, query, &headers(list), body.as_bytes())
}

fn digest(line: &str, list: &[(&'static str, &str)], body: &str) -> CallDigest {
    call(&shop(), line, list, body).unwrap().digest
}

/// The digest of a call without headers and body.
fn bare(line: &str) -> CallDigest {
    digest(line, &[], "")
}

#[test]
fn method_path_and_query_make_another_call() {
    let lines = [
        "GET /api/weather/london",
        "GET /api/weather/London",
        "GET /api/weather/paris",
        "GET /api/time/london",
        "GET /api/weather/london?",
        "GET /api/weather/london?a=1",
        "GET /api/weather/london?a=2",
        "DELETE /api/sms",
        "PUT /api/sms",
        "PATCH /api/sms",
        "POST /api/sms",
    ];
    // A question mark without a query is the same as no query.
    let same =
        |one: &str, two: &str| one == two || one.trim_end_matches('?') == two.trim_end_matches('?');
    for one in lines {
        for two in lines {
            assert_eq!(bare(one) == bare(two), same(one, two), "{one} {two}");
        }
    }
}

#[test]
fn a_query_is_bound_and_forwarded_byte_for_byte() {
    let shop = shop();
    let queries = [
        "a=1&a=2",
        "a=2&a=1",
        "b=+",
        "b=%20",
        "c[]=1",
        "c%5B%5D=1",
        "d=%2f",
        "d=%2F",
        "e",
        "e=",
        "e=&",
        "E",
        "?e",
        "f=O'Brien;g",
    ];
    let mut seen = Vec::new();
    for query in queries {
        let call = call(&shop, &format!("GET /api/weather/london?{query}"), &[], "").unwrap();
        assert_eq!(call.query, query);
        assert!(!seen.contains(&call.digest), "{query}");
        seen.push(call.digest);
    }
}

#[test]
fn the_spellings_of_one_path_are_one_call() {
    let usual = bare("GET /api/weather/S%C3%A3o");
    for line in [
        "GET /API/Weather/S%c3%a3o/",
        "GET /%61pi/weather/%53%C3%A3o",
        "HEAD /api/weather/S%C3%A3o",
    ] {
        assert_eq!(bare(line), usual, "{line}");
    }
}

#[test]
fn the_body_makes_another_call_and_so_does_its_kind() {
    let line = "POST /api/sms";
    let usual = digest(line, &[JSON], "{\"to\":1}");
    for same in [
        "Application/JSON",
        "application/json; charset=utf-8",
        "application/json ;x",
    ] {
        assert_eq!(digest(line, &[("content-type", same)], "{\"to\":1}"), usual);
    }
    for other in [
        digest(line, &[JSON], "{\"to\":2}"),
        digest(line, &[JSON], "{\"to\":1} "),
        digest(line, &[JSON], ""),
        digest(line, &[FORM], "{\"to\":1}"),
        digest(line, &[], "{\"to\":1}"),
        digest(line, &[("content-type", "application/jsonp")], "{\"to\":1}"),
        digest("PUT /api/sms", &[JSON], "{\"to\":1}"),
    ] {
        assert_ne!(other, usual);
    }
}

#[test]
fn a_body_is_forwarded_with_its_content_type_and_without_one_there_is_none() {
    let shop = shop();
    let form = ("content-type", "multipart/form-data; boundary=\"x y\"");
    let with = call(&shop, "POST /api/sms", &[form], "--x y").unwrap();
    assert_eq!(with.content_type.as_deref(), Some(form.1));
    let without = call(&shop, "GET /api/weather/london", &[JSON], "").unwrap();
    assert_eq!(without.content_type, None);
    assert_eq!(without.digest, bare("GET /api/weather/london"));
}

#[test]
fn a_body_without_a_method_for_it_is_refused() {
    let shop = shop();
    for line in [
        "GET /api/weather/london",
        "HEAD /api/weather/london",
        "DELETE /api/sms",
    ] {
        assert_eq!(call(&shop, line, &[], "x"), Err(CallFault::Body), "{line}");
    }
    for line in ["POST /api/sms", "PUT /api/sms", "PATCH /api/sms"] {
        assert!(call(&shop, line, &[], "x").is_ok(), "{line}");
    }
}

#[test]
fn a_body_has_at_most_the_routes_bytes() {
    let mut route = route("sms", "POST", "/api/sms");
    route.max_body = 10;
    let of = |bytes| {
        Call::new(
            &route,
            "/api/sms".to_owned(),
            "",
            &HeaderMap::new(),
            &vec![b'x'; bytes],
        )
    };
    assert!(of(10).is_ok());
    let fault = of(11).unwrap_err();
    assert_eq!(fault, CallFault::TooLarge(10));
    assert_eq!(fault.error().code, Code::PayloadTooLarge);
}

#[test]
fn only_the_headers_that_the_route_lists_make_another_call() {
    let accept = |value| [("accept", value)];
    let line = "GET /api/weather/london";
    assert_eq!(
        digest(line, &accept("text/csv"), ""),
        digest(line, &accept("*/*"), "")
    );

    let mut route = route("w", "GET", "/w");
    route.vary = vec![ACCEPT, HeaderName::from_static("x-unit")];
    let of = |list: &[(&'static str, &str)]| {
        let call = Call::new(&route, "/w".to_owned(), "", &headers(list), b"");
        call.unwrap().digest
    };
    let calls = [
        of(&[]),
        of(&accept("")),
        of(&accept("text/csv")),
        of(&accept("*/*")),
        of(&[("x-unit", "text/csv")]),
        of(&[("accept", "text/csv"), ("accept", "*/*")]),
        of(&[("accept", "text/csv"), ("x-unit", "*/*")]),
        of(&accept("text/csvx-unit")),
    ];
    for (at, one) in calls.iter().enumerate() {
        assert!(!calls[..at].contains(one), "{at}");
    }
    assert_eq!(of(&[]), of(&[("x-http-method-override", "DELETE")]));
}

#[test]
fn a_content_type_that_could_be_read_in_two_ways_is_refused() {
    let shop = shop();
    let sent = |list: &[_]| call(&shop, "POST /api/sms", list, "x");
    assert_eq!(sent(&[JSON, FORM]), Err(CallFault::ContentType));
    assert_eq!(
        sent(&[("content-type", "text/\u{e4}")]),
        Err(CallFault::ContentType)
    );
}

#[test]
fn a_query_that_a_url_would_change_is_refused() {
    let shop = shop();
    let sent = |query: &str| call(&shop, &format!("GET /api/weather/london?{query}"), &[], "");
    for query in ["a b", "a#b", "a\r\nX: 1", "a\tb", "\u{e4}", "a\u{7f}"] {
        assert_eq!(sent(query), Err(CallFault::Query), "{query:?}");
    }
    assert!(sent(&"a".repeat(4096)).is_ok());
    assert_eq!(sent(&"a".repeat(4097)), Err(CallFault::LongQuery));
}

#[test]
fn two_calls_of_one_route_are_two_targets() {
    let shop = shop();
    let target = |line| call(&shop, line, &[], "").unwrap().target();
    let london = target("GET /api/weather/london");
    assert_ne!(london.key(), target("GET /api/weather/paris").key());
    let id: RouteId = "r0".parse().unwrap();
    let call = bare("GET /api/weather/london");
    assert_eq!(london, Target::Route { id, call });
}

/// Offers and purchases keep digests of calls, so digests must not change. This one was computed by other means.
#[test]
fn the_digest_of_a_call_never_changes() {
    let digest = digest("POST /api/sms?a=%20", &[JSON], "{\"to\":1}");
    assert_eq!(
        digest.to_string(),
        "333bdaca1763e6798679a3400bcc83d7df493454fb315f796b625c55867da389"
    );
}

proptest! {
    #[test]
    fn nothing_moves_between_the_parts_of_a_call(
        one in ("[ab/?=&]{0,3}", "[ab/?=&]{0,3}"),
        two in ("[ab/?=&]{0,3}", "[ab/?=&]{0,3}"),
    ) {
        let of = |(query, body): &(String, String)| digest(&format!("POST /api/sms?{query}"), &[JSON], body);
        prop_assert_eq!(of(&one) == of(&two), one == two);
    }

    #[test]
    fn hostile_calls_never_panic(query in any::<String>(), body: Vec<u8>, value: Vec<u8>) {
        let route = route("sms", "POST", "/api/sms");
        let mut headers = HeaderMap::new();
        if let Ok(value) = HeaderValue::from_bytes(&value) {
            headers.insert(CONTENT_TYPE, value);
        }
        let _ = Call::new(&route, "/api/sms".to_owned(), &query, &headers, &body);
    }
}
