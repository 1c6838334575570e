//! Any text as a key document, as keys in PEM, and as a secret.
#![no_main]

use key0_validator::{Config, KeySource, Refresh};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let _secret = Config::hs256(data);
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let _pem = Config::rs256(text);
    let source = KeySource::by_hand(Refresh::default());
    let loaded = source.load(text).is_ok();
    let config = Config::jwks(text);
    assert_eq!(loaded, config.is_ok());
    if config.is_ok() {
        let json: serde_json::Value =
            serde_json::from_str(text).expect("what we read is JSON to others");
        assert!(
            json["keys"]
                .as_array()
                .is_some_and(|keys| keys.iter().any(|key| key["kty"] == "RSA"))
        );
    }
});
