use super::*;
use crate::catalog::testing;
use crate::offer::CallDigest;

fn catalog() -> Catalog {
    let vary = Route {
        vary: vec![http::header::ACCEPT_LANGUAGE],
        ..testing::route("words", "GET", "/words")
    };
    let streamed = Route {
        stream: true,
        ..testing::route("tokens", "POST", "/tokens")
    };
    Catalog::new(
        Vec::new(),
        vec![
            testing::route("weather", "GET", "/api/weather/:city"),
            testing::route("note", "POST", "/api/notes"),
            testing::route("premium", "GET", "/api/weather/premium"),
            vary,
            streamed,
        ],
    )
}

fn origin() -> HttpUrl {
    "https://shop.example".parse().unwrap()
}

fn read(route: &str, resource: &Value) -> Result<Brought, Error> {
    let catalog = catalog();
    let read = Described::read(&catalog, &origin(), &route.parse().unwrap(), Some(resource));
    read.map(|described| described.brought())
}

/// The digest of a call that is made at its own path.
fn made(route: &str, path: &str, query: &str, headers: &[(&str, &str)], body: &[u8]) -> CallDigest {
    let catalog = catalog();
    let route = catalog.route(&route.parse().unwrap()).unwrap();
    let headers = headers
        .iter()
        .map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap()))
        .collect();
    Call::new(route, path.to_owned(), query, &headers, body)
        .unwrap()
        .digest
}

