//! Keys that rotate under a running validator. The fetcher is the test: it answers when it is told to.

use core::future::Future;
use core::pin::pin;
use core::task::{Context, Poll, Waker};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use key0_validator::{
    Config, FetchError, Fetched, KeySource, Refresh, Refusal, ServiceValidator,
    ValidationError as Error, Validator, validate_header,
};

use crate::jwks::{document, jwk};
use crate::mint::*;

const PATIENCE: Duration = Duration::from_secs(30);

/// The far end: sees each fetch begin, with the tag it brings, and answers it.
struct Server {
    begun: Receiver<Option<String>>,
    answers: Sender<Result<Fetched, FetchError>>,
    ended: Receiver<()>,
}

impl Server {
    fn new(refresh: Refresh) -> (Self, KeySource) {
        let (end, ended) = channel();
        let refresh = refresh.observe(move |_| end.send(()).unwrap_or(()));
        Self::observed(refresh, ended)
    }

    fn observed(refresh: Refresh, ended: Receiver<()>) -> (Self, KeySource) {
        let (begin, begun) = channel();
        let (answers, answer) = channel();
        let fetch = move |etag: Option<&str>| {
            let gone = |_| FetchError::new("the test is over".to_owned());
            begin.send(etag.map(str::to_owned)).map_err(|_| gone(()))?;
            answer.recv().map_err(|_| gone(()))?
        };
        let source = KeySource::fetching(fetch, refresh).unwrap();
        let server = Self {
            begun,
            answers,
            ended,
        };
        (server, source)
    }

    fn awaits_fetch(&self) -> Option<String> {
        self.begun.recv_timeout(PATIENCE).unwrap()
    }

    /// Until what it answered is in use.
    fn settles(&self) {
        self.ended.recv_timeout(PATIENCE).unwrap();
    }

    fn answer(&self, keys: &[serde_json::Value], etag: Option<&str>) {
        let answer = Fetched::document(document(keys));
        let answer = match etag {
            Some(etag) => answer.etag(etag),
            None => answer,
        };
        self.answers.send(Ok(answer)).unwrap();
    }
}

fn quick() -> Refresh {
    Refresh::new().floor(Duration::ZERO)
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
    let validator = Validator::new(Config::key_source(keys.clone()));
    assert_eq!(server.awaits_fetch(), None);
    assert_eq!(
        validator.validate(token("a", A).as_str()),
        Err(Error::NoKeys)
    );
    server.answer(&[a()], Some("\"1\""));
    server.settles();
    assert!(validator.validate(token("a", A).as_str()).is_ok());

    // The gateway changes its key. The first token of the new one waits for the fetch that it causes.
    let new = token("b", B);
    let mut waiting = pin!(validator.validate_async(new.as_str()));
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
    let (server, keys) = Server::new(Refresh::new().floor(Duration::from_secs(3600)));
    let validator = Validator::new(Config::key_source(keys.clone()));
    server.awaits_fetch();
    server.answer(&[a()], None);
    keys.wait(PATIENCE).unwrap();
    for i in 0..5 {
        let unknown = token(&format!("z{i}"), B);
        let outcome = block_on(validator.validate_async(unknown.as_str()));
        assert_eq!(outcome, Err(Error::UnknownKey), "answered at once");
    }
    assert!(server.begun.try_recv().is_err(), "the hour is not over");
}

#[test]
fn keys_stay_good_while_fetches_fail() {
    let (server, keys) = Server::new(quick());
    let validator = Validator::new(Config::key_source(keys.clone()));
    server.awaits_fetch();
    server.answer(&[a()], None);
    server.settles();
    let bad_documents = [
        Err(FetchError::new("connection refused".to_owned())),
        Ok(Fetched::unchanged()),
    ];
    for answer in bad_documents {
        let unknown = token("b", B);
        let mut waiting = pin!(validator.validate_async(unknown.as_str()));
        assert!(poll(waiting.as_mut()).is_pending());
        server.awaits_fetch();
        server.answers.send(answer).unwrap();
        assert_eq!(block_on(waiting), Err(Error::UnknownKey));
        assert!(validator.validate(token("a", A).as_str()).is_ok());
        assert!(keys.last_error().is_some());
        // A failure is tried again by itself, at once with this floor; let it succeed.
        server.settles();
        server.awaits_fetch();
        server.answer(&[a()], None);
        server.settles();
    }
    // A document that gives a secret away is not believed, and the old keys stay.
    let unknown = token("b", B);
    let mut waiting = pin!(validator.validate_async(unknown.as_str()));
    assert!(poll(waiting.as_mut()).is_pending());
    server.awaits_fetch();
    server.answer(&[serde_json::json!({"kty": "oct", "k": "AAAA"})], None);
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
    let keys = KeySource::by_hand(Refresh::new().max_stale(Duration::ZERO));
    let validator = Validator::new(Config::key_source(keys.clone()).verified_cache(8));
    keys.load(&document(&[a()])).unwrap();
    let refused = validator.validate(token("a", A).as_str()).unwrap_err();
    assert_eq!((refused.status(), refused.code()), (500, "INTERNAL_ERROR"));
    assert_eq!(refused, Error::NoKeys);
    assert!(keys.wait(Duration::ZERO).is_err());
}

