//! Keys that rotate under a running validator. The fetcher is the test: it answers when it is told to.

use core::future::Future;
use core::pin::pin;
use core::task::{Context, Poll, Waker};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use key0_validator::{
    Config, FetchError, Fetched, KeySource, Refresh, ValidationError as Error, Validator,
};

use crate::jwks::{document, jwk};
use crate::mint::*;

const PATIENCE: Duration = Duration::from_secs(30);

/// The far end: sees each fetch begin, with the tag it brings, and answers it.
struct Server {
    begun: Receiver<Option<String>>,
    answers: Sender<Result<Fetched, FetchError>>,
}

impl Server {
    fn new(refresh: Refresh) -> (Self, KeySource) {
        let (begin, begun) = channel();
        let (answers, answer) = channel();
        let fetch = move |etag: Option<&str>| {
            let gone = |_| FetchError("the test is over".to_owned());
            begin.send(etag.map(str::to_owned)).map_err(|_| gone(()))?;
            answer.recv().map_err(|_| gone(()))?
        };
        let source = KeySource::fetching(fetch, refresh).unwrap();
        (Self { begun, answers }, source)
    }

    fn awaits_fetch(&self) -> Option<String> {
        self.begun.recv_timeout(PATIENCE).unwrap()
    }

    fn answer(&self, keys: &[serde_json::Value], etag: Option<&str>) {
        let answer = Fetched::Document {
            text: document(keys),
            etag: etag.map(str::to_owned),
            max_age: None,
        };
        self.answers.send(Ok(answer)).unwrap();
    }
}

fn quick() -> Refresh {
    Refresh {
        floor: Duration::ZERO,
        ..Refresh::default()
    }
}

fn a() -> serde_json::Value {
    jwk(A_PUBLIC, "a")
}

fn b() -> serde_json::Value {
    jwk(B_PUBLIC, "b")
}

/// Good for a long time by the real clock too.
fn token(kid: &str, key: &str) -> String {
    let header = format!(r#"{{"alg":"RS256","typ":"JWT","kid":"{kid}"}}"#);
    rs_bearer(&header, &claims_with("exp", Some("99999999999")), key)
}

fn poll<F: Future>(future: core::pin::Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// Polls until it is ready, without a runtime: what wakes is the thread of the source.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(std::thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: std::sync::Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(std::sync::Arc::new(Unpark(std::thread::current())));
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        std::thread::park();
    }
}

#[test]
fn a_new_key_is_fetched_while_the_request_waits() {
    let (server, keys) = Server::new(quick());
    let validator = Validator::new(Config::keys(keys.clone()));
    assert_eq!(server.awaits_fetch(), None);
    assert_eq!(
        validator.validate(token("a", A).as_str()),
        Err(Error::NoKeys)
    );
    server.answer(&[a()], Some("\"1\""));
    keys.wait(PATIENCE).unwrap();
    assert!(validator.validate(token("a", A).as_str()).is_ok());

    // The gateway changes its key. The first token of the new one waits for the fetch that it causes.
    let new = token("b", B);
    let mut waiting = pin!(validator.validate_fresh(Some(&new)));
    assert!(poll(waiting.as_mut()).is_pending());
    assert_eq!(server.awaits_fetch().as_deref(), Some("\"1\""));
    assert!(poll(waiting.as_mut()).is_pending());
    server.answer(&[b(), a()], Some("\"2\""));
    assert!(block_on(waiting).is_ok());
    assert!(
        validator.validate(token("a", A).as_str()).is_ok(),
        "the old key is published still"
    );
}

#[test]
fn made_up_names_cause_one_fetch_in_the_time_of_the_floor() {
    let (server, keys) = Server::new(Refresh {
        floor: Duration::from_secs(3600),
        ..Refresh::default()
    });
    let validator = Validator::new(Config::keys(keys.clone()));
    server.awaits_fetch();
    server.answer(&[a()], None);
    keys.wait(PATIENCE).unwrap();
    for i in 0..5 {
        let unknown = token(&format!("z{i}"), B);
        let outcome = block_on(validator.validate_fresh(Some(&unknown)));
        assert_eq!(outcome, Err(Error::UnknownKey), "answered at once");
    }
    assert!(server.begun.try_recv().is_err(), "the hour is not over");
}

