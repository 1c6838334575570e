//! Keys in each form that operators may have, and the exact text of one token.

use crate::json;
use base64::engine::general_purpose::STANDARD as BASE64;
use proptest::prelude::*;
use serde_json::Value;

use super::*;

/// A P-256 key, made for this test, in SEC1 with its curve named, in SEC1 without, and in PKCS#8.
const SEC1: &[u8] = &hex!(
    "30770201010420a9e9363f2b0da56383b09b0a76d1c31089fc3df4543a5563ef48322eafec266da00a06082a8648ce3d030107"
    "a1440342000466c9a8a58127378df27c820d38cca33976c4efeb8ef98fd499d98ea47162ad103825eebbf3f3bfb09b417488a7"
    "e97fe8826f44acbe19d683ecc3bd0538f5adfc"
);
const SEC1_SHORT: &[u8] =
    &hex!("30250201010420a9e9363f2b0da56383b09b0a76d1c31089fc3df4543a5563ef48322eafec266d");
const PKCS8: &[u8] = &hex!(
    "308187020100301306072a8648ce3d020106082a8648ce3d030107046d306b0201010420a9e9363f2b0da56383b09b0a76d1c3"
    "1089fc3df4543a5563ef48322eafec266da1440342000466c9a8a58127378df27c820d38cca33976c4efeb8ef98fd499d98ea4"
    "7162ad103825eebbf3f3bfb09b417488a7e97fe8826f44acbe19d683ecc3bd0538f5adfc"
);
/// The private key of [`SEC1_SHORT`], but with secp256k1 named as its curve.
const SECP256K1: &[u8] = &hex!(
    "302e0201010420a9e9363f2b0da56383b09b0a76d1c31089fc3df4543a5563ef48322eafec266da00706052b8104000a"
);

fn pem(label: &str, der: &[u8], line_end: &str) -> String {
    let text = BASE64.encode(der);
    let lines: Vec<_> = text
        .as_bytes()
        .chunks(64)
        .map(|line| core::str::from_utf8(line).unwrap())
        .collect();
    let body = lines.join(line_end);
    format!("-----BEGIN {label}-----{line_end}{body}{line_end}-----END {label}-----{line_end}")
}

#[test]
fn an_ed25519_secret_is_its_seed() {
    let bytes: Vec<u8> = (0..64).collect();
    for secret in [
        BASE64.encode(&bytes),
        BASE64.encode(&bytes).trim_end_matches('=').to_owned(),
        format!(" {}\n", BASE64.encode(&bytes)),
    ] {
        let key = CdpKey::new("id", &secret).unwrap();
        assert_eq!(key.algorithm(), CdpAlgorithm::EdDsa);
        assert_eq!(key.pkcs8(), [&ED25519_PREFIX, &bytes[..32]].concat());
    }
}

#[test]
fn a_pem_is_read_with_real_and_with_written_line_ends() {
    for line_end in ["\n", "\r\n", "\\n"] {
        let key = CdpKey::new("id", &pem("PRIVATE KEY", PKCS8, line_end)).unwrap();
        assert_eq!(key.algorithm(), CdpAlgorithm::Es256);
        assert_eq!(key.pkcs8(), PKCS8);
    }
}

#[test]
fn a_sec1_key_is_wrapped_as_pkcs8() {
    for sec1 in [SEC1, SEC1_SHORT] {
        let key = CdpKey::new("id", &pem("EC PRIVATE KEY", sec1, "\n")).unwrap();
        let pkcs8 = key.pkcs8();
        let head = pkcs8.len() - sec1.len();
        assert_eq!(&pkcs8[head..], sec1);
        assert_eq!(usize::from(pkcs8[head - 1]), sec1.len());
        assert!(contains(&pkcs8[..head], &P256_ALGORITHM));
    }
    // Openssl writes the curve's parameters into a block before the key.
    let with_parameters = pem("EC PARAMETERS", &P256, "\n") + &pem("EC PRIVATE KEY", SEC1, "\n");
    assert!(CdpKey::new("id", &with_parameters).is_some());
}

#[test]
fn what_is_no_such_key_is_refused() {
    for secret in [
        String::new(),
        "secret".to_owned(),
        BASE64.encode([1; 32]),
        BASE64.encode([1; 65]),
        pem("EC PRIVATE KEY", SECP256K1, "\n"),
        pem("EC PRIVATE KEY", &SEC1[..20], "\n"),
        pem("PRIVATE KEY", SEC1, "\n"),
        pem("RSA PRIVATE KEY", PKCS8, "\n"),
        "-----BEGIN PRIVATE KEY-----".to_owned(),
    ] {
        assert_eq!(CdpKey::new("id", &secret), None, "{secret}");
    }
}

#[test]
fn a_token_is_good_for_one_path_and_two_minutes() {
    let key = CdpKey::new("key-id", &BASE64.encode([7; 64])).unwrap();
    let input = key.token_input(
        "POST",
        "/platform/v2/x402/verify",
        UnixSeconds(1_800_000_000),
        [0xab; 16],
    );
    let parts: Vec<Value> = input
        .split('.')
        .map(|part| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap())
        .collect();
    assert_eq!(
        parts,
        [
            json!({"alg": "EdDSA", "kid": "key-id", "typ": "JWT", "nonce": "ab".repeat(16)}),
            json!({
                "sub": "key-id",
                "iss": "cdp",
                "iat": 1_800_000_000,
                "nbf": 1_800_000_000,
                "exp": 1_800_000_120,
                "uris": ["POST api.cdp.coinbase.com/platform/v2/x402/verify"],
            }),
        ]
    );
    assert_eq!(CdpKey::token("a.b", &[0xff, 0xfe]), "a.b.__4");
}

#[test]
fn a_key_is_not_printed() {
    let secret = BASE64.encode([7; 64]);
    assert_eq!(
        format!("{:?}", CdpKey::new("id", &secret)),
        "Some(CdpKey(…))"
    );
}

proptest! {
    #[test]
    fn hostile_secrets_never_panic(text in ".{0,200}", bytes: Vec<u8>) {
        let _ = CdpKey::new("id", &text);
        for label in ["PRIVATE KEY", "EC PRIVATE KEY"] {
            let _ = CdpKey::new("id", &pem(label, &bytes, "\n"));
        }
    }
}
