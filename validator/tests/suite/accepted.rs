//! Tokens that must pass, and what is read from them.

use key0_validator::{Config, ValidationError, Validator, key_id};

use crate::mint::{self, *};

#[test]
fn a_good_token_passes_and_its_claims_are_read() {
    let header = bearer(HEADER.as_bytes(), CLAIMS.as_bytes(), SECRET);
    let token = validator().validate_at(header.as_str(), NOW).unwrap();
    assert_eq!(token.sub(), "2f1d0a52-7b0c-4c5e-9a3e-0c5b8f6f2a11");
    assert_eq!(token.jti(), "c-77");
    assert_eq!(token.resource_id(), "default");
    assert_eq!(token.plan_id(), "basic");
    assert_eq!(token.tx_hash(), "0xabc");
    assert_eq!(token.iat(), Some(1_799_999_990));
    assert_eq!(token.exp(), 1_800_003_600);
    assert_eq!(token.iss(), Some("https://seller.example"));
    assert_eq!(
        token.payer(),
        Some("0x70997970C51812dc3A010C7d01b50e0d17dc79C8")
    );
    assert_eq!(token.chain_id(), Some(8453));
}

/// Made once by Python's `hmac` and `hashlib`: the header that the gateway writes, key id included.
#[test]
fn the_golden_token_passes() {
    let token = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6IjFlNWZiYTU4Njc0ZGI0ODUifQ.eyJzdWIiOiIyZjFkMGE1Mi03YjBjLTRjNWUtOWEzZS0wYzViOGY2ZjJhMTEiLCJqdGkiOiJjLTc3IiwicmVzb3VyY2VJZCI6ImRlZmF1bHQiLCJwbGFuSWQiOiJiYXNpYyIsInR4SGFzaCI6IjB4YWJjIiwiaWF0IjoxNzk5OTk5OTkwLCJleHAiOjE4MDAwMDM2MDAsImlzcyI6Imh0dHBzOi8vc2VsbGVyLmV4YW1wbGUiLCJwYXllciI6IjB4NzA5OTc5NzBDNTE4MTJkYzNBMDEwQzdkMDFiNTBlMGQxN2RjNzlDOCIsImNoYWluSWQiOjg0NTN9.A9kEEdRKPgysOeM1fw_sbvAJruU9hsyA8m5SeF7SsLY";
    let header = r#"{"alg":"HS256","typ":"JWT","kid":"1e5fba58674db485"}"#;
    assert_eq!(
        mint::token(header.as_bytes(), CLAIMS.as_bytes(), SECRET),
        token
    );
    assert!(
        validator()
            .validate_at(format!("Bearer {token}").as_str(), NOW)
            .is_ok()
    );
    assert_eq!(key_id(SECRET), "1e5fba58674db485");
}

