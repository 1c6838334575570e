//! RS256 by the platform's WebCrypto: in constant time, and many times faster than arithmetic compiled to wasm.

use std::cell::RefCell;

use js_sys::{Array, Object, Promise, Reflect, Uint8Array};
use key0_core::credential::{RsaPrivateKey, RsaSigner, Signature, SigningError};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = ["crypto", "subtle"], catch, js_name = importKey)]
    fn import_key(
        format: &str,
        key: &Uint8Array,
        algorithm: &Object,
        extractable: bool,
        usages: &Array,
    ) -> Result<Promise, JsValue>;
    #[wasm_bindgen(js_namespace = ["crypto", "subtle"], catch)]
    fn sign(algorithm: &str, key: &JsValue, message: &Uint8Array) -> Result<Promise, JsValue>;
}

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
    let key = imported(key).await?;
    let signature = sign("RSASSA-PKCS1-v1_5", &key, &Uint8Array::from(message))?;
    Ok(Uint8Array::new(&JsFuture::from(signature).await?).to_vec())
}

async fn imported(key: &RsaPrivateKey) -> Result<JsValue, JsValue> {
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
    let algorithm = Object::new();
    Reflect::set(&algorithm, &"name".into(), &"RSASSA-PKCS1-v1_5".into())?;
    Reflect::set(&algorithm, &"hash".into(), &"SHA-256".into())?;
    let usages = Array::of1(&"sign".into());
    let bytes = Uint8Array::from(key.pkcs8());
    let imported = JsFuture::from(import_key("pkcs8", &bytes, &algorithm, false, &usages)?).await?;
    KEY.set(Some((name.to_owned(), imported.clone())));
    Ok(imported)
}
