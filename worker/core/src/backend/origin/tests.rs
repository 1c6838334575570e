use super::*;
use crate::catalog::testing;

fn route() -> Route {
    testing::route("weather", "GET", "/weather")
}

fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(*name, value.parse().unwrap());
    }
    headers
}

fn names(headers: &HeaderMap) -> Vec<&str> {
    let mut names: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
    names.sort_unstable();
    names
}

#[test]
fn what_a_client_says_about_its_own_request_arrives() {
    let sent = headers(&[
        ("accept", "application/json"),
        ("accept-language", "no"),
        ("content-type", "application/json; charset=utf-8"),
        ("user-agent", "agent/1"),
        ("x-request-id", "7"),
        ("if-none-match", "\"1\""),
    ]);
    assert_eq!(passed_on(&sent, &route(), false), sent);
}

#[test]
fn nothing_arrives_that_poses_as_the_gateway_or_as_another_request() {
    let sent = headers(&[
        ("x-key0-internal-token", "guess"),
        ("x-key0-payer", "0x1"),
        ("x-key0-anything", "1"),
        ("x-forwarded-for", "10.0.0.1"),
        ("x-forwarded-host", "internal"),
        ("forwarded", "for=10.0.0.1"),
        ("cf-connecting-ip", "1.2.3.4"),
        ("x-real-ip", "1.2.3.4"),
        ("x-http-method-override", "DELETE"),
        ("x-original-url", "/dear"),
        ("x-rewrite-url", "/dear"),
        ("payment-signature", "e30="),
        ("x-payment", "e30="),
        ("accept-payment", "x402"),
        ("idempotency-key", "mine"),
        ("host", "elsewhere"),
        ("content-length", "5"),
        ("transfer-encoding", "chunked"),
        ("te", "trailers"),
        ("accept-encoding", "gzip"),
        ("connection", "keep-alive, X-Secret-Hop"),
        ("x-secret-hop", "1"),
    ]);
    assert_eq!(names(&passed_on(&sent, &route(), false)), [""; 0]);
}

#[test]
fn no_spelling_poses_as_the_gateway_to_an_api_that_reads_underscores_as_hyphens() {
    let sent = headers(&[
        ("x_key0_payer", "0x1"),
        ("x-key0_internal-token", "guess"),
        ("x_forwarded_for", "10.0.0.1"),
        ("x_http_method_override", "DELETE"),
        ("x_original_url", "/dear"),
        ("payment_signature", "e30="),
        ("idempotency_key", "mine"),
        ("if_none_match", "\"1\""),
        ("content_length", "5"),
        ("my_own", "1"),
    ]);
    let passed = passed_on_for_payment(&sent, &route(), false);
    assert_eq!(names(&passed), ["my_own"]);
}

#[test]
fn an_authorization_arrives_if_it_is_not_ours_and_the_seller_wants_it() {
    let sent = headers(&[("authorization", "Bearer theirs")]);
    let wanting = Route {
        forward_authorization: true,
        ..route()
    };
    assert_eq!(names(&passed_on(&sent, &route(), false)), [""; 0]);
    assert_eq!(names(&passed_on(&sent, &wanting, false)), ["authorization"]);
    assert_eq!(names(&passed_on(&sent, &wanting, true)), [""; 0]);
    let paid = |is_ours| passed_on_for_payment(&sent, &wanting, is_ours);
    assert_eq!(names(&paid(false)), ["authorization"]);
    assert_eq!(names(&paid(true)), [""; 0]);
}

#[test]
fn a_paid_call_asks_for_the_whole_answer() {
    let sent = headers(&[
        ("if-none-match", "\"1\""),
        ("if-modified-since", "Sat, 01 Jan 2028 00:00:00 GMT"),
        ("range", "bytes=0-9"),
        ("if-range", "\"1\""),
        ("accept", "text/plain"),
        ("accept", "*/*"),
    ]);
    let passed = passed_on_for_payment(&sent, &route(), false);
    assert_eq!(names(&passed), ["accept"]);
    assert_eq!(passed.get_all("accept").iter().count(), 2);
}

#[test]
fn the_api_is_told_who_pays_for_what() {
    let secret = Secret::new("s".repeat(32));
    let purchase = RequestId::from_random([7; 16]);
    let bought = Account::Bought {
        purchase: &purchase,
        payer: Address::repeat_byte(1),
        transaction: None,
    };
    let said: HeaderMap = said_by_us("weather", &bought, Some(&secret))
        .into_iter()
        .collect();
    assert_eq!(said["x-key0-route"], "weather");
    assert_eq!(said["x-key0-purchase"], purchase.as_str());
    assert_eq!(said["idempotency-key"], purchase.as_str());
    assert_eq!(said["x-key0-internal-token"], "s".repeat(32));
    assert_eq!(said["accept-encoding"], "identity");
    assert!(!said.contains_key("x-key0-transaction"));
    let settled = Account::Bought {
        purchase: &purchase,
        payer: Address::repeat_byte(1),
        transaction: Some(B256::repeat_byte(2)),
    };
    let said: HeaderMap = said_by_us("weather", &settled, None).into_iter().collect();
    let hash = B256::repeat_byte(2).to_string();
    assert_eq!(said["x-key0-transaction"], hash.as_str());
    assert!(!said.contains_key("x-key0-internal-token"));
}

