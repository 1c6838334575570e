//! Which route a path calls, and what is forwarded for it.

use proptest::prelude::*;

use super::super::testing::{route, routes};
use super::*;

/// The id of the route that is found, and the path that is forwarded; or why no route is found.
fn found(catalog: &Catalog, method: &str, path: &str) -> String {
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    match catalog.find(&method, path) {
        Found::Route(route, path) => format!("{} {path}", route.id),
        Found::WrongMethod(methods) => format!("only {methods:?}"),
        Found::Nothing => "nothing".to_owned(),
        Found::BadPath(_) => "bad".to_owned(),
    }
}

#[test]
fn only_what_is_listed_is_found() {
    let shop = routes(&["GET /api/weather/:city", "POST /api/sms", "DELETE /api/sms"]);
    for (method, path, expected) in [
        ("GET", "/api/weather/london", "r0 /api/weather/london"),
        ("HEAD", "/api/weather/london", "r0 /api/weather/london"),
        ("POST", "/api/sms", "r1 /api/sms"),
        ("DELETE", "/api/sms", "r2 /api/sms"),
        ("GET", "/api/sms", "only [POST, DELETE]"),
        ("HEAD", "/api/sms", "only [POST, DELETE]"),
        ("OPTIONS", "/api/weather/london", "only [GET, HEAD]"),
        ("PUT", "/api/weather/london", "only [GET, HEAD]"),
        ("GET", "/api/weather", "nothing"),
        ("GET", "/api/weather/", "nothing"),
        ("GET", "/api/weather/london/today", "nothing"),
        ("GET", "/api", "nothing"),
        ("GET", "/", "nothing"),
        ("GET", "", "nothing"),
        ("GET", "api/weather/london", "nothing"),
        ("GET", "https://x.example/api/weather/london", "nothing"),
    ] {
        assert_eq!(found(&shop, method, path), expected, "{method} {path}");
    }
    assert_eq!(found(&routes(&[]), "GET", "/api"), "nothing");
}

#[test]
fn the_catalogs_spelling_is_forwarded_and_a_parameters_own() {
    let shop = routes(&["GET /api/Premium/:id", "GET /api/list/"]);
    for (path, expected) in [
        ("/api/Premium/aB", "r0 /api/Premium/aB"),
        ("/API/premium/aB/", "r0 /api/Premium/aB"),
        ("/%61pi/pr%65mium/aB", "r0 /api/Premium/aB"),
        ("/api/list", "r1 /api/list/"),
        ("/api/LIST/", "r1 /api/list/"),
    ] {
        assert_eq!(found(&shop, "GET", path), expected, "{path}");
    }
}

#[test]
fn an_alias_of_a_paid_path_does_not_call_a_free_one() {
    let mut free = route("free", "GET", "/api/:page");
    free.price = None;
    let shop = Catalog::new(Vec::new(), vec![free, route("paid", "GET", "/api/premium")]);
    for path in [
        "/api/premium",
        "/api/Premium",
        "/api/PREMIUM/",
        "/api/%70remium",
        "/api/prem%69um/",
        "/%41PI/premium",
    ] {
        assert_eq!(found(&shop, "GET", path), "paid /api/premium", "{path}");
    }
    for (path, expected) in [
        ("/api/..%2Fapi%2Fpremium", "bad"),
        ("/api/..%2fpremium", "bad"),
        ("/api/x%2F..%2Fpremium", "bad"),
        ("/api/x/../premium", "bad"),
        ("/api/%2e%2e/premium", "bad"),
        ("/api/%2E/premium", "bad"),
        ("/api/./premium", "bad"),
        ("/api/..", "bad"),
        ("/api/premium;x", "bad"),
        ("/api/premium%3Bx=1", "bad"),
        ("/api;x/premium", "bad"),
        ("/api\\premium", "bad"),
        ("/api/x\\..\\premium", "bad"),
        ("/api/%5Cpremium", "bad"),
        ("/api/premium%00", "bad"),
        ("/api/premium%0d%0aX: 1", "bad"),
        ("/api/pre\tmium", "bad"),
        ("/api/premium%7F", "bad"),
        ("/api/premium%C2%85", "bad"),
        ("/api//premium", "nothing"),
        ("//api/premium", "nothing"),
        ("/api/premium//", "nothing"),
    ] {
        assert_eq!(found(&shop, "GET", path), expected, "{path}");
    }
}

#[test]
fn a_parameter_has_one_spelling_of_each_value() {
    let shop = routes(&["GET /q/:x"]);
    for (sent, forwarded) in [
        ("a%2Db%5Fc%7E%2e%41", "a-b_c~.A"),
        ("S%c3%a3o", "S%C3%A3o"),
        ("S\u{e3}o", "S%C3%A3o"),
        ("a b", "a%20b"),
        ("%20", "%20"),
        ("a+b%2Bc", "a+b%2Bc"),
        ("52.5,13.4", "52.5,13.4"),
        ("50%25", "50%25"),
        ("%252e%252e", "%252e%252e"),
        ("a?b#c", "a%3Fb%23c"),
        ("\"<>^`{|}[]", "%22%3C%3E%5E%60%7B%7C%7D%5B%5D"),
        ("!$&'()*=:@", "!$&'()*=:@"),
        ("...", "..."),
        (":x", ":x"),
    ] {
        let path = format!("/q/{sent}");
        assert_eq!(found(&shop, "GET", &path), format!("r0 /q/{forwarded}"));
    }
    for bad in [
        "%",
        "%4",
        "%zz",
        "%+1",
        "%\u{e4}1",
        "%ff",
        "%c0%af",
        "%ed%a0%80",
    ] {
        assert_eq!(found(&shop, "GET", &format!("/q/{bad}")), "bad", "{bad}");
    }
}

