//! One validator with a cache, shown tokens by eight threads at once while its keys change.

use std::collections::HashSet;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::scope;
use std::time::{Duration, Instant};

use key0_validator::{
    AccessToken, Config, KeySource, Refresh, ValidationError as Error, Validator,
};

use crate::jwks::{document, jwk};
use crate::mint::*;

const THREADS: usize = 8;
/// How long a busy machine may take until a thread is given what is remembered.
const PATIENCE: Duration = Duration::from_secs(30);

/// What some threads find that begin at the same time. A failure of one is the test's; nobody waits for it any more.
fn at_once<T: Send>(work: impl Fn() -> T + Sync) -> Vec<T> {
    let barrier = Barrier::new(THREADS);
    let work = || {
        barrier.wait();
        work()
    };
    scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(work)).collect();
        let found = threads.into_iter().map(|thread| thread.join().unwrap());
        found.collect()
    })
}

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
    let validator = Validator::new(Config::key_source(source.clone()).verified_cache(4));
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
    for round in 0..6 {
        let (key, good, withdrawn) = match round % 2 {
            0 => (&a, &of_a, &of_b),
            _ => (&b, &of_b, &of_a),
        };
        source.load(&document(std::slice::from_ref(key))).unwrap();
        at_once(|| check(good, withdrawn));
    }
}

#[test]
fn keys_may_change_in_the_middle_of_it() {
    let [a, b, c] = keys();
    let documents = [document(&[a, c.clone()]), document(&[b, c])];
    let source = KeySource::by_hand(Refresh::default());
    source.load(&documents[0]).unwrap();
    let validator = Validator::new(Config::key_source(source.clone()).verified_cache(64));
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
    let validator = Validator::new(Config::key_source(source.clone()).verified_cache(1000));
    let value = token("a", A, 1);
    let read = || validator.validate_at(value.as_str(), NOW).unwrap();
    let place = |access: &AccessToken| access.json().as_ptr().addr();
    // A remembered token's claims are the same text in memory, a checked one's are not. All are kept, so that no place is
    // used twice. A slot that another thread is busy with counts as empty, and on a loaded machine it may be for long: so
    // each thread reads until it is given what it was given before.
    let read_until_remembered = || {
        let begun = Instant::now();
        let mut seen = vec![read()];
        while begun.elapsed() < PATIENCE {
            let access = read();
            let is_remembered = seen.iter().any(|other| place(other) == place(&access));
            seen.push(access);
            if is_remembered {
                return seen;
            }
        }
        panic!("nothing is remembered");
    };
    source.load(&document(std::slice::from_ref(&a))).unwrap();
    let before = at_once(read_until_remembered).concat();
    let places: HashSet<_> = before.iter().map(place).collect();
    source.load(&document(&[b, a])).unwrap();
    for access in at_once(|| (0..5).map(|_| read()).collect::<Vec<_>>()).concat() {
        let is_old = places.contains(&place(&access));
        assert!(!is_old, "remembered from the keys before");
    }
}
