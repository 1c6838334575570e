//! One validator with a cache, shown tokens by eight threads at once while its keys change.

use std::collections::HashSet;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::scope;
use std::time::Duration;

use key0_validator::{
    AccessToken, Config, KeySource, Refresh, ValidationError as Error, Validator,
};

use crate::jwks::{document, jwk};
use crate::mint::*;

const THREADS: usize = 8;

fn keys() -> [serde_json::Value; 3] {
    [jwk(A_PUBLIC, "a"), jwk(B_PUBLIC, "b"), jwk(C_PUBLIC, "c")]
}

/// A token whose `jti` is this number.
fn token(kid: &str, key: &str, jti: usize) -> String {
    let header = format!(r#"{{"alg":"RS256","typ":"JWT","kid":"{kid}"}}"#);
    rs_bearer(
        &header,
        &claims_with("jti", Some(&format!("\"{jti}\""))),
        key,
    )
}

/// The same token with the last letter of its claims changed.
fn forged(token: &str) -> String {
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let last = if signed.ends_with('A') { 'Q' } else { 'A' };
    format!("{}{last}.{signature}", &signed[..signed.len() - 1])
}

#[test]
fn every_thread_gets_the_claims_of_its_own_token_and_a_withdrawn_key_opens_nothing() {
    let [a, b, _] = keys();
    let source = KeySource::by_hand(Refresh::default());
    // Fewer slots than tokens, so that threads drive each other's tokens out where they share a part.
    let validator = Validator::new(Config::keys(source.clone()).verified_cache(4));
    let of_a: Vec<_> = (0..6).map(|jti| token("a", A, jti)).collect();
    let of_b: Vec<_> = (0..6).map(|jti| token("b", B, jti)).collect();
    let forged: Vec<_> = of_a
        .iter()
        .chain(&of_b)
        .map(|token| forged(token))
        .collect();

    let check = |good: &[String], withdrawn: &[String]| {
        for _ in 0..5 {
            for (jti, value) in good.iter().enumerate() {
                let access = validator.validate_at(value.as_str(), NOW).unwrap();
                assert_eq!(access.jti(), jti.to_string());
            }
            for value in withdrawn {
                let outcome = validator.validate_at(value.as_str(), NOW);
                assert_eq!(outcome, Err(Error::UnknownKey));
            }
            for value in &forged {
                assert!(validator.validate_at(value.as_str(), NOW).is_err());
            }
        }
    };
    let barrier = Barrier::new(THREADS + 1);
    scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for round in 0..6 {
                    barrier.wait();
                    match round % 2 {
                        0 => check(&of_a, &of_b),
                        _ => check(&of_b, &of_a),
                    }
                    barrier.wait();
                }
            });
        }
        for round in 0..6 {
            let key = if round % 2 == 0 { &a } else { &b };
            source.load(&document(std::slice::from_ref(key))).unwrap();
            barrier.wait();
            barrier.wait();
        }
    });
}

#[test]
fn keys_may_change_in_the_middle_of_it() {
    let [a, b, c] = keys();
    let documents = [document(&[a, c.clone()]), document(&[b, c])];
    let source = KeySource::by_hand(Refresh::default());
    source.load(&documents[0]).unwrap();
    let validator = Validator::new(Config::keys(source.clone()).verified_cache(64));
    let (always, sometimes) = (token("c", C, 1), [token("a", A, 2), token("b", B, 3)]);
    let forged = forged(&always);
    let over = AtomicBool::new(false);
    scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|_| {
                scope.spawn(|| {
                    for _ in 0..40 {
                        let access = validator.validate_at(always.as_str(), NOW);
                        assert_eq!(access.map(|access| access.jti() == "1"), Ok(true));
                        for (value, jti) in sometimes.iter().zip(["2", "3"]) {
                            match validator.validate_at(value.as_str(), NOW) {
                                Ok(access) => assert_eq!(access.jti(), jti),
                                Err(error) => assert_eq!(error, Error::UnknownKey),
                            }
                        }
                        assert!(validator.validate_at(forged.as_str(), NOW).is_err());
                    }
                })
            })
            .collect();
        scope.spawn(|| {
            for document in documents.iter().cycle() {
                source.load(document).unwrap();
                if over.load(Ordering::Relaxed) {
                    break;
                }
                // Long enough for something to be remembered, and short enough to change in the middle of a check.
                std::thread::sleep(Duration::from_millis(2));
            }
        });
        let outcomes: Vec<_> = threads.into_iter().map(|thread| thread.join()).collect();
        over.store(true, Ordering::Relaxed);
        assert!(outcomes.iter().all(Result::is_ok));
    });
}

#[test]
fn each_thread_remembers_and_a_change_of_keys_makes_it_forget() {
    let [a, b, _] = keys();
    let source = KeySource::by_hand(Refresh::default());
    let validator = Validator::new(Config::keys(source.clone()).verified_cache(1000));
    let value = token("a", A, 1);
    let read = || validator.validate_at(value.as_str(), NOW).unwrap();
    let place = |access: &AccessToken| access.json().as_ptr().addr();
    let barrier = Barrier::new(THREADS + 1);
    scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                barrier.wait();
                // A remembered token's claims are the same text in memory, a checked one's are not. All are kept, so that
                // no place is used twice. Where threads share a part the slot may be busy, but not every time.
                let before: Vec<_> = (0..50).map(|_| read()).collect();
                let places: HashSet<_> = before.iter().map(place).collect();
                assert!(places.len() < before.len(), "nothing is remembered");
                barrier.wait();
                barrier.wait();
                let after: Vec<_> = (0..5).map(|_| read()).collect();
                let proven_anew = after.iter().all(|access| !places.contains(&place(access)));
                assert!(proven_anew, "remembered from the keys before");
            });
        }
        source.load(&document(std::slice::from_ref(&a))).unwrap();
        barrier.wait();
        barrier.wait();
        source.load(&document(&[b, a])).unwrap();
        barrier.wait();
    });
}