#[test]
fn a_call_that_is_described_has_the_digest_of_the_same_call_made() {
    let weather = read(
        "weather",
        &json!({"path": "/API/weather/s\u{e3}o%20paulo/?b=2&a=1"}),
    )
    .unwrap();
    assert_eq!(weather.target, "/api/weather/s%C3%A3o%20paulo?b=2&a=1");
    let same = made(
        "weather",
        "/api/weather/s%C3%A3o%20paulo",
        "b=2&a=1",
        &[],
        b"",
    );
    assert_eq!(weather.digest, same);

    let body = json!({"path": "/api/notes", "method": "post", "body": {"b": [1.0, 2.5], "a": 3}});
    let note = read("note", &body).unwrap();
    assert_eq!(note.body, br#"{"a":3,"b":[1,2.5]}"#);
    assert_eq!(note.headers["content-type"], "application/json");
    let json = ("content-type", "application/json");
    assert_eq!(
        note.digest,
        made("note", "/api/notes", "", &[json], &note.body)
    );

    let text = json!({"path": "/api/notes", "headers": {"Content-Type": "text/plain; charset=utf-8"}, "body": "a b"});
    let note = read("note", &text).unwrap();
    assert_eq!(note.body, b"a b");
    let plain = ("content-type", "text/plain");
    assert_eq!(
        note.digest,
        made("note", "/api/notes", "", &[plain], b"a b")
    );

    let words = |language: &str| {
        let resource = json!({"path": "/words", "headers": {"accept-language": language}});
        read("words", &resource).unwrap().digest
    };
    let french = ("accept-language", "fr");
    assert_eq!(words("fr"), made("words", "/words", "", &[french], b""));
    assert_ne!(words("fr"), words("de"));
}

#[test]
fn headers_that_are_not_the_callers_to_set_are_left_out() {
    let resource = json!({"path": "/words", "headers": {
        "x-key0-payer": "0x1", "X-Forwarded-For": "1.1.1.1", "authorization": "Bearer x", "range": "bytes=0-1",
        "payment-signature": "e30=", "host": "inside", "x-mine": "1",
    }});
    let headers = read("words", &resource).unwrap().headers;
    let names: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
    assert_eq!(names, ["x-mine"]);
}

#[test]
fn what_is_no_call_of_the_route_is_refused_with_its_code() {
    for (route, resource, code, part) in [
        (
            "gone",
            json!({"path": "/"}),
            Code::TierNotFound,
            "not found",
        ),
        (
            "weather",
            json!(null),
            Code::MissingResourceField,
            "resource.path",
        ),
        (
            "weather",
            json!("/api/weather/oslo"),
            Code::MissingResourceField,
            "resource.path",
        ),
        (
            "weather",
            json!({"method": "GET"}),
            Code::MissingResourceField,
            "resource.path",
        ),
        (
            "weather",
            json!({"path": 7}),
            Code::MissingResourceField,
            "resource.path",
        ),
        (
            "weather",
            json!({"path": "/api/notes"}),
            Code::InvalidRequest,
            "no call of route",
        ),
        // The path is one of a dearer route.
        (
            "weather",
            json!({"path": "/api/weather/premium"}),
            Code::InvalidRequest,
            "no call of route",
        ),
        (
            "weather",
            json!({"path": "/api/weather/Premium/"}),
            Code::InvalidRequest,
            "no call of route",
        ),
        (
            "weather",
            json!({"path": "https://shop.example/api/weather/oslo"}),
            Code::InvalidRequest,
            "no call",
        ),
        (
            "weather",
            json!({"path": "/api/weather/..%2fnotes"}),
            Code::InvalidRequest,
            "slash",
        ),
        (
            "weather",
            json!({"path": "/api/weather/%2e%2e"}),
            Code::InvalidRequest,
            "..",
        ),
        (
            "weather",
            json!({"path": "/api//weather/oslo"}),
            Code::InvalidRequest,
            "no call",
        ),
        (
            "weather",
            json!({"path": "/discover"}),
            Code::InvalidRequest,
            "no call",
        ),
        (
            "weather",
            json!({"path": "/api/weather/oslo?a b"}),
            Code::InvalidRequest,
            "percent-encoded",
        ),
        (
            "weather",
            json!({"path": "/api/weather/oslo", "method": "POST"}),
            Code::InvalidRequest,
            "no call",
        ),
        (
            "weather",
            json!({"path": "/api/weather/oslo", "method": 1}),
            Code::InvalidRequest,
            "no call",
        ),
        (
            "weather",
            json!({"path": "/api/weather/oslo", "body": {}}),
            Code::InvalidRequest,
            "no body",
        ),
        (
            "weather",
            json!({"path": "/api/weather/oslo", "query": "days=3"}),
            Code::InvalidRequest,
            "`query`",
        ),
        (
            "weather",
            json!({"path": "/api/weather/oslo", "headers": []}),
            Code::InvalidRequest,
            "headers",
        ),
        (
            "weather",
            json!({"path": "/api/weather/oslo", "headers": {"a": 1}}),
            Code::InvalidRequest,
            "headers",
        ),
        (
            "weather",
            json!({"path": "/api/weather/oslo", "headers": {"a": "x\r\nb: y"}}),
            Code::InvalidRequest,
            "headers",
        ),
        (
            "weather",
            json!({"path": "/api/weather/oslo", "headers": {"a": "1", "A": "2"}}),
            Code::InvalidRequest,
            "headers",
        ),
        (
            "note",
            json!({"path": "/api/notes", "body": "x".repeat(65_537)}),
            Code::PayloadTooLarge,
            "65536",
        ),
        (
            "tokens",
            json!({"path": "/tokens", "body": {}}),
            Code::InvalidRequest,
            "while they arrive",
        ),
    ] {
        let error = read(route, &resource).unwrap_err();
        assert_eq!(error.code, code, "{resource}: {}", error.message);
        assert!(
            error.message.contains(part),
            "{resource}: {}",
            error.message
        );
    }
    let many: Map<_, _> = (0..17).map(|at| (format!("a{at}"), json!(""))).collect();
    let resource = json!({"path": "/words", "headers": many});
    assert_eq!(
        read("words", &resource).unwrap_err().code,
        Code::InvalidRequest
    );
}

#[test]
fn the_url_and_how_it_is_called_over_http_are_told() {
    let catalog = catalog();
    let told = |route: &str, resource: Value| {
        let described = Described::read(
            &catalog,
            &origin(),
            &route.parse().unwrap(),
            Some(&resource),
        )
        .unwrap();
        (described.url(&origin()), described.over_http(&origin()))
    };
    let (url, how) = told("weather", json!({"path": "/api/weather/oslo?days=3"}));
    assert_eq!(url, "https://shop.example/api/weather/oslo?days=3");
    assert_eq!(how, format!("method GET, url {url}"));
    let (_, how) = told("note", json!({"path": "/api/notes", "body": {"a": 1}}));
    assert!(how.ends_with("body {\"a\":1}"), "{how}");
    let (_, how) = told("note", json!({"path": "/api/notes", "body": "\u{e3}"}));
    assert!(how.is_ascii(), "{how}");
}
