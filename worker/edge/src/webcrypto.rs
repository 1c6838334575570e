//! The platform's WebCrypto: importing keys, signing and checking signatures with them.

use js_sys::{Array, Object, Promise, Reflect, Uint8Array};
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
    #[wasm_bindgen(js_namespace = ["crypto", "subtle"], catch, js_name = sign)]
    fn begin_sign(
        algorithm: &Object,
        key: &JsValue,
        message: &Uint8Array,
    ) -> Result<Promise, JsValue>;
    #[wasm_bindgen(js_namespace = ["crypto", "subtle"], catch, js_name = verify)]
    fn begin_verify(
        algorithm: &Object,
        key: &JsValue,
        signature: &Uint8Array,
        message: &Uint8Array,
    ) -> Result<Promise, JsValue>;
}

/// An algorithm with its parameters.
pub(crate) fn algorithm(members: &[(&str, &str)]) -> Result<Object, JsValue> {
    let object = Object::new();
    for (name, value) in members {
        Reflect::set(&object, &(*name).into(), &(*value).into())?;
    }
    Ok(object)
}

/// Imports a private key for signing.
pub(crate) async fn signing_key(pkcs8: &[u8], algorithm: &Object) -> Result<JsValue, JsValue> {
    let usages = Array::of1(&"sign".into());
    let bytes = Uint8Array::from(pkcs8);
    JsFuture::from(import_key("pkcs8", &bytes, algorithm, false, &usages)?).await
}

/// Signs the message with this key.
pub(crate) async fn sign(
    algorithm: &Object,
    key: &JsValue,
    message: &[u8],
) -> Result<Vec<u8>, JsValue> {
    let signing = begin_sign(algorithm, key, &Uint8Array::from(message))?;
    Ok(Uint8Array::new(&JsFuture::from(signing).await?).to_vec())
}

/// Imports a public key (SPKI) for checking signatures.
pub(crate) async fn verifying_key(spki: &[u8], algorithm: &Object) -> Result<JsValue, JsValue> {
    let usages = Array::of1(&"verify".into());
    let bytes = Uint8Array::from(spki);
    JsFuture::from(import_key("spki", &bytes, algorithm, false, &usages)?).await
}

/// Checks a signature.
pub(crate) async fn verify(
    algorithm: &Object,
    key: &JsValue,
    signature: &[u8],
    message: &[u8],
) -> Result<bool, JsValue> {
    let (signature, message) = (Uint8Array::from(signature), Uint8Array::from(message));
    let verifying = begin_verify(algorithm, key, &signature, &message)?;
    Ok(JsFuture::from(verifying).await?.is_truthy())
}
