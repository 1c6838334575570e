//! The gateway's own tokens, and that they and the buyers' never pass for each other.

use key0_validator::{Config, ServiceValidator, ValidationError::*, Validator};

use crate::mint::*;

const AUDIENCE: &str = "https://api.example.com";
const SERVICE: &str = r#"{"sub":"key0-service","jti":"4f0c","resourceId":"https://api.example.com","planId":"system","txHash":"system-auth","iat":1799999990,"exp":1800000050}"#;

fn value(claims: &str) -> String {
    bearer(HEADER.as_bytes(), claims.as_bytes(), SECRET)
}

fn gateway() -> ServiceValidator {
    ServiceValidator::new(config(), AUDIENCE)
}

#[test]
fn the_gateways_token_passes_and_says_what_it_is_for() {
    let token = gateway().validate_at(value(SERVICE).as_str(), NOW).unwrap();
    assert_eq!((token.jti(), token.audience()), ("4f0c", AUDIENCE));
    assert_eq!((token.exp(), token.iss()), (1_800_000_050, None));

    let rsa = ServiceValidator::new(Config::rs256(A_PUBLIC).unwrap(), AUDIENCE);
    let signed = rs_bearer(RS_HEADER, SERVICE, A);
    assert!(rsa.validate_at(signed.as_str(), NOW).is_ok());
}

#[test]
fn neither_passes_for_the_other_under_the_same_key() {
    let validator = Validator::new(config());
    let refused = validator
        .validate_at(value(SERVICE).as_str(), NOW)
        .unwrap_err();
    assert_eq!(refused, ServiceToken);
    let refused = gateway()
        .validate_at(value(CLAIMS).as_str(), NOW)
        .unwrap_err();
    assert_eq!(refused, NotAServiceToken);

    // Nor does anything between the two pass as either.
    for (from, to) in [
        ("system\"", "basic\""),
        ("key0-service", "somebody"),
        ("system-auth", "0xabc"),
    ] {
        let between = value(&SERVICE.replace(from, to));
        let refused = gateway().validate_at(between.as_str(), NOW).unwrap_err();
        assert_eq!(refused, NotAServiceToken, "{to}");
        let refused = validator.validate_at(between.as_str(), NOW).unwrap_err();
        assert_eq!(refused, ServiceToken, "{to}");
    }
}

#[test]
fn it_is_for_one_backend_and_one_minute() {
    for (from, to, expected) in [
        ("https://api.", "https://other.", WrongAudience),
        ("api.example.com", "api.example.com/", WrongAudience),
        ("1800000050", "1800000051", InvalidClaim("exp")),
        ("1800000050", "1800000000", Expired { exp: NOW }),
        ("\"iat\":1799999990,", "", MissingClaim("iat")),
        ("1799999990", "1800000001", NotYetValid),
        ("1799999990", "\"now\"", InvalidClaim("iat")),
        ("\"jti\":\"4f0c\",", "", MissingClaim("jti")),
    ] {
        let refused = gateway()
            .validate_at(value(&SERVICE.replace(from, to)).as_str(), NOW)
            .unwrap_err();
        assert_eq!(refused, expected, "{to}");
    }
    let stranger = bearer(
        HEADER.as_bytes(),
        SERVICE.as_bytes(),
        "a stranger's secret, also long enough",
    );
    assert_eq!(
        gateway().validate_at(stranger.as_str(), NOW).unwrap_err(),
        WrongSignature
    );
    assert_eq!(gateway().validate_at(None, NOW).unwrap_err(), MissingHeader);
}
