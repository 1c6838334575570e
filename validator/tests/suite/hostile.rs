//! A table of tokens and headers that must be refused, and why each is.

use key0_validator::Flaw::{WrongType as WrongType_, *};
use key0_validator::ValidationError::{self, *};

use crate::mint::*;

fn refused(authorization: &str) -> ValidationError {
    match validator().validate_at(authorization, NOW) {
        Ok(token) => panic!("{authorization} passed as {token:?}"),
        Err(error) => error,
    }
}

#[test]
fn no_header_is_said_to_be_missing() {
    assert_eq!(
        validator().validate_at(None, NOW).unwrap_err(),
        MissingHeader
    );
}

#[test]
fn headers_that_are_not_bearer_and_one_token_are_refused() {
    let token = token(HEADER.as_bytes(), CLAIMS.as_bytes(), SECRET);
    let (unsigned, signature) = token.rsplit_once('.').unwrap();
    let (header, payload) = unsigned.split_once('.').unwrap();
    let long = "A".repeat(8192);
    let long_header = "A".repeat(1025);
    for (authorization, expected) in [
        (String::new(), WrongScheme),
        (" ".to_owned(), WrongScheme),
        (token.clone(), WrongScheme),
        (format!("Basic {token}"), WrongScheme),
        (format!("Bearer:{token}"), WrongScheme),
        (format!("Bearer\t{token}"), WrongScheme),
        (format!(" Bearer {token}"), WrongScheme),
        (format!("Bearer{token}"), WrongScheme),
        (format!("Bearer,Bearer {token}"), WrongScheme),
        (format!("ſBearer {token}"), WrongScheme),
        ("Bearer".to_owned(), NotOneToken),
        ("Bearer  ".to_owned(), NotOneToken),
        (format!("Bearer {token} "), NotOneToken),
        (format!("Bearer {token}\n"), NotOneToken),
        (format!("Bearer \t{token}"), NotOneToken),
        (format!("Bearer {token} {token}"), NotOneToken),
        (format!("Bearer {token},{token}"), NotOneToken),
        (format!("Bearer {token}, Bearer {token}"), NotOneToken),
        (format!("Bearer \"{token}\""), NotOneToken),
        (format!("Bearer {token};"), NotOneToken),
        (format!("Bearer {token}\u{e9}"), NotOneToken),
        (format!("Bearer {token}\0"), NotOneToken),
        (format!("Bearer {long}"), TooLong),
        (long.clone() + "A", TooLong),
        ("Bearer x".to_owned(), NotAJwt),
        ("Bearer .".to_owned(), NotAJwt),
        ("Bearer ...".to_owned(), NotAJwt),
        (format!("Bearer {}", &long[..8000]), NotAJwt),
        (format!("Bearer {payload}"), NotAJwt),
        (format!("Bearer {header}.{payload}"), NotAJwt),
        (format!("Bearer {header}.{signature}"), NotAJwt),
        (
            format!("Bearer {header}.{payload}.{signature}.{signature}"),
            WrongSignature,
        ),
        (format!("Bearer {header}.{payload}.{signature}."), NotAJwt),
        (format!("Bearer .{token}"), MalformedHeader(NotAnObject)),
        ("Bearer ..".to_owned(), WrongSignatureLength),
        (format!("Bearer {header}.{payload}."), WrongSignatureLength),
        (
            format!("Bearer {header}.{payload}.{signature}A"),
            WrongSignatureLength,
        ),
        (
            format!("Bearer {header}.{payload}.{}", &signature[1..]),
            WrongSignatureLength,
        ),
        (format!("Bearer {token}="), WrongSignatureLength),
        (
            format!("Bearer {header}.{payload}.{}", &long[..342]),
            WrongSignatureLength,
        ),
        (
            format!("Bearer {header}.{payload}.{}=", &signature[..42]),
            MalformedSignature,
        ),
        (
            format!("Bearer {header}.{payload}.{}+", &signature[..42]),
            MalformedSignature,
        ),
        (
            format!("Bearer {header}.{payload}.{}", "B".repeat(43)),
            MalformedSignature,
        ),
        (
            format!("Bearer {header}.{payload}.{}", "A".repeat(43)),
            WrongSignature,
        ),
        (format!("Bearer {header}..{signature}"), WrongSignature),
        (
            format!("Bearer {header}.{payload}=.{signature}"),
            WrongSignature,
        ),
        (
            format!("Bearer {long_header}.{payload}.{signature}"),
            MalformedHeader(TooBig),
        ),
        (
            format!("Bearer {}.{payload}.{signature}", &long[..1021]),
            MalformedHeader(NotBase64Url),
        ),
    ] {
        assert_eq!(refused(&authorization), expected, "{authorization:?}");
    }
}

