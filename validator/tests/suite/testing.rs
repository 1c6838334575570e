//! Tokens for the tests of backends.

use key0_validator::testing::{TestIssuer, TestToken};
use key0_validator::{Config, KeySource, Refresh, ServiceValidator, ValidationError, Validator};

const SECRET: &str = "a secret of 32 bytes or more, for tests";

/// What the handler of a backend may look like.
fn greet(token: &key0_validator::AccessToken) -> String {
    format!("Hello, {} of {}.", token.plan_id(), token.resource_id())
}

#[test]
fn a_handler_is_tested_in_five_lines() {
    let issuer = TestIssuer::hs256(SECRET).unwrap();
    let token = issuer.mint(&TestToken::new().plan("pro").resource("weather"));
    let token = Validator::new(issuer.config())
        .validate_token(&token)
        .unwrap();
    assert_eq!(greet(&token), "Hello, pro of weather.");
}

#[test]
fn tokens_of_both_kinds_are_as_a_gateways() {
    for issuer in [TestIssuer::hs256(SECRET).unwrap(), TestIssuer::rs256()] {
        let validator = Validator::new(issuer.config().issuer("https://seller.example"));
        let check = |token: TestToken| validator.validate(issuer.bearer(&token).as_str());
        let token = check(TestToken::new()).unwrap();
        assert_eq!(token.chain_id(), Some(8453));
        assert!(token.payer().is_some() && token.iat().is_some());
        let odd = "a \"b\" \\ \u{1} \u{e9}";
        assert_eq!(check(TestToken::new().id(odd)).unwrap().jti(), odd);
        let own = check(TestToken::new().claim("seats", "[5]")).unwrap();
        assert_eq!(own.raw("seats"), Some("[5]"));
        assert_eq!(
            check(TestToken::new().chain(84532)),
            Err(ValidationError::TestMoney)
        );
        let elsewhere = TestToken::new().issuer("https://x.example");
        assert_eq!(check(elsewhere), Err(ValidationError::WrongIssuer));
        let missing = TestToken::new().without("planId");
        assert_eq!(check(missing), Err(ValidationError::MissingClaim("planId")));
        assert_eq!(
            check(TestToken::new().expired()).unwrap_err().code(),
            "CHALLENGE_EXPIRED"
        );
        assert_eq!(
            check(TestToken::new().expires_in(0)).unwrap_err().code(),
            "CHALLENGE_EXPIRED"
        );

        let service = issuer.bearer(&TestToken::service("https://api.example"));
        let gateway = ServiceValidator::new(issuer.config(), "https://api.example");
        assert!(gateway.validate(service.as_str()).is_ok());
        assert_eq!(
            validator.validate(service.as_str()),
            Err(ValidationError::ServiceToken)
        );
    }
}

#[test]
fn keys_come_as_a_gateway_publishes_them() {
    let issuer = TestIssuer::rs256();
    let keys = KeySource::by_hand(Refresh::new());
    keys.load(&issuer.jwks()).unwrap();
    let validator = Validator::new(Config::key_source(keys));
    assert!(
        validator
            .validate(issuer.bearer(&TestToken::new()).as_str())
            .is_ok()
    );
    let other = TestIssuer::rs256();
    let refused = validator.validate(other.bearer(&TestToken::new()).as_str());
    assert_eq!(refused, Err(ValidationError::UnknownKey));
    assert_eq!(TestIssuer::hs256(SECRET).unwrap().jwks(), r#"{"keys":[]}"#);
}
