//! The backend's own word, and the memory for tokens that were checked before.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use key0_validator::{AccessToken, Config, Refusal, ServiceValidator, ValidationError, Validator};

use crate::mint::*;

fn value(claims: &str) -> String {
    bearer(HEADER.as_bytes(), claims.as_bytes(), SECRET)
}

#[test]
fn the_hook_has_the_last_word_and_is_asked_only_about_good_tokens() {
    for (refusal, error, status) in [
        (Refusal::Revoked, ValidationError::Revoked, 401),
        (Refusal::AlreadyUsed, ValidationError::AlreadyUsed, 401),
        (Refusal::Unknown, ValidationError::NotChecked, 500),
    ] {
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        let config = config().admit_if(move |token: &AccessToken| {
            count.fetch_add(1, Ordering::Relaxed);
            if token.jti() == "c-77" {
                Err(refusal)
            } else {
                Ok(())
            }
        });
        let validator = Validator::new(config);
        let check = |claims: &str| {
            validator
                .validate_at(value(claims).as_str(), NOW)
                .map(|_| ())
        };
        assert_eq!(error.status(), status);
        assert_eq!(check(CLAIMS), Err(error));
        assert_eq!(check(&CLAIMS.replace("c-77", "c-78")), Ok(()));
        assert!(check(&claims_with("exp", Some("1"))).is_err());
        assert!(check(&claims_with("planId", Some("\"system\""))).is_err());
        let forged = bearer(
            HEADER.as_bytes(),
            CLAIMS.as_bytes(),
            "somebody else's secret, long enough",
        );
        assert!(validator.validate_at(forged.as_str(), NOW).is_err());
        assert_eq!(asked.load(Ordering::Relaxed), 2);
    }
}

/// A backend that takes each of the gateway's own calls once.
#[test]
fn the_hook_can_refuse_what_was_used_before() {
    let seen = Mutex::new(Vec::new());
    let config = config().admit_if(move |token: &AccessToken| {
        let mut seen = seen.lock().map_err(|_| Refusal::Unknown)?;
        if seen.iter().any(|jti| jti == token.jti()) {
            return Err(Refusal::AlreadyUsed);
        }
        seen.push(token.jti().to_owned());
        Ok(())
    });
    let gateway = ServiceValidator::new(config, "us");
    let token = |jti: &str| {
        value(&format!(
            r#"{{"sub":"key0-service","jti":"{jti}","resourceId":"us","planId":"system","txHash":"system-auth","iat":{NOW},"exp":{}}}"#,
            NOW + 60
        ))
    };
    assert!(gateway.validate_at(token("a").as_str(), NOW).is_ok());
    assert!(gateway.validate_at(token("b").as_str(), NOW).is_ok());
    let refused = gateway.validate_at(token("a").as_str(), NOW).unwrap_err();
    assert_eq!(refused, ValidationError::AlreadyUsed);
}

#[test]
fn a_remembered_token_is_still_held_against_clock_and_hook() {
    let revoked = Arc::new(AtomicUsize::new(0));
    let flag = Arc::clone(&revoked);
    let hook = move |_: &AccessToken| match flag.load(Ordering::Relaxed) {
        0 => Ok(()),
        _ => Err(Refusal::Revoked),
    };
    for (config, value) in [
        (config(), value(CLAIMS)),
        (
            Config::rs256(A_PUBLIC).unwrap(),
            rs_bearer(RS_HEADER, CLAIMS, A),
        ),
    ] {
        revoked.store(0, Ordering::Relaxed);
        let validator = Validator::new(config.verified_cache(100).admit_if(hook.clone()));
        let check = |value: &str, now| validator.validate_at(value, now);
        let first = check(&value, NOW).unwrap();
        let second = check(&value, NOW).unwrap();
        assert_eq!(first, second);
        assert_eq!(format!("{first:?}"), format!("{second:?}"));
        assert_eq!(
            check(&value, NOW + 3600),
            Err(ValidationError::Expired { exp: NOW + 3600 })
        );
        revoked.store(1, Ordering::Relaxed);
        assert_eq!(check(&value, NOW), Err(ValidationError::Revoked));
        revoked.store(0, Ordering::Relaxed);
        assert!(check(&value, NOW).is_ok());
    }
}

#[test]
fn nothing_near_a_remembered_token_passes() {
    let validator = Validator::new(config().verified_cache(4));
    let good = value(CLAIMS);
    assert!(validator.validate_at(good.as_str(), NOW).is_ok());
    for at in "Bearer ".len()..good.len() {
        let mut changed = good.clone().into_bytes();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(changed).unwrap();
        for _ in 0..2 {
            assert!(
                validator.validate_at(changed.as_str(), NOW).is_err(),
                "{at}"
            );
        }
    }
    assert!(validator.validate_at(good.as_str(), NOW).is_ok());
}

#[test]
fn validators_of_one_configuration_remember_apart() {
    let base = config().verified_cache(10);
    let strict = Validator::new(base.clone().issuer("https://another.example"));
    let open = Validator::new(base);
    let good = value(CLAIMS);
    assert!(open.validate_at(good.as_str(), NOW).is_ok());
    let refused = strict.validate_at(good.as_str(), NOW).unwrap_err();
    assert_eq!(refused, ValidationError::WrongIssuer);
}
