//! The gateway's list of the grants that it has taken back.

use key0_validator::testing::{TestIssuer, TestToken};
use key0_validator::{ListError, Revocations, RevokedList, ValidationError, Validator};

use crate::mint::*;

const LIST_HEADER: &str = r#"{"alg":"HS256","typ":"revoked+jwt"}"#;
/// With `a` and `b` on it, whose SHA-256 begin so.
const LIST: &str = r#"{"iss":"https://seller.example","iat":1800000000,"exp":1800000300,"revoked":["ca978112ca1bbdca","3e23e8160039594a"],"truncated":false}"#;

fn list(claims: &str) -> String {
    token(LIST_HEADER.as_bytes(), claims.as_bytes(), SECRET)
}

fn read(text: &str, now: u64) -> Result<RevokedList, ListError> {
    RevokedList::read(text, &config().issuer("https://seller.example/"), now)
}

fn of(grant: &str) -> String {
    let claims = claims_with("grant", Some(&format!("\"{grant}\"")));
    bearer(HEADER.as_bytes(), claims.as_bytes(), SECRET)
}

#[test]
fn a_list_says_which_grants_were_taken_back() {
    let good = read(&list(LIST), NOW).unwrap();
    assert!(good.has("a") && good.has("b") && !good.has("c"));
    assert_eq!((good.is_whole(), good.issued_at()), (true, NOW));
    let empty = LIST.replace(r#""ca978112ca1bbdca","3e23e8160039594a""#, "");
    assert!(!read(&list(&empty), NOW).unwrap().has("a"));
    let cut = LIST.replace(r#""truncated":false"#, r#""truncated":true"#);
    assert!(!read(&list(&cut), NOW).unwrap().is_whole());
    // As long as a list can be.
    let all: Vec<_> = (0..10_000).map(|at| format!("\"{at:016x}\"")).collect();
    let long = LIST.replace(r#""ca978112ca1bbdca""#, &all.join(","));
    assert!(read(&list(&long), NOW).unwrap().has("b"));
}

#[test]
fn what_is_no_list_or_nobodys_or_another_gateways_or_old_is_not_taken() {
    let signed_by = |secret: &str| token(LIST_HEADER.as_bytes(), LIST.as_bytes(), secret);
    assert!(read(&signed_by(OLD_SECRET), NOW).is_ok());
    let foreign = signed_by("another secret that is long enough as well");
    let unsigned = ListError::NotSigned(ValidationError::WrongSignature);
    assert_eq!(read(&foreign, NOW).err(), Some(unsigned));
    // An access token is no list, whatever it claims, and a list is no access token.
    let as_token = token(HEADER.as_bytes(), LIST.as_bytes(), SECRET);
    let other_type = ListError::NotSigned(ValidationError::WrongType);
    assert_eq!(read(&as_token, NOW).err(), Some(other_type.clone()));
    let untyped = token(br#"{"alg":"HS256"}"#, LIST.as_bytes(), SECRET);
    assert_eq!(read(&untyped, NOW).err(), Some(other_type));
    let as_list = bearer(LIST_HEADER.as_bytes(), CLAIMS.as_bytes(), SECRET);
    let refused = validator().validate_at(as_list.as_str(), NOW);
    assert_eq!(refused, Err(ValidationError::WrongType));

    for (now, is_good) in [(NOW + 300, true), (NOW + 301, false), (NOW - 301, false)] {
        let outcome = read(&list(LIST), now).err();
        assert_eq!(outcome, (!is_good).then_some(ListError::TooOld), "{now}");
    }
    let other = LIST.replace("seller", "other");
    assert_eq!(read(&list(&other), NOW).err(), Some(ListError::OtherIssuer));
    for (member, bent) in [
        (r#""revoked":["#, r#""removed":["#),
        (r#""ca978112ca1bbdca""#, "7"),
        (r#""ca978112ca1bbdca""#, r#""ca978112ca1bbdc""#),
        (r#""ca978112ca1bbdca""#, r#""+a978112ca1bbdca""#),
        ("]", ""),
        (r#""iat":1800000000"#, r#""iat":"1800000000""#),
        (r#""iat":1800000000,"#, ""),
        (r#""iss":"https://seller.example","#, ""),
        (r#","truncated":false"#, ""),
        ("false", "0"),
    ] {
        let bent = LIST.replacen(member, bent, 1);
        assert_eq!(
            read(&list(&bent), NOW).err(),
            Some(ListError::NotAList),
            "{bent}"
        );
    }
    for text in ["", "..", &"a".repeat(600_000)] {
        assert!(read(text, NOW).is_err());
    }
}

#[test]
fn a_token_is_refused_when_its_grant_is_on_the_list_and_a_list_never_goes_back() {
    let revocations = Revocations::open();
    let validator = Validator::new(config().verified_cache(8).revocations(revocations.clone()));
    let check = |token: &str, now| validator.validate_at(token, now).map(|_| ());
    let (a, c) = (of("a"), of("c"));
    assert_eq!(check(&a, NOW), Ok(()), "nothing is known");
    revocations
        .replace(read(&list(LIST), NOW).unwrap())
        .unwrap();
    for _ in 0..2 {
        assert_eq!(check(&a, NOW), Err(ValidationError::GrantRevoked));
        assert_eq!(check(&c, NOW), Ok(()));
    }
    let without = bearer(HEADER.as_bytes(), CLAIMS.as_bytes(), SECRET);
    assert_eq!(check(&without, NOW), Ok(()));
    let earlier = LIST
        .replace("1800000000", "1799999999")
        .replace("ca97", "ffff");
    let earlier = read(&list(&earlier), NOW).unwrap();
    assert_eq!(revocations.replace(earlier), Err(ListError::Earlier));
    assert_eq!(check(&a, NOW), Err(ValidationError::GrantRevoked));
    // As old as it gets.
    assert_eq!(check(&a, NOW + 3_000), Err(ValidationError::GrantRevoked));
    assert_eq!(check(&c, NOW + 3_000), Ok(()));
}

#[test]
fn who_is_closed_takes_no_token_with_a_grant_without_a_list_of_the_last_five_minutes() {
    let revocations = Revocations::closed();
    let validator = Validator::new(config().revocations(revocations.clone()));
    let check = |token: &str, now| validator.validate_at(token, now).map(|_| ());
    let (a, c) = (of("a"), of("c"));
    let without = bearer(HEADER.as_bytes(), CLAIMS.as_bytes(), SECRET);
    for token in [&a, &c] {
        assert_eq!(check(token, NOW), Err(ValidationError::NotChecked));
    }
    assert_eq!(check(&without, NOW), Ok(()));
    revocations
        .replace(read(&list(LIST), NOW).unwrap())
        .unwrap();
    assert_eq!(check(&c, NOW + 300), Ok(()));
    assert_eq!(check(&c, NOW + 301), Err(ValidationError::NotChecked));
    assert_eq!(check(&a, NOW + 301), Err(ValidationError::GrantRevoked));
    assert_eq!(check(&without, NOW + 301), Ok(()));
}

#[test]
fn a_list_is_loaded_by_the_clock_with_either_algorithm() {
    for issuer in [TestIssuer::hs256(SECRET).unwrap(), TestIssuer::rs256()] {
        let (config, revocations) = (issuer.config(), Revocations::closed());
        let validator = Validator::new(config.clone().revocations(revocations.clone()));
        let load = |text: &str| revocations.load(text, &config);
        load(&issuer.revoked(&["a", "b"])).unwrap();
        let check = |grant: &str| {
            let token = issuer.bearer(&TestToken::new().grant(grant));
            validator.validate(token.as_str()).map(|_| ())
        };
        assert_eq!(check("b"), Err(ValidationError::GrantRevoked));
        assert_eq!(check("c"), Ok(()));
        assert!(load(&list(LIST)).is_err(), "it is of another time");
        assert!(format!("{revocations:?}").contains("Some(2)"));
    }
}