#[test]
fn no_cache_keeps_what_was_paid_for_and_no_other_host_is_spoken_for() {
    let answered = headers(&[
        ("content-type", "application/json"),
        ("cache-control", "public, max-age=3600"),
        ("cdn-cache-control", "max-age=3600"),
        ("cloudflare-cdn-cache-control", "max-age=3600"),
        ("other-cdn-cache-control", "max-age=3600"),
        ("surrogate-control", "max-age=3600"),
        ("edge-control", "max-age=1h"),
        ("x-accel-expires", "3600"),
        ("expires", "Sat, 01 Jan 2028 00:00:00 GMT"),
        ("etag", "\"1\""),
        ("age", "9"),
        ("set-cookie", "session=1"),
        ("access-control-allow-origin", "https://api.example"),
        ("strict-transport-security", "max-age=1"),
        ("service-worker-allowed", "/"),
        ("content-encoding", "gzip"),
        ("content-length", "3"),
        ("payment-required", "e30="),
        ("payment-response", "e30="),
        ("x-payment-response", "e30="),
        ("x-key0-route", "weather"),
        ("key0-refund", "1"),
        ("key0-payment-unused", "nothing was charged"),
        ("connection", "x-hop"),
        ("x-hop", "1"),
        ("location", "https://elsewhere.example/file"),
        ("x-total", "7"),
    ]);
    let passed = passed_back(&answered, false);
    let kept = ["cache-control", "content-type", "location", "x-total"];
    assert_eq!(names(&passed), kept);
    assert_eq!(passed["cache-control"], "private, no-store");
    let free = passed_back(&answered, true);
    assert_eq!(free["cache-control"], "public, max-age=3600");
    assert_eq!(free["etag"], "\"1\"");
    assert!(!free.contains_key("set-cookie"));
}

#[test]
fn a_body_that_the_platform_does_not_decode_says_how_it_is_encoded() {
    for (coding, is_kept) in [
        ("gzip", false),
        ("br", false),
        ("deflate", true),
        ("zstd", true),
        // The platform leaves these as they are, too.
        ("GZIP", true),
        ("x-gzip", true),
        ("gzip, br", true),
    ] {
        for is_free in [false, true] {
            let passed = passed_back(&headers(&[("content-encoding", coding)]), is_free);
            let kept = passed.get("content-encoding");
            assert_eq!(kept.is_some_and(|kept| kept == coding), is_kept, "{coding}");
        }
    }
}

#[test]
fn a_redirect_leads_out_or_nowhere() {
    let base: HttpUrl = "https://api.example.com".parse().unwrap();
    let called = "https://api.example.com/weather";
    for inside in [
        "/premium",
        "premium",
        "?all=1",
        "//api.example.com/premium",
        "https://API.example.com/premium",
        "https://api.example.com:8443/",
        "http://127.0.0.1/",
        "http://10.1.2.3/",
        "http://192.168.0.1/",
        "http://169.254.169.254/latest/meta-data",
        "http://100.64.0.1/",
        "http://0.0.0.0/",
        "http://2130706433/",
        "http://[::1]/",
        "http://[::ffff:10.0.0.1]/",
        "http://[fd00::1]/",
        "http://[fe80::1]/",
        "http://localhost/",
        "http://db.internal/",
        "http://db/",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "http://",
    ] {
        assert!(leads_inside(&base, called, inside), "{inside}");
    }
    for outside in [
        "https://storage.example.net/file?signature=1",
        "//cdn.example.net/file",
        "http://8.8.8.8/",
        "https://api.example.com.evil.net/",
        "http://[2606:4700::1]/",
    ] {
        assert!(!leads_inside(&base, called, outside), "{outside}");
    }
}

#[test]
fn a_payment_never_reaches_the_api_and_no_challenge_of_the_api_reaches_the_caller() {
    let mut route = route();
    route.forward_authorization = true;
    let sent = headers(&[
        ("authorization", "Payment e30, Bearer abc"),
        ("payment-authorization", "Payment e30"),
        ("accept-payment", "evm/charge"),
    ]);
    let expected = headers(&[("authorization", "Bearer abc")]);
    assert_eq!(passed_on(&sent, &route, false), expected);
    let alone = headers(&[("authorization", "payment e30")]);
    assert_eq!(names(&passed_on(&alone, &route, false)), [""; 0]);

    let told = headers(&[
        (
            "www-authenticate",
            "Payment id=\"1\", realm=\"a, b\", Basic realm=\"c\"",
        ),
        ("www-authenticate", "Payment id=\"2\""),
        ("payment-receipt", "e30"),
        ("payment-required", "e30"),
    ]);
    let expected = headers(&[("www-authenticate", "Basic realm=\"c\"")]);
    assert_eq!(passed_back(&told, true), expected);
}