#[test]
fn a_withdrawn_key_opens_nothing_more_even_for_a_remembered_token() {
    let keys = KeySource::by_hand(Refresh::default());
    let validator = Validator::new(Config::key_source(keys.clone()).verified_cache(8));
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
    let outcome = block_on(validator.validate_async(old.as_str()));
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
        .send(Err(FetchError::new("out of order".to_owned())))
        .unwrap();
    server.awaits_fetch();
    assert_eq!(keys.last_error().as_deref(), Some("out of order"));
    assert_eq!(
        keys.wait(Duration::ZERO),
        Err(FetchError::new("out of order".to_owned()))
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
        Ok(Fetched::document(document(&[a()])))
    };
    let source = KeySource::fetching(fetch, quick()).unwrap();
    source.wait(PATIENCE).unwrap();
    let validator = Validator::new(Config::key_source(source));
    assert!(validator.validate(token("a", A).as_str()).is_ok());
}

/// Neither waits, but the fetch that they cause lets in whoever comes after it.
#[test]
fn whoever_cannot_wait_has_the_new_key_fetched_too() {
    let (server, keys) = Server::new(quick());
    server.awaits_fetch();
    server.answer(&[a()], None);
    server.settles();
    let config = Config::key_source(keys.clone());
    let validator = Validator::new(config.clone());
    let service = ServiceValidator::new(config.clone(), "us");
    let request = http::Request::builder()
        .header("authorization", token("b", B))
        .body(())
        .unwrap();
    let new = token("b", B);
    let ways: [(&str, &dyn Fn() -> Option<Error>); 5] = [
        ("validate", &|| validator.validate(new.as_str()).err()),
        ("validate_token", &|| {
            validator
                .validate_token(new.strip_prefix("Bearer ").unwrap())
                .err()
        }),
        ("authorize", &|| {
            validator.authorize(&request).err().map(Into::into)
        }),
        ("service", &|| service.validate(new.as_str()).err()),
        ("one shot", &|| validate_header(new.as_str(), &config).err()),
    ];
    for (name, check) in ways {
        assert_eq!(check(), Some(Error::UnknownKey), "{name}");
        server.awaits_fetch();
        server.answer(&[a()], None);
        server.settles();
    }
}

#[test]
fn a_service_validator_waits_for_a_new_key() {
    let (server, keys) = Server::new(quick());
    server.awaits_fetch();
    server.answer(&[a()], None);
    server.settles();
    let gateway = ServiceValidator::new(Config::key_source(keys), "us");
    let new = token("b", B);
    let mut waiting = pin!(gateway.validate_async(new.as_str()));
    assert!(poll(waiting.as_mut()).is_pending());
    server.awaits_fetch();
    server.answer(&[b(), a()], None);
    let refused = block_on(waiting).unwrap_err();
    assert_eq!(
        refused,
        Error::NotAServiceToken,
        "its signature was checked with the new key"
    );
}

/// The length of a signature is looked at before the name of its key.
#[test]
fn a_new_key_of_another_length_is_fetched_as_well() {
    let (server, keys) = Server::new(quick());
    server.awaits_fetch();
    server.answer(&[a()], None);
    server.settles();
    let validator = Validator::new(Config::key_source(keys.clone()));
    let new = token("c", C);
    let mut waiting = pin!(validator.validate_async(new.as_str()));
    assert!(poll(waiting.as_mut()).is_pending());
    server.awaits_fetch();
    server.answer(&[jwk(C_PUBLIC, "c"), a()], None);
    assert!(block_on(waiting).is_ok());
    // Whoever uses a known name with another length is not worth a fetch.
    let odd = token("a", C);
    assert_eq!(validator.validate(odd.as_str()), Err(Error::WrongSignature));
    let without_c = KeySource::by_hand(Refresh::new());
    without_c.load(&document(&[a()])).unwrap();
    let validator = Validator::new(Config::key_source(without_c));
    assert_eq!(
        validator.validate(odd.as_str()),
        Err(Error::WrongSignatureLength)
    );
}

