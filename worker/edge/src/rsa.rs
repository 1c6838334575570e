//! RS256 by the platform's WebCrypto: in constant time, and many times faster than arithmetic compiled to wasm.

use std::cell::RefCell;

use js_sys::Object;
use key0_core::token::{RsaPrivateKey, RsaSigner, Signature, SigningError};
use wasm_bindgen::prelude::*;

use crate::webcrypto;

thread_local! {
    /// The imported key with its name. Settings do not change while an isolate lives, so there is only one.
    static KEY: RefCell<Option<(String, JsValue)>> = const { RefCell::new(None) };
}

/// The platform's RSA.
pub(crate) struct WebCrypto;

impl RsaSigner for WebCrypto {
    fn rs256<'a>(&'a self, key: &'a RsaPrivateKey, message: &'a [u8]) -> Signature<'a> {
        Box::pin(async move {
            rs256(key, message).await.map_err(|error| {
                crate::platform::log(
                    "signing_failed",
                    serde_json::json!({"detail": format!("{error:?}")}),
                );
                SigningError
            })
        })
    }
}

async fn rs256(key: &RsaPrivateKey, message: &[u8]) -> Result<Vec<u8>, JsValue> {
    let algorithm = webcrypto::algorithm(&[("name", "RSASSA-PKCS1-v1_5"), ("hash", "SHA-256")])?;
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
