//! Fetching over HTTP, from a server that this test is.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use key0_validator::{
    Config, FetchKeys, Fetched, HttpKeys, KeySource, MAX_JWKS_LEN, Refresh, Validator,
};

use crate::jwks::{document, jwk};
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
            "etag: \"v1\"\r\ncache-control: public, max-age=120\r\n",
            &text,
        ),
        answer("304 Not Modified", "", ""),
    ]);
    let mut keys = HttpKeys::new(url).unwrap();
    let expected = Fetched::Document {
        text,
        etag: Some("\"v1\"".to_owned()),
        max_age: Some(Duration::from_secs(120)),
    };
    assert_eq!(keys.fetch(None), Ok(expected));
    assert_eq!(
        keys.fetch(Some("\"v1\"")),
        Ok(Fetched::Unchanged { max_age: None })
    );
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
        let outcome = HttpKeys::new(url).unwrap().fetch(None);
        assert!(outcome.is_err(), "{bad}: {outcome:?}");
        assert!(!heads.lock().unwrap().is_empty());
    }
    let closed = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    assert!(
        HttpKeys::new(format!("http://{closed}/"))
            .unwrap()
            .fetch(None)
            .is_err()
    );
}

#[test]
fn a_source_with_an_address_is_all_that_a_backend_needs() {
    let (url, _) = serve(vec![answer("200 OK", "", &document(&[jwk(A_PUBLIC, "a")]))]);
    let keys = KeySource::from_url(url, Refresh::default()).unwrap();
    keys.wait(Duration::from_secs(30)).unwrap();
    let validator = Validator::new(Config::keys(keys));
    let header = r#"{"alg":"RS256","typ":"JWT","kid":"a"}"#;
    let value = rs_bearer(header, CLAIMS, A);
    assert!(validator.validate_at(value.as_str(), NOW).is_ok());
}
