//! Our keys in `jwt-compact`, against its own and against ourselves.

use jwt_compact::alg::{Hs256 as Theirs, Hs256Key};
use jwt_compact::{AlgorithmExt, Claims, Header, UntrustedToken};
use key0_validator::jwt_compact::{Hs256, PublicKey, Rs256, SecretKey};
use key0_validator::{Config, Validator};
use serde_json::Value;

use crate::mint::*;

fn claims() -> Claims<Value> {
    Claims::new(serde_json::from_str(CLAIMS).unwrap())
}

#[test]
fn tokens_under_our_secret_are_the_same_and_pass_both_ways() {
    let (ours, theirs) = (SecretKey::new(SECRET).unwrap(), Hs256Key::new(SECRET));
    let token = Hs256.token(&Header::empty(), &claims(), &ours).unwrap();
    assert_eq!(
        token,
        Theirs.token(&Header::empty(), &claims(), &theirs).unwrap()
    );
    let untrusted = UntrustedToken::new(&token).unwrap();
    assert!(Hs256.validator::<Value>(&ours).validate(&untrusted).is_ok());
    let other = SecretKey::new(OLD_SECRET).unwrap();
    assert!(
        Hs256
            .validator::<Value>(&other)
            .validate(&untrusted)
            .is_err()
    );
    let value = format!("Bearer {token}");
    assert!(validator().validate_at(value.as_str(), NOW).is_ok());
    assert!(SecretKey::new("short").is_err());
    assert!(!format!("{ours:?}").contains("current"));
}

#[test]
fn a_public_key_checks_what_its_private_half_signed() {
    let value = rs_bearer(RS_HEADER, CLAIMS, A);
    let untrusted = UntrustedToken::new(value.strip_prefix("Bearer ").unwrap()).unwrap();
    let check = |pem| {
        let key = PublicKey::from_pem(pem).unwrap();
        Rs256.validator::<Value>(&key).validate(&untrusted).is_ok()
    };
    assert!(check(A_PUBLIC));
    assert!(!check(B_PUBLIC));
    assert!(PublicKey::from_pem(A).is_err());
    let ours = Validator::new(Config::rs256(A_PUBLIC).unwrap());
    assert!(ours.validate_at(value.as_str(), NOW).is_ok());
}
