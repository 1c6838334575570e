//! RS256 by the platform's WebCrypto: it runs in constant time, and many times faster than arithmetic that is compiled
//! to wasm.

use std::cell::RefCell;

use js_sys::Object;
use key0_core::token::{
    RsaPrivateKey, RsaPublicKey, RsaSigner, RsaVerifier, Signature, SigningError, Verdict,
};
use wasm_bindgen::prelude::*;

use crate::webcrypto;

thread_local! {
    /// The imported signing key with its name. Settings do not change while an isolate lives, so there is only one.
    static KEY: RefCell<Option<(String, JsValue)>> = const { RefCell::new(None) };
    /// The imported keys that check tokens, with their names: as many as the settings have.
    static PUBLIC_KEYS: RefCell<Vec<(String, JsValue)>> = const { RefCell::new(Vec::new()) };
}

const ALGORITHM: [(&str, &str); 2] = [("name", "RSASSA-PKCS1-v1_5"), ("hash", "SHA-256")];

/// The platform's RSA.
pub(crate) struct WebCrypto;

impl RsaSigner for WebCrypto {
    fn rs256<'a>(&'a self, key: &'a RsaPrivateKey, message: &'a [u8]) -> Signature<'a> {
        Box::pin(async move {
            rs256(key, message).await.map_err(|error| {
                crate::platform::log(
                    "signing_failed",
                    key0_core::json!({"detail": format!("{error:?}")}),
                );
                SigningError
            })
        })
    }
}

impl RsaVerifier for WebCrypto {
    fn is_signed<'a>(
        &'a self,
        key: &'a RsaPublicKey,
        message: &'a [u8],
        signature: &'a [u8],
    ) -> Verdict<'a> {
        Box::pin(async move { verified(key, message, signature).await.unwrap_or(false) })
    }
}

async fn verified(key: &RsaPublicKey, message: &[u8], signature: &[u8]) -> Result<bool, JsValue> {
    let algorithm = webcrypto::algorithm(&ALGORITHM)?;
    let name = key.key_id();
    let known = PUBLIC_KEYS.with_borrow(|known| {
        let found = known.iter().find(|(known, _)| known == name);
        found.map(|(_, key)| key.clone())
    });
    let key = match known {
        Some(key) => key,
        None => {
            let imported = webcrypto::verifying_key(&key.spki(), &algorithm).await?;
            PUBLIC_KEYS.with_borrow_mut(|known| known.push((name.to_owned(), imported.clone())));
            imported
        }
    };
    webcrypto::verify(&algorithm, &key, signature, message).await
}

async fn rs256(key: &RsaPrivateKey, message: &[u8]) -> Result<Vec<u8>, JsValue> {
    let algorithm = webcrypto::algorithm(&ALGORITHM)?;
    let key = imported(key, &algorithm).await?;
    webcrypto::sign(&algorithm, &key, message).await
}

async fn imported(key: &RsaPrivateKey, algorithm: &Object) -> Result<JsValue, JsValue> {
    let name = key.public().key_id();
    let known = KEY.with_borrow(|known| {
        known
            .as_ref()
            .filter(|(known, _)| known == name)
            .map(|(_, key)| key.clone())
    });
    if let Some(key) = known {
        return Ok(key);
    }
    let imported = webcrypto::signing_key(key.pkcs8(), algorithm).await?;
    KEY.set(Some((name.to_owned(), imported.clone())));
    Ok(imported)
}