#[test]
fn a_literal_goes_before_a_parameter_from_left_to_right_in_whatever_order_they_are_listed() {
    let lines = ["GET /:a/:b", "GET /:a/x", "GET /api/:b", "GET /api/x"];
    let mut reversed = lines;
    reversed.reverse();
    for lines in [lines, reversed] {
        let shop = routes(&lines);
        let line = |path: &str| {
            let Found::Route(route, _) = shop.find(&Method::GET, path) else {
                panic!("{path}")
            };
            route.path.to_string()
        };
        assert_eq!(line("/API/X"), "/api/x");
        assert_eq!(line("/api/y"), "/api/:b");
        assert_eq!(line("/other/x"), "/:a/x");
        assert_eq!(line("/other/y"), "/:a/:b");
    }
}

#[test]
fn a_route_of_another_method_takes_no_call_away() {
    let shop = routes(&["GET /api/:x", "POST /api/premium"]);
    assert_eq!(found(&shop, "GET", "/api/premium"), "r0 /api/premium");
    assert_eq!(found(&shop, "POST", "/api/premium"), "r1 /api/premium");
    assert_eq!(
        found(&shop, "PUT", "/api/premium"),
        "only [GET, HEAD, POST]"
    );
}

#[test]
fn a_case_sensitive_route_matches_its_own_spelling_only() {
    let mut exact = route("exact", "GET", "/Files/:name");
    exact.case_sensitive = true;
    let mut slash = route("slash", "GET", "/files/");
    slash.case_sensitive = true;
    let shop = Catalog::new(Vec::new(), vec![exact, slash]);
    for (path, expected) in [
        ("/Files/a", "exact /Files/a"),
        ("/%46iles/a", "exact /Files/a"),
        ("/files/a", "nothing"),
        ("/Files/a/", "nothing"),
        ("/files/", "slash /files/"),
        ("/files", "nothing"),
    ] {
        assert_eq!(found(&shop, "GET", path), expected, "{path}");
    }
}

#[test]
fn the_workers_own_paths_are_never_forwarded() {
    let shop = routes(&["GET /:page", "GET /:folder/:page"]);
    for path in [
        "/health",
        "/HEALTH/",
        "/%61dmin",
        "/admin/purchases",
        "/.well-known/jwks.json",
        "/x402/access",
        "/grants/1",
    ] {
        assert_eq!(found(&shop, "GET", path), "nothing", "{path}");
    }
    assert_eq!(found(&shop, "GET", "/health/deep"), "r1 /health/deep");
}

#[test]
fn a_path_of_more_than_2048_bytes_is_refused() {
    let shop = routes(&["GET /q/:x"]);
    let path = |bytes: usize| format!("/q/{}", "a".repeat(bytes - 3));
    assert_eq!(
        found(&shop, "GET", &path(2048)),
        format!("r0 {}", path(2048))
    );
    assert_eq!(found(&shop, "GET", &path(2049)), "bad");
}

/// Random texts, most of which look like paths.
fn hostile_path() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "[a-zA-Z0-9]{1,3}",
        "%[0-9a-fA-F]{2}",
        "(/|//|\\.|\\.\\.|\\\\|;|%2f|%2e|%5c|%25|%|\\?|#|:|@|,| )",
        any::<char>().prop_map(String::from),
        Just("api".to_owned()),
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| format!("/{}", pieces.concat()))
}

proptest! {
    #[test]
    fn what_is_forwarded_is_found_again_as_it_is(path in hostile_path()) {
        let shop = routes(&["GET /:a", "GET /:a/:b", "GET /api/:b", "GET /api/Ab/", "GET /:a/:b/:c"]);
        if let Found::Route(first, forwarded) = shop.find(&Method::GET, &path) {
            let Found::Route(second, again) = shop.find(&Method::GET, &forwarded) else {
                panic!("{path} -> {forwarded}")
            };
            prop_assert_eq!((&first.id, &forwarded), (&second.id, &again));
        }
    }

    #[test]
    fn nothing_is_forwarded_that_could_mean_another_path(path in hostile_path()) {
        let shop = routes(&["GET /:a", "GET /:a/:b", "GET /api/:b", "GET /:a/:b/:c"]);
        if let Found::Route(_, forwarded) = shop.find(&Method::GET, &path) {
            prop_assert!(forwarded.bytes().all(|byte| byte.is_ascii_graphic()));
            let lower = forwarded.to_ascii_lowercase();
            for bad in ["//", "\\", ";", "%2f", "%5c", "%3b", "%2e", "?", "#"] {
                prop_assert!(!lower.contains(bad), "{} in {}", bad, forwarded);
            }
            prop_assert!(forwarded.split('/').all(|part| part != "." && part != ".."));
            // Parsing the forwarded path as part of a URL does not change a byte of it.
            let url = url::Url::parse(&format!("https://api.example{forwarded}")).unwrap();
            prop_assert_eq!(url.path(), forwarded);
        }
    }

    #[test]
    fn hostile_paths_never_panic(path in any::<String>(), bytes: Vec<u8>) {
        let shop = routes(&["GET /:a", "GET /:a/:b"]);
        let _ = shop.find(&Method::GET, &path);
        let _ = shop.find(&Method::GET, &format!("/{}", String::from_utf8_lossy(&bytes)));
    }
}