#[test]
fn the_same_document_again_changes_nothing() {
    let keys = KeySource::by_hand(Refresh::new());
    let validator = Validator::new(Config::key_source(keys.clone()).verified_cache(64));
    keys.load(&document(&[a()])).unwrap();
    let value = token("a", A);
    let place = || {
        let access = validator.validate(value.as_str()).unwrap();
        access.json().as_ptr().addr()
    };
    let first = place();
    keys.load(&document(&[a()])).unwrap();
    assert_eq!(place(), first, "it is remembered still");
    keys.load(&document(&[a(), b()])).unwrap();
    assert_ne!(place(), first);
}

#[test]
fn the_end_of_each_fetch_is_told() {
    let (tell, told) = channel();
    let refresh = quick().observe(move |outcome| {
        tell.send(outcome.to_string()).ok();
        panic!("an observer of this test");
    });
    let (server, _keys) = Server::observed(refresh, channel().1);
    server.awaits_fetch();
    server
        .answers
        .send(Err(FetchError::new("out of order")))
        .unwrap();
    assert_eq!(
        told.recv().unwrap(),
        "keys could not be fetched: out of order"
    );
    server.awaits_fetch();
    let weak = serde_json::json!({"kty": "RSA", "n": "AQAB", "e": "AQAB"});
    server.answer(&[weak, a()], None);
    assert_eq!(
        told.recv().unwrap(),
        "keys loaded: 1; one ignored: the RSA key has 17 bits, it needs 2048 to 8192"
    );
}

#[test]
fn tokens_of_several_gateways_open_one_backend() {
    let (first, second) = (
        KeySource::by_hand(Refresh::new()),
        KeySource::by_hand(Refresh::new()),
    );
    first.load(&document(&[a()])).unwrap();
    let other_key = "another gateway's secret, of its own";
    let shared = Config::hs256(other_key)
        .unwrap()
        .issuer("https://other.example");
    let validator = Validator::new(Config::key_source(first).issuer("https://seller.example"))
        .or(shared)
        .or(Config::key_source(second).issuer("https://third.example"));
    let check = |value: &str| {
        validator
            .validate_at(value, NOW)
            .map(|token| token.iss().map(str::to_owned))
    };
    let of = |iss: &str| CLAIMS.replace("https://seller.example", iss);
    let rs = |claims: &str| rs_bearer(r#"{"alg":"RS256","kid":"a"}"#, claims, A);
    let hs = |claims: &str| bearer(HEADER.as_bytes(), claims.as_bytes(), other_key);
    assert_eq!(
        check(&rs(CLAIMS)),
        Ok(Some("https://seller.example".to_owned()))
    );
    assert_eq!(
        check(&hs(&of("https://other.example"))),
        Ok(Some("https://other.example".to_owned()))
    );
    // One gateway cannot speak for another.
    assert_eq!(check(&hs(CLAIMS)), Err(Error::WrongIssuer));
    assert_eq!(
        check(&rs(&of("https://other.example"))),
        Err(Error::WrongIssuer)
    );
    // What the gateway that knows the token says goes before what the others do not know.
    let late = of("https://other.example").replace("1800003600", "1000");
    assert_eq!(check(&hs(&late)), Err(Error::Expired { exp: 1000 }));
    // And none has a say in what another refuses.
    let revoked = Config::hs256(other_key)
        .unwrap()
        .admit_if(|_| Err(Refusal::Revoked));
    let careless = Config::hs256(other_key).unwrap();
    let both = Validator::new(revoked).or(careless);
    assert_eq!(
        both.validate_at(hs(CLAIMS).as_str(), NOW),
        Err(Error::Revoked)
    );
    // The third has no keys, so whether this is its token cannot be said.
    let unknown = rs_bearer(r#"{"alg":"RS256","kid":"b"}"#, CLAIMS, B);
    assert_eq!(check(&unknown), Err(Error::NoKeys));
}