#[test]
fn headers_of_the_token_that_break_a_rule_are_refused() {
    let deep = format!(
        r#"{{"alg":"HS256","x":{}{}}}"#,
        "[".repeat(40),
        "]".repeat(40)
    );
    let wide: String = (0..40).map(|i| format!(r#","{i}":0"#)).collect();
    let wide = format!(r#"{{"alg":"HS256"{wide}}}"#);
    for (header, expected) in [
        (r#"{"alg":"none"}"#, WrongAlgorithm),
        (r#"{"alg":"None","typ":"JWT"}"#, WrongAlgorithm),
        (r#"{"alg":""}"#, WrongAlgorithm),
        (r#"{"alg":"hs256"}"#, WrongAlgorithm),
        (r#"{"alg":"HS256 "}"#, WrongAlgorithm),
        (r#"{"alg":"HS384"}"#, WrongAlgorithm),
        (r#"{"alg":"RS256"}"#, WrongAlgorithm),
        (r#"{}"#, WrongAlgorithm),
        (r#"{"typ":"JWT"}"#, WrongAlgorithm),
        (r#"{"Alg":"HS256"}"#, WrongAlgorithm),
        (r#"{"alg":null}"#, MalformedHeader(WrongType_)),
        (r#"{"alg":["HS256"]}"#, MalformedHeader(WrongType_)),
        (r#"{"alg":256}"#, MalformedHeader(WrongType_)),
        (r#"{"alg":"HS256","typ":null}"#, MalformedHeader(WrongType_)),
        (r#"{"alg":"HS256","kid":1}"#, MalformedHeader(WrongType_)),
        (r#"{"alg":"HS256","kid":{}}"#, MalformedHeader(WrongType_)),
        (r#"{"alg":"HS256","typ":"JWE"}"#, ValidationError::WrongType),
        (
            r#"{"alg":"HS256","typ":"dpop+jwt"}"#,
            ValidationError::WrongType,
        ),
        (r#"{"alg":"HS256","typ":""}"#, ValidationError::WrongType),
        (
            r#"{"alg":"HS256","crit":["exp"],"exp":1}"#,
            ForbiddenHeader("crit"),
        ),
        (r#"{"alg":"HS256","crit":[]}"#, ForbiddenHeader("crit")),
        (r#"{"alg":"HS256","crit":null}"#, ForbiddenHeader("crit")),
        (r#"{"alg":"HS256","b64":true}"#, ForbiddenHeader("b64")),
        (
            r#"{"alg":"HS256","b64":false,"crit":["b64"]}"#,
            ForbiddenHeader("crit"),
        ),
        (r#"{"alg":"HS256","enc":"A256GCM"}"#, ForbiddenHeader("enc")),
        (r#"{"alg":"HS256","zip":"DEF"}"#, ForbiddenHeader("zip")),
        (
            r#"{"alg":"none","alg":"HS256"}"#,
            MalformedHeader(DuplicateName),
        ),
        (
            r#"{"alg":"HS256","alg":"HS256"}"#,
            MalformedHeader(DuplicateName),
        ),
        (
            r#"{"alg":"HS256","kid":"a","kid":"b"}"#,
            MalformedHeader(DuplicateName),
        ),
        (
            r#"{"alg":"HS256","al\u0067":"none"}"#,
            MalformedHeader(DuplicateName),
        ),
        (r#"{"\u0061lg":"HS256"}"#, MalformedHeader(EscapedName)),
        (
            r#"{"alg":"HS256","\u0063rit":["x"]}"#,
            MalformedHeader(EscapedName),
        ),
        (r#"{"alg":"HS256"} "x""#, MalformedHeader(NotAnObject)),
        (
            r#"{"alg":"HS256"}{"alg":"none"}"#,
            MalformedHeader(NotAnObject),
        ),
        (r#"{"alg":"HS256",}"#, MalformedHeader(NotAnObject)),
        (r#"{"alg":"HS256""#, MalformedHeader(NotAnObject)),
        (r#"{'alg':'HS256'}"#, MalformedHeader(NotAnObject)),
        (r#"["HS256"]"#, MalformedHeader(NotAnObject)),
        (r#""HS256""#, MalformedHeader(NotAnObject)),
        ("", MalformedHeader(NotAnObject)),
        ("\u{feff}{\"alg\":\"HS256\"}", MalformedHeader(NotAnObject)),
        (&deep, MalformedHeader(TooBig)),
        (&wide, MalformedHeader(TooBig)),
    ] {
        let authorization = bearer(header.as_bytes(), CLAIMS.as_bytes(), SECRET);
        assert_eq!(refused(&authorization), expected, "{header}");
    }
    let authorization = bearer(
        b"{\"alg\":\"HS256\",\"x\":\"\xff\"}",
        CLAIMS.as_bytes(),
        SECRET,
    );
    assert_eq!(refused(&authorization), MalformedHeader(NotUtf8));
}

#[test]
fn a_token_is_as_long_as_it_may_be_with_and_without_a_scheme() {
    let validator = validator();
    for len in 8184..8194 {
        let token = "A".repeat(len);
        let alone = validator.validate_token(&token).unwrap_err();
        let in_header = validator.validate(format!("Bearer {token}").as_str());
        assert_eq!(in_header.unwrap_err(), alone, "{len}");
    }
}

#[test]
fn the_shape_of_the_header_is_judged_before_the_signature() {
    let header = bearer(
        br#"{"alg":"none"}"#,
        CLAIMS.as_bytes(),
        "another secret, as long as they must be",
    );
    assert_eq!(refused(&header), WrongAlgorithm);
}

#[test]
fn claims_that_break_a_rule_are_refused() {
    let with = |name: &str, json: &str| claims_with(name, Some(json));
    let without = |name: &str| claims_with(name, None);
    let twice = |member: &str| CLAIMS.replacen('{', &format!("{{{member},"), 1);
    for (claims, expected) in [
        (without("sub"), MissingClaim("sub")),
        (without("jti"), MissingClaim("jti")),
        (without("resourceId"), MissingClaim("resourceId")),
        (without("planId"), MissingClaim("planId")),
        (without("txHash"), MissingClaim("txHash")),
        (without("exp"), MissingClaim("exp")),
        ("{}".to_owned(), MissingClaim("sub")),
        (CLAIMS.replace("planId", "planID"), MissingClaim("planId")),
        (CLAIMS.replace("planId", "plan_id"), MissingClaim("planId")),
        (format!(r#"{{"claims":{CLAIMS}}}"#), MissingClaim("sub")),
        (with("sub", "\"\""), InvalidClaim("sub")),
        (with("sub", "1"), InvalidClaim("sub")),
        (with("jti", "null"), InvalidClaim("jti")),
        (
            with("resourceId", "[\"default\"]"),
            InvalidClaim("resourceId"),
        ),
        (with("planId", "true"), InvalidClaim("planId")),
        (with("txHash", "{}"), InvalidClaim("txHash")),
        (with("iss", "1"), InvalidClaim("iss")),
        (with("payer", "null"), InvalidClaim("payer")),
        (with("exp", "\"1800003600\""), InvalidClaim("exp")),
        (with("exp", "null"), InvalidClaim("exp")),
        (with("exp", "true"), InvalidClaim("exp")),
        (with("exp", "[1800003600]"), InvalidClaim("exp")),
        (with("exp", "{}"), InvalidClaim("exp")),
        (with("iat", "\"now\""), InvalidClaim("iat")),
        (with("nbf", "\"0\""), InvalidClaim("nbf")),
        (with("nbf", "false"), InvalidClaim("nbf")),
        (with("nbf", "1800000001"), NotYetValid),
        (with("exp", "1800000000"), Expired { exp: NOW }),
        (with("exp", "0"), Expired { exp: 0 }),
        (with("exp", "-1"), Expired { exp: 0 }),
        (with("exp", "1e-9"), Expired { exp: 1 }),
        (with("planId", "\"system\""), ServiceToken),
        (with("planId", r#""\u0073ystem""#), ServiceToken),
        (
            CLAIMS.replace("basic", "system").replace("1800003600", "1"),
            ServiceToken,
        ),
        (twice("\"planId\":\"pro\""), MalformedClaims(DuplicateName)),
        (twice("\"exp\":9999999999"), MalformedClaims(DuplicateName)),
        (
            twice("\"pl\\u0061nId\":\"pro\""),
            MalformedClaims(DuplicateName),
        ),
        (twice("\"x\":1,\"x\":1"), MalformedClaims(DuplicateName)),
        (
            twice("\"x\":{\"y\":1,\"y\":1}"),
            MalformedClaims(DuplicateName),
        ),
        (with("exp", "01800003600"), MalformedClaims(NotAnObject)),
        (with("exp", "+1800003600"), MalformedClaims(NotAnObject)),
        (with("exp", "0x6b49d200"), MalformedClaims(NotAnObject)),
        (with("exp", "Infinity"), MalformedClaims(NotAnObject)),
        (with("exp", "1800003600."), MalformedClaims(NotAnObject)),
        (with("sub", "\"\\ud800\""), MalformedClaims(NotAnObject)),
        (with("sub", "\"a\nb\""), MalformedClaims(NotAnObject)),
        (format!("{CLAIMS}{CLAIMS}"), MalformedClaims(NotAnObject)),
        (format!("{CLAIMS},"), MalformedClaims(NotAnObject)),
        (format!("{CLAIMS}\0"), MalformedClaims(NotAnObject)),
        (format!("\u{feff}{CLAIMS}"), MalformedClaims(NotAnObject)),
        (format!("[{CLAIMS}]"), MalformedClaims(NotAnObject)),
        (
            CLAIMS[..CLAIMS.len() - 1].to_owned(),
            MalformedClaims(NotAnObject),
        ),
        (CLAIMS.replace('"', "'"), MalformedClaims(NotAnObject)),
        ("null".to_owned(), MalformedClaims(NotAnObject)),
        (String::new(), MalformedClaims(NotAnObject)),
        (
            with("x", &format!("{}{}", "[".repeat(99), "]".repeat(99))),
            MalformedClaims(TooBig),
        ),
    ] {
        let authorization = bearer(HEADER.as_bytes(), claims.as_bytes(), SECRET);
        assert_eq!(refused(&authorization), expected, "{claims}");
    }
}

#[test]
fn signed_payloads_that_are_not_canonical_base64url_of_utf_8_are_refused() {
    let encoded = token(HEADER.as_bytes(), CLAIMS.as_bytes(), SECRET);
    let header = encoded.split('.').next().unwrap();
    let signed = |payload: &str| format!("Bearer {}", sign(&format!("{header}.{payload}"), SECRET));
    // `e30` is `{}`; `e31` differs in bits that no encoder sets.
    assert_eq!(refused(&signed("e30")), MissingClaim("sub"));
    for payload in [
        "e31", "e30=", "e3", "e", "e30A=", "e3.0", "e3+0", "e3/0", "%7B%7D",
    ] {
        assert_eq!(
            refused(&signed(payload)),
            MalformedClaims(NotBase64Url),
            "{payload}"
        );
    }
    let broken = bearer(HEADER.as_bytes(), b"{\"sub\":\"\xc3\x28\"}", SECRET);
    assert_eq!(refused(&broken), MalformedClaims(NotUtf8));
}

#[test]
fn nothing_is_said_about_claims_under_a_foreign_signature() {
    let expired = claims_with("exp", Some("1"));
    for claims in [expired.as_str(), "{}", "not even JSON"] {
        for header in [HEADER, r#"{"alg":"HS256","kid":"unknown"}"#] {
            let forged = bearer(
                header.as_bytes(),
                claims.as_bytes(),
                "a secret that only the forger has",
            );
            assert_eq!(refused(&forged), WrongSignature);
        }
    }
}
