//! Fetching over HTTP, from a server that this test is.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use key0_validator::{Config, KeySource, Refresh, Validator};

use crate::jwks::{MAX_JWKS_LEN, document, jwk};
use crate::mint::*;

/// Answers each request with the next of these, the last one for ever. Gives back the requests' heads.
fn serve(answers: Vec<String>) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!(
        "http://{}/.well-known/jwks.json",
        listener.local_addr().unwrap()
    );
    let heads = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&heads);
    std::thread::spawn(move || {
        let mut answers = answers.into_iter().peekable();
        let mut last = String::new();
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            seen.lock().unwrap().push(head(&stream));
            if let Some(answer) = answers.next() {
                last = answer;
            }
            // Whoever has read enough may be gone.
            let _gone = stream.write_all(last.as_bytes());
        }
    });
    (url, heads)
}

fn head(stream: &TcpStream) -> String {
    BufReader::new(stream)
        .lines()
        .map(Result::unwrap)
        .take_while(|line| !line.is_empty())
        .collect::<Vec<_>>()
        .join("\n")
        .to_ascii_lowercase()
}

fn answer(status: &str, headers: &str, body: &str) -> String {
    let len = body.len();
    format!(
        "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {len}\r\n{headers}\r\n{body}"
    )
}

#[test]
fn a_document_is_fetched_with_what_http_says_about_it() {
    let text = document(&[jwk(A_PUBLIC, "a")]);
    let (url, heads) = serve(vec![
        answer(
            "200 OK",
            "etag: \"v1\"\r\ncache-control: public, max-age=0\r\n",
            &text,
        ),
        answer("304 Not Modified", "", ""),
    ]);
    let (tell, told) = channel();
    // The server's max-age counts, so it is fetched again at once.
    let refresh = Refresh::new()
        .floor(Duration::ZERO)
        .observe(move |outcome| drop(tell.send(outcome.to_string())));
    let _keys = KeySource::from_url(url, refresh).unwrap();
    let outcomes: Vec<_> = told.iter().take(2).collect();
    assert_eq!(outcomes, ["keys loaded: 1", "keys unchanged"]);
    let heads = heads.lock().unwrap();
    assert!(heads[0].starts_with("get /.well-known/jwks.json http/1.1"));
    assert!(!heads[0].contains("if-none-match"));
    assert!(heads[1].contains("if-none-match: \"v1\""), "{}", heads[1]);
}

#[test]
fn everything_but_a_document_is_a_failure() {
    let long = "x".repeat(MAX_JWKS_LEN + 1);
    let elsewhere = "location: http://127.0.0.1:1/\r\n";
    for bad in [
        answer("500 Internal Server Error", "", "{\"keys\":[]}"),
        answer("404 Not Found", "", ""),
        answer("302 Found", elsewhere, ""),
        answer("200 OK", "", &long),
        "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{".to_owned(),
        "not http at all\r\n\r\n".to_owned(),
        String::new(),
    ] {
        let (url, heads) = serve(vec![bad.clone()]);
        let keys = KeySource::from_url(url, Refresh::new()).unwrap();
        assert!(reason(&keys).starts_with("http://127.0.0.1:"), "{bad}");
        assert!(!heads.lock().unwrap().is_empty());
    }
    let closed = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let keys = KeySource::from_url(format!("http://{closed}/"), Refresh::new()).unwrap();
    assert!(!reason(&keys).is_empty());
}

/// Why the first fetch failed.
fn reason(keys: &KeySource) -> String {
    let end = Instant::now() + Duration::from_secs(30);
    while keys.last_error().is_none() && Instant::now() < end {
        assert!(keys.wait(Duration::from_millis(5)).is_err());
    }
    keys.last_error().unwrap()
}

/// What a new user meets: each says what is wrong and what to do.
#[test]
fn an_address_without_a_gateways_keys_is_said_to_be_one() {
    for (answer, says) in [
        (
            answer("404 Not Found", "", ""),
            "status 404, there is no document; a gateway has it at /.well-known/jwks.json",
        ),
        (
            answer("301 Moved", "location: https://x.example/keys\r\n", ""),
            "a redirect to https://x.example/keys; redirects are not followed, give the address of the document itself",
        ),
    ] {
        let (url, _) = serve(vec![answer]);
        let keys = KeySource::from_url(url, Refresh::new()).unwrap();
        let reason = reason(&keys);
        assert!(reason.ends_with(says), "{reason}");
    }
    let (url, _) = serve(vec![answer("200 OK", "", "{\"keys\":[]}")]);
    let keys = KeySource::from_url(url, Refresh::new()).unwrap();
    let reason = reason(&keys);
    assert!(
        reason.ends_with("when KEY0_TOKEN_ALGORITHM is RS256"),
        "{reason}"
    );
}

#[test]
fn a_source_with_an_address_is_all_that_a_backend_needs() {
    let (url, _) = serve(vec![answer("200 OK", "", &document(&[jwk(A_PUBLIC, "a")]))]);
    let keys = KeySource::from_url(url, Refresh::default()).unwrap();
    keys.wait(Duration::from_secs(30)).unwrap();
    let validator = Validator::new(Config::key_source(keys));
    let header = r#"{"alg":"RS256","typ":"JWT","kid":"a"}"#;
    let value = rs_bearer(header, CLAIMS, A);
    assert!(validator.validate_at(value.as_str(), NOW).is_ok());
}