#[test]
fn every_usual_header_passes() {
    let kid = key_id(SECRET);
    for header in [
        r#"{"alg":"HS256"}"#.to_owned(),
        r#"{"typ":"JWT","alg":"HS256"}"#.to_owned(),
        format!(r#"{{"alg":"HS256","typ":"JWT","kid":"{kid}"}}"#),
        format!(r#"{{"alg":"HS256","kid":"{kid}","typ":"JWT"}}"#),
        format!(r#"{{"alg":"HS256","kid":"{kid}"}}"#),
        format!(r#"{{"kid":"{kid}","alg":"HS256"}}"#),
        format!("{{ \"alg\" : \"HS256\" ,\n\t\"kid\" : \"{kid}\" }}"),
        r#"{"alg":"HS256","kid":"of nobody here"}"#.to_owned(),
        r#"{"alg":"HS256","typ":"jwt"}"#.to_owned(),
        r#"{"alg":"HS256","typ":"at+jwt"}"#.to_owned(),
        r#"{"alg":"HS256","typ":"application/at+JWT"}"#.to_owned(),
        r#"{"alg":"HS256","jku":"https://evil.example","x":[{"y":null}]}"#.to_owned(),
    ] {
        let value = bearer(header.as_bytes(), CLAIMS.as_bytes(), SECRET);
        let result = validator().validate_at(value.as_str(), NOW);
        assert!(result.is_ok(), "{header}: {result:?}");
    }
}

#[test]
fn a_token_under_a_fallback_secret_passes_with_and_without_its_kid() {
    let kid = key_id(OLD_SECRET);
    for header in [
        HEADER,
        &format!(r#"{{"alg":"HS256","typ":"JWT","kid":"{kid}"}}"#),
    ] {
        let value = bearer(header.as_bytes(), CLAIMS.as_bytes(), OLD_SECRET);
        assert!(validator().validate_at(value.as_str(), NOW).is_ok());
        let without = Validator::new(Config::hs256(SECRET).unwrap());
        let refused = without.validate_at(value.as_str(), NOW).unwrap_err();
        assert_eq!(refused, ValidationError::WrongSignature);
    }
}

#[test]
fn a_known_kid_means_exactly_its_key_however_the_header_is_spelt() {
    let kid = key_id(OLD_SECRET);
    for header in [
        format!(r#"{{"alg":"HS256","typ":"JWT","kid":"{kid}"}}"#),
        format!(r#"{{"kid":"{kid}","alg":"HS256"}}"#),
    ] {
        let value = bearer(header.as_bytes(), CLAIMS.as_bytes(), SECRET);
        let refused = validator().validate_at(value.as_str(), NOW).unwrap_err();
        assert_eq!(refused, ValidationError::WrongSignature);
        let value = bearer(header.as_bytes(), CLAIMS.as_bytes(), OLD_SECRET);
        assert!(validator().validate_at(value.as_str(), NOW).is_ok());
    }
}

#[test]
fn the_scheme_compares_without_case_and_takes_more_spaces() {
    let token = token(HEADER.as_bytes(), CLAIMS.as_bytes(), SECRET);
    for scheme in ["Bearer ", "bearer ", "BEARER ", "bEaReR   "] {
        assert!(
            validator()
                .validate_at(format!("{scheme}{token}").as_str(), NOW)
                .is_ok()
        );
    }
}

#[test]
fn claims_may_be_spelt_in_every_way_json_allows() {
    for claims in [
        CLAIMS.replace(',', " ,\r\n\t"),
        claims_with("sub", Some(r#""\u0073ub\ud83d\ude00""#)),
        CLAIMS.replace("\"sub\"", "\"s\\u0075b\""),
        claims_with("scope", Some(r#"{"a":[1,2.5e-3,{"b":null}],"é":"\n"}"#)),
        claims_with("exp", Some("1.8000036e9")),
        claims_with("exp", Some("1e400")),
        claims_with("iat", None),
        claims_with("iss", None),
        claims_with("payer", None),
    ] {
        let value = bearer(HEADER.as_bytes(), claims.as_bytes(), SECRET);
        let result = validator().validate_at(value.as_str(), NOW);
        assert!(result.is_ok(), "{claims}: {result:?}");
    }
}

#[test]
fn escaped_claims_are_read_as_what_they_spell() {
    let claims = claims_with("payer", Some(r#""a\"b\u00e9""#));
    let claims = claims.replace("\"c-77\"", "\"\\u0063-7\\u0037\"");
    let value = bearer(HEADER.as_bytes(), claims.as_bytes(), SECRET);
    let token = validator().validate_at(value.as_str(), NOW).unwrap();
    assert_eq!((token.jti(), token.payer()), ("c-77", Some("a\"bé")));
    assert_eq!(token.plan_id(), "basic");
}

#[test]
fn dates_are_kept_to_the_second() {
    let at = |claims: &str, leeway: u64, now| {
        let config = config()
            .leeway(std::time::Duration::from_secs(leeway))
            .unwrap();
        let value = bearer(HEADER.as_bytes(), claims.as_bytes(), SECRET);
        Validator::new(config)
            .validate_at(value.as_str(), now)
            .map(|_| ())
    };
    let exp = |json| claims_with("exp", Some(json));
    let expired = |exp| Err(ValidationError::Expired { exp });
    assert_eq!(at(&exp("1000"), 0, 999), Ok(()));
    assert_eq!(at(&exp("1000"), 0, 1000), expired(1000));
    assert_eq!(at(&exp("1000"), 30, 1029), Ok(()));
    assert_eq!(at(&exp("1000"), 30, 1030), expired(1000));
    assert_eq!(at(&exp("1000.5"), 0, 1000), Ok(()));
    assert_eq!(at(&exp("1000.5"), 0, 1001), expired(1001));
    assert_eq!(at(&exp("-5"), 0, 0), expired(0));
    assert_eq!(at(&exp("1e99"), 120, u64::MAX - 1), Ok(()));

    let nbf = |json| claims_with("nbf", Some(json));
    assert_eq!(at(&nbf("1000"), 0, 1000), Ok(()));
    assert_eq!(at(&nbf("1000"), 0, 999), Err(ValidationError::NotYetValid));
    assert_eq!(at(&nbf("1000"), 30, 970), Ok(()));
    assert_eq!(at(&nbf("999.5"), 0, 999), Err(ValidationError::NotYetValid));
    assert_eq!(at(&nbf("1e99"), 0, NOW), Err(ValidationError::NotYetValid));
}

#[test]
fn what_is_expected_must_be_there_exactly() {
    let check = |validator: Validator, claims: &str| {
        let value = bearer(HEADER.as_bytes(), claims.as_bytes(), SECRET);
        validator.validate_at(value.as_str(), NOW).map(|_| ())
    };
    let of = |issuer: &str| Validator::new(config().issuer(issuer));
    let expecting = of("https://seller.example")
        .resource("default")
        .plans(["pro", "basic"]);
    assert_eq!(check(expecting, CLAIMS), Ok(()));
    // A slash at the end is not another gateway.
    assert_eq!(check(of("https://seller.example/"), CLAIMS), Ok(()));
    for (validator, error) in [
        (of("https://Seller.example"), ValidationError::WrongIssuer),
        (
            validator().resource("Default"),
            ValidationError::OtherResource,
        ),
        (validator().plans(["basi"]), ValidationError::OtherPlan),
    ] {
        assert_eq!(check(validator, CLAIMS), Err(error));
    }
    let anonymous = claims_with("iss", None);
    assert_eq!(
        check(of("https://seller.example"), &anonymous),
        Err(ValidationError::WrongIssuer)
    );
}

#[test]
fn the_system_clock_is_used_when_no_time_is_given() {
    let value = bearer(
        HEADER.as_bytes(),
        claims_with("exp", Some("1e12")).as_bytes(),
        SECRET,
    );
    assert!(validator().validate(value.as_str()).is_ok());
    assert!(key0_validator::validate_header(value.as_str(), &config()).is_ok());
    let value = bearer(
        HEADER.as_bytes(),
        claims_with("exp", Some("1000")).as_bytes(),
        SECRET,
    );
    let refused = key0_validator::validate_header(value.as_str(), &config()).unwrap_err();
    assert_eq!(
        (refused.code(), refused.status()),
        ("CHALLENGE_EXPIRED", 401)
    );
}

/// What the gateway does, as near as this crate can come: the shared type, minted by `jwt-compact`.
mod minted {
    use jwt_compact::alg::{Hs256, Hs256Key};
    use jwt_compact::{AlgorithmExt, Claims as Minted, Header, UntrustedToken};
    use key0_validator::{Claims, Limits, Period, Quota, Rate, Validator};
    use proptest::prelude::*;

    use crate::mint::*;

    fn mint(claims: &Claims, header: &Header, secret: &str) -> String {
        Hs256
            .token(header, &Minted::new(claims), &Hs256Key::new(secret))
            .unwrap()
    }

    fn claims() -> Claims {
        serde_json::from_str(CLAIMS).unwrap()
    }

    fn metered() -> Claims {
        Claims {
            grant: Some("2f1d0a52-7b0c-4c5e-9a3e-0c5b8f6f2a11".to_owned()),
            limits: Some(Limits {
                quota: Some(Quota::Credit("$5.00".to_owned())),
                rate: Some(Rate {
                    calls: 100,
                    per: Period::Minute,
                }),
                concurrency: Some(10),
            }),
            ..claims()
        }
    }

    #[test]
    fn a_token_of_a_plan_with_limits_tells_them_and_others_have_none() {
        let read = |claims: &Claims| {
            let token = mint(claims, &Header::empty(), SECRET);
            let value = format!("Bearer {token}");
            validator().validate_at(value.as_str(), NOW).unwrap()
        };
        let access = read(&metered());
        assert_eq!(access.grant().as_deref(), metered().grant.as_deref());
        assert_eq!(access.limits(), metered().limits);
        assert_eq!(
            access.raw("limits").unwrap(),
            r#"{"quota":{"credit":"$5.00"},"rate":{"calls":100,"per":"minute"},"concurrency":10}"#
        );
        let access = read(&claims());
        assert_eq!((access.grant(), access.limits()), (None, None));
    }

    #[test]
    fn the_wire_names_are_the_documented_ones() {
        assert_eq!(serde_json::to_string(&claims()).unwrap(), CLAIMS);
        let bare = Claims {
            iss: None,
            payer: None,
            ..claims()
        };
        let json = serde_json::to_value(bare).unwrap();
        assert!(json.get("iss").is_none() && json.get("payer").is_none());
    }

    #[test]
    fn the_validated_token_serialises_to_the_same_claims() {
        for claims in [
            claims(),
            metered(),
            Claims {
                iss: None,
                payer: None,
                ..claims()
            },
        ] {
            let token = mint(&claims, &Header::empty(), SECRET);
            let access = validator()
                .validate_at(format!("Bearer {token}").as_str(), NOW)
                .unwrap();
            assert_eq!(
                serde_json::to_string(&access).unwrap(),
                serde_json::to_string(&claims).unwrap()
            );
        }
    }

    #[test]
    fn dates_first_as_jwt_compact_writes_them_are_read() {
        // Read by it, the dates move into its own members, which it writes before all others.
        let minted: Minted<serde_json::Value> = serde_json::from_str(CLAIMS).unwrap();
        assert!(
            serde_json::to_string(&minted)
                .unwrap()
                .starts_with(r#"{"exp":1800003600,"iat":"#)
        );
        let token = Hs256.token(&Header::empty(), &minted, &Hs256Key::new(SECRET));
        let value = format!("Bearer {}", token.unwrap());
        let access = validator().validate_at(value.as_str(), NOW).unwrap();
        assert_eq!((access.exp(), access.iat()), (NOW + 3600, Some(NOW - 10)));
        assert_eq!(access.plan_id(), "basic");
    }

    proptest! {
        #[test]
        fn whatever_jwt_compact_mints_is_read_back(
            strings in prop::array::uniform7("\\PC{1,40}|[\\x00-\\x7f]{1,20}"),
            (iss, payer) in any::<(bool, bool)>(),
            testnet: bool,
            grant in prop::option::of("\\PC{1,40}"),
            (quota, concurrency) in any::<(Option<u64>, Option<u32>)>(),
            (iat, life) in (0..NOW * 2, 1..NOW),
            (kid, typ, old) in any::<(bool, bool, bool)>(),
        ) {
            let [sub, jti, resource_id, plan_id, tx_hash, iss_text, payer_text] = strings;
            let claims = Claims {
                sub, jti, resource_id, plan_id, tx_hash, iat, exp: iat + life,
                iss: iss.then_some(iss_text), payer: payer.then_some(payer_text),
                chain_id: Some(if testnet { 84532 } else { 8453 }),
                grant: grant.clone(),
                limits: grant.map(|_| Limits {
                    quota: quota.map(Quota::Calls),
                    rate: None,
                    concurrency,
                }),
            };
            let secret = if old { OLD_SECRET } else { SECRET };
            let mut header = Header::empty();
            if kid { header = header.with_key_id(key0_validator::key_id(secret)); }
            if typ { header = header.with_token_type("JWT"); }
            let token = mint(&claims, &header, secret);

            let value = format!("Bearer {token}");
            let validator = Validator::new(config().accept_testnet());
            let access = validator.validate_at(value.as_str(), iat + life - 1).unwrap();
            let read = Claims {
                sub: access.sub().into(),
                jti: access.jti().into(),
                resource_id: access.resource_id().into(),
                plan_id: access.plan_id().into(),
                tx_hash: access.tx_hash().into(),
                iat: access.iat().unwrap(),
                exp: access.exp(),
                iss: access.iss().map(Into::into),
                payer: access.payer().map(Into::into),
                chain_id: access.chain_id(),
                grant: access.grant().map(Into::into),
                limits: access.limits(),
            };
            prop_assert_eq!(&read, &claims);

            // And the other way round: what passes here, passes there, with the same content.
            let untrusted = UntrustedToken::new(&token).unwrap();
            let key = Hs256Key::new(secret);
            let theirs = Hs256.validator::<serde_json::Value>(&key);
            let theirs = theirs.validate(&untrusted).unwrap();
            let theirs = serde_json::to_value(theirs.claims()).unwrap();
            prop_assert_eq!(theirs, serde_json::to_value(&claims).unwrap());
        }
    }
}