#[test]
fn keys_stay_good_while_fetches_fail() {
    let (server, keys) = Server::new(quick());
    let validator = Validator::new(Config::keys(keys.clone()));
    server.awaits_fetch();
    server.answer(&[a()], None);
    keys.wait(PATIENCE).unwrap();
    let bad_documents = [
        Err(FetchError("connection refused".to_owned())),
        Ok(Fetched::Unchanged { max_age: None }),
    ];
    for answer in bad_documents {
        let unknown = token("b", B);
        let mut waiting = pin!(validator.validate_fresh(Some(&unknown)));
        assert!(poll(waiting.as_mut()).is_pending());
        server.awaits_fetch();
        server.answers.send(answer).unwrap();
        assert_eq!(block_on(waiting), Err(Error::UnknownKey));
        assert!(validator.validate(token("a", A).as_str()).is_ok());
        assert!(keys.last_error().is_some());
        // A failure is tried again by itself, at once with this floor; let it succeed.
        server.awaits_fetch();
        server.answer(&[a()], None);
    }
    // A document that gives a secret away is not believed, and the old keys stay.
    let unknown = token("b", B);
    let mut waiting = pin!(validator.validate_fresh(Some(&unknown)));
    while poll(waiting.as_mut()).is_pending() {
        if server.begun.recv_timeout(Duration::from_millis(20)).is_ok() {
            server.answer(&[serde_json::json!({"kty": "oct", "k": "AAAA"})], None);
            break;
        }
    }
    assert_eq!(block_on(waiting), Err(Error::UnknownKey));
    assert!(validator.validate(token("a", A).as_str()).is_ok());
}

#[test]
fn who_waits_for_ever_may() {
    let keys = KeySource::by_hand(Refresh::default());
    keys.load(&document(&[a()])).unwrap();
    keys.wait(Duration::MAX).unwrap();
}

#[test]
fn keys_that_are_too_old_are_not_used() {
    let keys = KeySource::by_hand(Refresh {
        max_stale: Duration::ZERO,
        ..Refresh::default()
    });
    let validator = Validator::new(Config::keys(keys.clone()).verified_cache(8));
    keys.load(&document(&[a()])).unwrap();
    let refused = validator.validate(token("a", A).as_str()).unwrap_err();
    assert_eq!(
        (refused, refused.status(), refused.code()),
        (Error::NoKeys, 500, "INTERNAL_ERROR")
    );
    assert!(keys.wait(Duration::ZERO).is_err());
}

#[test]
fn a_withdrawn_key_opens_nothing_more_even_for_a_remembered_token() {
    let keys = KeySource::by_hand(Refresh::default());
    let validator = Validator::new(Config::keys(keys.clone()).verified_cache(8));
    let old = token("a", A);
    keys.load(&document(&[a(), b()])).unwrap();
    for _ in 0..2 {
        assert!(validator.validate(old.as_str()).is_ok());
    }
    assert!(keys.load("{}").is_err());
    assert!(
        validator.validate(old.as_str()).is_ok(),
        "a bad document changes nothing"
    );
    keys.load(&document(&[b()])).unwrap();
    assert_eq!(validator.validate(old.as_str()), Err(Error::UnknownKey));
    let outcome = block_on(validator.validate_fresh(Some(&old)));
    assert_eq!(
        outcome,
        Err(Error::UnknownKey),
        "there is nobody who would fetch"
    );
}

#[test]
fn whoever_waits_is_answered_when_the_source_ends() {
    let (server, keys) = Server::new(quick());
    let waited = std::thread::spawn({
        let keys = keys.clone();
        move || keys.wait(Duration::from_millis(10))
    });
    assert!(waited.join().unwrap().is_err());
    server.awaits_fetch();
    server
        .answers
        .send(Err(FetchError("out of order".to_owned())))
        .unwrap();
    server.awaits_fetch();
    assert_eq!(keys.last_error().as_deref(), Some("out of order"));
    assert_eq!(
        keys.wait(Duration::ZERO),
        Err(FetchError("out of order".to_owned()))
    );
    drop((keys, server.answers));
    // The thread ends, and with it its end of the channel.
    while server.begun.recv_timeout(PATIENCE).is_ok() {}
}

#[test]
fn a_fetch_that_panics_has_failed_and_is_repeated() {
    let mut panics = true;
    let fetch = move |_: Option<&str>| {
        assert!(!core::mem::take(&mut panics), "the fetch of this test");
        Ok(Fetched::Document {
            text: document(&[a()]),
            etag: None,
            max_age: None,
        })
    };
    let source = KeySource::fetching(fetch, quick()).unwrap();
    source.wait(PATIENCE).unwrap();
    let validator = Validator::new(Config::keys(source));
    assert!(validator.validate(token("a", A).as_str()).is_ok());
}
