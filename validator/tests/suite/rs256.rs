//! Tokens signed with an RSA key, and the mistakes with keys that are refused at start.

use key0_validator::{Config, ConfigError, ValidationError, Validator};

use crate::mint::*;

fn check(config: &Config, value: &str) -> Result<(), ValidationError> {
    let validator = Validator::new(config.clone());
    validator.validate_at(value, NOW).map(|_| ())
}

#[test]
fn a_good_token_passes_whatever_the_form_of_the_key() {
    let value = rs_bearer(RS_HEADER, CLAIMS, A);
    for pem in [
        A_PUBLIC.to_owned(),
        include_str!("../keys/a.pkcs1.pub.pem").to_owned(),
        A_PUBLIC.replace('\n', "\\n"),
        format!("{B_PUBLIC}{A_PUBLIC}{C_PUBLIC}"),
    ] {
        assert_eq!(
            check(&Config::rs256(&pem).unwrap(), &value),
            Ok(()),
            "{pem}"
        );
    }
    let other = Config::rs256(B_PUBLIC).unwrap();
    assert_eq!(check(&other, &value), Err(ValidationError::WrongSignature));
}

#[test]
fn keys_of_all_sizes_stand_side_by_side() {
    let config = Config::rs256(A_PUBLIC).unwrap();
    let config = config
        .fallback_key(C_PUBLIC)
        .unwrap()
        .fallback_key(B_PUBLIC)
        .unwrap();
    for key in [A, B, C, B, A] {
        assert_eq!(check(&config, &rs_bearer(RS_HEADER, CLAIMS, key)), Ok(()));
    }
    // So short that its only other dot is where the last one of a longer signature would be.
    for len in 0..400 {
        let claims = "x".repeat(len);
        let refused = check(&config, &rs_bearer(r#"{"alg":"RS256"}"#, &claims, A)).unwrap_err();
        assert!(
            matches!(refused, ValidationError::MalformedClaims(_)),
            "{len}: {refused:?}"
        );
    }
}

#[test]
fn the_thumbprint_names_a_key() {
    let config = Config::rs256(A_PUBLIC)
        .unwrap()
        .fallback_key(B_PUBLIC)
        .unwrap();
    let shown = format!("{config:?}");
    let kids: Vec<&str> = shown.split('"').filter(|text| text.len() == 43).collect();
    let [a, b] = kids[..] else { panic!("{shown}") };
    for (header, of_a, of_b) in [
        (
            format!(r#"{{"alg":"RS256","kid":"{a}","typ":"JWT"}}"#),
            true,
            false,
        ),
        (format!(r#"{{"kid":"{a}","alg":"RS256"}}"#), true, false),
        (format!(r#"{{"alg":"RS256","kid":"{b}"}}"#), false, true),
        (
            r#"{"alg":"RS256","kid":"of another namer"}"#.to_owned(),
            true,
            true,
        ),
    ] {
        assert_eq!(
            check(&config, &rs_bearer(&header, CLAIMS, A)).is_ok(),
            of_a,
            "{header}"
        );
        assert_eq!(
            check(&config, &rs_bearer(&header, CLAIMS, B)).is_ok(),
            of_b,
            "{header}"
        );
    }
}

#[test]
fn the_token_has_no_say_in_the_algorithm() {
    let rsa = Config::rs256(A_PUBLIC).unwrap();
    let shared = config();
    for header in [
        HEADER,
        r#"{"alg":"none"}"#,
        r#"{"alg":"PS256"}"#,
        r#"{"alg":"RS384"}"#,
    ] {
        let value = rs_bearer(header, CLAIMS, A);
        assert_eq!(
            check(&rsa, &value),
            Err(ValidationError::WrongAlgorithm),
            "{header}"
        );
        assert_eq!(
            check(&shared, &value),
            Err(ValidationError::WrongSignatureLength)
        );
    }
    // The classic: HMAC under the text of the public key, which everybody has.
    for header in [HEADER, RS_HEADER] {
        let value = bearer(header.as_bytes(), CLAIMS.as_bytes(), A_PUBLIC);
        assert_eq!(
            check(&rsa, &value),
            Err(ValidationError::WrongSignatureLength)
        );
    }
}

#[test]
fn no_byte_of_a_token_can_be_changed() {
    let validator = Validator::new(Config::rs256(A_PUBLIC).unwrap());
    let good = rs_bearer(RS_HEADER, CLAIMS, A);
    for at in "Bearer ".len()..good.len() {
        for byte in [b'A', b'B', b'-', b'.', b'=', b'z', good.as_bytes()[at] ^ 1] {
            if byte != good.as_bytes()[at] {
                let mut changed = good.clone().into_bytes();
                changed[at] = byte;
                let changed = String::from_utf8(changed).unwrap();
                assert!(
                    validator.validate_at(changed.as_str(), NOW).is_err(),
                    "{at}: {byte}"
                );
            }
        }
    }
}

#[test]
fn mistaken_keys_are_refused_at_start() {
    let refusal = |pem: &str| Config::rs256(pem).err();
    for (pem, expected) in [
        ("", ConfigError::NotPem),
        (SECRET, ConfigError::NotPem),
        (A, ConfigError::PrivateKey),
        (
            "-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----",
            ConfigError::PrivateKey,
        ),
        (include_str!("../keys/a.crt.pem"), ConfigError::Certificate),
        (include_str!("../keys/ec.pub.pem"), ConfigError::NotRsa),
        (
            include_str!("../keys/weak.pub.pem"),
            ConfigError::RsaKeySize { bits: 1024 },
        ),
        (
            "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----",
            ConfigError::NotRsa,
        ),
        (
            "-----BEGIN DH PARAMETERS-----\nAAAA\n-----END DH PARAMETERS-----",
            ConfigError::NotRsa,
        ),
        (&A_PUBLIC[..200], ConfigError::NotPem),
        (&format!("{A_PUBLIC}{A_PUBLIC}"), ConfigError::DuplicateKey),
        (&format!("{A_PUBLIC}{A}"), ConfigError::PrivateKey),
    ] {
        assert_eq!(refusal(pem), Some(expected), "{pem}");
    }
    let rsa = Config::rs256(A_PUBLIC).unwrap();
    assert_eq!(
        rsa.clone().fallback_key(A_PUBLIC).err(),
        Some(ConfigError::DuplicateKey)
    );
    assert_eq!(
        rsa.fallback_secret(SECRET).err(),
        Some(ConfigError::OtherAlgorithm)
    );
    assert_eq!(
        config().fallback_key(A_PUBLIC).err(),
        Some(ConfigError::OtherAlgorithm)
    );
    assert_eq!(
        Config::hs256(A_PUBLIC).err(),
        Some(ConfigError::PemAsSecret)
    );
}
